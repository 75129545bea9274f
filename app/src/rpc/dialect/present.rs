//! Old keys and values on today's routes, made those of today where the request itself shows that it is old.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use wire::table::Match;

use super::super::{ApiError, Ctx};
use super::forward::{pairs, query_of};
use crate::notes::service::Tongue;

/// Keys of a note in 0.22 to 0.27, in both spellings, and what they are called today.
const OLD_NOTE_KEYS: [(&str, &str); 4] =
    [("displayTime", "createTime"), ("display_time", "createTime"), ("rowStatus", "state"), ("row_status", "state")];

/// Query and body as today's message wants them.
///
/// # Errors
/// 400 when a list is asked for by a parent that can be nobody.
pub(in super::super) fn present<'q>(
    ctx: &Ctx,
    found: &Match,
    query: &'q str,
    body: Bytes,
) -> Result<(Cow<'q, str>, Bytes), ApiError> {
    let old = ctx.speaks_old();
    let (query, body) = match found.rpc.method {
        "CreateMemo" | "UpdateMemo" | "CreateMemoComment" if old => unwrapped(query, body),
        _ => (Cow::Borrowed(query), body),
    };
    let query = match (found.rpc.method, query) {
        ("ListMemos", Cow::Borrowed(query)) if old => listed(query)?,
        (_, Cow::Borrowed(query)) if old => masked(query),
        (_, Cow::Owned(query)) if old => Cow::Owned(masked(&query).into_owned()),
        (_, query) => query,
    };
    let body = match found.rpc.method {
        "CreateMemo" | "UpdateMemo" | "CreateMemoComment" | "SetMemoAttachments" => {
            let of_old = |key: &&str| mentions(&body, format!("\"{key}\"").as_bytes());
            let is_old = of_old(&"resources") || old && OLD_NOTE_KEYS.iter().any(|(key, _)| of_old(key));
            if is_old { rewritten(&body, |fields| note_of_today(fields, old)).unwrap_or(body) } else { body }
        }
        "UpdateUser" | "CreateUser" if old && mentions(&body, b"\"nickname\"") => {
            rewritten(&body, |fields| renamed(fields, "nickname", "displayName")).unwrap_or(body)
        }
        _ => body,
    };
    // Whoever speaks of other versions may name their keys; a session of 0.30 is told, as recorded.
    let body = if old { wire::rest::known_only(found, &body).map_or(body, Bytes::from) } else { body };
    Ok((query, body))
}

/// Whether a list is asked for in words that 0.30.0 does not have: then its answer has the keys that go with them.
pub(in super::super) fn asks_of_old(ctx: &Ctx, found: &Match, query: &str) -> bool {
    const WORDS: [&str; 10] = [
        "uid ==",
        "uid==",
        "visibilities",
        "content_search",
        "tag_search",
        "row_status",
        "order_by_",
        "display_time",
        "now()",
        "include_comments",
    ];
    let by_number = |filter: &str| {
        filter.split("users/").skip(1).any(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with(['"', '\'']))
        })
    };
    found.rpc.method == "ListMemos"
        && ctx.tongue() != Tongue::Today
        && pairs(query).iter().any(|(key, value)| match key.as_str() {
            "filter" => WORDS.iter().any(|word| value.contains(word)) || by_number(value),
            "parent" | "oldFilter" | "old_filter" | "sort" | "direction" | "rowStatus" | "row_status" => {
                ctx.speaks_old() && !value.is_empty()
            }
            "orderBy" | "order_by" => ctx.speaks_old() && value.contains("display"),
            _ => false,
        })
}

fn mentions(body: &[u8], key: &[u8]) -> bool {
    body.len() < 1024 * 1024 && body.windows(key.len()).any(|part| part == key)
}

