//! The members' pages: server-rendered, working without script. Every rule is a function of a feature; here are only
//! forms, templates and redirects.

mod account;
mod deliveries;
mod edit;
mod feed;
mod form;
mod frame;
mod note;
mod old_links;
mod providers;
mod qr;
mod security;
mod sign_in;
mod sso;
mod upload;
mod view;

use actix_web::web::to;
use web::{Access, Audit, Face, Route};

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
        Route::post("/signin/code", Audit::Event("signin.made"), || to(sso::second)).access(Access::Public),
        Route::get("/auth/start/{uid}", || to(sso::start)).access(Access::Public),
        Route::get("/auth/callback", || to(sso::finish)).access(Access::Public),
        Route::post("/auth/logout/{uid}", Audit::Event("session.revoked"), || to(sso::back_channel))
            .access(Access::Public)
            .face(Face::Short),
        Route::post("/signout", Audit::Event("signout.made"), || to(sign_in::sign_out)),
        Route::get("/account", || to(account::show)),
        Route::get("/account/webhooks", || to(deliveries::show)),
        Route::post("/account/password", Audit::Event("password.changed"), || to(account::change_password)),
        Route::post("/account/tokens", Audit::Event("token.created"), || to(account::create_token)),
        Route::post("/account/tokens/{id}/revoke", Audit::Event("token.revoked"), || to(account::revoke_token)),
        Route::post("/account/sessions/{id}/revoke", Audit::Event("session.revoked"), || to(security::revoke_session)),
        Route::post("/account/sessions/revoke", Audit::Event("session.revoked"), || to(security::revoke_others)),
        Route::post("/account/links/{uid}", Audit::Event("identity.linked"), || to(sso::link)),
        Route::post("/account/links/{uid}/remove", Audit::Event("identity.unlinked"), || to(sso::unlink)),
        Route::post("/account/factor", Audit::Event("factor.begun"), || to(security::begin_factor)),
        Route::post("/account/factor/confirm", Audit::Event("factor.on"), || to(security::confirm_factor)),
        Route::post("/account/factor/end", Audit::Event("factor.off"), || to(security::end_factor)),
        Route::get("/settings/signin", || to(providers::show)).access(Access::Admin),
        Route::post("/settings/signin", Audit::Event("provider.created"), || to(providers::create))
            .access(Access::Admin),
        Route::get("/settings/signin/{uid}", || to(providers::edit)).access(Access::Admin),
        Route::post("/settings/signin/{uid}", Audit::Event("provider.updated"), || to(providers::update))
            .access(Access::Admin),
        Route::post("/settings/signin/{uid}/test", Audit::None("saves nothing"), || to(providers::test))
            .access(Access::Admin),
        Route::post("/settings/signin/{uid}/remove", Audit::Event("provider.deleted"), || to(providers::remove))
            .access(Access::Admin),
    ]
}
