//! The operators' pages: below `/console`, for operators only.

mod actions;
mod cancel;
mod compare;
mod deeds;
mod entry;
mod events;
mod lineage;
mod pages;
mod part;
mod points;
mod report;
mod restore;
mod runs;
mod swap;
mod view;

use actix_web::web::to;
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
    rows.extend(about_points());
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

/// Points, what they are for, and the runs of what was asked for.
fn about_points() -> Vec<Route> {
    let asks = |path, event, handler| Route::post(path, Audit::Event(event), handler).access(Access::Operator);
    let mut rows = vec![
        Route::get("/console/tenants/{slug}/points", || to(points::list)).access(Access::Operator),
        asks("/console/tenants/{slug}/survey", "points.survey.asked", || to(points::survey)),
        Route::get("/console/points/{point}", || to(points::one)).access(Access::Operator),
        asks("/console/points/{point}/verify", "point.verify.asked", || to(points::verify)),
        asks("/console/points/{point}/keep", "point.kept", || to(points::keep)),
        Route::get("/console/runs/{id}", || to(runs::show)).access(Access::Operator),
        asks("/console/runs/{id}/cancel", "run.cancel.asked", || to(cancel::ask)),
        Route::get("/console/points/{point}/part", || to(part::choose)).access(Access::Operator),
        asks("/console/points/{point}/part", "restore.part.looked", || to(part::look)),
        Route::get("/console/tenants/{slug}/compare/{other}", || to(compare::show)).access(Access::Operator),
        asks("/console/tenants/{slug}/compare/{other}", "compare.asked", || to(compare::ask)),
    ];
    let restore = "/console/points/{point}/restore";
    rows.push(Route::get(restore, || to(restore::plan)).access(Access::Deed));
    rows.push(Route::post(restore, Audit::Event("restore.asked"), || to(restore::ask)).access(Access::Deed));
    let part = "/console/runs/{id}/part";
    rows.push(Route::get(part, || to(part::plan)).access(Access::Deed));
    rows.push(Route::post(part, Audit::Event("restore.part.asked"), || to(part::ask)).access(Access::Deed));
    let swap = "/console/tenants/{slug}/swap/{other}";
    rows.push(Route::get(swap, || to(swap::plan)).access(Access::Deed));
    rows.push(Route::post(swap, Audit::Event("swap.asked"), || to(swap::ask)).access(Access::Deed));
    let undo = "/console/tenants/{slug}/undo";
    rows.push(Route::get(undo, || to(swap::plan_undo)).access(Access::Deed));
    rows.push(Route::post(undo, Audit::Event("swap.undo.asked"), || to(swap::ask_undo)).access(Access::Deed));
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
