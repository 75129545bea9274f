//! In and out of the console, and showing once more who one is before what is dangerous.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::cookies::{SetCookie, clear};
use identity::{
    Client, Error, OPERATOR_COOKIE, OPERATOR_FLOW_COOKIE, OPERATOR_PATH, OperatorFinished, OperatorSession, Returned,
};
use serde::Deserialize;
use web::{Facts, OperatorVisit, Result, page};

use super::view::Frame;
use crate::Admin;

#[derive(Template)]
#[template(path = "signin.html")]
struct SignInPage {
    frame: Frame,
    problem: Option<String>,
    name: String,
    next: String,
    /// What the operators' provider is called.
    provider: Option<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    frame: Frame,
    problem: Option<String>,
    name: String,
    next: String,
    by_password: bool,
    provider: Option<String>,
}

/// Where to go afterwards, and whether it is about showing once more who one is.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    next: String,
    again: bool,
}

/// The sign-in form.
#[derive(Deserialize)]
pub(super) struct SignInForm {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The form of an operator who is signed in.
#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    password: String,
    #[serde(default)]
    next: String,
}

fn client(facts: &Facts) -> Client {
    Client { address: facts.address, user_agent: facts.user_agent.clone() }
}

/// The page of the console that was wished for.
fn after(next: &str) -> &str {
    let console = next == OPERATOR_PATH || next.starts_with("/console/");
    if console && page::is_own_path(next) { next } else { OPERATOR_PATH }
}

pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// The sentence for whoever wants to come in; none when the fault is ours.
fn sentence(error: &Error) -> Option<String> {
    let told = matches!(error, Error::Unmatched | Error::Throttled { .. } | Error::Refused(_) | Error::Busy);
    told.then(|| capital(&error.to_string()))
}

fn sign_in_page(admin: &Admin, problem: Option<String>, name: &str, next: &str) -> SignInPage {
    SignInPage {
        frame: Frame::new(None, "signin", None),
        problem,
        name: name.to_owned(),
        next: next.to_owned(),
        provider: admin.identity.operators_provider().map(str::to_owned),
    }
}

/// The sign-in page.
pub(super) async fn show(admin: Data<Admin>, wish: Query<Wish>, request: HttpRequest) -> Result<HttpResponse> {
    page::show(&request, &sign_in_page(&admin, None, "", &wish.next))
}

fn signed_in(facts: &Facts, session: &OperatorSession, next: &str) -> Result<HttpResponse> {
    let (value, expires, secure) = (session.cookie.as_str(), session.expires, facts.https);
    let cookie = SetCookie { name: OPERATOR_COOKIE, value, path: OPERATOR_PATH, expires, secure };
    page::set_cookie(page::see_other(after(next)), &cookie.header())
}

