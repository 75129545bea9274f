//! One call: tenant, caller, message, handler, answer with its trailers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, SET_COOKIE, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use identity::{Credentials, Place};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message as _;
use store::TenantScope;
use tracing::Instrument;
use wire::table::Rpc;

use super::{Body, Shared, health, reflection};
use crate::error::{ApiError, Code};
use crate::rpc::buffers::Room;
use crate::rpc::{Ctx, Payload, RequestInfo, connect, framing};

/// From then on an answer was slow.
const SLOW: Duration = Duration::from_secs(1);

/// What a status message must not contain as it is.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// `google.rpc.Status`, which clients of richer errors read from the trailer `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Answers one request; whatever goes wrong is an answer, too.
pub(super) async fn answer(shared: Arc<Shared>, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let kind = text(request.headers(), CONTENT_TYPE.as_str()).to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
    if !matches!(kind.as_str(), "application/grpc" | "application/grpc+proto" | "application/grpc+json") {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let started = Instant::now();
    let id = shared.state.chance.uuid().simple().to_string();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("call", id = %id, tenant = tracing::field::Empty);
    let response = led(&shared, peer, request, &path, &kind).instrument(span.clone()).await;
    let rpc = called(&path);
    let _entered = span.enter();
    let (mut response, code) = match response {
        Ok(response) => (response, 0),
        Err(error) => {
            if error.code().is_ours() {
                tracing::error!(error = %error.chain(), "call failed");
            }
            (failed(&error), error.code().number())
        }
    };
    response.headers_mut().entry(CONTENT_TYPE).or_insert_with(|| header(&kind));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    record(rpc, code, started.elapsed());
    response
}

/// The RPC that a path names, with or without a tenant before it.
fn called(path: &str) -> Option<&'static Rpc> {
    let below = path.find("/memos.api.v1.").and_then(|at| path.get(at..));
    below.and_then(wire::table::by_connect_path)
}

/// Log and metrics of a call; health, reflection and what nobody knows are one. Reads that went well are told to whoever looks
/// for a fault, as on the other doors.
fn record(rpc: Option<&'static Rpc>, code: i32, took: Duration) {
    let name = rpc.map_or_else(|| "other".to_owned(), Rpc::name);
    let milliseconds = took.as_secs_f64() * 1000.0;
    if code == 0 && took < SLOW && rpc.is_none_or(Rpc::is_read) {
        tracing::debug!(rpc = %name, code, milliseconds, "answered");
    } else {
        tracing::info!(rpc = %name, code, milliseconds, "answered");
    }
    metrics::histogram!("holdfast_grpc_call_duration_seconds", "rpc" => name, "code" => code.to_string())
        .record(took.as_secs_f64());
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = status;
    response
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// An answer that is only trailers.
pub(super) fn failed(error: &ApiError) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    response.headers_mut().extend(trailers(Some(error)));
    response
}

/// The trailers of an answer.
pub(super) fn trailers(error: Option<&ApiError>) -> HeaderMap {
    let mut out = HeaderMap::new();
    let Some(error) = error else {
        out.insert("grpc-status", HeaderValue::from_static("0"));
        return out;
    };
    let status = Status { code: error.code().number(), message: error.message().to_owned() };
    out.insert("grpc-status", header(&status.code.to_string()));
    out.insert("grpc-message", header(&utf8_percent_encode(&status.message, MESSAGE).to_string()));
    out.insert("grpc-status-details-bin", header(&STANDARD_NO_PAD.encode(status.encode_to_vec())));
    out
}

async fn led(
    shared: &Arc<Shared>,
    peer: IpAddr,
    request: Request<Incoming>,
    path: &str,
    kind: &str,
) -> Result<Response<Body>, ApiError> {
    if let Some(method) = path.strip_prefix("/grpc.health.v1.Health/") {
        return health::answer(shared, method, request).await;
    }
    if matches!(
        path,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    ) {
        return Ok(reflection::answer(request));
    }
    let (place, rest) = place(shared, request.headers(), authority(&request), path).await?;
    tracing::Span::current().record("tenant", place.tenant.slug.as_str());
    let found = wire::table::by_connect_path(&rest);
    let rpc = found.ok_or_else(|| ApiError::new(Code::Unimplemented, format!("unknown method {path}")))?;
    let ctx = ctx(shared, peer, &place, &request).await?;
    let limit = time_limit(text(request.headers(), "grpc-timeout"))?;
    let encoding = text(request.headers(), "grpc-encoding").to_owned();
    let is_json = kind.ends_with("+json");
    let work = async {
        let (body, _room) = read(request.into_body(), ctx.body_limit()).await?;
        let (message, _unpacked) = framing::only_message(&body, &encoding, ctx.body_limit()).await?;
        drop(body);
        let payload = if is_json { Payload::Json(message) } else { Payload::Proto(message) };
        connect::call(rpc, &ctx, payload).await
    };
    let late = || ApiError::new(Code::DeadlineExceeded, "context deadline exceeded");
    let message = match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| late())??,
        None => work.await?,
    };
    let mut response = one_message(&message);
    for cookie in ctx.take_cookies() {
        response.headers_mut().append(SET_COOKIE, header(&cookie));
    }
    Ok(response)
}

