//! A handler with its types folded away: bytes in, bytes out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ctx::Ctx;
use super::rest::refuse_nul;
use crate::error::ApiError;

/// A request message in the form of its protocol. The answer comes in the same form.
#[derive(Debug)]
pub enum Payload {
    /// The JSON object that path, query and body of a REST request make.
    Rest(Value),
    /// JSON text: Connect, gRPC-Web.
    Json(Bytes),
    /// Protobuf: Connect, gRPC-Web, gRPC.
    Proto(Bytes),
}

type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, ApiError>> + Send>>;

/// What runs an RPC.
pub type Handler = Arc<dyn Fn(Ctx, Payload) -> Answer + Send + Sync>;

/// An RPC with its handler.
pub struct RpcRow {
    /// Service without the package.
    pub service: &'static str,
    /// Method.
    pub method: &'static str,
    /// What runs it.
    pub handler: Handler,
}

/// An RPC and the function that answers it.
pub fn row<Req, Resp, F, Fut>(service: &'static str, method: &'static str, handler: F) -> RpcRow
where
    Req: Message + Default + Serialize + DeserializeOwned + 'static,
    Resp: Message + Serialize + 'static,
    F: Fn(Ctx, Req) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Resp, ApiError>> + Send + 'static,
{
    let run = move |ctx: Ctx, payload: Payload| -> Answer {
        let form = Form::of(&payload);
        match decode::<Req>((service, method), payload) {
            Ok(request) => {
                let answer = handler(ctx, request);
                Box::pin(async move { form.encode(&answer.await?) })
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    };
    RpcRow { service, method, handler: Arc::new(run) }
}

#[derive(Clone, Copy)]
enum Form {
    Rest,
    Json,
    Proto,
}

impl Form {
    const fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Rest(_) => Self::Rest,
            Payload::Json(_) => Self::Json,
            Payload::Proto(_) => Self::Proto,
        }
    }

    fn encode<M: Message + Serialize>(self, message: &M) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::Rest => serde_json::to_vec(message).map_err(ApiError::internal),
            Self::Json => wire::sparse::to_vec(message).map_err(ApiError::internal),
            Self::Proto => Ok(message.encode_to_vec()),
        }
    }
}

/// Service and method, by which the descriptor of the request is found.
type Name = (&'static str, &'static str);

fn decode<M: Message + Default + Serialize + DeserializeOwned>(name: Name, payload: Payload) -> Result<M, ApiError> {
    match payload {
        Payload::Rest(value) => decode_rest(name, value),
        Payload::Json(text) => decode_json(name, &text),
        Payload::Proto(bytes) => {
            let may_have_nul = bytes.contains(&0);
            let message = M::decode(bytes).map_err(|error| unreadable(&error))?;
            if may_have_nul {
                refuse_nul(&serde_json::to_value(&message).map_err(ApiError::internal)?)?;
            }
            Ok(message)
        }
    }
}

/// The message that a REST request makes.
///
/// # Errors
/// 400 that names the field which cannot be read.
pub(super) fn decode_rest<M: DeserializeOwned>(name: Name, value: Value) -> Result<M, ApiError> {
    read(name, value).map_err(|told| ApiError::invalid(format!("proto: {told}")))
}

/// Reads a message; where that fails, once more after its scalars were settled.
fn read<M: DeserializeOwned>((service, method): Name, mut value: Value) -> Result<M, String> {
    if let Ok(message) = M::deserialize(&value) {
        return Ok(message);
    }
    if let Some(method) = wire::method(service, method) {
        wire::scalars::settle(&method.input(), &mut value).map_err(|refusal| refusal.0)?;
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn unreadable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::invalid(format!("unmarshal message: {error}"))
}

/// JSON of a whole message. A null, which means "not set" in any field, is dropped first.
fn decode_json<M: DeserializeOwned>(name: Name, text: &[u8]) -> Result<M, ApiError> {
    if text.is_empty() {
        return Err(ApiError::invalid("unmarshal message: zero-length payload is not a valid JSON object"));
    }
    let has = |four: &[u8]| memchr::memmem::find(text, four).is_some();
    let is_plain = !has(b"null") && !has(b"u000");
    if is_plain {
        match serde_json::from_slice(text) {
            Ok(message) => return Ok(message),
            // As a value of JSON the last of them would count.
            Err(error) if error.to_string().starts_with("duplicate field") => return Err(unreadable(&error)),
            Err(_) => {}
        }
    }
    let mut value: Value = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    if let Value::Object(object) = &mut value {
        wire::rest::drop_nulls(object);
    }
    refuse_nul(&value)?;
    read(name, value).map_err(|told| unreadable(&told))
}
