//! What every request passes, before any route is looked for and after every answer.
//!
//! On the way in: facts (id, client, scheme, host), a tracing span, the tenant, and the path below the tenant's base, so
//! that the same routes serve every tenant. On the way out: the face of an error, headers, the metric, one log line.

pub mod facts;
pub(crate) mod headers;
pub mod proxies;
mod stream;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{LOCATION, ORIGIN};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use domain::chance::Chance;
use domain::id::Slug;
use identity::place::Resolution;
use identity::{NotServed, Place, Reached};
use store::Store;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::crowd::Crowd;
use crate::error::face::{Setting, dress};
use crate::error::{Code, Error, Face};
use facts::Facts;
use proxies::TrustedProxies;

/// What the edge needs to know.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Where tenants are looked up.
    pub store: Store,
    /// The tenant at `/`.
    pub default_tenant: Option<Slug>,
    /// Whose forwarding headers count.
    pub proxies: TrustedProxies,
    /// How many requests of a tenant are under way.
    pub crowd: Arc<Crowd>,
    /// For request ids.
    pub chance: Chance,
    /// Ends event streams when the server is told to stop.
    pub stopping: CancellationToken,
}

/// Where the request was led, as the gate finds it.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) place: Result<Place, NotServed>,
    pub(crate) by: Reached,
}

/// The route that was matched: its pattern and the shape of its errors. Noted by the gate, because to ask the router
/// afterwards is to search all routes a second time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matched {
    pub(crate) path: &'static str,
    pub(crate) face: Face,
}

/// What a request calls behind a door that has a table of its own, such as `MemoService/ListMemos`: log and metrics name it
/// in the place of the door's pattern. One of a bounded number of texts.
#[derive(Clone, Debug)]
pub struct Called {
    /// The name.
    pub name: String,
    /// Whether it changes nothing.
    pub reads: bool,
}

/// From then on an answer was slow, in seconds.
const SLOW: f64 = 1.0;

/// Paths that are the same for all tenants and work while the database does not.
fn is_bootstrap(path: &str) -> bool {
    path == "/healthz" || path.starts_with("/assets/")
}

/// The middleware.
pub(crate) async fn pass<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let started = Instant::now();
    let Some(edge) = request.app_data::<web::Data<Edge>>().cloned() else {
        return Ok(request.error_response(Error::internal("the edge is not set up")).map_into_right_body());
    };
    let facts = Facts::read(&request, &edge.proxies, &edge.chance);
    let span = tracing::info_span!(
        "request", id = %facts.request_id, method = %request.method(), tenant = tracing::field::Empty
    );
    request.extensions_mut().insert(facts.clone());
    let outcome = lead(request, next, &edge, &facts).instrument(span.clone()).await;
    let _entered = span.enter();
    let mut response = match outcome {
        Ok(response) => undress(response, &facts),
        Err(error) => return Err(error),
    };
    let public_url = public_url(&response);
    let face = face_of(&response);
    headers::secure(response.headers_mut(), &facts);
    if face != Face::Html {
        let origin = response.request().headers().get(ORIGIN).cloned();
        headers::share(origin.as_ref(), response.headers_mut(), &facts, public_url.as_deref());
    }
    record(&response, started);
    Ok(stream::end_with_server(response, &edge.stopping))
}

/// Finds the tenant, cuts the base off the path and goes on; answers by itself what needs no route.
async fn lead<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
    edge: &Edge,
    facts: &Facts,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let path = request.path().to_owned();
    if !is_bootstrap(&path) {
        let registry = edge.store.registry();
        let found = match identity::resolve(registry, &facts.host, &path, edge.default_tenant.as_ref()).await {
            Ok(found) => found,
            Err(cause) => return Ok(request.error_response(Error::from(cause)).map_into_right_body()),
        };
        if let Ok(place) = &found.place {
            tracing::Span::current().record("tenant", place.tenant.slug.as_str());
        }
        if found.by == Reached::Path && !has_slash_after_slug(&path) {
            return Ok(request.into_response(to_base(&path)).map_into_right_body());
        }
        if found.rest != path && rewrite(&mut request, &found).is_none() {
            return Ok(request.error_response(Error::invalid("the path is not valid")).map_into_right_body());
        }
        request.extensions_mut().insert(Located { place: found.place, by: found.by });
    }
    if Face::of_path(request.path()) != Face::Html && *request.method() == Method::OPTIONS {
        let mut answer = HttpResponse::NoContent().finish();
        headers::preflight(request.headers(), answer.headers_mut());
        return Ok(request.into_response(answer).map_into_right_body());
    }
    if has_nul(request.path()) {
        return Ok(request.error_response(Error::not_found("Not Found")).map_into_right_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// Whether a path decodes to a text with a NUL: nothing has such a name, and Postgres takes none.
fn has_nul(path: &str) -> bool {
    path.contains("%00")
}

/// `/t/team/…`, not `/t/team`: only below the slash do the cookies of the tenant apply.
fn has_slash_after_slug(path: &str) -> bool {
    path.strip_prefix("/t/").is_some_and(|after| after.contains('/'))
}

fn to_base(path: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, format!("{path}/"))).finish()
}

