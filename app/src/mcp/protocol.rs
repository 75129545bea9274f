//! JSON-RPC as the protocol uses it: what a message asks for, and what is answered.

use serde_json::{Value, json};

use crate::state::MEMOS_VERSION;

/// Versions of the protocol that are spoken as asked for.
const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", NEWEST];
/// What is answered to a client that asks for another.
const NEWEST: &str = "2025-11-25";

/// A message from a client.
#[derive(Debug)]
pub(super) enum Message {
    /// Wants an answer with this id.
    Request {
        /// Number or text, given back as it is.
        id: Value,
        /// What it asks for.
        method: String,
        /// Its arguments; null when there are none.
        params: Value,
    },
    /// Wants none.
    Notification,
}

/// Why a body is no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    /// No JSON.
    #[error("malformed payload: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but no message.
    #[error("malformed payload: {0}")]
    Shape(&'static str),
}

impl Message {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut value: Value = serde_json::from_slice(body)?;
        let Some(object) = value.as_object_mut() else {
            return Err(Malformed::Shape("a message is one JSON object; batches are not taken"));
        };
        if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(Malformed::Shape("\"jsonrpc\" must be \"2.0\""));
        }
        let id = object.remove("id").unwrap_or(Value::Null);
        let params = object.remove("params").unwrap_or(Value::Null);
        let method = match object.remove("method") {
            Some(Value::String(method)) => method,
            // An answer of the client's to something that we never ask.
            None if object.contains_key("result") || object.contains_key("error") => return Ok(Self::Notification),
            _ => return Err(Malformed::Shape("\"method\" must be a text")),
        };
        match id {
            Value::Null => Ok(Self::Notification),
            Value::Number(_) | Value::String(_) => Ok(Self::Request { id, method, params }),
            _ => Err(Malformed::Shape("\"id\" must be a number or a text")),
        }
    }
}

/// A good answer.
pub(super) fn result(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// An answer that the request itself is wrong.
pub(super) fn refused(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// What a client is told first.
pub(super) fn welcome(params: &Value) -> Value {
    let asked = params["protocolVersion"].as_str().unwrap_or_default();
    let spoken = VERSIONS.into_iter().find(|known| *known == asked).unwrap_or(NEWEST);
    json!({
        "protocolVersion": spoken,
        "capabilities": { "logging": {}, "tools": { "listChanged": true } },
        "serverInfo": { "name": "memos", "version": MEMOS_VERSION },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_messages_are_read() {
        assert!(matches!(Message::read(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), Ok(Message::Request { .. })));
        assert!(matches!(Message::read(br#"{"jsonrpc":"2.0","method":"x"}"#), Ok(Message::Notification)));
        assert!(matches!(Message::read(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Ok(Message::Notification)));
        for bad in ["", "[]", "{bad", "3", r#"{"id":1,"method":"x"}"#, r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#] {
            assert!(Message::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_spoken_as_asked() {
        assert_eq!(welcome(&json!({"protocolVersion": "2024-11-05"}))["protocolVersion"], "2024-11-05");
        assert_eq!(welcome(&json!({"protocolVersion": "1999-01-01"}))["protocolVersion"], NEWEST);
    }
}
