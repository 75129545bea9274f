//! The recorded exchanges as they lie in the fixtures.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One request and what was answered.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Exchange {
    pub(super) id: String,
    pub(super) transport: String,
    pub(super) request: Request,
    pub(super) response: Response,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
    pub(super) body: Option<Value>,
    pub(super) body_text: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Response {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
    pub(super) body: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) names: Option<Vec<String>>,
    #[serde(rename = "nextPageToken", default)]
    pub(super) next_page_token: String,
    pub(super) bytes: Option<usize>,
    pub(super) sha256: Option<String>,
}

/// The exchanges of a file such as `read-memo-get`.
pub(super) fn group(folder: &Path, name: &str) -> Vec<Exchange> {
    let file = folder.join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The groups of writes in the order in which they were recorded.
pub(super) fn write_order(folder: &Path) -> Vec<String> {
    let order: Value = serde_json::from_slice(&std::fs::read(folder.join("order.json")).unwrap()).unwrap();
    serde_json::from_value(order["write_order"].clone()).unwrap()
}
