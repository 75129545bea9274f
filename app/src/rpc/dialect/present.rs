//! Old keys and values on today's routes, made those of today where the request itself shows that it is old.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use wire::table::Match;

use super::super::Ctx;
use super::forward::{pairs, query_of};

/// Query and body as today's message wants them.
pub(in super::super) fn present<'q>(ctx: &Ctx, found: &Match, query: &'q str, body: Bytes) -> (Cow<'q, str>, Bytes) {
    if found.rpc.service != "MemoService" {
        return (Cow::Borrowed(query), body);
    }
    match found.rpc.method {
        "ListMemos" if ctx.speaks_old() => (listed(query), body),
        "CreateMemo" | "UpdateMemo" | "CreateMemoComment" | "SetMemoAttachments" => {
            let query = if ctx.speaks_old() { masked(query) } else { Cow::Borrowed(query) };
            let old = mentions(&body, b"\"resources\"") || ctx.speaks_old() && mentions(&body, b"\"displayTime\"");
            let body = if old { written(&body, ctx.speaks_old()).unwrap_or(body) } else { body };
            (query, body)
        }
        _ => (Cow::Borrowed(query), body),
    }
}

fn mentions(body: &[u8], key: &[u8]) -> bool {
    body.len() < 1024 * 1024 && body.windows(key.len()).any(|part| part == key)
}

/// `parent=users/x`, `oldFilter`, `sort` and `direction` of 0.22 to 0.25.
fn listed(query: &str) -> Cow<'_, str> {
    let old = ["parent=", "oldFilter=", "old_filter=", "sort=", "direction=", "display_time", "rowStatus="];
    if !old.iter().any(|key| query.contains(key)) {
        return Cow::Borrowed(query);
    }
    let (mut kept, mut conditions) = (Vec::new(), Vec::new());
    for (key, value) in pairs(query) {
        match key.as_str() {
            "parent" => {
                if value.starts_with("users/") && value != "users/-" && !value.contains(['"', '\\']) {
                    conditions.push(format!("creator == \"{value}\""));
                }
            }
            "filter" | "oldFilter" | "old_filter" if !value.trim().is_empty() => conditions.push(value),
            "orderBy" | "order_by" => kept.push((key, value.replace("display_time", "create_time"))),
            "rowStatus" | "row_status" => {
                let state = if value == "ARCHIVED" { "ARCHIVED" } else { "NORMAL" };
                kept.push(("state".to_owned(), state.to_owned()));
            }
            "sort" | "direction" => {}
            _ => kept.push((key, value)),
        }
    }
    if !conditions.is_empty() {
        let whole = match conditions.len() {
            1 => conditions.concat(),
            _ => conditions.iter().map(|one| joined(one)).collect::<Vec<_>>().join(" && "),
        };
        kept.push(("filter".to_owned(), whole));
    }
    Cow::Owned(query_of(&kept))
}

/// A part of a conjunction; one that has an `||` needs parentheses, and only such a one may have them: wishes of old
/// filters stand at the top.
fn joined(part: &str) -> String {
    if part.contains("||") { format!("({part})") } else { part.to_owned() }
}

/// Masks in camelCase.
fn masked(query: &str) -> Cow<'_, str> {
    if !query.contains("pdate") || !query.contains("ask=") {
        return Cow::Borrowed(query);
    }
    let renamed = |(key, value): (String, String)| match key.as_str() {
        "updateMask" | "update_mask" => {
            let paths: Vec<String> = value.split(',').map(|path| path_of_today(path.trim())).collect();
            (key, paths.join(","))
        }
        _ => (key, value),
    };
    let all: Vec<(String, String)> = pairs(query).into_iter().map(renamed).collect();
    Cow::Owned(query_of(&all))
}

fn path_of_today(path: &str) -> String {
    match wire::mask::to_snake(path).as_str() {
        "display_time" => "create_time".to_owned(),
        "row_status" => "state".to_owned(),
        "resources" => "attachments".to_owned(),
        other => other.to_owned(),
    }
}

/// A note's body with today's keys.
fn written(body: &[u8], speaks_old: bool) -> Option<Bytes> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(body) else { return None };
    today(&mut fields, speaks_old);
    if let Some(Value::Object(inner)) = fields.get_mut("memo") {
        today(inner, speaks_old);
    }
    serde_json::to_vec(&fields).ok().map(Bytes::from)
}

fn today(fields: &mut Map<String, Value>, speaks_old: bool) {
    if let Some(files) = fields.remove("resources")
        && !fields.contains_key("attachments")
        && let Value::Array(files) = files
    {
        let named = |file: Value| {
            let name = file.get("name").and_then(Value::as_str).unwrap_or_default();
            let uid = name.rsplit('/').next().unwrap_or_default();
            json!({"name": format!("attachments/{uid}")})
        };
        fields.insert("attachments".to_owned(), files.into_iter().map(named).collect());
    }
    if speaks_old
        && let Some(time) = fields.remove("displayTime")
        && !fields.contains_key("createTime")
    {
        fields.insert("createTime".to_owned(), time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lists_become_filters() {
        let shown = |query: &str| pairs(&listed(query));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(listed("pageSize=3"), "pageSize=3");
        assert_eq!(
            shown("parent=users/1&pageSize=3&sort=x&filter=pinned"),
            [pair("pageSize", "3"), pair("filter", "creator == \"users/1\" && pinned")]
        );
        assert_eq!(
            shown("parent=users/a&oldFilter=row_status == 'ARCHIVED'"),
            [pair("filter", "creator == \"users/a\" && row_status == 'ARCHIVED'")]
        );
        assert_eq!(shown("orderBy=display_time desc"), [pair("orderBy", "create_time desc")]);
    }

    #[test]
    fn old_keys_of_notes_are_renamed() {
        let body = br#"{"content":"x","resources":[{"name":"resources/f"}],"displayTime":"2020-01-01T00:00:00Z"}"#;
        let read = |old| serde_json::from_slice::<Value>(&written(body, old).expect("an object")).expect("JSON");
        assert_eq!(read(false)["attachments"], json!([{"name": "attachments/f"}]));
        assert_eq!(read(true)["createTime"], "2020-01-01T00:00:00Z");
        assert_eq!(
            masked("updateMask=createTime,displayTime,resources"),
            "updateMask=create_time%2Ccreate_time%2Cattachments"
        );
    }
}
