//! One's own account: password, second factor, sign-ins, linked accounts and tokens.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::totp::Factor;
use identity::{Error, NewToken};
use serde::Deserialize;
use store::tenant::sessions::Session;
use store::tenant::tokens::AccessToken;
use web::{Result, Signed, page};

use super::frame::{Frame, answer, writable};
use super::security::to_account;
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
    sessions: Vec<SessionLine>,
    others: bool,
    links: Vec<LinkLine>,
    linkable: Vec<LinkLine>,
    /// Words about the second factor; none: it is off.
    factor: Option<String>,
    admin: bool,
}

struct SessionLine {
    id: String,
    device: String,
    address: String,
    by: String,
    made: String,
    used: String,
    here: bool,
}

struct LinkLine {
    uid: String,
    title: String,
    account: String,
}

struct TokenLine {
    id: String,
    description: String,
    scope: &'static str,
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
    #[serde(default)]
    scope: String,
}

fn day(nanos: i64) -> String {
    moment(nanos.div_euclid(1_000_000_000))
}

fn line(token: AccessToken) -> TokenLine {
    TokenLine {
        id: token.token_id,
        description: if token.description.is_empty() { "(no description)".to_owned() } else { token.description },
        scope: match token.scope.as_str() {
            "read" => "reads",
            "write" => "reads and writes",
            _ => "everything you may",
        },
        made: day(token.created_ns),
        used: token.last_used_ns.map_or_else(|| "never".to_owned(), day),
        ends: token.expires_ns.map_or_else(|| "never".to_owned(), day),
    }
}

async fn build(signed: &Signed, state: &AppState, said: Option<String>) -> Result<AccountPage> {
    let (scope, member, identity) = (&signed.visit.scope, &signed.member.member, &state.identity);
    let tokens = identity.list_tokens(scope, member).await?;
    let providers = identity.list_providers(scope).await?;
    let title = |uid: &str| {
        let found = providers.iter().find(|provider| provider.uid == uid);
        found.map_or_else(|| uid.to_owned(), |provider| provider.title.clone())
    };
    let here = signed.member.session_id().unwrap_or_default();
    let sessions = identity.list_sessions(scope, member.id).await?.into_iter();
    let sessions: Vec<SessionLine> = sessions.map(|session| session_line(session, here, &title)).collect();
    let linked = identity.list_links(scope, member).await?;
    let links = linked.iter().map(|link| LinkLine {
        uid: link.provider.clone(),
        title: title(&link.provider),
        account: link.extern_uid.clone(),
    });
    let free = providers.iter().filter(|provider| provider.is_led_to());
    let free = free.filter(|provider| linked.iter().all(|link| link.provider != provider.uid));
    Ok(AccountPage {
        frame: Frame::new(&signed.visit, "account", said),
        problem: None,
        secret: None,
        username: member.username.clone(),
        tokens: tokens.into_iter().map(line).collect(),
        others: sessions.iter().any(|session| !session.here),
        sessions,
        links: links.collect(),
        linkable: free
            .map(|provider| LinkLine {
                uid: provider.uid.clone(),
                title: provider.title.clone(),
                account: String::new(),
            })
            .collect(),
        factor: match identity.factor(scope, member.id).await? {
            Factor::On(left) => Some(format!("It is on. {left} recovery codes are left.")),
            Factor::Off | Factor::Begun(_) => None,
        },
        admin: signed.visit.actor.is_admin(),
    })
}

fn session_line(session: Session, here: &str, title: &impl Fn(&str) -> String) -> SessionLine {
    SessionLine {
        here: session.session_id == here,
        device: device(&session.user_agent),
        address: session.address,
        by: if session.provider.is_empty() { "password".to_owned() } else { title(&session.provider) },
        made: day(session.created_ns),
        used: day(session.last_used_ns),
        id: session.session_id,
    }
}

/// What a browser or an app is called among people.
fn device(user_agent: &str) -> String {
    let browser = [("Firefox/", "Firefox"), ("Edg/", "Edge"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    let system = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    ];
    let of =
        |list: &[(&str, &'static str)]| list.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name);
    match (of(&browser), of(&system)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        _ if user_agent.is_empty() => "an app without a name".to_owned(),
        _ => user_agent.chars().take(60).collect(),
    }
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
        Ok(()) => Ok(to_account(visit, "Your password is changed; other sign-ins are ended.")),
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
    let new = NewToken {
        description: form.description.trim(),
        days: form.days,
        scope: form.scope.parse().unwrap_or_default(),
    };
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
    Ok(to_account(visit, said))
}
