//! gRPC-Web, unary: the same paths as Connect, messages and trailers in frames.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use wire::table::Rpc;

use super::connect::{call, fresh};
use super::door::Reply;
use super::{Ctx, Payload};
use crate::error::{ApiError, Code};

/// Length of a frame's head: one byte of flags, four of length.
const HEAD: usize = 5;
/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;
/// What a status message must not contain as it is.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// How the frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    content_type: &'static str,
    is_text: bool,
    is_json: bool,
}

impl Form {
    /// The form of a content type (lower case, without parameters), when it is one of gRPC-Web's.
    pub fn of(content_type: &str) -> Option<Self> {
        let (content_type, is_text, is_json) = match content_type {
            "application/grpc-web" | "application/grpc-web+proto" => ("application/grpc-web+proto", false, false),
            "application/grpc-web-text" | "application/grpc-web-text+proto" => {
                ("application/grpc-web-text+proto", true, false)
            }
            "application/grpc-web+json" => ("application/grpc-web+json", false, true),
            _ => return None,
        };
        Some(Self { content_type, is_text, is_json })
    }
}

/// Answers one call; errors travel in the trailers of a 200.
pub async fn answer(rpc: &Rpc, ctx: Ctx, form: Form, body: &[u8]) -> Reply {
    let result = match read_frame(form, body) {
        Ok(message) => {
            let payload = if form.is_json { Payload::Json(message) } else { Payload::Proto(message) };
            call(rpc, &ctx, payload).await
        }
        Err(error) => Err(error),
    };
    let mut out = Vec::new();
    let (code, text) = match result {
        Ok(message) => {
            push_frame(&mut out, 0, &message);
            (0, String::new())
        }
        Err(error) => {
            if error.code().is_ours() {
                tracing::error!(rpc = rpc.name(), cause = error.chain(), "an RPC failed");
            }
            (error.code().number(), error.message().to_owned())
        }
    };
    let text = utf8_percent_encode(&text, MESSAGE).to_string();
    let trailers = format!("grpc-status: {code}\r\ngrpc-message: {text}\r\n");
    push_frame(&mut out, TRAILERS, trailers.as_bytes());
    if form.is_text {
        out = STANDARD.encode(out).into_bytes();
    }
    let mut reply = fresh(Reply::new(200, form.content_type, out));
    for cookie in ctx.take_cookies() {
        reply = reply.with("Set-Cookie", cookie);
    }
    reply
}

fn push_frame(out: &mut Vec<u8>, flags: u8, message: &[u8]) {
    out.push(flags);
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(message);
}

/// The one message of a unary request.
fn read_frame(form: Form, body: &[u8]) -> Result<Bytes, ApiError> {
    let refused = |why: &'static str| ApiError::new(Code::InvalidArgument, why);
    let decoded;
    let body = if form.is_text {
        decoded = STANDARD.decode(body).map_err(|_| refused("the body is not base64"))?;
        &decoded
    } else {
        body
    };
    let Some((head, rest)) = body.split_at_checked(HEAD) else { return Err(refused("the body has no frame")) };
    let [flags, length @ ..] = head else { return Err(refused("the body has no frame")) };
    if *flags != 0 {
        return Err(ApiError::new(Code::Unimplemented, "compressed messages are not taken"));
    }
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let message = rest.get(..length).ok_or_else(|| refused("the frame is shorter than it says"))?;
    Ok(Bytes::copy_from_slice(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_back() {
        let form = Form::of("application/grpc-web").expect("a form");
        let mut body = Vec::new();
        push_frame(&mut body, 0, b"abc");
        assert_eq!(read_frame(form, &body).expect("a message"), Bytes::from_static(b"abc"));
        for bad in [&b""[..], b"\0\0\0", b"\0\0\0\0\x09abc", b"\x01\0\0\0\0"] {
            assert!(read_frame(form, bad).is_err());
        }
        let text = Form::of("application/grpc-web-text").expect("a form");
        assert!(read_frame(text, STANDARD.encode(&body).as_bytes()).is_ok());
    }
}
