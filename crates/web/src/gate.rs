//! What stands before a route's handler: the cross-site check, the question who asks, and the route's access.

use std::sync::Arc;

use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderValue, LOCATION, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use identity::credentials::pairs;
use identity::{Actor, Credentials, Identity, OPERATOR_COOKIE, Reached};
use store::TenantScope;

use crate::crowd::Seat;
use crate::edge::facts::Facts;
use crate::edge::headers::is_own;
use crate::edge::{Edge, Located, Matched};
use crate::error::{Error, Face, Result};
use crate::page;
use crate::route::{Access, Route};
use crate::visit::{OperatorVisit, Visit};

/// The part of a row that the gate needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    path: &'static str,
    access: Access,
    face: Face,
    body_limit: usize,
    /// Whether the row is one method's, and no door with a table of its own.
    is_one_method: bool,
}

impl Gate {
    pub(crate) fn of(route: &Route) -> Self {
        Self {
            path: route.path,
            access: route.access,
            face: route.face,
            body_limit: route.body_limit,
            is_one_method: route.method.is_some(),
        }
    }
}

/// The middleware of a route.
pub(crate) async fn guard(
    gate: Gate,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<EitherBody<BoxBody>>, actix_web::Error> {
    request.extensions_mut().insert(Matched { path: gate.path, face: gate.face });
    match enter(gate, &request).await {
        Ok(Entry::Go(seat)) => {
            let answer = next.call(request).await.map(ServiceResponse::map_into_left_body);
            drop(seat);
            answer
        }
        Ok(Entry::Lead(location)) => {
            let answer = HttpResponse::SeeOther().insert_header((LOCATION, location)).finish();
            Ok(request.into_response(answer).map_into_right_body())
        }
        Err(error) => Ok(request.error_response(error).map_into_right_body()),
    }
}

enum Entry {
    /// To the handler; the seat is held until it has answered.
    Go(Option<Seat>),
    /// To another page first: to sign in, or to show once more who one is.
    Lead(String),
}

async fn enter(gate: Gate, request: &ServiceRequest) -> Result<Entry> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > gate.body_limit) {
        return Err(Error::too_large(gate.body_limit));
    }
    if gate.access == Access::Bootstrap {
        return Ok(Entry::Go(None));
    }
    let facts = Facts::of(request).ok_or_else(|| Error::internal("a request that did not pass the edge"))?;
    let located = request.extensions().get::<Located>().cloned();
    let located = located.ok_or_else(|| Error::not_found("Not Found"))?;
    if gate.access.is_console() {
        console(gate, request, &located, facts).await
    } else {
        tenant(gate, request, located, facts).await
    }
}

async fn tenant(gate: Gate, request: &ServiceRequest, located: Located, facts: Facts) -> Result<Entry> {
    let place = located.place?;
    let edge = request.app_data::<web::Data<Edge>>().ok_or_else(|| Error::internal("the edge is not set up"))?;
    let seat = edge.crowd.seat(place.tenant.id);
    let seat = seat.ok_or_else(|| Error::too_often("this workspace is very busy; try again in a moment", 1))?;
    let credentials = credentials(request.headers());
    let asks = Asks { gate, cookies: credentials.has_cookies(), bearer: credentials.bearer.is_some() };
    same_origin(asks, request, &facts, place.tenant.public_url.as_deref())?;
    let identity =
        request.app_data::<web::Data<Identity>>().ok_or_else(|| Error::internal("identity is not set up"))?;
    let scope = TenantScope::for_request(Arc::clone(&place.tenant));
    let asked = (request.method().as_str(), request.uri());
    let scope = identity.foresee(scope, &credentials, asked, request.method() == Method::GET);
    let actor = match gate.face {
        Face::Short => identity.authenticate(&scope, &credentials).await?,
        // Memos 0.30 is known not to look at that cookie when it is asked who the caller is.
        Face::Rest if request.path() != "/api/v1/auth/me" => {
            identity.authenticate(&scope, &credentials.clone().without_refresh().with_old_cookie()).await?
        }
        Face::Rest | Face::Connect | Face::Html => {
            identity.authenticate(&scope, &credentials.clone().without_refresh()).await?
        }
    };
    let refused = match gate.access {
        Access::Member | Access::Admin => actor == Actor::Anonymous,
        Access::Bootstrap | Access::Public | Access::Console | Access::Operator | Access::Deed => false,
    };
    if refused {
        return stranger(gate, request, &place.path(page::SIGN_IN));
    }
    // Doors look at what a call does by themselves.
    let changes = gate.is_one_method && !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && actor.only_reads() {
        return Err(Error::denied("this token may only read"));
    }
    if gate.access == Access::Admin && !actor.is_admin() {
        return Err(Error::denied("only owners and admins of this workspace may do that"));
    }
    let foreign = !is_from_here(request.headers(), &facts, place.tenant.public_url.as_deref());
    request.extensions_mut().insert(Visit { place, scope, actor, credentials, facts, foreign });
    Ok(Entry::Go(Some(seat)))
}

