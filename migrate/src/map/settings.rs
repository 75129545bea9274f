//! `system_setting` → `setting`: the keys of 0.30, gathered from the names of every release.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::reader::rows::parse_json;

/// Fields that each key of 0.30 has; `BASIC` keeps everything.
const FIELDS: [(&str, &[&str]); 6] = [
    (
        "GENERAL",
        &[
            "disallowUserRegistration",
            "disallowPasswordAuth",
            "additionalScript",
            "additionalStyle",
            "customProfile",
            "weekStartDayOffset",
            "disallowChangeUsername",
            "disallowChangeNickname",
        ],
    ),
    ("MEMO_RELATED", &["contentLengthLimit", "enableDoubleClickEdit", "reactions"]),
    ("STORAGE", &["storageType", "filepathTemplate", "uploadSizeLimitMb", "s3Config"]),
    ("TAGS", &["tags"]),
    ("NOTIFICATION", &["email"]),
    ("AI", &["providers", "transcription"]),
];

/// Names of older releases that are understood below or kept aside without a warning.
const OLD_NAMES: [&str; 24] = [
    "server-id",
    "secret-session",
    "allow-signup",
    "disable-password-login",
    "disable-public-memos",
    "max-upload-size-mib",
    "additional-style",
    "additional-script",
    "customized-profile",
    "storage-service-id",
    "local-storage-path",
    "telegram-bot-token",
    "memo-display-with-updated-ts",
    "auto-backup-interval",
    "instance-url",
    "openai-config",
    "BACKUP_CONFIG",
    "WORKSPACE_SETTING_GENERAL",
    "WORKSPACE_SETTING_KEY_UNSPECIFIED",
    "ACCESS",
    "allowSignUp",
    "customizedProfile",
    "additionalStyle",
    "additionalScript",
];

/// What came of the settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Key → value, as written.
    pub kept: BTreeMap<String, Json>,
    /// What has no place in a key of 0.30: name → original.
    pub aside: BTreeMap<String, Json>,
    /// Names that no known release writes.
    pub unknown: Vec<String>,
    /// Names whose value should be JSON and is not.
    pub broken: Vec<String>,
}

/// Maps every setting. `storages` are the rows of the table `storage` (0.11 to 0.21).
pub fn map_settings(rows: &BTreeMap<String, String>, storages: &[Json]) -> Settings {
    let mut out = Settings::default();
    for (key, fields) in FIELDS {
        if let Some(raw) = rows.get(key) {
            match object(raw) {
                Some(fields_found) => {
                    let (mut kept, rest) = split(renamed(fields_found), fields);
                    if key == "STORAGE" {
                        chosen_storage(&mut kept, &rest);
                    }
                    out.kept.insert(key.to_owned(), Json::Object(kept));
                    if !rest.is_empty() {
                        out.aside.insert(key.to_owned(), Json::Object(rest));
                    }
                }
                None => broken(&mut out, key, raw),
            }
        }
    }
    if let Some(raw) = rows.get("BASIC") {
        match object(raw) {
            Some(basic) => drop(out.kept.insert("BASIC".to_owned(), Json::Object(basic))),
            None => broken(&mut out, "BASIC", raw),
        }
    }
    from_old_names(rows, storages, &mut out);
    for (name, raw) in rows {
        let known = name == "BASIC" || FIELDS.iter().any(|(key, _)| key == name);
        if known || raw.is_empty() {
            continue;
        }
        if !OLD_NAMES.contains(&name.as_str()) {
            out.unknown.push(name.clone());
        }
        out.aside.insert(name.clone(), Json::String(raw.clone()));
    }
    out
}

/// 0.31 has a list of places for files: the default one is the only one of before. The list itself is kept aside.
fn chosen_storage(kept: &mut Map<String, Json>, rest: &Map<String, Json>) {
    let Some(list) = rest.get("storages").and_then(Json::as_array) else { return };
    let chosen = rest.get("defaultStorageId").and_then(Json::as_str).unwrap_or_default();
    let Some(storage) = list.iter().find(|storage| storage["id"] == chosen) else { return };
    let kind = storage["type"].as_str().unwrap_or_default();
    let kind = kind.strip_prefix("STORAGE_TYPE_").unwrap_or(kind);
    if ["DATABASE", "LOCAL", "S3"].contains(&kind) {
        kept.entry("storageType").or_insert_with(|| json!(kind));
    }
    if let Some(config) = storage.get("s3Config").filter(|config| config.is_object()) {
        kept.entry("s3Config").or_insert_with(|| config.clone());
    }
}

