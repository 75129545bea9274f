//! REST: an RPC by HTTP method and path.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use identity::Actor;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use wire::table::{Found, find};

use super::door::{Head, Reply, admit, run};
use super::{Ctx, Payload, dialect};
use crate::error::{ApiError, Code};

/// What a segment of a path must not hold as it is.
const SEGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'/').add(b'?').add(b'#').add(b':').add(b'"');

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Answers a request below `/api/v1/`.
///
/// # Errors
/// Unknown path (404), known path with another method (501), the gate's 401, a request that makes no message (400),
/// what the handler says.
pub async fn answer(ctx: Ctx, head: &Head, body: Bytes) -> Result<Reply, ApiError> {
    let path = head.path.as_str();
    if percent_decode_str(path).decode_utf8().is_err() {
        return Err(ApiError::invalid("the path is not UTF-8"));
    }
    let spread = spread(&ctx, &head.verb, path);
    let path = spread.as_deref().unwrap_or(path);
    let unfolded = of_form(head, path, &body);
    let (head, body) = unfolded.as_ref().map_or((head, body), |unfolded| (unfolded, Bytes::new()));
    let found = match find(&head.verb, path) {
        // Verbs of old routes look like part of a name to the table.
        Found::Rpc(found) if !path.ends_with(":getSetting") && !path.ends_with(":updateSetting") => found,
        _ if dialect::knows(&ctx, &head.verb, path) => {
            let answer = dialect::answer(&ctx, head, path, &body).await?;
            return Ok(with_cookies(&ctx, Reply::new(200, "application/json", answer)));
        }
        Found::OtherVerb => return Err(ApiError::new(Code::Unimplemented, "Method Not Allowed")),
        _ => return Err(ApiError::not_found("Not Found")),
    };
    admit(found.rpc, &ctx)?;
    let stamp = (head.verb == "GET" && body.is_empty()).then(|| stamp(&ctx));
    if let Some(body) = stamp.and_then(|stamp| ctx.scope().same_answer(stamp)) {
        return Ok(Reply::new(200, "application/json", body));
    }
    if dialect::is_old_sign_in(found.rpc.method, head, &body) {
        let answer = dialect::sign_in(&ctx, head, &body).await.map_err(|error| dialect::refusal(error, head))?;
        let answer = serde_json::to_vec(&answer).map_err(ApiError::internal)?;
        return Ok(with_cookies(&ctx, Reply::new(200, "application/json", answer)));
    }
    let (query, body) = dialect::present(&ctx, &found, &head.query, body)?;
    let message = wire::rest::request(&found, &query, &body).map_err(|refusal| ApiError::invalid(refusal.0))?;
    drop(body);
    refuse_nul(&message)?;
    let answer = run(found.rpc, ctx.clone(), Payload::Rest(message)).await?;
    if dialect::asks_of_old(&ctx, &found, &head.query) {
        return Ok(with_cookies(&ctx, Reply::new(200, "application/json", dialect::old_list(answer)?)));
    }
    let answer = Bytes::from(answer);
    if let Some(stamp) = stamp {
        ctx.scope().keep_answer(stamp, &answer);
    }
    Ok(with_cookies(&ctx, Reply::new(200, "application/json", answer)))
}

/// The path of a client that encodes whole names, such as `memos%2Fx` or `users%2Fann%3AgetStats`: Memos decodes paths before
/// it takes them apart, so generated clients do that. Only where nothing is found at the path as it was sent.
fn spread(ctx: &Ctx, verb: &str, path: &str) -> Option<String> {
    let coded = path.contains('%') && ["%2F", "%2f", "%3A", "%3a"].iter().any(|coded| path.contains(coded));
    if !coded {
        return None;
    }
    if matches!(find(verb, path), Found::Rpc(_)) || dialect::knows(ctx, verb, path) {
        return None;
    }
    let whole = ["%2F", "%2f"].iter().fold(path.to_owned(), |path, slash| path.replace(slash, "/"));
    Some(["%3A", "%3a"].iter().fold(whole, |path, colon| path.replace(colon, ":")))
}

/// A posted form where nothing can be posted is a `GET` with its fields in the query, and may name another method: as the
/// gateway of Memos has it.
fn of_form(head: &Head, path: &str, form: &[u8]) -> Option<Head> {
    if head.verb != "POST" || head.content_type != "application/x-www-form-urlencoded" {
        return None;
    }
    let verb = match head.method_override.as_str() {
        "" if matches!(find("POST", path), Found::Rpc(_)) => return None,
        "" => "GET".to_owned(),
        named => named.to_ascii_uppercase(),
    };
    let fields = std::str::from_utf8(form).ok()?;
    let query = [head.query.as_str(), fields].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
    Some(Head { verb, query, ..head.clone() })
}

/// All that an answer depends on besides what was asked, with which credentials, and the rows it is made of.
fn stamp(ctx: &Ctx) -> u64 {
    let (info, tenant) = (ctx.info(), ctx.tenant());
    let who = match ctx.actor() {
        Actor::Anonymous => None,
        Actor::Member(me) => Some((me.member.id.0, me.member.role, std::mem::discriminant(&me.via))),
    };
    let mut hasher = DefaultHasher::new();
    (&info.scheme, &info.host, &info.base, &tenant.public_url, tenant.state, who).hash(&mut hasher);
    hasher.finish()
}

fn with_cookies(ctx: &Ctx, mut reply: Reply) -> Reply {
    for cookie in ctx.take_cookies() {
        // Memos' own REST gives the cookie under the prefixed name only; some clients read that one.
        reply = reply.with("Grpc-Metadata-Set-Cookie", cookie.clone());
        if ctx.leaves_cookies() {
            reply = reply.with("Set-Cookie", cookie);
        }
    }
    reply
}

/// Postgres text cannot hold a NUL; it is refused here, once, for every field of every message.
///
/// # Errors
/// 400 when any text has one.
pub(super) fn refuse_nul(value: &Value) -> Result<(), ApiError> {
    let clean = match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => return items.iter().try_for_each(refuse_nul),
        Value::Object(fields) => {
            fields.values().try_for_each(refuse_nul)?;
            !fields.keys().any(|key| key.contains('\0'))
        }
        _ => true,
    };
    if clean { Ok(()) } else { Err(ApiError::invalid("text must not contain NUL (U+0000)")) }
}
