//! In and out.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::cookies::{SetCookie, clear};
use identity::{Error, PAGE_COOKIE, SignIn};
use serde::Deserialize;
use web::{Result, Signed, Visit, page};

use super::frame::{Frame, answer};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "signin.html")]
struct SignInPage {
    frame: Frame,
    problem: Option<String>,
    username: String,
    next: String,
}

/// Where to go afterwards.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    next: String,
}

/// The form.
#[derive(Deserialize)]
pub(super) struct SignInForm {
    username: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn show(visit: Visit, wish: Query<Wish>, request: HttpRequest) -> Result<HttpResponse> {
    if visit.actor.member_id().is_some() {
        return Ok(page::see_other(&page::after_sign_in(&visit.place, Some(&wish.next))));
    }
    let shown = SignInPage {
        frame: Frame::new(&visit, "signin", page::flash(&request)),
        problem: None,
        username: String::new(),
        next: wish.next.clone(),
    };
    answer(&request, &visit, &shown)
}

pub(super) async fn sign_in(visit: Visit, state: Data<AppState>, form: Form<SignInForm>) -> Result<HttpResponse> {
    let who = SignIn { username: form.username.trim(), password: &form.password };
    match state.identity.sign_in_page(&visit.scope, who, &visit.client()).await {
        Ok(session) => {
            let cookie = SetCookie {
                name: PAGE_COOKIE,
                value: &session.cookie,
                path: &visit.place.base,
                expires: session.expires,
                secure: visit.facts.https,
            };
            let next = page::after_sign_in(&visit.place, Some(form.next.as_str()).filter(|next| !next.is_empty()));
            page::set_cookie(page::see_other(&next), &cookie.header())
        }
        Err(
            problem @ (Error::Unmatched
            | Error::Archived { .. }
            | Error::PasswordSignInOff
            | Error::Throttled { .. }
            | Error::Busy),
        ) => {
            let again = SignInPage {
                frame: Frame::new(&visit, "signin", None),
                problem: Some(problem.to_string()),
                username: form.username.clone(),
                next: form.next.clone(),
            };
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn sign_out(signed: Signed, state: Data<AppState>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    state.identity.sign_out(&visit.scope, &signed.member, &visit.credentials).await?;
    let gone = clear(PAGE_COOKIE, &visit.place.base, visit.facts.https);
    page::set_cookie(page::see_other(&visit.place.path(page::SIGN_IN)), &gone)
}
