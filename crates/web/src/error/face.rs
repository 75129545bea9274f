//! The faces of an error, one for each kind of door.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use askama::Template;
use serde_json::json;

use super::{Code, Error};

/// The shape in which a door tells what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Face {
    /// `{"code":5,"message":"…","details":[]}`.
    Rest,
    /// `{"code":"not_found","message":"…"}`.
    Connect,
    /// `{"message":"…"}`: files, feeds and whatever else is no RPC.
    Short,
    /// A page.
    Html,
}

impl Face {
    /// The face for a path that no route has claimed.
    pub fn of_path(path: &str) -> Self {
        if path.starts_with("/api/v1/") || path == "/mcp" {
            Self::Rest
        } else if path.starts_with("/memos.api.v1.") {
            Self::Connect
        } else if path.starts_with("/api") || path.starts_with("/file") || path == "/healthz" {
            Self::Short
        } else {
            Self::Html
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    status: u16,
    title: &'a str,
    message: &'a str,
    request_id: &'a str,
    stylesheet: String,
    icon: String,
    home: &'a str,
}

/// What the edge knows about the request when it dresses an error.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The door's shape.
    pub face: Face,
    /// The id under which the log has the cause.
    pub request_id: &'a str,
    /// The base path of the tenant, where a page's "back" leads; `/` when there is none.
    pub home: &'a str,
}

/// The answer for an error at this door.
pub fn dress(error: &Error, setting: Setting<'_>) -> HttpResponse {
    let mut response = body(error, setting);
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if setting.face == Face::Rest
        && error.code() == Code::Unauthenticated
        && !error.is_gate()
        && let Ok(value) = HeaderValue::from_str(error.message())
    {
        headers.insert(WWW_AUTHENTICATE, value);
    }
    if setting.face == Face::Html {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn body(error: &Error, setting: Setting<'_>) -> HttpResponse {
    let status = error.status();
    match setting.face {
        Face::Rest if error.is_gate() => HttpResponse::build(status)
            .content_type("text/plain; charset=utf-8")
            .body(format!("{{\"code\": {}, \"message\": \"{}\"}}\n", error.code().number(), error.message())),
        Face::Rest => HttpResponse::build(status)
            .json(json!({"code": error.code().number(), "message": error.message(), "details": []})),
        Face::Connect => {
            HttpResponse::build(status).json(json!({"code": error.code().name(), "message": error.message()}))
        }
        Face::Short => HttpResponse::build(status).json(json!({"message": error.message()})),
        Face::Html => page(error, status, setting),
    }
}

fn page(error: &Error, status: StatusCode, setting: Setting<'_>) -> HttpResponse {
    let page = ErrorPage {
        status: status.as_u16(),
        title: title(status),
        message: told(error),
        request_id: setting.request_id,
        stylesheet: crate::assets::url("base.css"),
        icon: crate::assets::url("favicon.svg"),
        home: setting.home,
    };
    match page.render() {
        Ok(html) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html),
        Err(cause) => {
            tracing::error!(error = %cause, "the error page could not be rendered");
            HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(error.message().to_owned())
        }
    }
}

/// What a person reads. The shortest texts are those of the API, made for programs.
fn told(error: &Error) -> &str {
    match error.message() {
        "Not Found" => {
            "There is no page at this address. It may have been moved or deleted, or the address has a slip."
        }
        "memo not found" => "There is no such note, or it is not for you to read.",
        "permission denied" => "You may not do this here.",
        "internal error" => {
            "We have noted what happened. Try again; if it stays, tell your operator the request number below."
        }
        other => other,
    }
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 422 => "That did not work",
        401 => "Sign in first",
        403 => "Not allowed",
        404 => "Nothing here",
        405 => "Not this way",
        409 => "Changed meanwhile",
        413 => "Too large",
        429 => "A little slower, please",
        503 => "Not now",
        _ => "Something broke on our side",
    }
}
