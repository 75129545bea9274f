//! The frames in which gRPC and gRPC-Web carry messages: one byte of flags, four of length, the message.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::error::{ApiError, Code};

/// Length of a frame's head.
pub(crate) const HEAD: usize = 5;
/// The flag of a compressed message.
const COMPRESSED: u8 = 1;

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

/// The one message of a unary request, unpacked to at most `limit` bytes. `encoding` is what `grpc-encoding` says.
pub(crate) fn only_message(body: &Bytes, encoding: &str, limit: usize) -> Result<Bytes, ApiError> {
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
        0 => Ok(message),
        COMPRESSED => unpacked(&message, encoding, limit),
        _ => Err(refused("the frame has unknown flags")),
    }
}

/// What `bytes` hold when unpacked, at most `limit` bytes of it.
///
/// # Errors
/// An encoding other than gzip and identity, something that is no gzip, a bomb.
pub(crate) fn unpacked(bytes: &Bytes, encoding: &str, limit: usize) -> Result<Bytes, ApiError> {
    match encoding {
        "" | "identity" => Ok(bytes.clone()),
        "gzip" => {
            let mut out = Vec::new();
            let mut limited = MultiGzDecoder::new(&bytes[..]).take(limit as u64 + 1);
            limited.read_to_end(&mut out).map_err(|_| ApiError::invalid("the message is no gzip"))?;
            if out.len() > limit { Err(ApiError::too_large(limit)) } else { Ok(out.into()) }
        }
        other => Err(ApiError::new(
            Code::Unimplemented,
            format!("unknown compression {other:?}: supported encodings are gzip"),
        )),
    }
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

    #[test]
    fn frames_are_read_back() {
        let mut body = Vec::new();
        push(&mut body, 0, b"abc");
        assert_eq!(only_message(&body.into(), "", 10).expect("a message"), Bytes::from_static(b"abc"));
        for bad in [&b""[..], b"\0\0\0", b"\0\0\0\0\x09abc", b"\x01\0\0\0\0", b"\x02\0\0\0\0", b"\0\0\0\0\0x"] {
            assert!(only_message(&Bytes::from_static(bad), "gzip", 100).is_err() || bad == b"\x01\0\0\0\0", "{bad:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_unfolds() {
        let mut body = Vec::new();
        push(&mut body, COMPRESSED, &gzip(&vec![0; 5_000_000]));
        let body = Bytes::from(body);
        assert!(body.len() < 20_000);
        assert!(only_message(&body, "gzip", 1_000_000).is_err());
        assert_eq!(only_message(&body, "gzip", 5_000_000).expect("unpacked").len(), 5_000_000);
        assert!(only_message(&body, "br", 5_000_000).is_err());
    }
}
