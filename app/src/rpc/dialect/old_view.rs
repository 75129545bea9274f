//! Today's answers with the keys that older clients read.

use serde_json::{Map, Value, json};

use crate::error::ApiError;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn row_status(state: &str) -> &'static str {
    if state == "ARCHIVED" { "ARCHIVED" } else { "ACTIVE" }
}

fn put(value: &mut Value, key: &str, new: Value) {
    if let Value::Object(fields) = value {
        fields.insert(key.to_owned(), new);
    }
}

/// A file as a resource: 0.22 to 0.24.
pub(super) fn resource(file: &mut Value) {
    let uid = last(text(file, "name")).to_owned();
    put(file, "name", json!(format!("resources/{uid}")));
    put(file, "uid", json!(uid));
}

/// A list below `attachments` as `resources`.
pub(super) fn resources(list: &mut Value) {
    let mut files = list.get("attachments").cloned().unwrap_or_else(|| json!([]));
    files.as_array_mut().into_iter().flatten().for_each(resource);
    let count = files.as_array().map_or(0, Vec::len);
    put(list, "resources", files);
    put(list, "totalSize", json!(count));
    if let Value::Object(fields) = list {
        fields.remove("attachments");
    }
}

/// A note with the keys of 0.22 to 0.27.
pub(super) fn memo(memo: &mut Value) {
    let uid = last(text(memo, "name")).to_owned();
    let created = memo.get("createTime").cloned().unwrap_or_default();
    let status = row_status(text(memo, "state"));
    let mut files = memo.get("attachments").cloned().unwrap_or_else(|| json!([]));
    files.as_array_mut().into_iter().flatten().for_each(resource);
    put(memo, "uid", json!(uid));
    put(memo, "displayTime", created);
    put(memo, "rowStatus", json!(status));
    put(memo, "resources", files);
}

/// A list of notes.
pub(super) fn memos(list: &mut Value) {
    if let Some(Value::Array(found)) = list.get_mut("memos") {
        found.iter_mut().for_each(memo);
    }
}

/// The answer to a list that was asked for in words of old.
pub(in super::super) fn old_list(answer: Vec<u8>) -> Result<Vec<u8>, ApiError> {
    let mut list: Value = serde_json::from_slice(&answer).map_err(ApiError::internal)?;
    memos(&mut list);
    serde_json::to_vec(&list).map_err(ApiError::internal)
}

/// A member with the keys of 0.22 to 0.24; `number` is his row, by which those releases name him.
pub(super) fn user(user: &mut Value, number: Option<i64>) {
    let nickname = text(user, "displayName").to_owned();
    let status = row_status(text(user, "state"));
    if let Some(number) = number {
        put(user, "id", json!(number));
        put(user, "name", json!(format!("users/{number}")));
    }
    put(user, "nickname", json!(nickname));
    put(user, "rowStatus", json!(status));
}

/// Counts with the key of 0.23 to 0.27.
pub(super) fn stats(stats: &mut Value) {
    let times = stats.get("memoCreatedTimestamps").cloned().unwrap_or_else(|| json!([]));
    put(stats, "memoDisplayTimestamps", times);
}

/// The profile of 0.22 to 0.25.
pub(super) fn profile(profile: &mut Value) {
    let owner = profile.get("admin").map(|admin| text(admin, "name").to_owned()).unwrap_or_default();
    put(profile, "owner", json!(owner));
    put(profile, "mode", json!("prod"));
}

/// A setting of the tenant under its old name.
pub(super) fn workspace_setting(setting: &mut Value) {
    let key = last(text(setting, "name")).to_owned();
    put(setting, "name", json!(format!("workspace/settings/{key}")));
}

/// A member's general setting, flat: 0.22 to 0.25.0.
pub(super) fn user_setting(setting: &Value) -> Value {
    let general = setting.get("generalSetting").cloned().unwrap_or_default();
    let owner = text(setting, "name").split("/settings/").next().unwrap_or_default().to_owned();
    let theme = text(&general, "theme");
    json!({
        "name": format!("{owner}/setting"),
        "locale": text(&general, "locale"),
        "appearance": if theme.is_empty() { "system" } else { theme },
        "memoVisibility": text(&general, "memoVisibility"),
    })
}

/// A personal token as an access token: 0.22 to 0.25. Its secret is there only when it was just made.
pub(super) fn access_token(token: &Value, secret: &str) -> Value {
    let name = text(token, "name").replace("/personalAccessTokens/", "/accessTokens/");
    let mut out = Map::new();
    out.insert("accessToken".to_owned(), json!(if secret.is_empty() { last(&name) } else { secret }));
    out.insert("name".to_owned(), json!(name));
    out.insert("description".to_owned(), json!(text(token, "description")));
    for (old, new) in [("issuedAt", "createdAt"), ("expiresAt", "expiresAt")] {
        if let Some(time) = token.get(new).filter(|time| time.is_string()) {
            out.insert(old.to_owned(), time.clone());
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_keys_stand_beside_the_new_ones() {
        let mut note = json!({"name": "memos/x", "state": "ARCHIVED", "createTime": "2020-01-01T00:00:00Z",
            "attachments": [{"name": "attachments/f", "size": "3"}]});
        memo(&mut note);
        assert_eq!(note["uid"], "x");
        assert_eq!(note["rowStatus"], "ARCHIVED");
        assert_eq!(note["displayTime"], "2020-01-01T00:00:00Z");
        assert_eq!(note["resources"][0]["name"], "resources/f");
        assert_eq!(note["attachments"][0]["name"], "attachments/f");
        let mut ann = json!({"name": "users/ann", "displayName": "Ann", "state": "NORMAL"});
        user(&mut ann, Some(7));
        assert_eq!((&ann["name"], &ann["nickname"]), (&json!("users/7"), &json!("Ann")));
        let token = json!({"name": "users/a/personalAccessTokens/t", "createdAt": "x", "expiresAt": null});
        assert_eq!(access_token(&token, "s")["accessToken"], "s");
        assert_eq!(access_token(&token, "").get("expiresAt"), None);
    }
}