fn broken(out: &mut Settings, key: &str, raw: &str) {
    out.broken.push(key.to_owned());
    out.aside.insert(key.to_owned(), Json::String(raw.to_owned()));
}

fn object(raw: &str) -> Option<Map<String, Json>> {
    match parse_json(raw)? {
        Json::Object(fields) => Some(fields),
        _ => None,
    }
}

/// camelCase keys, and today's names for fields that were renamed.
pub(crate) fn renamed(fields: Map<String, Json>) -> Map<String, Json> {
    let today = |key: String| match key.as_str() {
        "disallowSignup" => "disallowUserRegistration".to_owned(),
        "disallowPasswordLogin" => "disallowPasswordAuth".to_owned(),
        _ => key,
    };
    fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (today(camel(&key)), value)).collect()
}

fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut up = false;
    for letter in key.chars() {
        if letter == '_' {
            up = true;
        } else if std::mem::take(&mut up) {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
    }
    out
}

fn split(fields: Map<String, Json>, known: &[&str]) -> (Map<String, Json>, Map<String, Json>) {
    let mut kept = Map::new();
    let mut rest = Map::new();
    for (key, mut value) in fields {
        if !known.contains(&key.as_str()) {
            rest.insert(key, value);
            continue;
        }
        if key == "customProfile"
            && let Json::Object(profile) = value
        {
            let (profile, more) = split(renamed(profile), &["title", "description", "logoUrl"]);
            if !more.is_empty() {
                rest.insert(key.clone(), Json::Object(more));
            }
            value = Json::Object(profile);
        }
        kept.insert(key, value);
    }
    (kept, rest)
}

/// Values up to 0.21 are JSON or bare text.
fn loose(raw: &str) -> Json {
    parse_json(raw).unwrap_or_else(|| Json::String(raw.to_owned()))
}

fn is_true(raw: &str) -> bool {
    matches!(loose(raw), Json::Bool(true)) || raw.trim_matches('"') == "true"
}

fn from_old_names(rows: &BTreeMap<String, String>, storages: &[Json], out: &mut Settings) {
    let get = |names: &[&str]| names.iter().find_map(|name| rows.get(*name)).filter(|raw| !raw.is_empty());
    let mut general = Map::new();
    if let Some(raw) = get(&["WORKSPACE_SETTING_GENERAL"])
        && let Some(fields) = object(raw)
    {
        general.extend(split(renamed(fields), FIELDS[0].1).0);
    }
    if get(&["allow-signup", "allowSignUp"]).is_some_and(|raw| !is_true(raw)) {
        general.insert("disallowUserRegistration".to_owned(), json!(true));
    }
    if get(&["disable-password-login"]).is_some_and(|raw| is_true(raw)) {
        general.insert("disallowPasswordAuth".to_owned(), json!(true));
    }
    for (names, field) in [
        (["additional-style", "additionalStyle"], "additionalStyle"),
        (["additional-script", "additionalScript"], "additionalScript"),
    ] {
        if let Some(Json::String(text)) = get(&names).map(|raw| loose(raw)).filter(|json| json.as_str() != Some("")) {
            general.insert(field.to_owned(), Json::String(text));
        }
    }
    if let Some(Json::Object(profile)) = get(&["customized-profile", "customizedProfile"]).map(|raw| loose(raw)) {
        let text = |key: &str| profile.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let shown = json!({"title": text("name"), "description": text("description"), "logoUrl": text("logoUrl")});
        general.insert("customProfile".to_owned(), shown);
    }
    merge(out, "GENERAL", general);
    merge(out, "STORAGE", old_storage(rows, storages));
    if let Some(raw) = get(&["secret-session"]) {
        let secret = loose(raw).as_str().map_or_else(|| raw.clone(), str::to_owned);
        merge(out, "BASIC", Map::from_iter([("secretKey".to_owned(), Json::String(secret))]));
    }
}

