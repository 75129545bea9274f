//! The old routes. What each becomes is written beside it.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::super::Ctx;
use super::super::door::Head;
use super::super::rest::segment;
use super::forward::{Asked, forward, object, pairs, query_of};
use super::{old_view, sign_in};
use crate::error::ApiError;

/// What an old route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Old<'p> {
    SignIn,
    SignOut,
    Status { bare: bool },
    Profile,
    GetWorkspaceSetting(&'p str),
    SetWorkspaceSetting(&'p str),
    MemosOf(&'p str),
    MemoByUid(&'p str),
    TagsOf(&'p str),
    ListResources,
    CreateResource,
    Resource(&'static str, &'p str),
    MemoResources(&'static str, &'p str),
    ListTokens(&'p str),
    CreateToken(&'p str),
    DeleteToken(&'p str, &'p str),
    GetSetting(&'p str),
    SetSetting(&'p str),
    StatsOf(&'p str),
    AllStats,
    UserByName,
    Shared(&'p str),
    Providers(&'static str, &'p str),
    DeleteReaction(&'p str),
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The old route of a method and a path, as it was sent: its parts go into the paths of today as they are.
fn route<'p>(verb: &str, path: &'p str) -> Option<Old<'p>> {
    let parts: Vec<&str> = path.strip_prefix("/api/v1/")?.split('/').collect();
    Some(match (verb, parts.as_slice()) {
        ("POST", ["auth", "sessions"]) => Old::SignIn,
        ("DELETE", ["auth", "sessions", "current"]) => Old::SignOut,
        ("POST", ["auth", "status"]) => Old::Status { bare: true },
        ("GET", ["auth", "sessions", "current"]) => Old::Status { bare: false },
        ("GET", ["workspace", "profile"]) => Old::Profile,
        ("GET", ["workspace", "settings", key]) => Old::GetWorkspaceSetting(key),
        ("PATCH", ["workspace", "settings", key]) => Old::SetWorkspaceSetting(key),
        ("GET", ["users", user, "memos"]) => Old::MemosOf(user),
        ("GET", ["memos", memo, "tags"]) => Old::TagsOf(memo),
        ("GET", ["resources"]) => Old::ListResources,
        ("POST", ["resources"]) => Old::CreateResource,
        ("GET", ["resources" | "resources:by-uid", uid]) => Old::Resource("GET", uid),
        ("PATCH", ["resources", uid]) => Old::Resource("PATCH", uid),
        ("DELETE", ["resources", uid]) => Old::Resource("DELETE", uid),
        ("GET", ["memos", uid, "resources"]) => Old::MemoResources("GET", uid),
        ("PATCH" | "POST", ["memos", uid, "resources"]) => Old::MemoResources("PATCH", uid),
        ("GET", ["users", user, "access_tokens" | "accessTokens"]) => Old::ListTokens(user),
        ("POST", ["users", user, "access_tokens" | "accessTokens"]) => Old::CreateToken(user),
        ("DELETE", ["users", user, "access_tokens" | "accessTokens", id]) => Old::DeleteToken(user, id),
        ("GET", ["users", user, "setting"]) => Old::GetSetting(user),
        ("PATCH", ["users", user, "setting"]) => Old::SetSetting(user),
        // Names were numbers in those releases; with a name, the path belongs to nobody.
        ("GET", ["users", user, "stats"]) if is_number(user) => Old::StatsOf(user),
        ("GET" | "POST", ["users", "-", "stats"]) => Old::AllStats,
        ("GET", ["shares", token]) => Old::Shared(token),
        ("GET", ["identityProviders"]) => Old::Providers("GET", ""),
        ("GET", ["identityProviders", uid]) => Old::Providers("GET", uid),
        ("DELETE", ["reactions", id]) if is_number(id) => Old::DeleteReaction(id),
        ("GET", ["memos:by-uid", uid]) => Old::MemoByUid(uid),
        ("GET", ["users:username"]) => Old::UserByName,
        ("GET", ["users", last]) => Old::GetSetting(last.strip_suffix(":getSetting")?),
        ("PATCH", ["users", last]) => Old::SetSetting(last.strip_suffix(":updateSetting")?),
        _ => return None,
    })
}

/// Whether an old route answers this. A session of today's kind on `auth/status` is no old client.
pub(in super::super) fn knows(ctx: &Ctx, verb: &str, path: &str) -> bool {
    match route(verb, path) {
        Some(Old::Status { bare: true }) => ctx.info().credentials.old.is_some() || !sign_in::is_of_today(ctx),
        found => found.is_some(),
    }
}

/// Answers on an old route.
pub(in super::super) async fn answer(ctx: &Ctx, head: &Head, path: &str, body: &Bytes) -> Result<Vec<u8>, ApiError> {
    ctx.speak_old();
    let old = route(&head.verb, path).ok_or_else(|| ApiError::not_found("Not Found"))?;
    let answer = match old {
        Old::SignIn => sign_in::sign_in(ctx, head, body).await?,
        Old::SignOut => {
            let answer = forward(ctx, Asked::of("POST", "/api/v1/auth/signout", &Value::Null)).await?;
            sign_in::forget_old_cookie(ctx);
            answer
        }
        Old::Status { bare } => sign_in::status(ctx, bare).await?,
        Old::Profile
        | Old::GetWorkspaceSetting(_)
        | Old::SetWorkspaceSetting(_)
        | Old::Providers(..)
        | Old::Shared(_)
        | Old::UserByName => place(ctx, head, body, old).await?,
        Old::MemosOf(_) | Old::MemoByUid(_) | Old::StatsOf(_) | Old::AllStats | Old::DeleteReaction(_) => {
            notes(ctx, head, old).await?
        }
        Old::TagsOf(memo) => tags(ctx, memo).await?,
        Old::ListResources | Old::CreateResource | Old::Resource(..) | Old::MemoResources(..) => {
            files(ctx, head, body, old).await?
        }
        _ => person(ctx, body, old).await?,
    };
    serde_json::to_vec(&answer).map_err(ApiError::internal)
}

async fn place(ctx: &Ctx, head: &Head, body: &Bytes, old: Old<'_>) -> Result<Value, ApiError> {
    match old {
        Old::Profile => {
            let mut profile = forward(ctx, Asked::get("/api/v1/instance/profile")).await?;
            old_view::profile(&mut profile);
            Ok(profile)
        }
        Old::GetWorkspaceSetting(key) => {
            let mut setting = forward(ctx, Asked::get(format!("/api/v1/instance/settings/{key}"))).await?;
            old_view::workspace_setting(&mut setting);
            Ok(setting)
        }
        Old::SetWorkspaceSetting(key) => {
            let path = format!("/api/v1/instance/settings/{key}");
            let mut setting = forward(ctx, Asked::of("PATCH", path, &Value::Object(object(body)?))).await?;
            old_view::workspace_setting(&mut setting);
            Ok(setting)
        }
        Old::Shared(token) => forward(ctx, Asked::get(format!("/api/v1/shares/{token}/memo"))).await,
        Old::Providers(_, "") => forward(ctx, Asked::get("/api/v1/identity-providers")).await,
        Old::Providers(_, uid) => forward(ctx, Asked::get(format!("/api/v1/identity-providers/{uid}"))).await,
        _ => {
            let name = pairs(&head.query).into_iter().find(|(key, _)| key == "username").map(|(_, value)| value);
            let name = name.ok_or_else(|| ApiError::invalid("username is required"))?;
            let mut user = forward(ctx, Asked::get(format!("/api/v1/users/{}", segment(&name)))).await?;
            old_view::user(&mut user, None);
            Ok(user)
        }
    }
}

async fn notes(ctx: &Ctx, head: &Head, old: Old<'_>) -> Result<Value, ApiError> {
    match old {
        Old::MemosOf(user) => {
            let mut query = pairs(&head.query);
            if user != "-" {
                let user = percent_decode_str(user).decode_utf8_lossy();
                query.push(("parent".to_owned(), format!("users/{user}")));
            }
            let bytes = Bytes::new();
            let asked = Asked::get("/api/v1/memos");
            let wire::table::Found::Rpc(found) = wire::table::find("GET", "/api/v1/memos") else {
                return Err(ApiError::not_found("Not Found"));
            };
            let whole = query_of(&query);
            let (query, _) = super::present(ctx, &found, &whole, bytes)?;
            let mut list = forward(ctx, asked.with_query(&query)).await?;
            old_view::memos(&mut list);
            Ok(list)
        }
        Old::MemoByUid(uid) => {
            let mut memo = forward(ctx, Asked::get(format!("/api/v1/memos/{uid}"))).await?;
            old_view::memo(&mut memo);
            Ok(memo)
        }
        Old::StatsOf(user) => {
            let mut stats = forward(ctx, Asked::get(format!("/api/v1/users/{user}:getStats"))).await?;
            old_view::stats(&mut stats);
            Ok(stats)
        }
        Old::DeleteReaction(id) => {
            forward(ctx, Asked::of("DELETE", format!("/api/v1/memos/-/reactions/{id}"), &Value::Null)).await
        }
        _ => {
            let mut list = forward(ctx, Asked::get("/api/v1/users:stats").with_query(&head.query)).await?;
            if let Some(Value::Array(found)) = list.get_mut("stats") {
                found.iter_mut().for_each(old_view::stats);
            }
            let found = list.get("stats").cloned().unwrap_or_default();
            Ok(json!({"stats": found, "userStats": found}))
        }
    }
}

/// How many notes of one's own have each tag; of one note, its tags.
async fn tags(ctx: &Ctx, memo: &str) -> Result<Value, ApiError> {
    let amounts = if memo == "-" {
        let me = forward(ctx, Asked::get("/api/v1/auth/me")).await?;
        let name = me.pointer("/user/username").and_then(Value::as_str).unwrap_or_default();
        let mut stats = forward(ctx, Asked::get(format!("/api/v1/users/{}:getStats", segment(name)))).await?;
        stats.get_mut("tagCount").map_or_else(|| json!({}), Value::take)
    } else {
        let note = forward(ctx, Asked::get(format!("/api/v1/memos/{memo}"))).await?;
        let tags = note.get("tags").and_then(Value::as_array).into_iter().flatten();
        tags.filter_map(|tag| Some((tag.as_str()?.to_owned(), json!(1)))).collect()
    };
    Ok(json!({"tagAmounts": amounts}))
}

async fn files(ctx: &Ctx, head: &Head, body: &Bytes, old: Old<'_>) -> Result<Value, ApiError> {
    let mut answer = match old {
        Old::MemoResources("GET", uid) => forward(ctx, Asked::get(format!("/api/v1/memos/{uid}/attachments"))).await?,
        Old::MemoResources(_, uid) => {
            let mut fields = object(body)?;
            let list = fields.remove("resources").unwrap_or_else(|| json!([]));
            let renamed = |file: &Value| {
                let name = file.get("name").and_then(Value::as_str).unwrap_or_default();
                json!({"name": format!("attachments/{}", name.rsplit('/').next().unwrap_or_default())})
            };
            let list: Vec<Value> = list.as_array().into_iter().flatten().map(renamed).collect();
            let path = format!("/api/v1/memos/{uid}/attachments");
            return forward(ctx, Asked::of("PATCH", path, &json!({"attachments": list}))).await;
        }
        Old::CreateResource => {
            let mut fields = object(body)?;
            if let Some(Value::Object(inner)) = fields.remove("resource") {
                fields = inner;
            }
            fields.remove("name");
            forward(ctx, Asked::of("POST", "/api/v1/attachments", &Value::Object(fields))).await?
        }
        Old::Resource(verb, uid) => {
            let path = format!("/api/v1/attachments/{uid}");
            let body = if verb == "PATCH" { Value::Object(object(body)?) } else { Value::Null };
            forward(ctx, Asked::of(verb, path, &body).with_query(&head.query)).await?
        }
        _ => forward(ctx, Asked::get("/api/v1/attachments").with_query(&head.query)).await?,
    };
    if answer.get("attachments").is_some() {
        old_view::resources(&mut answer);
    } else if answer.get("name").is_some() {
        old_view::resource(&mut answer);
    }
    Ok(answer)
}

async fn person(ctx: &Ctx, body: &Bytes, old: Old<'_>) -> Result<Value, ApiError> {
    match old {
        Old::ListTokens(user) => {
            let list = forward(ctx, Asked::get(format!("/api/v1/users/{user}/personalAccessTokens"))).await?;
            let tokens = list.get("personalAccessTokens").and_then(Value::as_array).into_iter().flatten();
            let tokens: Vec<Value> = tokens.map(|token| old_view::access_token(token, "")).collect();
            Ok(json!({"accessTokens": tokens, "nextPageToken": ""}))
        }
        Old::CreateToken(user) => {
            let fields = object(body)?;
            let inner = fields.get("accessToken").or_else(|| fields.get("access_token")).and_then(Value::as_object);
            let fields = inner.unwrap_or(&fields);
            let description = fields.get("description").cloned().unwrap_or_else(|| json!(""));
            let days = days_until(ctx, fields.get("expiresAt").or_else(|| fields.get("expires_at")));
            let path = format!("/api/v1/users/{user}/personalAccessTokens");
            let asked = Asked::of("POST", path, &json!({"description": description, "expiresInDays": days}));
            let made = forward(ctx, asked).await?;
            let secret = made.get("token").and_then(Value::as_str).unwrap_or_default();
            Ok(old_view::access_token(made.get("personalAccessToken").unwrap_or(&Value::Null), secret))
        }
        Old::DeleteToken(user, id) => {
            let path = format!("/api/v1/users/{user}/personalAccessTokens/{id}");
            forward(ctx, Asked::of("DELETE", path, &Value::Null)).await
        }
        Old::SetSetting(user) => {
            let mut fields = object(body)?;
            if let Some(Value::Object(inner)) = fields.remove("setting") {
                fields = inner;
            }
            let mut general = serde_json::Map::new();
            for (old, new) in [("locale", "locale"), ("memoVisibility", "memoVisibility"), ("appearance", "theme")] {
                if let Some(value) = fields.get(old).filter(|value| value.is_string()) {
                    general.insert(new.to_owned(), value.clone());
                }
            }
            let mask: Vec<String> = general.keys().map(|key| wire::mask::to_snake(key)).collect();
            let path = format!("/api/v1/users/{user}/settings/GENERAL");
            let asked = Asked::of("PATCH", path, &json!({"generalSetting": general}));
            let setting = forward(ctx, asked.with_query(&format!("updateMask={}", mask.join(",")))).await?;
            Ok(old_view::user_setting(&setting))
        }
        Old::GetSetting(user) => {
            let setting = forward(ctx, Asked::get(format!("/api/v1/users/{user}/settings/GENERAL"))).await?;
            Ok(old_view::user_setting(&setting))
        }
        _ => Err(ApiError::not_found("Not Found")),
    }
}

/// Whole days from now to a moment, at least one; 0, which means never, when there is none.
fn days_until(ctx: &Ctx, moment: Option<&Value>) -> i64 {
    let moment = moment.and_then(Value::as_str).and_then(|text| wire::Timestamp::parse(text).ok());
    moment.map_or(0, |moment| ((moment.seconds - ctx.seconds() + 86_399) / 86_400).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_routes_are_known_and_todays_are_not() {
        assert_eq!(route("GET", "/api/v1/users/7/memos"), Some(Old::MemosOf("7")));
        assert_eq!(route("GET", "/api/v1/users/7:getSetting"), Some(Old::GetSetting("7")));
        assert_eq!(route("GET", "/api/v1/users/7/stats"), Some(Old::StatsOf("7")));
        assert_eq!(route("DELETE", "/api/v1/reactions/4"), Some(Old::DeleteReaction("4")));
        for (verb, path) in [
            ("GET", "/api/v1/users/maria/stats"),
            ("GET", "/api/v1/users/maria"),
            ("GET", "/api/v1/status"),
            ("POST", "/api/v1/memos"),
            ("GET", "/api/v1/memo"),
        ] {
            assert_eq!(route(verb, path), None, "{verb} {path}");
        }
    }
}
