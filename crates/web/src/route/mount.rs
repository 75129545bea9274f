//! The one function that turns rows into actix routes.

use actix_web::guard::{Any, Get, Head, Method as MethodIs};
use actix_web::http::Method;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, FormConfig, JsonConfig, PayloadConfig, ServiceConfig};

use super::Route;
use crate::error::{Error, Face};
use crate::gate::{Gate, guard};

/// Registers the rows: one resource per path, each row behind its gate. The server tries one path after the other, so
/// those of the API, which most requests are for, come first; otherwise in the order in which the paths first appear.
pub fn mount(routes: &[Route], config: &mut ServiceConfig) {
    let mut paths: Vec<&'static str> = Vec::new();
    for route in routes {
        if !paths.contains(&route.path) {
            paths.push(route.path);
        }
    }
    paths.sort_by_key(|path| !path.starts_with("/api/"));
    for path in paths {
        let rows: Vec<&Route> = routes.iter().filter(|route| route.path == path).collect();
        let limit = rows.iter().map(|row| row.body_limit).max().unwrap_or(super::FORM_LIMIT);
        let mut resource = web::resource(path)
            .app_data(PayloadConfig::new(limit))
            .app_data(FormConfig::default().limit(limit))
            .app_data(JsonConfig::default().limit(limit));
        for row in rows {
            resource = resource.route(route(row));
        }
        config.service(resource.default_service(web::to(not_this_way)));
    }
    config.default_service(web::to(nothing_here));
}

fn route(row: &Route) -> actix_web::Route {
    let gate = Gate::of(row);
    let mut route = (row.handler)();
    route = match &row.method {
        Some(method) if *method == Method::GET => route.guard(Any(Get()).or(Head())),
        Some(method) => route.guard(MethodIs(method.clone())),
        None => route,
    };
    if row.face == Face::Html && !row.writes() {
        route = route.wrap(Compress::default());
    }
    route.wrap(from_fn(move |request, next| guard(gate, request, next)))
}

async fn nothing_here() -> Result<&'static str, Error> {
    Err(Error::not_found("Not Found"))
}

async fn not_this_way() -> Result<&'static str, Error> {
    Err(Error::of_status(actix_web::http::StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()))
}
