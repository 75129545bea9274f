//! `GET /api/v1/openapi.json`: the REST API as a document for generators and testers.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use serde_json::{Value, json};
use web::{Access, Face, Route, Visit};

use crate::error::ApiError;
use crate::state::MEMOS_VERSION;

/// The rows.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/openapi.json", || actix_web::web::to(openapi)).access(Access::Public).face(Face::Rest)]
}

/// The document is the same for everyone but for the address at which the workspace is reached.
async fn openapi(visit: Visit) -> Result<HttpResponse, ApiError> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    let mut document = DOCUMENT.get_or_init(|| wire::openapi::document("/", MEMOS_VERSION)).clone();
    document["servers"] = json!([{ "url": visit.origin() }]);
    let text = serde_json::to_vec(&document).map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(text))
}
