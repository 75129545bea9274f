//! The members' pages: server-rendered, working without script. Every rule is a function of a feature; here are only
//! forms, templates and redirects.

mod account;
mod feed;
mod frame;
mod note;
mod sign_in;
mod view;

use actix_web::web::to;
use web::{Access, Audit, Route};

/// Why writing notes leaves nothing in the audit.
const NOTES: Audit = Audit::None("notes are the members' own; the audit never speaks of their text");

/// The rows.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/", || to(feed::show)).access(Access::Public),
        Route::post("/notes", NOTES, || to(feed::create)),
        Route::get("/memos/{uid}", || to(note::show)).access(Access::Public),
        Route::get("/m/{uid}", || to(note::old_link)).access(Access::Public),
        Route::post("/memos/{uid}/comments", NOTES, || to(note::comment)),
        Route::get("/memos/{uid}/edit", || to(note::edit)),
        Route::post("/memos/{uid}/edit", NOTES, || to(note::save)),
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
