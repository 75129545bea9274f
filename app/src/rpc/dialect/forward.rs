//! From an old route to a present one.

use serde_json::{Map, Value};
use wire::table::{Found, find};

use super::super::door::{admit, run};
use super::super::rest::refuse_nul;
use super::super::{Ctx, Payload};
use crate::error::ApiError;

/// A request on a present route.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) verb: &'static str,
    /// As it would be sent: what is not from the path of the old route is made a segment first.
    pub(super) path: String,
    /// Without `?`.
    pub(super) query: String,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { verb: "GET", path: path.into(), ..Self::default() }
    }

    pub(super) fn of(verb: &'static str, path: impl Into<String>, body: &Value) -> Self {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Self { verb, path: path.into(), body, ..Self::default() }
    }

    pub(super) fn with_query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }
}

/// Sends it to its handler through the gate that every request passes.
pub(super) async fn forward(ctx: &Ctx, asked: Asked) -> Result<Value, ApiError> {
    let Found::Rpc(found) = find(asked.verb, &asked.path) else { return Err(ApiError::not_found("Not Found")) };
    admit(found.rpc, ctx)?;
    let message = wire::rest::request(&found, &asked.query, &asked.body);
    let message = message.map_err(|refusal| ApiError::invalid(refusal.0))?;
    refuse_nul(&message)?;
    let answer = run(found.rpc, ctx.clone(), Payload::Rest(message)).await?;
    serde_json::from_slice(&answer).map_err(ApiError::internal)
}

/// The JSON object of a body; empty when there is none.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ApiError::invalid("syntax error (line 1:1): the body must be an object")),
        Err(error) => Err(ApiError::invalid(format!("syntax error: {error}"))),
    }
}

/// The pairs of a query, decoded.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A query of pairs.
pub(super) fn query_of(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
