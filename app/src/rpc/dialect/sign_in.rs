//! Signing in and being recognised as before 0.26.

use bytes::Bytes;
use identity::cookies::{SetCookie, clear};
use identity::{MemberActor, OLD_COOKIE, Via};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::super::Ctx;
use super::super::door::Head;
use super::forward::{Asked, forward, object, pairs};
use super::old_view;
use crate::error::ApiError;

/// How long an access token lives.
const ACCESS_SECONDS: i64 = 15 * 60;

/// `POST /auth/sessions` with a body; `POST /auth/signin?username=…&password=…` without one. The answer is that of today
/// and the bare member beside it.
pub(in super::super) async fn sign_in(ctx: &Ctx, head: &Head, body: &Bytes) -> Result<Value, ApiError> {
    let mut shown = object(body)?;
    for (key, value) in pairs(&head.query) {
        let field = match key.rsplit('.').next().unwrap_or_default() {
            "username" => "username",
            "password" => "password",
            _ => continue,
        };
        let slot = shown.entry("passwordCredentials").or_insert_with(|| json!({}));
        if let Value::Object(slot) = slot {
            slot.entry(field).or_insert(json!(value));
        }
    }
    for field in ["username", "password"] {
        if let Some(value) = shown.remove(field)
            && let Value::Object(slot) = shown.entry("passwordCredentials").or_insert_with(|| json!({}))
        {
            slot.insert(field.to_owned(), value);
        }
    }
    let asked = Asked::of("POST", "/api/v1/auth/signin", &Value::Object(shown));
    let mut answer = forward(ctx, asked).await?;
    leave_old_cookie(ctx, answer.get("accessToken").and_then(Value::as_str).unwrap_or_default());
    let mut user = answer.get("user").cloned().unwrap_or_default();
    old_view::user(&mut user, None);
    if let (Value::Object(answer), Value::Object(user)) = (&mut answer, user) {
        for (key, value) in user {
            answer.entry(key).or_insert(value);
        }
    }
    Ok(answer)
}

/// The cookie by which those releases knew their clients again: with the access token, as long as that lives.
fn leave_old_cookie(ctx: &Ctx, token: &str) {
    let Ok(expires) = OffsetDateTime::from_unix_timestamp(ctx.seconds() + ACCESS_SECONDS) else { return };
    let (path, secure) = (ctx.info().base.as_str(), ctx.info().is_secure());
    ctx.set_cookie(SetCookie { name: OLD_COOKIE, value: token, path, expires, secure }.header());
}

/// Takes it away again.
pub(super) fn forget_old_cookie(ctx: &Ctx) {
    ctx.set_cookie(clear(OLD_COOKIE, &ctx.info().base, ctx.info().is_secure()));
}

/// The member who asks: bare and by number up to 0.24, below `user` in 0.25.
pub(super) async fn status(ctx: &Ctx, bare: bool) -> Result<Value, ApiError> {
    let mut answer = forward(ctx, Asked::get("/api/v1/auth/me")).await?;
    if bare {
        let mut user = answer.get("user").cloned().unwrap_or_default();
        old_view::user(&mut user, ctx.actor().member_id().map(|id| id.0));
        return Ok(user);
    }
    if let Some(user) = answer.get_mut("user") {
        old_view::user(user, None);
    }
    Ok(answer)
}

/// Whether the caller shows a session of 0.26 or later, which no older client has.
pub(super) fn is_of_today(ctx: &Ctx) -> bool {
    matches!(ctx.actor(), identity::Actor::Member(MemberActor { via: Via::AccessToken(_), .. }))
}

/// Whether today's route is asked in the old way: credentials in the query, or bare in the body.
pub(in super::super) fn is_old(method: &str, head: &Head, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4096)).unwrap_or_default());
    let in_query = head.query.contains("username=") && text.trim().is_empty();
    let bare = text.contains("\"username\"") && !text.contains("redentials");
    method == "SignIn" && (in_query || bare)
}

/// A wrong password in the query is told as Memos 0.30 tells of credentials that it does not find there.
pub(in super::super) fn refusal(error: ApiError, head: &Head) -> ApiError {
    let in_query = head.query.contains("username=") && error.code() == crate::error::Code::InvalidArgument;
    if in_query { ApiError::invalid("invalid credentials") } else { error }
}