/// An answer of one message.
pub(super) fn one_message(message: &[u8]) -> Response<Body> {
    let mut frame = Vec::with_capacity(message.len() + framing::HEAD);
    framing::push(&mut frame, 0, message);
    let end = async { Some(Ok(trailers(None))) };
    let mut response = Response::new(Full::new(Bytes::from(frame)).with_trailers(end).boxed_unsync());
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip"));
    response
}

fn authority(request: &Request<Incoming>) -> &str {
    request.uri().authority().map_or_else(|| text(request.headers(), HOST.as_str()), http::uri::Authority::as_str)
}

/// The tenant, and the path below its base.
async fn place(shared: &Shared, headers: &HeaderMap, authority: &str, path: &str) -> Result<(Place, String), ApiError> {
    let registry = shared.state.store.registry();
    let default = shared.default_tenant.as_ref();
    let mut found = identity::resolve(registry, authority, path, default).await?;
    let named = text(headers, "holdfast-tenant");
    if found.by == identity::Reached::Default && !named.is_empty() {
        if named.contains('/') {
            return Err(ApiError::not_found("there is no workspace of that name"));
        }
        found = identity::resolve(registry, "", &format!("/t/{named}{path}"), None).await?;
    }
    Ok((found.place?, found.rest))
}

async fn ctx(shared: &Shared, peer: IpAddr, place: &Place, request: &Request<Incoming>) -> Result<Ctx, ApiError> {
    let headers = request.headers();
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut credentials = Credentials::read(authorization, cookies);
    // Page sessions belong to browsers, which do not come here.
    credentials.page.clear();
    let scope = TenantScope::for_request(Arc::clone(&place.tenant));
    let actor = shared.state.identity.authenticate(&scope, &credentials.clone().without_refresh()).await?;
    let info = RequestInfo {
        scheme: if shared.secure { "https" } else { "http" }.to_owned(),
        host: authority(request).to_owned(),
        base: place.base.clone(),
        user_agent: text(headers, USER_AGENT.as_str()).chars().take(256).collect(),
        address: shared.proxies.client(Some(peer), text(headers, "x-forwarded-for")),
        origin: String::new(),
        credentials,
        forwarded: None,
        foreign: false,
    };
    Ok(Ctx::new(shared.state.clone(), scope, actor, info))
}

/// The whole body, no longer than `limit` and a frame's head, with the room that it takes.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<(Bytes, Room), ApiError> {
    let mut room = Room::default();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|cause| ApiError::invalid(format!("the body could not be read: {cause}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit + framing::HEAD {
            return Err(ApiError::too_large(limit));
        }
        if whole.is_empty()
            && let Some((_, length)) = framing::head(&data)
        {
            if length > limit {
                return Err(ApiError::too_large(limit));
            }
            room.reserve(length + framing::HEAD).await?;
        }
        room.reserve(whole.len() + data.len()).await?;
        whole.extend_from_slice(&data);
    }
    Ok((whole.into(), room))
}

/// `grpc-timeout`: at most eight digits and a unit.
fn time_limit(header: &str) -> Result<Option<Duration>, ApiError> {
    if header.is_empty() {
        return Ok(None);
    }
    let refused = || ApiError::invalid(format!("protocol error: invalid timeout {header:?}"));
    let (digits, unit) = header.split_at_checked(header.len() - 1).ok_or_else(refused)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8).ok_or_else(refused)?;
    Ok(Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return Err(refused()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_a_unit() {
        assert!(matches!(time_limit(""), Ok(None)));
        assert!(matches!(time_limit("250m"), Ok(Some(limit)) if limit == Duration::from_millis(250)));
        assert!(matches!(time_limit("2H"), Ok(Some(limit)) if limit == Duration::from_secs(7200)));
        for bad in ["S", "5", "-1S", "123456789S", "5é", "x"] {
            assert!(time_limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_failure_is_told_in_the_trailers() {
        let told = trailers(Some(&ApiError::not_found("nichts 100%: ä\r\n")));
        assert_eq!(text(&told, "grpc-status"), "5");
        assert_eq!(text(&told, "grpc-message"), "nichts 100%25: %C3%A4%0D%0A");
        let bytes = STANDARD_NO_PAD.decode(text(&told, "grpc-status-details-bin")).expect("base64");
        assert_eq!(Status::decode(bytes.as_slice()).expect("a status").code, 5);
    }
}