fn old_storage(rows: &BTreeMap<String, String>, storages: &[Json]) -> Map<String, Json> {
    let mut fields = Map::new();
    if let Some(Json::String(path)) =
        rows.get("local-storage-path").map(|raw| loose(raw)).filter(|p| p.as_str() != Some(""))
    {
        fields.insert("filepathTemplate".to_owned(), Json::String(path));
    }
    if let Some(limit) = rows.get("max-upload-size-mib").and_then(|raw| raw.trim_matches('"').parse::<u32>().ok()) {
        fields.insert("uploadSizeLimitMb".to_owned(), Json::String(limit.to_string()));
    }
    let chosen = rows.get("storage-service-id").and_then(|raw| raw.trim_matches('"').parse::<i64>().ok());
    let kind = match chosen {
        Some(-1) => Some("LOCAL"),
        Some(0) => Some("DATABASE"),
        Some(_) => Some("S3"),
        None => None,
    };
    if let Some(kind) = kind {
        fields.insert("storageType".to_owned(), json!(kind));
    }
    let chosen_row = |row: &&Json| chosen.is_none_or(|id| id <= 0 || row.get("id").and_then(Json::as_i64) == Some(id));
    if let Some(row) = storages.iter().find(chosen_row)
        && let Some(config) = row.get("config").and_then(Json::as_str).and_then(object)
    {
        let text = |key: &str| config.get(key).and_then(Json::as_str).unwrap_or_default();
        fields.insert(
            "s3Config".to_owned(),
            json!({
                "accessKeyId": text("accessKey"), "accessKeySecret": text("secretKey"), "endpoint": text("endPoint"),
                "region": text("region"), "bucket": text("bucket"),
            }),
        );
    }
    fields
}

/// Adds fields that today's key does not have yet.
fn merge(out: &mut Settings, key: &str, fields: Map<String, Json>) {
    if fields.is_empty() {
        return;
    }
    let entry = out.kept.entry(key.to_owned()).or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(existing) = entry {
        for (field, value) in fields {
            existing.entry(field).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn todays_keys_pass_through() {
        let out = map_settings(
            &rows(&[
                ("BASIC", r#"{"secretKey":"s","schemaVersion":"0.30.1"}"#),
                ("GENERAL", r#"{"disallow_signup":true,"customProfile":{"title":"T","locale":"de"},"theme":"x"}"#),
                ("FORK", "1"),
                ("AI", "not json"),
            ]),
            &[],
        );
        assert_eq!(out.kept["BASIC"]["secretKey"], "s");
        assert_eq!(out.kept["GENERAL"], json!({"disallowUserRegistration": true, "customProfile": {"title": "T"}}));
        assert_eq!(out.aside["GENERAL"], json!({"customProfile": {"locale": "de"}, "theme": "x"}));
        assert_eq!(out.unknown, ["FORK"]);
        assert_eq!(out.broken, ["AI"]);
    }

    #[test]
    fn the_default_of_several_storages_is_the_one() {
        let storage = r#"{"storages":[{"id":"a","type":"STORAGE_TYPE_LOCAL"},{"id":"b","type":"STORAGE_TYPE_S3","s3Config":{"bucket":"n"}}],"defaultStorageId":"b"}"#;
        let out = map_settings(&rows(&[("STORAGE", storage)]), &[]);
        assert_eq!(out.kept["STORAGE"], json!({"storageType": "S3", "s3Config": {"bucket": "n"}}));
        assert_eq!(out.aside["STORAGE"]["storages"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn loose_settings_of_old_releases_are_gathered() {
        let storage =
            json!({"id": 3, "config": r#"{"endPoint":"https://e","accessKey":"a","secretKey":"b","bucket":"n"}"#});
        let out = map_settings(
            &rows(&[
                ("secret-session", "abc"),
                ("allow-signup", "false"),
                ("additional-style", "\"body{}\""),
                ("customized-profile", r#"{"name":"N","logoUrl":"/l","locale":"de"}"#),
                ("max-upload-size-mib", "64"),
                ("storage-service-id", "3"),
                ("WORKSPACE_SETTING_KEY_UNSPECIFIED", ""),
            ]),
            &[storage],
        );
        assert_eq!(out.kept["BASIC"], json!({"secretKey": "abc"}));
        assert_eq!(out.kept["GENERAL"]["disallowUserRegistration"], true);
        assert_eq!(out.kept["GENERAL"]["additionalStyle"], "body{}");
        assert_eq!(out.kept["GENERAL"]["customProfile"]["title"], "N");
        assert_eq!(out.kept["STORAGE"]["storageType"], "S3");
        assert_eq!(out.kept["STORAGE"]["s3Config"]["endpoint"], "https://e");
        assert!(out.unknown.is_empty());
        assert!(out.aside.contains_key("customized-profile"));
    }
}
