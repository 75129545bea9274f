//! `/healthz`: the process answers. Says nothing of the database; readiness is told on the operations listener.

use actix_web::{HttpResponse, web};

use crate::error::Face;
use crate::route::{Access, Route};

/// The row of `/healthz`.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/healthz", || web::to(healthz)).access(Access::Bootstrap).face(Face::Short)]
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("Cache-Control", "no-cache, no-store, must-revalidate"))
        .insert_header(("Expires", "0"))
        .insert_header(("Pragma", "no-cache"))
        .body("Service ready.")
}