/// `parent=users/x`, `oldFilter`, `sort`, `direction` and the orders of 0.22 to 0.27.
fn listed(query: &str) -> Result<Cow<'_, str>, ApiError> {
    let old = ["parent=", "oldFilter=", "old_filter=", "sort=", "direction=", "rder", "rowStatus=", "row_status="];
    if !old.iter().any(|key| query.contains(key)) {
        return Ok(Cow::Borrowed(query));
    }
    let (mut kept, mut conditions) = (Vec::new(), Vec::new());
    let (mut sort, mut direction, mut ordered) = (String::new(), String::new(), false);
    for (key, value) in pairs(query) {
        match key.as_str() {
            "parent" => conditions.extend(written_by(&value)?),
            "filter" | "oldFilter" | "old_filter" if !value.trim().is_empty() => conditions.push(value),
            "orderBy" | "order_by" => {
                ordered |= !value.trim().is_empty();
                kept.push((key, order_of_today(&value)));
            }
            "sort" => sort = value,
            "direction" => direction = value,
            "rowStatus" | "row_status" => {
                let state = if value == "ARCHIVED" { "ARCHIVED" } else { "NORMAL" };
                kept.push(("state".to_owned(), state.to_owned()));
            }
            // An empty filter says nothing, and stands in the way of the one that is made here.
            "filter" | "oldFilter" | "old_filter" => {}
            _ => kept.push((key, value)),
        }
    }
    if let Some(order) = sorted(&sort, &direction).filter(|_| !ordered) {
        kept.push(("orderBy".to_owned(), order));
    }
    if !conditions.is_empty() {
        let whole = match conditions.len() {
            1 => conditions.concat(),
            _ => conditions.iter().map(|one| joined(one)).collect::<Vec<_>>().join(" && "),
        };
        kept.push(("filter".to_owned(), whole));
    }
    Ok(Cow::Owned(query_of(&kept)))
}

/// The notes of a `parent` as a condition; none when everybody's are asked for. What is no member's name means no member, and
/// never everybody.
fn written_by(parent: &str) -> Result<Option<String>, ApiError> {
    if parent.is_empty() || parent == "users/-" {
        return Ok(None);
    }
    let name = parent.strip_prefix("users/").filter(|name| !name.is_empty() && !name.contains('/'));
    let name = name.ok_or_else(|| ApiError::invalid(format!("invalid parent: {parent:?} is not users/{{name}}")))?;
    let name: String = name
        .chars()
        .flat_map(|letter| matches!(letter, '"' | '\\').then_some('\\').into_iter().chain([letter]))
        .collect();
    Ok(Some(format!("creator == \"users/{name}\"")))
}

/// `displayTime desc, updateTime` as today's names.
fn order_of_today(order: &str) -> String {
    let one = |part: &str| {
        let (field, direction) = part.trim().split_once(' ').unwrap_or((part.trim(), ""));
        format!("{} {direction}", path_of_today(field)).trim_end().to_owned()
    };
    order.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// `sort` and `direction` of 0.24 as today's order: what is not known there sorted by time, the newest first.
fn sorted(sort: &str, direction: &str) -> Option<String> {
    let field = match path_of_today(sort.trim()).as_str() {
        field @ ("create_time" | "update_time" | "name" | "pinned") => field.to_owned(),
        _ => String::new(),
    };
    let ascending = matches!(direction.trim(), "1") || direction.trim().eq_ignore_ascii_case("asc");
    match (field.as_str(), ascending) {
        ("", false) => None,
        ("", true) => Some("create_time asc".to_owned()),
        // Pinned first, and the others by time.
        ("pinned", true) => Some("pinned,create_time asc".to_owned()),
        (_, true) => Some(format!("{field} asc")),
        (_, false) => Some(format!("{field} desc")),
    }
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
        "nickname" => "display_name".to_owned(),
        other => other.to_owned(),
    }
}

/// A body whose object, and the resource within it, has been given today's keys.
fn rewritten(body: &[u8], today: impl Fn(&mut Map<String, Value>)) -> Option<Bytes> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(body) else { return None };
    today(&mut fields);
    for inner in ["memo", "user"] {
        if let Some(Value::Object(inner)) = fields.get_mut(inner) {
            today(inner);
        }
    }
    serde_json::to_vec(&fields).ok().map(Bytes::from)
}

fn renamed(fields: &mut Map<String, Value>, old: &str, new: &str) {
    if let Some(value) = fields.remove(old)
        && !fields.contains_key(new)
    {
        fields.insert(new.to_owned(), value);
    }
}

fn note_of_today(fields: &mut Map<String, Value>, speaks_old: bool) {
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
    if !speaks_old {
        return;
    }
    for (old, new) in OLD_NOTE_KEYS {
        if let Some(value) = fields.remove(old)
            && !value.is_null()
            && !fields.contains_key(new)
        {
            let value = if value == "ACTIVE" { json!("NORMAL") } else { value };
            fields.insert(new.to_owned(), value);
        }
    }
}