async fn console(gate: Gate, request: &ServiceRequest, located: &Located, facts: Facts) -> Result<Entry> {
    if located.by != Reached::Default {
        return Err(Error::not_found("Not Found"));
    }
    let cookies = operator_cookies(request.headers());
    let asks = Asks { gate, cookies: !cookies.is_empty(), bearer: false };
    same_origin(asks, request, &facts, None)?;
    let operator = if cookies.is_empty() { None } else { identity(request)?.authenticate_operator(&cookies).await? };
    match operator {
        Some(operator) if gate.access == Access::Deed && !operator.proved => {
            Ok(Entry::Lead(format!("{}?next={}", page::CONSOLE_CONFIRM, page::encode(request.path()))))
        }
        Some(operator) => {
            request.extensions_mut().insert(OperatorVisit { operator, cookies, facts });
            Ok(Entry::Go(None))
        }
        None if gate.access == Access::Console => Ok(Entry::Go(None)),
        None => stranger(gate, request, page::CONSOLE_SIGN_IN),
    }
}

fn identity(request: &ServiceRequest) -> Result<&web::Data<Identity>> {
    request.app_data::<web::Data<Identity>>().ok_or_else(|| Error::internal("identity is not set up"))
}

/// A stranger who wants to read a page is led to the sign-in page and back; everything else is refused.
fn stranger(gate: Gate, request: &ServiceRequest, sign_in: &str) -> Result<Entry> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if gate.face != Face::Html || !reads {
        return Err(Error::gate());
    }
    let asked = request.uri().path_and_query().map_or("/", actix_web::http::uri::PathAndQuery::as_str);
    Ok(Entry::Lead(format!("{sign_in}?next={}", page::encode(asked))))
}

/// The credentials of a request to a tenant.
fn credentials(headers: &HeaderMap) -> Credentials {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    Credentials::read(authorization, headers.get_all(COOKIE).filter_map(|value| value.to_str().ok()))
}

fn operator_cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(COOKIE).filter_map(|value| value.to_str().ok());
    let values = lines.flat_map(pairs).filter(|(name, value)| *name == OPERATOR_COOKIE && !value.is_empty());
    values.map(|(_, value)| value.to_owned()).take(4).collect()
}

#[derive(Clone, Copy)]
struct Asks {
    gate: Gate,
    cookies: bool,
    bearer: bool,
}

/// Refuses a write that another site made a browser send. Browsers say where a request comes from; what is no browser
/// says nothing and carries no cookies that it did not choose to send. A bearer token is never sent by a browser itself.
fn same_origin(asks: Asks, request: &ServiceRequest, facts: &Facts, public_url: Option<&str>) -> Result<()> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let rides_on_cookies = asks.cookies || asks.gate.face == Face::Html;
    if safe || asks.bearer || !rides_on_cookies {
        return Ok(());
    }
    if is_from_here(request.headers(), facts, public_url) {
        return Ok(());
    }
    Err(Error::denied("this request came from another site; open the page here and send it again"))
}

/// Whether nothing says that another site's page made a browser send this.
fn is_from_here(headers: &HeaderMap, facts: &Facts, public_url: Option<&str>) -> bool {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(site) => matches!(site, b"same-origin" | b"none"),
        None => match headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null")) {
            Some(origin) => is_own(origin, facts, public_url),
            None => true,
        },
    }
}
