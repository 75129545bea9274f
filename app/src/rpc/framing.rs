//! The frames in which gRPC and gRPC-Web carry messages: one byte of flags, four of length, the message.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::buffers::Room;
use crate::error::{ApiError, Code};

/// Length of a frame's head.
pub(crate) const HEAD: usize = 5;
/// The flag of a compressed message.
const COMPRESSED: u8 = 1;
/// So many packed bytes are unpacked where they arrived: a few milliseconds at most.
const LITTLE: usize = 4 * 1024;

/// Appends a frame.
pub(crate) fn push(out: &mut Vec<u8>, flags: u8, message: &[u8]) {
    out.push(flags);
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(message);
}

/// Flags and length of the frame that begins here; none while its head is not complete.
pub(crate) fn head(body: &[u8]) -> Option<(u8, usize)> {
    let [flags, length @ ..] = body.get(..HEAD)? else { return None };
    Some((*flags, length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))))
}

/// The one message of a unary request, unpacked to at most `limit` bytes, and the room that it takes besides the body.
/// `encoding` is what `grpc-encoding` says.
pub(crate) async fn only_message(body: &Bytes, encoding: &str, limit: usize) -> Result<(Bytes, Room), ApiError> {
    let refused = |why: &'static str| ApiError::new(Code::InvalidArgument, why);
    let (flags, length) = head(body).ok_or_else(|| refused("the body has no frame"))?;
    let end = HEAD.saturating_add(length);
    if length > limit {
        return Err(ApiError::too_large(limit));
    }
    if body.len() < end {
        return Err(refused("the frame is shorter than it says"));
    }
    if body.len() > end {
        return Err(ApiError::new(Code::Unimplemented, "a unary request has one message"));
    }
    let message = body.slice(HEAD..end);
    match flags {
        0 => Ok((message, Room::default())),
        COMPRESSED => unpacked(&message, encoding, limit).await,
        _ => Err(refused("the frame has unknown flags")),
    }
}

/// What `bytes` hold when unpacked, at most `limit` bytes of it, and the room that it takes. How much it is is found by unpacking
/// it into nothing first: whoever sends little takes no more memory than there is room for, however many do it at a time.
///
/// # Errors
/// An encoding other than gzip and identity, something that is no gzip, a bomb, no room.
pub(crate) async fn unpacked(bytes: &Bytes, encoding: &str, limit: usize) -> Result<(Bytes, Room), ApiError> {
    let mut room = Room::default();
    match encoding {
        "" | "identity" => Ok((bytes.clone(), room)),
        "gzip" => {
            let packed = bytes.clone();
            let length = apart(bytes.len(), move || length_of(&packed, limit)).await?;
            if length > limit {
                return Err(ApiError::too_large(limit));
            }
            room.reserve(length).await?;
            let packed = bytes.clone();
            let message = apart(bytes.len(), move || unpack(&packed, length)).await?;
            Ok((message.into(), room))
        }
        other => Err(ApiError::new(
            Code::Unimplemented,
            format!("unknown compression {other:?}: supported encodings are gzip"),
        )),
    }
}

/// Unpacks: beside the thread that answers others, where there is more than a little.
async fn apart<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let done =
        if length <= LITTLE { work() } else { tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)? };
    done.map_err(|_| ApiError::invalid("the message is no gzip"))
}

/// How many bytes it is unpacked; counts no further than one beyond the limit.
fn length_of(packed: &[u8], limit: usize) -> io::Result<usize> {
    let mut limited = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    let length = io::copy(&mut limited, &mut io::sink())?;
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

fn unpack(packed: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(length);
    MultiGzDecoder::new(packed).take(length as u64).read_to_end(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        out.write_all(plain).expect("written");
        out.finish().expect("finished")
    }

    #[tokio::test]
    async fn frames_are_read_back() {
        let mut body = Vec::new();
        push(&mut body, 0, b"abc");
        assert_eq!(only_message(&body.into(), "", 10).await.expect("a message").0, Bytes::from_static(b"abc"));
        for bad in [&b""[..], b"\0\0\0", b"\0\0\0\0\x09abc", b"\x01\0\0\0\0", b"\x02\0\0\0\0", b"\0\0\0\0\0x"] {
            let read = only_message(&Bytes::from_static(bad), "gzip", 100).await;
            assert!(read.is_err() || bad == b"\x01\0\0\0\0", "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_bomb_is_refused_before_it_unfolds() {
        let mut body = Vec::new();
        push(&mut body, COMPRESSED, &gzip(&vec![0; 5_000_000]));
        let body = Bytes::from(body);
        assert!(body.len() < 20_000);
        assert!(only_message(&body, "gzip", 1_000_000).await.is_err());
        let (message, room) = only_message(&body, "gzip", 5_000_000).await.expect("unpacked");
        assert_eq!(message.len(), 5_000_000);
        assert!(room.holds() >= 5_000_000, "what is unpacked is counted");
        assert!(only_message(&body, "br", 5_000_000).await.is_err());
    }
}
