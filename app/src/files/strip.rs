//! Taking out of a photo what is about people rather than the picture: place, time, camera, comments.
//!
//! Metadata is cut out of the file as it is, so that the picture itself keeps every bit. Only a JPEG that must be turned
//! to stand upright is decoded and written anew, because the turn is written in what is cut out.

use std::io::Cursor;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder};

use super::motion;

/// Photos above this many pixels are not decoded: only cut.
const MOST_PIXELS: u64 = 64 * 1024 * 1024;
const QUALITY: u8 = 95;

/// The file without metadata; as it came when it is no photo or cannot be read as one.
pub fn without_metadata(kind: &str, content: Vec<u8>) -> Vec<u8> {
    match kind {
        "image/jpeg" | "image/jpg" => jpeg(content),
        "image/webp" => webp(&content).unwrap_or(content),
        _ => content,
    }
}

fn jpeg(content: Vec<u8>) -> Vec<u8> {
    let film = motion::film_start(&content);
    let turn = orientation(&content);
    let keep_turn = film.is_some() || turn == Orientation::NoTransforms;
    if !keep_turn && let Some(turned) = upright(&content, turn) {
        return turned;
    }
    let turn = (turn != Orientation::NoTransforms).then(|| turn.to_exif());
    cut_jpeg(&content, turn).unwrap_or(content)
}

fn orientation(content: &[u8]) -> Orientation {
    JpegDecoder::new(Cursor::new(content))
        .and_then(|mut decoder| decoder.orientation())
        .unwrap_or(Orientation::NoTransforms)
}

/// The picture turned and written anew, with its colour profile.
fn upright(content: &[u8], turn: Orientation) -> Option<Vec<u8>> {
    let mut decoder = JpegDecoder::new(Cursor::new(content)).ok()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return None;
    }
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder).ok()?;
    picture.apply_orientation(turn);
    let mut out = Vec::with_capacity(content.len());
    let mut encoder = JpegEncoder::new_with_quality(&mut out, QUALITY);
    if let Some(profile) = profile {
        image::ImageEncoder::set_icc_profile(&mut encoder, profile).ok()?;
    }
    picture.write_with_encoder(encoder).ok()?;
    Some(out)
}

/// Walks the segments before the picture's data and leaves out descriptions and comments. `turn`: the number of the
/// turn to keep, in a description that holds nothing else.
fn cut_jpeg(content: &[u8], turn: Option<u8>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(content.len());
    out.extend_from_slice(content.get(..2).filter(|start| *start == [0xFF, 0xD8])?);
    if let Some(turn) = turn {
        out.extend_from_slice(&turn_segment(turn));
    }
    let mut at = 2;
    loop {
        let [0xFF, mark] = *content.get(at..at + 2)? else { return None };
        if mark == 0xFF {
            at += 1;
            continue;
        }
        if mark == 0xDA || mark == 0xD9 {
            out.extend_from_slice(content.get(at..)?);
            return Some(out);
        }
        let length = usize::from(u16::from_be_bytes(content.get(at + 2..at + 4)?.try_into().ok()?));
        let segment = content.get(at..at + 2 + length.max(2))?;
        if !is_metadata(mark, segment.get(4..).unwrap_or_default()) {
            out.extend_from_slice(segment);
        }
        at += segment.len();
    }
}

/// APP1 (Exif, XMP), APP13 (IPTC), comments; JFIF (APP0), colour profile (APP2) and Adobe (APP14) say how the picture
/// looks and stay. Other APP segments are makers' own.
fn is_metadata(mark: u8, body: &[u8]) -> bool {
    match mark {
        0xE0 | 0xEE => false,
        0xE2 => !body.starts_with(b"ICC_PROFILE\0"),
        0xE1..=0xEF | 0xFE => true,
        _ => false,
    }
}

/// An Exif segment with one entry: how to turn the picture.
fn turn_segment(turn: u8) -> Vec<u8> {
    let mut segment = vec![0xFF, 0xE1, 0, 34];
    segment.extend_from_slice(b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
    segment.push(turn);
    segment.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    segment
}

/// A WebP without its EXIF and XMP chunks.
fn webp(content: &[u8]) -> Option<Vec<u8>> {
    if content.get(..4)? != b"RIFF" || content.get(8..12)? != b"WEBP" {
        return None;
    }
    let mut out = content.get(..12)?.to_vec();
    let mut at = 12;
    while at < content.len() {
        let name = content.get(at..at + 4)?;
        let length = u32::from_le_bytes(content.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        let chunk = content.get(at..(at + 8 + length + length % 2).min(content.len()))?;
        if name != b"EXIF" && name != b"XMP " {
            let from = out.len();
            out.extend_from_slice(chunk);
            if name == b"VP8X"
                && let Some(flags) = out.get_mut(from + 8)
            {
                *flags &= !0b0000_1100;
            }
        }
        at += chunk.len();
    }
    let size = u32::try_from(out.len().checked_sub(8)?).ok()?;
    out.get_mut(4..8)?.copy_from_slice(&size.to_le_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo() -> Vec<u8> {
        let mut out = Vec::new();
        let picture = DynamicImage::new_rgb8(20, 10);
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut out, 90)).expect("encodes");
        out
    }

    fn with_segment(photo: &[u8], segment: &[u8]) -> Vec<u8> {
        [&photo[..2], segment, &photo[2..]].concat()
    }

    fn size(content: &[u8]) -> (u32, u32) {
        let picture = image::load_from_memory(content).expect("decodes");
        (picture.width(), picture.height())
    }

    #[test]
    fn descriptions_are_cut_and_the_picture_stays() {
        let plain = photo();
        let comment = with_segment(&plain, b"\xFF\xFE\0\x08secret");
        let tagged = with_segment(&comment, b"\xFF\xE1\0\x0EExif\0\0secret");
        assert_eq!(without_metadata("image/jpeg", tagged), plain);
        assert_eq!(without_metadata("image/jpeg", plain.clone()), plain);
    }

    #[test]
    fn a_photo_on_its_side_is_set_upright() {
        let lying = with_segment(&photo(), &turn_segment(6));
        let upright = without_metadata("image/jpeg", lying);
        assert_eq!(size(&upright), (10, 20));
        assert!(motion::find(&upright, b"Exif").is_none());
    }

    #[test]
    fn what_is_no_photo_is_left_alone() {
        for bytes in [&b""[..], b"\xFF\xD8", b"\xFF\xD8\xFF\xE1\xFF\xFF", b"RIFF____WEBPEXIF\xFF\xFF\xFF\xFF"] {
            for kind in ["image/jpeg", "image/webp", "text/plain"] {
                let out = without_metadata(kind, bytes.to_vec());
                assert!(out.len() <= bytes.len(), "{kind}");
            }
        }
    }

    #[test]
    fn webp_loses_its_descriptions() {
        let mut webp_file =
            b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\x0C\0\0\0\0\0\0\0\0\0EXIF\x03\0\0\0abc\0VP8 \x02\0\0\0xy".to_vec();
        let size = (webp_file.len() - 8) as u32;
        webp_file[4..8].copy_from_slice(&size.to_le_bytes());
        let out = without_metadata("image/webp", webp_file);
        assert!(motion::find(&out, b"EXIF").is_none() && motion::find(&out, b"VP8 ").is_some());
        assert_eq!(out[20], 0);
        assert_eq!(u32::from_le_bytes(out[4..8].try_into().expect("four")) as usize, out.len() - 8);
    }
}