/// A note below `memo` or `comment`, as the messages have it and some scripts write it: Memos 0.30 makes an empty note of
/// that. What is null in it is not said, and a mask beside it belongs into the query.
fn unwrapped(query: &str, body: Bytes) -> (Cow<'_, str>, Bytes) {
    let unchanged = |body| (Cow::Borrowed(query), body);
    if !mentions(&body, b"\"memo\"") && !mentions(&body, b"\"comment\"") {
        return unchanged(body);
    }
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(&body) else { return unchanged(body) };
    if fields.contains_key("content") {
        return unchanged(body);
    }
    let inner = fields.remove("memo").or_else(|| fields.remove("comment"));
    let Some(Value::Object(mut note)) = inner else { return unchanged(body) };
    note.retain(|_, value| !value.is_null());
    let mask = fields.get("updateMask").or_else(|| fields.get("update_mask")).and_then(Value::as_str);
    let query = match mask {
        Some(mask) if !query.contains("pdateMask=") && !query.contains("pdate_mask=") => {
            let mut all = pairs(query);
            all.push(("updateMask".to_owned(), mask.to_owned()));
            Cow::Owned(query_of(&all))
        }
        _ => Cow::Borrowed(query),
    };
    (query, Bytes::from(Value::Object(note).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lists_become_filters() {
        let shown = |query: &str| pairs(&listed(query).unwrap());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(listed("pageSize=3").unwrap(), "pageSize=3");
        assert_eq!(
            shown("parent=users/1&pageSize=3&sort=x&filter=pinned"),
            [pair("pageSize", "3"), pair("filter", "creator == \"users/1\" && pinned")]
        );
        assert_eq!(
            shown("parent=users/a&oldFilter=row_status == 'ARCHIVED'"),
            [pair("filter", "creator == \"users/a\" && row_status == 'ARCHIVED'")]
        );
        assert_eq!(shown("parent=users/1&filter="), [pair("filter", "creator == \"users/1\"")]);
        assert_eq!(shown("orderBy=display_time desc"), [pair("orderBy", "create_time desc")]);
        assert_eq!(shown("orderBy=pinned,displayTime asc"), [pair("orderBy", "pinned,create_time asc")]);
        assert_eq!(shown("order_by=updateTime"), [pair("order_by", "update_time")]);
        assert!(shown("parent=users/-").is_empty() && shown("parent=").is_empty());
        assert_eq!(shown("parent=users/a%22b%5C"), [pair("filter", r#"creator == "users/a\"b\\""#)]);
        for nobody in ["fx", "workspaces/x", "users/", "users/a/b", "users", "-"] {
            let refused = listed(&format!("parent={nobody}")).err().map(|error| error.message().to_owned());
            assert_eq!(refused, Some(format!("invalid parent: {nobody:?} is not users/{{name}}")));
        }
        for (sort, direction, order) in [
            ("create_time", "ASC", "create_time asc"),
            ("display_time", "1", "create_time asc"),
            ("displayTime", "2", "create_time desc"),
            ("update_time", "asc", "update_time asc"),
            ("name", "DIRECTION_UNSPECIFIED", "name desc"),
            ("pinned", "ASC", "pinned,create_time asc"),
            ("", "ASC", "create_time asc"),
            ("bogus", "ASC", "create_time asc"),
        ] {
            assert_eq!(shown(&format!("sort={sort}&direction={direction}")), [pair("orderBy", order)], "{sort}");
        }
        assert!(shown("sort=x&direction=DESC").is_empty());
        assert_eq!(shown("orderBy=name&direction=ASC"), [pair("orderBy", "name")]);
    }

    #[test]
    fn wrapped_notes_are_unwrapped() {
        let read = |query, body: &'static str| {
            let (query, body) = unwrapped(query, Bytes::from_static(body.as_bytes()));
            (query.into_owned(), serde_json::from_slice::<Value>(&body).expect("JSON"))
        };
        let wrapped = r#"{"memo":{"content":"x","pinned":null},"updateMask":"content"}"#;
        assert_eq!(read("a=1", wrapped), ("a=1&updateMask=content".to_owned(), json!({"content": "x"})));
        assert_eq!(read("updateMask=pinned", wrapped).0, "updateMask=pinned");
        let plain = r#"{"content":"x","relations":[{"memo":{"name":"memos/a"}}]}"#;
        assert_eq!(read("", plain).1, serde_json::from_str::<Value>(plain).expect("JSON"));
    }

    #[test]
    fn old_keys_of_notes_are_renamed() {
        let body = br#"{"content":"x","resources":[{"name":"resources/f"}],"displayTime":"2020-01-01T00:00:00Z"}"#;
        let read = |old| {
            let body = rewritten(body, |fields| note_of_today(fields, old)).expect("an object");
            serde_json::from_slice::<Value>(&body).expect("JSON")
        };
        assert_eq!(read(false)["attachments"], json!([{"name": "attachments/f"}]));
        assert_eq!(read(true)["createTime"], "2020-01-01T00:00:00Z");
        assert_eq!(
            masked("updateMask=createTime,displayTime,resources"),
            "updateMask=create_time%2Ccreate_time%2Cattachments"
        );
    }
}
