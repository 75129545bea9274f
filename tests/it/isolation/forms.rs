//! Answers of every protocol in one form, to be compared.

use prost_reflect::{DeserializeOptions, DynamicMessage, SerializeOptions};
use serde_json::Value;
use wire::table::Rpc;

use super::rpcs::method_of;
use crate::support::Answer;

/// What came back, whatever it came over: the message, or status and text of the refusal.
pub(super) type Outcome = Result<Value, (u16, String)>;

/// The path with the message's mask in its query, in the words of REST.
pub(super) fn with_mask(path: String, message: &Value) -> String {
    let Some(mask) = message["updateMask"].as_str() else { return path };
    let snake: String = mask
        .chars()
        .flat_map(|c| c.is_ascii_uppercase().then_some('_').into_iter().chain([c.to_ascii_lowercase()]))
        .collect();
    format!("{path}{}updateMask={snake}", if path.contains('?') { '&' } else { '?' })
}

/// The message in one form, whichever it had.
fn plain(message: &DynamicMessage) -> Value {
    message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new()).unwrap()
}

/// A message of protobuf.
pub(super) fn decoded(rpc: &Rpc, bytes: &[u8]) -> Value {
    plain(&DynamicMessage::decode(method_of(rpc).output(), bytes).expect("a message"))
}

/// An answer of REST or Connect in JSON.
pub(super) fn of_json(rpc: &Rpc, answer: &Answer) -> Outcome {
    let found = answer.json();
    if answer.status != 200 {
        return Err((answer.status, found["message"].as_str().unwrap_or_default().to_owned()));
    }
    let strict = DeserializeOptions::new();
    Ok(plain(&DynamicMessage::deserialize_with_options(method_of(rpc).output(), found, &strict).expect("a message")))
}

/// A message as gRPC frames it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length[..], message].concat()
}

/// An answer of gRPC-Web.
pub(super) fn of_frames(rpc: &Rpc, answer: &Answer) -> Outcome {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (mut rest, mut message, mut trailers) = (answer.body.as_slice(), None, String::new());
    while let Some((head, more)) = rest.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..5].try_into().unwrap()) as usize;
        let (frame, behind) = more.split_at(length);
        if head[0] & 0x80 == 0 {
            message = Some(frame)
        } else {
            trailers = String::from_utf8_lossy(frame).into_owned()
        }
        rest = behind;
    }
    let trailer = |name: &str| {
        let line = trailers.split("\r\n").find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    };
    match trailer("grpc-status:").parse() {
        Ok(0) => Ok(decoded(rpc, message.expect("a message"))),
        code => Err((web::Code::from_number(code.unwrap_or(2)).status().as_u16(), said(&trailer("grpc-message:")))),
    }
}

/// A text of gRPC's metadata, where odd letters are percent-encoded.
pub(super) fn said(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let code = more
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
