//! `user_setting` → `member_setting` and `access_token`. No release of Memos converted its renamed keys: the newest
//! spelling that has a value wins.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::map::settings::renamed;
use crate::map::tokens::{TokenRow, personal_tokens, signed_tokens};
use crate::map::views::translated;
use crate::reader::rows::parse_json;

/// A webhook of the table that existed from 0.18 to 0.24.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldWebhook {
    pub id: String,
    pub title: String,
    pub url: String,
}

/// A view of the table `shortcut`, which existed up to 0.15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldView {
    pub id: String,
    pub title: String,
    /// As a filter of today.
    pub filter: String,
}

/// What older releases kept in tables of their own and newer ones in settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldRows {
    /// 0.18 to 0.24.
    pub webhooks: Vec<OldWebhook>,
    /// Up to 0.15.
    pub views: Vec<OldView>,
    /// 0.9 to 0.21.
    pub tags: Vec<String>,
}

/// What came of one member's settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberSettings {
    /// Key → value, as written.
    pub kept: BTreeMap<String, Json>,
    /// Tokens.
    pub tokens: Vec<TokenRow>,
    /// What has no place: key → original.
    pub aside: BTreeMap<String, Json>,
    /// Keys that no known release writes.
    pub unknown: Vec<String>,
    /// Keys whose value should be JSON and is not.
    pub broken: Vec<String>,
    /// Titles of views whose filter is not understood.
    pub unparsed: Vec<String>,
}

/// Sign-ins of the old server: not carried over, members sign in anew.
const SIGN_INS: [&str; 2] = ["REFRESH_TOKENS", "SESSIONS"];
/// Known, but without a place in a tenant: kept aside.
const ASIDE: [&str; 7] = [
    "APPEARANCE",
    "USER_SETTING_APPEARANCE",
    "appearance",
    "TELEGRAM_USER_ID",
    "USER_SETTING_TELEGRAM_USER_ID",
    "telegram-user-id",
    "telegramUserId",
];
const LOCALE: [&str; 3] = ["LOCALE", "USER_SETTING_LOCALE", "locale"];
const VISIBILITY: [&str; 4] = ["MEMO_VISIBILITY", "USER_SETTING_MEMO_VISIBILITY", "memo-visibility", "memoVisibility"];

/// Maps the settings of one member. `tags` are the instance's tags where the release had only those (0.27 to 0.29).
pub fn map_member_settings(
    member: i64,
    rows: &BTreeMap<String, String>,
    old: &OldRows,
    tags: Option<&Json>,
) -> MemberSettings {
    let mut out = MemberSettings::default();
    for (key, raw) in rows {
        take(member, key, raw, &mut out);
    }
    preferences(rows, &mut out);
    if !old.webhooks.is_empty() {
        add_webhooks(&old.webhooks, &mut out);
    }
    if let Some(tags) = tags {
        out.kept.entry("TAGS".to_owned()).or_insert_with(|| tags.clone());
    }
    add_views(&old.views, &mut out);
    add_tags(&old.tags, &mut out);
    out
}

fn take(member: i64, key: &str, raw: &str, out: &mut MemberSettings) {
    if raw.is_empty() || SIGN_INS.contains(&key) || LOCALE.contains(&key) || VISIBILITY.contains(&key) {
        return;
    }
    if ASIDE.contains(&key) {
        out.aside.insert(key.to_owned(), Json::String(raw.to_owned()));
        return;
    }
    let known = matches!(
        key,
        "GENERAL"
            | "TAGS"
            | "WEBHOOKS"
            | "SHORTCUTS"
            | "MEMO_VIEWS"
            | "PERSONAL_ACCESS_TOKENS"
            | "ACCESS_TOKENS"
            | "USER_SETTING_ACCESS_TOKENS"
    );
    let Some(json) = parse_json(raw).filter(|json| known && json.is_object()) else {
        if known {
            out.broken.push(key.to_owned());
        } else {
            out.unknown.push(key.to_owned());
        }
        out.aside.insert(key.to_owned(), Json::String(raw.to_owned()));
        return;
    };
    match key {
        "GENERAL" => general(json, out),
        "MEMO_VIEWS" | "SHORTCUTS" => {
            let list = json.as_object().and_then(|o| o.values().find(|v| v.is_array())).cloned();
            let list = list.unwrap_or_else(|| json!([]));
            let mut list = list;
            let mut changed = false;
            for view in list.as_array_mut().into_iter().flatten() {
                let text = |key: &str| view.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
                let filter = text("filter");
                match translated(&filter) {
                    None => out.unparsed.push(format!("{key} {}", text("title"))),
                    Some(same) if same == filter => {}
                    Some(today) => {
                        changed = true;
                        view["filter"] = today.into();
                    }
                }
            }
            if changed {
                out.aside.insert(key.to_owned(), Json::String(raw.to_owned()));
            }
            out.kept.insert("SHORTCUTS".to_owned(), json!({ "shortcuts": list }));
        }
        "PERSONAL_ACCESS_TOKENS" => out.tokens.extend(personal_tokens(member, &json)),
        "ACCESS_TOKENS" | "USER_SETTING_ACCESS_TOKENS" => out.tokens.extend(signed_tokens(member, &json)),
        _ => drop(out.kept.insert(key.to_owned(), json)),
    }
}

