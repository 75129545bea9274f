//! The operators' pages: below `/console`, for operators only.

mod actions;
mod deeds;
mod entry;
mod events;
mod pages;
mod report;
mod view;

use actix_web::web::to;
use jobs::kind;
use web::{Access, Audit, Route};

/// The rows of the console.
pub fn routes() -> Vec<Route> {
    let mut rows = vec![
        Route::get("/console", || to(pages::recovery)).access(Access::Operator),
        Route::get("/console/audit", || to(pages::audit)).access(Access::Operator),
        Route::get("/console/operators", || to(pages::operators)).access(Access::Operator),
        Route::get("/console/tenants/{slug}", || to(pages::tenant)).access(Access::Operator),
        Route::post("/console/tenants/{slug}/backup", Audit::Event("backup.asked"), || to(actions::back_up))
            .access(Access::Operator),
        Route::post("/console/tenants/{slug}/drill", Audit::Event("drill.asked"), || to(actions::drill))
            .access(Access::Operator),
        Route::get("/console/drills/{drill}", || to(pages::drill)).access(Access::Operator),
        Route::get("/console/jobs/{id}/events", || to(events::follow)).access(Access::Operator),
    ];
    rows.extend(entrance());
    for (path, event) in [
        ("/console/tenants/{slug}/suspend", "tenant.suspended"),
        ("/console/tenants/{slug}/resume", "tenant.resumed"),
        ("/console/tenants/{slug}/delete", "tenant.deleted"),
        ("/console/operators/{name}/disable", "operator.disabled"),
        ("/console/operators/{name}/enable", "operator.enabled"),
    ] {
        rows.push(Route::get(path, || to(deeds::ask)).access(Access::Deed));
        rows.push(Route::post(path, Audit::Event(event), || to(deeds::carry_out)).access(Access::Deed));
    }
    rows
}

/// In, out, and showing once more who one is.
fn entrance() -> Vec<Route> {
    vec![
        Route::get("/console/signin", || to(entry::show)).access(Access::Console),
        Route::post("/console/signin", Audit::Event("operator.signin.made"), || to(entry::sign_in))
            .access(Access::Console),
        Route::get("/console/auth/start", || to(entry::start)).access(Access::Console),
        Route::get("/console/auth/callback", || to(entry::callback)).access(Access::Console),
        Route::get("/console/confirm", || to(entry::confirm)).access(Access::Operator),
        Route::post("/console/confirm", Audit::Event("operator.confirmed"), || to(entry::confirmed))
            .access(Access::Operator),
        Route::post("/console/signout", Audit::Event("operator.signout.made"), || to(entry::sign_out))
            .access(Access::Operator),
    ]
}

/// Kinds of jobs that a tenant's page shows.
fn shown_kinds() -> Vec<String> {
    vec![kind::BACKUP.to_owned(), kind::DRILL.to_owned()]
}
