//! gRPC-Web, unary: the same paths as Connect, messages and trailers in frames.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use wire::table::Rpc;

use super::buffers::Room;
use super::connect::{call, fresh};
use super::door::{Head, Reply};
use super::{Ctx, Payload, framing};
use crate::error::{ApiError, Code};

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
pub async fn answer(rpc: &'static Rpc, ctx: Ctx, form: Form, head: &Head, body: &Bytes) -> Reply {
    let result = match read_frame(form, &head.grpc_encoding, body, ctx.body_limit()).await {
        Ok((message, _room)) => {
            let payload = if form.is_json { Payload::Json(message) } else { Payload::Proto(message) };
            call(rpc, &ctx, payload).await
        }
        Err(error) => Err(error),
    };
    let mut out = Vec::new();
    let (code, text) = match result {
        Ok(message) => {
            framing::push(&mut out, 0, &message);
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
    framing::push(&mut out, TRAILERS, trailers.as_bytes());
    if form.is_text {
        out = STANDARD.encode(out).into_bytes();
    }
    let mut reply = fresh(Reply::new(200, form.content_type, out));
    for cookie in ctx.take_cookies().into_iter().filter(|_| ctx.leaves_cookies()) {
        reply = reply.with("Set-Cookie", cookie);
    }
    reply
}

/// The one message of a unary request, and the room that is taken for it.
async fn read_frame(form: Form, encoding: &str, body: &Bytes, limit: usize) -> Result<(Bytes, [Room; 2]), ApiError> {
    let mut plain = Room::default();
    if !form.is_text {
        let (message, room) = framing::only_message(body, encoding, limit).await?;
        return Ok((message, [plain, room]));
    }
    let refused = |_| ApiError::new(Code::InvalidArgument, "the body is not base64");
    plain.reserve(body.len() / 4 * 3).await?;
    let decoded = STANDARD.decode(body).map_err(refused)?;
    let (message, room) = framing::only_message(&decoded.into(), encoding, limit).await?;
    Ok((message, [plain, room]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_travel_as_bytes_or_text() {
        let mut body = Vec::new();
        framing::push(&mut body, 0, b"abc");
        let form = Form::of("application/grpc-web").expect("a form");
        let read = async |form, body: Vec<u8>| read_frame(form, "", &Bytes::from(body), 100).await.map(|read| read.0);
        assert_eq!(read(form, body.clone()).await.expect("a message"), Bytes::from_static(b"abc"));
        let text = Form::of("application/grpc-web-text").expect("a form");
        assert!(read(text, STANDARD.encode(&body).into_bytes()).await.is_ok());
        assert!(read(text, body).await.is_err());
    }
}
