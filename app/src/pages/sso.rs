//! To a provider and back, and the second step of a sign-in by password.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::cookies::{SetCookie, clear};
use identity::{Error, FLOW_COOKIE, Finished, PAGE_COOKIE, PageSession, Returned};
use serde::Deserialize;
use web::{Result, Signed, Visit, page};

use super::frame::{Frame, writable};
use super::security::to_account;
use super::sign_in::{self, Wish};
use crate::state::AppState;

/// The cookie that waits for the second factor.
pub(super) const PENDING_COOKIE: &str = "holdfast_pending";

#[derive(Template)]
#[template(path = "second.html")]
struct SecondPage {
    frame: Frame,
    problem: Option<String>,
    next: String,
}

/// The code of the second step.
#[derive(Deserialize)]
pub(super) struct SecondForm {
    code: String,
    #[serde(default)]
    next: String,
}

/// Asking for the password before an account is linked.
#[derive(Deserialize)]
pub(super) struct LinkForm {
    #[serde(default)]
    password: String,
}

/// What a provider sends when somebody signed out there.
#[derive(Deserialize)]
pub(super) struct LogoutForm {
    logout_token: String,
}

/// Where providers send browsers back to.
fn callback(visit: &Visit) -> String {
    format!("{}/auth/callback", visit.origin())
}

/// Whether an error is a sentence for whoever wants to sign in.
pub(super) fn sentence(error: &Error) -> Option<String> {
    match error {
        Error::Unmatched
        | Error::Archived { .. }
        | Error::PasswordSignInOff
        | Error::Throttled { .. }
        | Error::Refused(_)
        | Error::Busy => Some(error.to_string()),
        _ => None,
    }
}

/// Signs the browser in: the page cookie is set, and the cookies on the way to it are taken back.
pub(super) fn signed_in(visit: &Visit, session: &PageSession, next: &str) -> Result<HttpResponse> {
    let cookie = SetCookie {
        name: PAGE_COOKIE,
        value: &session.cookie,
        path: &visit.place.base,
        expires: session.expires,
        secure: visit.facts.https,
    };
    let next = page::after_sign_in(&visit.place, Some(next).filter(|next| !next.is_empty()));
    let mut answer = page::set_cookie(page::see_other(&next), &cookie.header())?;
    for name in [FLOW_COOKIE, PENDING_COOKIE] {
        answer = page::set_cookie(answer, &clear(name, &visit.place.base, visit.facts.https))?;
    }
    Ok(answer)
}

/// Leads to a provider.
pub(super) async fn start(
    visit: Visit,
    state: Data<AppState>,
    uid: Path<String>,
    wish: Query<Wish>,
) -> Result<HttpResponse> {
    lead(&visit, &state, &uid, &wish.next, None).await
}

async fn lead(
    visit: &Visit,
    state: &AppState,
    uid: &str,
    next: &str,
    member: Option<domain::id::MemberId>,
) -> Result<HttpResponse> {
    match state.identity.begin_flow(&visit.scope, uid, &callback(visit), next, member).await {
        Ok(begun) => {
            let cookie = SetCookie {
                name: FLOW_COOKIE,
                value: &begun.cookie,
                path: &visit.place.base,
                expires: begun.expires,
                secure: visit.facts.https,
            };
            page::set_cookie(page::see_other(&begun.location), &cookie.header())
        }
        Err(error) => refused(visit, state, error, next).await,
    }
}

/// The sign-in page with what is wrong.
async fn refused(visit: &Visit, state: &AppState, error: Error, next: &str) -> Result<HttpResponse> {
    let Some(problem) = sentence(&error) else { return Err(error.into()) };
    let shown = sign_in::build(visit, state, Some(problem), "", next, None).await?;
    let answer = page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &shown)?;
    page::set_cookie(answer, &clear(FLOW_COOKIE, &visit.place.base, visit.facts.https))
}

/// The provider's answer.
pub(super) async fn finish(
    visit: Visit,
    state: Data<AppState>,
    returned: Query<Returned>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let cookie = page::cookie(&request, FLOW_COOKIE);
    let asking = visit.member().ok();
    let outcome = state.identity.finish_flow(&visit.scope, cookie.as_deref(), &returned, asking, &visit.client()).await;
    match outcome {
        Ok((Finished::SignedIn(session), next)) => signed_in(&visit, &session, &next),
        Ok((Finished::Linked(title), _)) => {
            let said = format!("Your account at {title} is linked: from now on it signs you in.");
            let answer = to_account(&visit, &said);
            page::set_cookie(answer, &clear(FLOW_COOKIE, &visit.place.base, visit.facts.https))
        }
        Err(error) => refused(&visit, &state, error, "").await,
    }
}

/// Links an account at a provider: after the password, or after a sign-in of the last minutes.
pub(super) async fn link(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    form: Form<LinkForm>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let allowed = if form.password.is_empty() {
        state.identity.fresh(&visit.scope, &signed.member).await
    } else {
        let client = visit.client();
        state.identity.confirm_password(&visit.scope, &signed.member, &form.password, &client).await.map(|_| ())
    };
    match allowed {
        Ok(()) => lead(visit, &state, &uid, "/account", Some(signed.member.id())).await,
        Err(error) => {
            let Some(problem) = sentence(&error) else { return Err(error.into()) };
            Ok(to_account(visit, &capital(&problem)))
        }
    }
}

/// Unlinks an account.
pub(super) async fn unlink(signed: Signed, state: Data<AppState>, uid: Path<String>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let member = &signed.member.member;
    let actor = format!("member:{}", member.username);
    let said = match state.identity.unlink(&visit.scope, &actor, member, &uid).await {
        Ok(true) => "The account is unlinked.".to_owned(),
        Ok(false) => "That account was unlinked already.".to_owned(),
        Err(error) => match sentence(&error) {
            Some(problem) => capital(&problem),
            None => return Err(error.into()),
        },
    };
    Ok(to_account(visit, &said))
}

/// With a capital letter and a full stop: a sentence of its own.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A provider says that somebody signed out there.
pub(super) async fn back_channel(
    visit: Visit,
    state: Data<AppState>,
    uid: Path<String>,
    form: Form<LogoutForm>,
) -> Result<HttpResponse> {
    state.identity.back_channel_logout(&visit.scope, &uid, &form.logout_token).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).finish())
}

/// Asks for the second factor.
pub(super) fn ask_second(visit: &Visit, state: &AppState, pending: &str, next: &str) -> Result<HttpResponse> {
    let shown = SecondPage { frame: Frame::new(visit, "signin", None), problem: None, next: next.to_owned() };
    let answer = page::show_once(StatusCode::OK, &shown)?;
    let expires = state.clock.now() + time::Duration::minutes(5);
    let cookie =
        SetCookie { name: PENDING_COOKIE, value: pending, path: &visit.place.base, expires, secure: visit.facts.https };
    page::set_cookie(answer, &cookie.header())
}

/// Takes the second factor.
pub(super) async fn second(
    visit: Visit,
    state: Data<AppState>,
    form: Form<SecondForm>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let pending = page::cookie(&request, PENDING_COOKIE).unwrap_or_default();
    match state.identity.second_factor_page(&visit.scope, &pending, &form.code, &visit.client()).await {
        Ok(session) => signed_in(&visit, &session, &form.next),
        Err(error) => {
            let Some(problem) = sentence(&error) else { return Err(error.into()) };
            let again = SecondPage {
                frame: Frame::new(&visit, "signin", None),
                problem: Some(capital(&problem)),
                next: form.next.clone(),
            };
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
    }
}