fn general(json: Json, out: &mut MemberSettings) {
    let Json::Object(fields) = json else { return };
    let (kept, rest): (Map<_, _>, Map<_, _>) =
        renamed(fields).into_iter().partition(|(key, _)| ["locale", "memoVisibility", "theme"].contains(&key.as_str()));
    out.kept.insert("GENERAL".to_owned(), Json::Object(kept));
    if !rest.is_empty() {
        out.aside.insert("GENERAL".to_owned(), Json::Object(rest));
    }
}

fn preferences(rows: &BTreeMap<String, String>, out: &mut MemberSettings) {
    let value = |names: &[&str]| {
        let raw = names.iter().find_map(|name| rows.get(*name).filter(|raw| !raw.is_empty()))?;
        let text = parse_json(raw).and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_else(|| raw.clone());
        (!text.is_empty()).then_some(text)
    };
    for (field, found) in [("locale", value(&LOCALE)), ("memoVisibility", value(&VISIBILITY))] {
        let Some(text) = found else { continue };
        let entry = out.kept.entry("GENERAL".to_owned()).or_insert_with(|| json!({}));
        if let Json::Object(fields) = entry {
            fields.entry(field).or_insert(Json::String(text));
        }
    }
}

fn add_webhooks(webhooks: &[OldWebhook], out: &mut MemberSettings) {
    let entry = out.kept.entry("WEBHOOKS".to_owned()).or_insert_with(|| json!({ "webhooks": [] }));
    let Some(fields) = entry.as_object_mut() else { return };
    let list = fields.entry("webhooks").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    for hook in webhooks {
        let there = list.iter().any(|item| item.get("url").and_then(Json::as_str) == Some(hook.url.as_str()));
        if !there {
            list.push(json!({ "id": hook.id, "title": hook.title, "url": hook.url }));
        }
    }
}

fn add_views(views: &[OldView], out: &mut MemberSettings) {
    if views.is_empty() {
        return;
    }
    let entry = out.kept.entry("SHORTCUTS".to_owned()).or_insert_with(|| json!({ "shortcuts": [] }));
    if let Some(list) = entry.get_mut("shortcuts").and_then(Json::as_array_mut) {
        list.extend(views.iter().map(|view| json!({"id": view.id, "title": view.title, "filter": view.filter})));
    }
}

/// A registered tag is a tag setting without colour; its name is a pattern there, so it is taken literally.
fn add_tags(tags: &[String], out: &mut MemberSettings) {
    if tags.is_empty() {
        return;
    }
    let entry = out.kept.entry("TAGS".to_owned()).or_insert_with(|| json!({ "tags": {} }));
    if let Some(known) = entry.get_mut("tags").and_then(Json::as_object_mut) {
        for tag in tags {
            known.entry(literal(tag)).or_insert_with(|| json!({}));
        }
    }
}

fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_newest_spelling_wins() {
        let out = map_member_settings(
            2,
            &rows(&[
                ("GENERAL", r#"{"locale":"fr"}"#),
                ("LOCALE", "de"),
                ("USER_SETTING_MEMO_VISIBILITY", "PUBLIC"),
                ("memo-visibility", "\"PROTECTED\""),
                ("APPEARANCE", "dark"),
                ("REFRESH_TOKENS", "{}"),
                ("FORK", "x"),
            ]),
            &OldRows::default(),
            Some(&json!({"tags": {}})),
        );
        assert_eq!(out.kept["GENERAL"], json!({"locale": "fr", "memoVisibility": "PUBLIC"}));
        assert_eq!(out.kept["TAGS"], json!({"tags": {}}));
        assert_eq!(out.aside.keys().collect::<Vec<_>>(), ["APPEARANCE", "FORK"]);
        assert_eq!(out.unknown, ["FORK"]);
        let old = map_member_settings(2, &rows(&[("memo-visibility", "\"PROTECTED\"")]), &OldRows::default(), None);
        assert_eq!(old.kept["GENERAL"], json!({"memoVisibility": "PROTECTED"}));
    }

    #[test]
    fn old_webhooks_and_views_find_a_place() {
        let hook = OldWebhook { id: "h".into(), title: "t".into(), url: "https://x".into() };
        let views = r#"{"memoViews":[{"id":"1","title":"a","filter":"pinned"}]}"#;
        let view = OldView { id: "v".into(), title: "Old".into(), filter: "pinned".into() };
        let old = OldRows { webhooks: vec![hook], views: vec![view], tags: vec!["c++".into()] };
        let out = map_member_settings(2, &rows(&[("MEMO_VIEWS", views)]), &old, None);
        assert_eq!(out.kept["SHORTCUTS"]["shortcuts"][0]["id"], "1");
        assert_eq!(out.kept["SHORTCUTS"]["shortcuts"][1]["title"], "Old");
        assert_eq!(out.kept["TAGS"], json!({"tags": {r"c\+\+": {}}}));
        assert!(out.unparsed.is_empty(), "{:?}", out.unparsed);
        assert_eq!(out.kept["WEBHOOKS"]["webhooks"][0]["url"], "https://x");
    }
}
