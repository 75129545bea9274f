//! One's own account: password and tokens.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::{Error, NewToken};
use serde::Deserialize;
use store::tenant::tokens::AccessToken;
use web::{Result, Signed, page};

use super::frame::{Frame, answer, writable};
use super::view::moment;
use crate::state::AppState;

/// Characters of the shortest password that the page takes.
const SHORTEST_PASSWORD: usize = 8;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    problem: Option<String>,
    secret: Option<String>,
    username: String,
    tokens: Vec<TokenLine>,
}

struct TokenLine {
    id: String,
    description: String,
    made: String,
    used: String,
    ends: String,
}

/// The password form.
#[derive(Deserialize)]
pub(super) struct PasswordForm {
    old: String,
    new: String,
}

/// The token form.
#[derive(Deserialize)]
pub(super) struct TokenForm {
    description: String,
    #[serde(default)]
    days: i64,
}

fn day(nanos: i64) -> String {
    moment(nanos.div_euclid(1_000_000_000))
}

fn line(token: AccessToken) -> TokenLine {
    TokenLine {
        id: token.token_id,
        description: if token.description.is_empty() { "(no description)".to_owned() } else { token.description },
        made: day(token.created_ns),
        used: token.last_used_ns.map_or_else(|| "never".to_owned(), day),
        ends: token.expires_ns.map_or_else(|| "never".to_owned(), day),
    }
}

async fn build(signed: &Signed, state: &AppState, said: Option<String>) -> Result<AccountPage> {
    let tokens = state.identity.list_tokens(&signed.visit.scope, &signed.member.member).await?;
    Ok(AccountPage {
        frame: Frame::new(&signed.visit, "account", said),
        problem: None,
        secret: None,
        username: signed.member.member.username.clone(),
        tokens: tokens.into_iter().map(line).collect(),
    })
}

pub(super) async fn show(signed: Signed, state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse> {
    let shown = build(&signed, &state, page::flash(&request)).await?;
    answer(&request, &signed.visit, &shown)
}

pub(super) async fn change_password(
    signed: Signed,
    state: Data<AppState>,
    form: Form<PasswordForm>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    if form.new.chars().count() < SHORTEST_PASSWORD {
        let mut again = build(&signed, &state, None).await?;
        again.problem = Some(format!("The new password needs at least {SHORTEST_PASSWORD} characters."));
        return page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    match state.identity.change_password(&visit.scope, &signed.member, &form.old, &form.new, &visit.client()).await {
        Ok(()) => Ok(page::see_other_saying(
            &visit.place.path("account"),
            "Your password is changed; other sign-ins are ended.",
            &visit.place.base,
        )),
        Err(problem @ (Error::Unmatched | Error::UnfitPassword | Error::Throttled { .. })) => {
            let mut again = build(&signed, &state, None).await?;
            again.problem = Some(if matches!(problem, Error::Unmatched) {
                "The present password is wrong.".to_owned()
            } else {
                problem.to_string()
            });
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn create_token(signed: Signed, state: Data<AppState>, form: Form<TokenForm>) -> Result<HttpResponse> {
    writable(&signed.visit)?;
    let new = NewToken { description: form.description.trim(), days: form.days };
    let made = state.identity.create_token(&signed.visit.scope, &signed.member, new).await?;
    let mut shown = build(&signed, &state, None).await?;
    shown.secret = Some(made.secret);
    page::show_once(StatusCode::OK, &shown)
}

pub(super) async fn revoke_token(signed: Signed, state: Data<AppState>, id: Path<String>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let gone = state.identity.revoke_token(&visit.scope, &signed.member.member, &id).await?;
    let said = if gone { "The token is revoked." } else { "That token was gone already." };
    Ok(page::see_other_saying(&visit.place.path("account"), said, &visit.place.base))
}
