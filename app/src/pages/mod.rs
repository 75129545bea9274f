//! The members' pages: server-rendered, working without script. Every rule is a function of a feature; here are only
//! forms, templates and redirects.

mod account;
mod edit;
mod feed;
mod form;
mod frame;
mod note;
mod old_links;
mod sign_in;
mod upload;
mod view;

use actix_web::web::to;
use web::{Access, Audit, Route};

use form::UPLOAD_LIMIT;

/// Why writing notes leaves nothing in the audit.
const NOTES: Audit = Audit::None("notes are the members' own; the audit never speaks of their text");

/// The rows.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/", || to(feed::show)).access(Access::Public),
        Route::post("/notes", NOTES, || to(feed::create)).body_limit(UPLOAD_LIMIT),
        Route::get("/memos/{uid}", || to(note::show)).access(Access::Public),
        Route::get("/m/{uid}", || to(old_links::note)).access(Access::Public),
        Route::get("/u/{username}", || to(old_links::member)).access(Access::Public),
        Route::post("/memos/{uid}/comments", NOTES, || to(note::comment)),
        Route::post("/memos/{uid}/react", NOTES, || to(note::react)),
        Route::post("/memos/{uid}/put", NOTES, || to(note::put)),
        Route::get("/memos/{uid}/edit", || to(edit::show)),
        Route::post("/memos/{uid}/edit", NOTES, || to(edit::save)).body_limit(UPLOAD_LIMIT),
        Route::post("/memos/{uid}/delete", NOTES, || to(note::delete)),
        Route::get("/signin", || to(sign_in::show)).access(Access::Public),
        Route::post("/signin", Audit::Event("signin.made"), || to(sign_in::sign_in)).access(Access::Public),
        Route::post("/signout", Audit::Event("signout.made"), || to(sign_in::sign_out)),
        Route::get("/account", || to(account::show)),
        Route::post("/account/password", Audit::Event("password.changed"), || to(account::change_password)),
        Route::post("/account/tokens", Audit::Event("token.created"), || to(account::create_token)),
        Route::post("/account/tokens/{id}/revoke", Audit::Event("token.revoked"), || to(account::revoke_token)),
    ]
}
