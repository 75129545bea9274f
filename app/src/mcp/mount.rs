//! The door: HTTP around the protocol.

use actix_web::http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, ORIGIN, PRAGMA,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use web::{Face, Route, Visit};

use super::protocol::{Message, refused, result, welcome};
use super::{call, tools};
use crate::error::ApiError;
use crate::rpc::{Ctx, mount};
use crate::state::AppState;

/// The code of JSON-RPC for arguments that are wrong.
const INVALID_PARAMS: i32 = -32602;

/// The rows.
pub fn routes() -> Vec<Route> {
    vec![Route::door("/mcp", Face::Rest, || actix_web::web::to(mcp))]
}

async fn mcp(
    visit: Visit,
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    if let Some(origin) = request.headers().get(ORIGIN)
        && !origin.to_str().is_ok_and(|origin| visit.owns(origin))
    {
        return Ok(fresh(HttpResponse::new(StatusCode::FORBIDDEN)));
    }
    match *request.method() {
        Method::POST => {}
        Method::DELETE => {
            return Ok(plain(StatusCode::BAD_REQUEST, "Bad Request: DELETE requires an Mcp-Session-Id header"));
        }
        _ => {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Ok(answer);
        }
    }
    if !accepts_both(&request) {
        let text = "Accept must contain both 'application/json' and 'text/event-stream'";
        return Ok(plain(StatusCode::BAD_REQUEST, text));
    }
    let (body, _room) = mount::read(payload, &request, &visit.actor).await?;
    let message = match Message::read(&body) {
        Ok(message) => message,
        Err(malformed) => return Ok(plain(StatusCode::BAD_REQUEST, &malformed.to_string())),
    };
    drop(body);
    match message {
        Message::Notification => Ok(fresh(HttpResponse::new(StatusCode::ACCEPTED))),
        Message::Request { id, method, params } => Ok(answer(visit, &state, &request, (&id, &method, &params)).await),
    }
}

/// The answer to a request: its id, what it asks for, and its arguments.
async fn answer(
    visit: Visit,
    state: &Data<AppState>,
    request: &HttpRequest,
    (id, method, params): (&Value, &str, &Value),
) -> HttpResponse {
    let answer = match method {
        "initialize" => {
            let mut answer = said(&result(id, welcome(params)));
            if let Ok(session) = HeaderValue::from_str(&state.chance.uid()) {
                answer.headers_mut().insert(HeaderName::from_static("mcp-session-id"), session);
            }
            return answer;
        }
        "ping" | "logging/setLevel" => result(id, json!({})),
        "tools/list" => result(id, tools::list()),
        "resources/list" => result(id, json!({ "resources": [] })),
        "resources/templates/list" => result(id, json!({ "resourceTemplates": [] })),
        "prompts/list" => result(id, json!({ "prompts": [] })),
        "tools/call" => {
            let info = mount::info(&visit, request);
            let ctx = Ctx::new(state.get_ref().clone(), visit.scope, visit.actor, info);
            match call::call(ctx, params).await {
                Ok(outcome) => result(id, outcome),
                Err(unknown) => refused(id, INVALID_PARAMS, &format!("unknown tool {:?}", unknown.0)),
            }
        }
        _ => return plain(StatusCode::BAD_REQUEST, &format!("JSON RPC not handled: {method:?} unsupported")),
    };
    said(&answer)
}

/// Whether the client takes both forms of answers that the protocol knows.
fn accepts_both(request: &HttpRequest) -> bool {
    let accepted: Vec<&str> = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok()).collect();
    let kinds: Vec<&str> = accepted
        .iter()
        .flat_map(|line| line.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .collect();
    let has = |wanted: &[&str]| kinds.iter().any(|kind| wanted.contains(kind));
    has(&["application/json", "application/*", "*/*"]) && has(&["text/event-stream", "text/*", "*/*"])
}

/// A message of the protocol.
fn said(message: &Value) -> HttpResponse {
    let mut answer = HttpResponse::Ok().body(message.to_string());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

fn plain(status: StatusCode, text: &str) -> HttpResponse {
    let mut answer = HttpResponse::build(status).body(format!("{text}\n"));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fresh(answer)
}

fn fresh(mut answer: HttpResponse) -> HttpResponse {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}
