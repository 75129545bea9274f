//! The operators' pages: below `/console`, for operators only.

mod actions;
mod events;
mod pages;
mod report;
mod view;

use actix_web::web::to;
use jobs::kind;
use web::{Access, Audit, Route};

/// The rows of the console.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/console/signin", || to(pages::sign_in)).access(Access::Console),
        Route::post("/console/signin", Audit::Event("operator.signin.made"), || to(actions::sign_in))
            .access(Access::Console),
        Route::post("/console/signout", Audit::Event("operator.signout.made"), || to(actions::sign_out))
            .access(Access::Operator),
        Route::get("/console", || to(pages::recovery)).access(Access::Operator),
        Route::get("/console/audit", || to(pages::audit)).access(Access::Operator),
        Route::get("/console/tenants/{slug}", || to(pages::tenant)).access(Access::Operator),
        Route::post("/console/tenants/{slug}/backup", Audit::Event("backup.asked"), || to(actions::back_up))
            .access(Access::Operator),
        Route::post("/console/tenants/{slug}/drill", Audit::Event("drill.asked"), || to(actions::drill))
            .access(Access::Operator),
        Route::get("/console/drills/{drill}", || to(pages::drill)).access(Access::Operator),
        Route::get("/console/jobs/{id}/events", || to(events::follow)).access(Access::Operator),
    ]
}

/// Kinds of jobs that a tenant's page shows.
fn shown_kinds() -> Vec<String> {
    vec![kind::BACKUP.to_owned(), kind::DRILL.to_owned()]
}
