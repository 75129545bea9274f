//! The doors as routes of the server.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use identity::{Actor, Credentials};
use web::{Face, Route, Visit};

use super::buffers::Room;
use super::door::{Head, Reply};
use super::{Ctx, RequestInfo};
use crate::error::ApiError;
use crate::state::AppState;

/// REST and Connect.
pub fn routes() -> Vec<Route> {
    vec![
        Route::door("/api/v1/{path:.*}", Face::Rest, || actix_web::web::to(rest)),
        Route::door("/memos.api.v1.{path:.*}", Face::Connect, || actix_web::web::to(connect)),
    ]
}

async fn rest(
    visit: Visit,
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let head = head(&request);
    if super::upload::is_large(&head, announced(&request)) {
        let info = info(&visit, &request);
        let ctx = Ctx::new(state.get_ref().clone(), visit.scope, visit.actor, info);
        let answer = super::upload::answer(&ctx, &head, payload).await;
        name_call(&request, &ctx);
        return bound(Reply::new(200, "application/json", answer?));
    }
    let (body, _room) = read(payload, &request, &visit.actor).await?;
    // Memos' gateway passes a browser's cookies on only under this name.
    let forwarded = text(request.headers(), "grpc-metadata-cookie");
    let mut info = info(&visit, &request);
    info.forwarded = Some(Credentials::read(None, forwarded));
    let ctx = Ctx::new(state.get_ref().clone(), visit.scope, visit.actor, info);
    let answer = super::rest::answer(ctx.clone(), &head, body).await;
    name_call(&request, &ctx);
    bound(answer?)
}

async fn connect(
    visit: Visit,
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (body, _room) = read(payload, &request, &visit.actor).await?;
    let info = info(&visit, &request);
    let ctx = Ctx::new(state.get_ref().clone(), visit.scope, visit.actor, info);
    let answer = super::connect::answer(ctx.clone(), &head(&request), body).await;
    name_call(&request, &ctx);
    bound(answer?)
}

/// Log and metrics name the RPC, where the pattern of the door says nothing.
fn name_call(request: &HttpRequest, ctx: &Ctx) {
    if let Some(rpc) = ctx.rpc() {
        request.extensions_mut().insert(web::Called { name: rpc.name(), reads: rpc.is_read() });
    }
}

/// The body, held in memory as a whole, and the room it takes: from strangers, who only sign in, no more than a form.
pub(crate) async fn read(
    mut payload: Payload,
    request: &HttpRequest,
    actor: &Actor,
) -> Result<(Bytes, Room), ApiError> {
    let limit = if *actor == Actor::Anonymous { web::FORM_LIMIT } else { web::API_LIMIT };
    let mut room = Room::default();
    if let Some(announced) = announced(request) {
        if announced > limit {
            return Err(ApiError::too_large(limit));
        }
        room.reserve(announced).await?;
    }
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|cause| ApiError::invalid(format!("the body could not be read: {cause}")))?;
        if body.len() + piece.len() > limit {
            return Err(ApiError::too_large(limit));
        }
        room.reserve(body.len() + piece.len()).await?;
        body.extend_from_slice(&piece);
    }
    Ok((body.freeze(), room))
}

/// The length that a request announces.
fn announced(request: &HttpRequest) -> Option<usize> {
    text(request.headers(), CONTENT_LENGTH.as_str())?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn head(request: &HttpRequest) -> Head {
    let headers = request.headers();
    let owned = |name: &str| text(headers, name).map(str::to_owned);
    Head {
        verb: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        content_type: owned(CONTENT_TYPE.as_str()).unwrap_or_default(),
        content_encoding: owned(CONTENT_ENCODING.as_str()).unwrap_or_default(),
        grpc_encoding: owned("grpc-encoding").unwrap_or_default(),
        method_override: owned("x-http-method-override").unwrap_or_default(),
        connect_version: owned("connect-protocol-version"),
        connect_timeout: owned("connect-timeout-ms"),
    }
}

pub(crate) fn info(visit: &Visit, request: &HttpRequest) -> RequestInfo {
    RequestInfo {
        scheme: if visit.facts.https { "https" } else { "http" }.to_owned(),
        host: visit.facts.host.clone(),
        base: visit.place.base.clone(),
        user_agent: visit.facts.user_agent.clone(),
        address: visit.facts.address,
        origin: text(request.headers(), ORIGIN.as_str()).unwrap_or_default().to_owned(),
        credentials: visit.credentials.clone(),
        forwarded: None,
        foreign: visit.foreign,
    }
}

fn bound(reply: Reply) -> Result<HttpResponse, ApiError> {
    let status = StatusCode::from_u16(reply.status).map_err(ApiError::internal)?;
    let mut response = HttpResponse::build(status);
    for (name, value) in reply.headers {
        let value = HeaderValue::from_str(&value).map_err(ApiError::internal)?;
        response.append_header((HeaderName::from_bytes(name.as_bytes()).map_err(ApiError::internal)?, value));
    }
    Ok(response.body(reply.body))
}