/// Puts the path below the base in the place of the whole.
fn rewrite(request: &mut ServiceRequest, found: &Resolution) -> Option<()> {
    let mut parts = request.uri().clone().into_parts();
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    parts.path_and_query =
        Some(PathAndQuery::from_maybe_shared(bytes::Bytes::from(format!("{}{query}", found.rest))).ok()?);
    let uri = Uri::from_parts(parts).ok()?;
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    Some(())
}

fn face_of<B>(response: &ServiceResponse<B>) -> Face {
    let request = response.request();
    let face = request.extensions().get::<Matched>().map(|matched| matched.face);
    face.unwrap_or_else(|| Face::of_path(below_slug(request.path())))
}

/// The path below `/t/{slug}`, for requests whose tenant could not even be looked for.
fn below_slug(path: &str) -> &str {
    let below = path.strip_prefix("/t/").and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    below.unwrap_or(path)
}

fn public_url<B>(response: &ServiceResponse<B>) -> Option<String> {
    let extensions = response.request().extensions();
    extensions.get::<Located>()?.place.as_ref().ok()?.tenant.public_url.clone()
}

/// Gives an error the face of its door, and logs what is our fault.
fn undress<B: MessageBody + 'static>(
    response: ServiceResponse<EitherBody<B, BoxBody>>,
    facts: &Facts,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let status = response.status();
    let Some(raised) = response.response().error() else { return response };
    let face = face_of(&response);
    let home = home(&response);
    let setting = Setting { face, request_id: &facts.request_id, home: &home };
    let dressed = if let Some(error) = raised.as_error::<Error>() {
        if error.code().is_ours() {
            tracing::error!(error = %error.chain(), "request failed");
        } else if error.code() == Code::Unavailable {
            tracing::warn!(error = %error.chain(), "request refused");
        }
        dress(error, setting)
    } else {
        if status.is_server_error() {
            tracing::error!(error = %raised, "request failed");
        }
        dress(&Error::of_status(status, raised.to_string()), setting)
    };
    let (request, old) = response.into_parts();
    let mut dressed = dressed.map_into_right_body();
    for (name, value) in old.headers() {
        if name == actix_web::http::header::SET_COOKIE {
            dressed.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, dressed)
}

fn home<B>(response: &ServiceResponse<B>) -> String {
    if response.request().path().starts_with("/console") {
        return "/console".to_owned();
    }
    let extensions = response.request().extensions();
    let place = extensions.get::<Located>().and_then(|located| located.place.as_ref().ok());
    place.map_or_else(|| "/".to_owned(), |place| place.base.clone())
}

fn record<B>(response: &ServiceResponse<B>, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let (route, reads) = route_of(response);
    let status = response.status().as_u16();
    let method = response.request().method().as_str().to_owned();
    metrics::histogram!(
        "holdfast_http_request_duration_seconds",
        "route" => route.clone(), "method" => known_method(&method), "status" => status.to_string()
    )
    .record(seconds);
    let milliseconds = seconds * 1000.0;
    // Of reads that went well a busy server would write so many lines that a journal drops those that matter.
    if reads && status < 400 && seconds < SLOW {
        tracing::debug!(route = %route, status, milliseconds, "answered");
    } else {
        tracing::info!(route = %route, status, milliseconds, "answered");
    }
}

/// What was called, and whether that changes nothing.
fn route_of<B>(response: &ServiceResponse<B>) -> (Cow<'static, str>, bool) {
    let reads = matches!(*response.request().method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let mut extensions = response.request().extensions_mut();
    if let Some(called) = extensions.remove::<Called>() {
        return (Cow::Owned(called.name), called.reads);
    }
    let matched = extensions.get::<Matched>().map(|matched| matched.path);
    drop(extensions);
    (matched.map_or_else(|| unmatched(response), Cow::Borrowed), reads)
}

/// The route of a request that came to no gate: a known path asked in the wrong way, or none.
fn unmatched<B>(response: &ServiceResponse<B>) -> Cow<'static, str> {
    response.request().match_pattern().map_or(Cow::Borrowed("none"), Cow::Owned)
}

/// Methods that anyone may invent are one label.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
