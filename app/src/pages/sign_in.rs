//! In and out.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::cookies::clear;
use identity::{Error, PAGE_COOKIE, SignIn, Via};
use serde::Deserialize;
use web::{Result, Signed, Visit, page};

use super::frame::{Frame, answer};
use super::sso;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "signin.html")]
pub(super) struct SignInPage {
    frame: Frame,
    problem: Option<String>,
    username: String,
    next: String,
    providers: Vec<Choice>,
}

/// A provider that one may sign in by.
struct Choice {
    uid: String,
    title: String,
}

#[derive(Template)]
#[template(path = "signout.html")]
struct SignedOutPage {
    frame: Frame,
    url: String,
    title: String,
}

/// Where to go afterwards.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    pub(super) next: String,
}

/// The form.
#[derive(Deserialize)]
pub(super) struct SignInForm {
    username: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The sign-in page, with the providers of the workspace.
pub(super) async fn build(
    visit: &Visit,
    state: &AppState,
    problem: Option<String>,
    username: &str,
    next: &str,
    said: Option<String>,
) -> Result<SignInPage> {
    let found = state.identity.list_providers(&visit.scope).await?;
    let choice = |provider: identity::provider::Provider| Choice { uid: provider.uid, title: provider.title };
    Ok(SignInPage {
        frame: Frame::new(visit, "signin", said),
        problem: problem.map(|problem| sso::capital(&problem)),
        username: username.to_owned(),
        next: next.to_owned(),
        providers: found.into_iter().filter(identity::provider::Provider::is_led_to).map(choice).collect(),
    })
}

pub(super) async fn show(
    visit: Visit,
    state: Data<AppState>,
    wish: Query<Wish>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    if visit.actor.member_id().is_some() {
        return Ok(page::see_other(&page::after_sign_in(&visit.place, Some(&wish.next))));
    }
    let shown = build(&visit, &state, None, "", &wish.next, page::flash(&request)).await?;
    answer(&request, &visit, &shown)
}

pub(super) async fn sign_in(visit: Visit, state: Data<AppState>, form: Form<SignInForm>) -> Result<HttpResponse> {
    let who = SignIn { username: form.username.trim(), password: &form.password };
    match state.identity.sign_in_page(&visit.scope, who, &visit.client()).await {
        Ok(session) => sso::signed_in(&visit, &session, &form.next),
        Err(Error::SecondFactorNeeded { pending }) => sso::ask_second(&visit, &state, &pending, &form.next),
        Err(error) => {
            let Some(problem) = sso::sentence(&error) else { return Err(error.into()) };
            let again = build(&visit, &state, Some(problem), &form.username, &form.next, None).await?;
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
    }
}

/// Signs out here, and leads whoever came through a provider that wants it to sign out there, too.
pub(super) async fn sign_out(signed: Signed, state: Data<AppState>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    let there = match &signed.member.via {
        Via::PageSession(id) => {
            let back = format!("{}{}", visit.facts.origin(), visit.place.path(page::SIGN_IN));
            state.identity.end_session_url(&visit.scope, signed.member.id(), id, &back).await?
        }
        _ => None,
    };
    state.identity.sign_out(&visit.scope, &signed.member, &visit.credentials).await?;
    let gone = clear(PAGE_COOKIE, &visit.place.base, visit.facts.https);
    let answer = match there {
        // A form may not be answered by a redirect to another site under our policy; a page may lead there.
        Some((url, title)) => {
            let frame = Frame::new(visit, "signin", None);
            page::show_once(StatusCode::OK, &SignedOutPage { frame, url, title })?
        }
        None => page::see_other(&visit.place.path(page::SIGN_IN)),
    };
    page::set_cookie(answer, &gone)
}
