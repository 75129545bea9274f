//! One's own sign-ins and second factor.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use askama::Template;
use identity::totp::{Enrolment, Factor};
use serde::Deserialize;
use web::{Result, Signed, Visit, page};

use super::frame::{Frame, writable};
use super::qr::Qr;
use super::sso::{capital, sentence};
use crate::state::AppState;

/// What an authenticator app is given, and the field for its first code.
#[derive(Template)]
#[template(path = "factor.html")]
struct FactorPage {
    frame: Frame,
    problem: Option<String>,
    secret: String,
    uri: String,
    qr: Option<Qr>,
}

impl FactorPage {
    fn new(visit: &Visit, enrolment: &Enrolment, problem: Option<String>) -> Self {
        Self {
            frame: Frame::new(visit, "account", None),
            problem,
            secret: in_groups(&enrolment.secret),
            qr: Qr::of(&enrolment.uri),
            uri: enrolment.uri.clone(),
        }
    }
}

/// Recovery codes, shown once.
#[derive(Template)]
#[template(path = "recovery_codes.html")]
struct CodesPage {
    frame: Frame,
    codes: Vec<String>,
}

/// A password.
#[derive(Deserialize)]
pub(super) struct PasswordOnly {
    password: String,
}

/// A code.
#[derive(Deserialize)]
pub(super) struct CodeForm {
    code: String,
}

pub(super) async fn revoke_session(signed: Signed, state: Data<AppState>, id: Path<String>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let gone = state.identity.revoke_session(&visit.scope, &signed.member.member, &id).await?;
    let said = if gone { "That sign-in is ended." } else { "That sign-in was over already." };
    Ok(to_account(visit, said))
}

pub(super) async fn revoke_others(signed: Signed, state: Data<AppState>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let spare = signed.member.session_id().unwrap_or_default();
    state.identity.revoke_sessions(&visit.scope, &signed.member.member, spare).await?;
    Ok(to_account(visit, "All your other sign-ins are ended."))
}

pub(super) async fn begin_factor(
    signed: Signed,
    state: Data<AppState>,
    form: Form<PasswordOnly>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    match state.identity.begin_factor(&visit.scope, &signed.member, &form.password, &visit.client()).await {
        Ok(enrolment) => page::show_once(StatusCode::OK, &FactorPage::new(visit, &enrolment, None)),
        Err(error) => back(&signed, error),
    }
}

/// Back to the account page, with a sentence.
pub(super) fn to_account(visit: &Visit, said: &str) -> HttpResponse {
    page::see_other_saying(&visit.place.path("account"), said, &visit.place.base)
}

/// A refusal becomes a sentence on the account page.
fn back(signed: &Signed, error: identity::Error) -> Result<HttpResponse> {
    let said = match &error {
        identity::Error::Unmatched => "The password is wrong.".to_owned(),
        other => match sentence(other) {
            Some(problem) => capital(&problem),
            None => return Err(error.into()),
        },
    };
    Ok(to_account(&signed.visit, &said))
}

pub(super) async fn confirm_factor(
    signed: Signed,
    state: Data<AppState>,
    form: Form<CodeForm>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    match state.identity.confirm_factor(&visit.scope, &signed.member, &form.code, &visit.client()).await {
        Ok(codes) => page::show_once(StatusCode::OK, &CodesPage { frame: Frame::new(visit, "account", None), codes }),
        Err(error) => {
            let Factor::Begun(secret) = state.identity.factor(&visit.scope, signed.member.id()).await? else {
                return back(&signed, error);
            };
            let Some(problem) = sentence(&error) else { return Err(error.into()) };
            let member = &signed.member.member.username;
            let enrolment = identity::totp::enrolment_of(&secret, member, visit.place.tenant.slug.as_str());
            let again = FactorPage::new(visit, &enrolment, Some(capital(&problem)));
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
    }
}

pub(super) async fn end_factor(
    signed: Signed,
    state: Data<AppState>,
    form: Form<PasswordOnly>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    match state.identity.end_factor(&visit.scope, &signed.member, &form.password, &visit.client()).await {
        Ok(_) => Ok(to_account(visit, "The second factor is off: your password alone signs you in.")),
        Err(error) => back(&signed, error),
    }
}

/// Four letters at a time, as people type them.
fn in_groups(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
