//! Moving photos: a still with a short film, as one file or as two.

use domain::note::MotionMedia;
use serde_json::{Value, json};

use crate::notes::{Error, input};

/// What a row's payload says about it.
pub fn of_payload(payload: &Value) -> Option<MotionMedia> {
    let motion = payload.get("motionMedia")?.as_object()?;
    let text = |key| motion.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let stamp = motion.get("presentationTimestampUs");
    let stamp = stamp.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
    Some(MotionMedia {
        family: text("family"),
        role: text("role"),
        group_id: text("groupId"),
        presentation_timestamp_us: stamp.unwrap_or(0),
        has_embedded_video: motion.get("hasEmbeddedVideo").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// The payload of a row.
pub fn payload(motion: Option<&MotionMedia>) -> Value {
    match motion {
        None => json!({}),
        Some(motion) => json!({ "motionMedia": {
            "family": motion.family,
            "role": motion.role,
            "groupId": motion.group_id,
            "presentationTimestampUs": motion.presentation_timestamp_us.to_string(),
            "hasEmbeddedVideo": motion.has_embedded_video,
        }}),
    }
}

/// What a client may say by itself: that a file is the still or the film of a pair.
pub fn check(motion: &MotionMedia) -> Result<(), Error> {
    input::refuse_nul("motion_media.group_id", &motion.group_id)?;
    let pair = motion.family == "APPLE_LIVE_PHOTO" && matches!(motion.role.as_str(), "STILL" | "VIDEO");
    if pair && !motion.group_id.is_empty() {
        return Ok(());
    }
    Err(Error::invalid("motion_media may only name a half of a live photo: family, role STILL or VIDEO, group_id"))
}

/// Where the film begins in a JPEG that has one at its end.
pub fn film_start(jpeg: &[u8]) -> Option<usize> {
    let start = jpeg.get(..2)?;
    if start != [0xFF, 0xD8] || !says_motion(jpeg) {
        return None;
    }
    // An MP4 begins with the length of its first box and `ftyp`; the picture ends before it with FF D9.
    let mut from = 4;
    while let Some(at) = find(jpeg.get(from..)?, b"ftyp") {
        let begins = from + at - 4;
        let length =
            jpeg.get(begins..begins + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).map(u32::from_be_bytes);
        let ended = jpeg.get(..begins).is_some_and(|before| find_last(before, &[0xFF, 0xD9]).is_some());
        if ended && length.is_some_and(|length| (8..=1024).contains(&length)) {
            return Some(begins);
        }
        from += at + 4;
    }
    None
}

/// What Android's cameras write into the picture's own description.
fn says_motion(jpeg: &[u8]) -> bool {
    let head = jpeg.get(..jpeg.len().min(256 * 1024)).unwrap_or_default();
    [&b"MotionPhoto=\"1\""[..], b"MicroVideo=\"1\"", b"MotionPhoto>1<", b"MicroVideo>1<"]
        .iter()
        .any(|mark| find(head, mark).is_some())
}

pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn find_last(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(haystack, needle)
}

/// The description of a JPEG with its film inside.
pub fn container() -> MotionMedia {
    MotionMedia {
        family: "ANDROID_MOTION_PHOTO".to_owned(),
        role: "CONTAINER".to_owned(),
        has_embedded_video: true,
        ..MotionMedia::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving() -> Vec<u8> {
        let mut jpeg = vec![0xFF, 0xD8];
        jpeg.extend_from_slice(b"<x MotionPhoto=\"1\"/> ftyp of no film");
        jpeg.extend_from_slice(&[0xFF, 0xD9]);
        jpeg.extend_from_slice(&[0, 0, 0, 24]);
        jpeg.extend_from_slice(b"ftypmp42....");
        jpeg
    }

    #[test]
    fn the_film_at_the_end_is_found() {
        let jpeg = moving();
        let start = film_start(&jpeg);
        assert_eq!(start.and_then(|at| jpeg.get(at + 4..at + 12)), Some(&b"ftypmp42"[..]));
        assert_eq!(film_start(b"\xFF\xD8 plain \xFF\xD9"), None);
    }

    #[test]
    fn payloads_are_read_back() {
        let motion = MotionMedia { group_id: "g".to_owned(), presentation_timestamp_us: 7, ..container() };
        assert_eq!(of_payload(&payload(Some(&motion))), Some(motion));
        assert_eq!(of_payload(&payload(None)), None);
    }
}