/// Signs in, or shows the form again with what is wrong.
pub(super) async fn sign_in(facts: Facts, admin: Data<Admin>, form: Form<SignInForm>) -> Result<HttpResponse> {
    let who = identity::SignIn { username: form.name.trim(), password: &form.password };
    match admin.identity.operator_sign_in(who, &client(&facts)).await {
        Ok(session) => signed_in(&facts, &session, &form.next),
        Err(error) => {
            let Some(problem) = sentence(&error) else { return Err(error.into()) };
            let again = sign_in_page(&admin, Some(problem), &form.name, &form.next);
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
    }
}

/// Signs out everywhere this cookie counts.
pub(super) async fn sign_out(visit: OperatorVisit, admin: Data<Admin>) -> Result<HttpResponse> {
    admin.identity.operator_sign_out(&visit.operator, &visit.cookies).await?;
    page::set_cookie(page::see_other(page::CONSOLE_SIGN_IN), &clear(OPERATOR_COOKIE, OPERATOR_PATH, visit.facts.https))
}

/// Leads to the operators' provider.
pub(super) async fn start(
    facts: Facts,
    visit: Option<OperatorVisit>,
    admin: Data<Admin>,
    wish: Query<Wish>,
) -> Result<HttpResponse> {
    let callback = format!("{}/console/auth/callback", facts.origin());
    let again = visit.as_ref().map(|visit| &visit.operator).filter(|_| wish.again);
    match admin.identity.begin_operator(&callback, after(&wish.next), again).await {
        Ok(begun) => {
            let (value, expires, secure) = (begun.cookie.as_str(), begun.expires, facts.https);
            let cookie = SetCookie { name: OPERATOR_FLOW_COOKIE, value, path: OPERATOR_PATH, expires, secure };
            page::set_cookie(page::see_other(&begun.location), &cookie.header())
        }
        Err(error) => refused(&facts, visit.filter(|_| wish.again), &admin, error, &wish.next),
    }
}

/// The provider's answer.
pub(super) async fn callback(
    facts: Facts,
    visit: Option<OperatorVisit>,
    admin: Data<Admin>,
    returned: Query<Returned>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let cookie = page::cookie(&request, OPERATOR_FLOW_COOKIE);
    let asking = visit.as_ref().map(|visit| (&visit.operator, visit.cookies.as_slice()));
    let outcome = admin.identity.finish_operator(cookie.as_deref(), &returned, asking, &client(&facts)).await;
    let answer = match outcome {
        Ok((OperatorFinished::SignedIn(session), next)) => signed_in(&facts, &session, &next)?,
        Ok((OperatorFinished::Confirmed, next)) => page::see_other(after(&next)),
        Err(error) => return refused(&facts, visit, &admin, error, ""),
    };
    page::set_cookie(answer, &clear(OPERATOR_FLOW_COOKIE, OPERATOR_PATH, facts.https))
}

/// The page from which it began, with what is wrong.
fn refused(
    facts: &Facts,
    visit: Option<OperatorVisit>,
    admin: &Admin,
    error: Error,
    next: &str,
) -> Result<HttpResponse> {
    let Some(problem) = sentence(&error) else { return Err(error.into()) };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let answer = match visit {
        Some(visit) => page::show_once(status, &confirm_page(&visit, admin, Some(problem), next))?,
        None => page::show_once(status, &sign_in_page(admin, Some(problem), "", next))?,
    };
    page::set_cookie(answer, &clear(OPERATOR_FLOW_COOKIE, OPERATOR_PATH, facts.https))
}

fn confirm_page(visit: &OperatorVisit, admin: &Admin, problem: Option<String>, next: &str) -> ConfirmPage {
    let operator = &visit.operator;
    ConfirmPage {
        frame: Frame::new(Some(&operator.name), "confirm", None),
        problem,
        name: operator.name.clone(),
        next: next.to_owned(),
        by_password: operator.has_password,
        provider: admin.identity.operators_provider().filter(|_| operator.by_provider).map(str::to_owned),
    }
}

/// Asks who it is once more.
pub(super) async fn confirm(
    visit: OperatorVisit,
    admin: Data<Admin>,
    wish: Query<Wish>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    page::show(&request, &confirm_page(&visit, &admin, None, &wish.next))
}

/// Takes the password once more.
pub(super) async fn confirmed(
    visit: OperatorVisit,
    admin: Data<Admin>,
    form: Form<ConfirmForm>,
) -> Result<HttpResponse> {
    let client = client(&visit.facts);
    match admin.identity.operator_confirm(&visit.operator, &visit.cookies, &form.password, &client).await {
        Ok(()) => Ok(page::see_other(after(&form.next))),
        Err(error) => {
            let problem = match &error {
                Error::Unmatched => "The password is wrong.".to_owned(),
                other => match sentence(other) {
                    Some(problem) => problem,
                    None => return Err(error.into()),
                },
            };
            let again = confirm_page(&visit, &admin, Some(problem), &form.next);
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn only_pages_of_the_console_are_gone_to() {
        assert_eq!(after("/console/tenants/team/delete"), "/console/tenants/team/delete");
        for elsewhere in ["", "/", "/account", "//evil.example", "/consoles", "/console/\\evil", "https://evil.example"]
        {
            assert_eq!(after(elsewhere), "/console", "{elsewhere}");
        }
    }
}
