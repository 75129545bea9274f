//! When an answer is equal to a recorded one.
//!
//! Status, meaningful headers and body are equal, with placeholders bound at their first appearance; an unset message
//! (null in the recording) equals its absence; words of parsers and of SQL are those of Go libraries and may differ.

use std::collections::HashMap;
use std::sync::OnceLock;

use regex::Regex;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::recording::{Exchange, Response};
use crate::support::Answer;

/// Values that the server made, by placeholder.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings(HashMap<String, String>);

/// Headers that must not appear when the recording has none.
const NEVER_MORE: &[&str] = &[
    "Www-Authenticate",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Content-Range",
    "Content-Disposition",
];

/// Parts of error texts that come from Go's libraries.
const PARSERS: &[&str] = &[
    "failed to compile filter",
    "invalid filter expression",
    "proto:",
    "parsing field",
    "invalid character",
    "unexpected EOF",
    "token is malformed",
    "token has invalid",
    "illegal base64",
    "wire-format",
    "could not find field",
    "invalid range",
    "error parsing regexp",
    "malformed payload",
];

fn placeholder() -> &'static Regex {
    static FORM: OnceLock<Regex> = OnceLock::new();
    FORM.get_or_init(|| {
        let kinds = "time|int|jwt|any|network error|web app page|(?:etag|jwt|refresh|memo|attachment|reaction|share|patid|newpat|webhook|shortcut):\\d+";
        Regex::new(&format!("\\{{\\{{({kinds})\\}}\\}}")).unwrap()
    })
}

/// What a placeholder may stand for.
fn form_of(kind: &str) -> &'static str {
    match kind.split(':').next().unwrap_or_default() {
        "time" => {
            r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|\+0000))"
        }
        "int" | "reaction" => r"-?\d+",
        "jwt" | "refresh" => r"[A-Za-z0-9_.\-]+",
        "memo" | "attachment" | "share" | "patid" | "newpat" | "webhook" | "shortcut" => r"[A-Za-z0-9_\-]+",
        _ => r"[\s\S]*",
    }
}

impl Bindings {
    /// The text of a request with what the server made earlier put in.
    pub(super) fn fill(&self, text: &str) -> String {
        let filled = placeholder().replace_all(text, |found: &regex::Captures<'_>| {
            self.0.get(&found[1]).cloned().unwrap_or_else(|| found[0].to_owned())
        });
        repeated(&filled)
    }

    /// Every text in a JSON value filled.
    pub(super) fn fill_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.fill_value(item)).collect()),
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(key, value)| (key.clone(), self.fill_value(value))).collect())
            }
            other => other.clone(),
        }
    }

    /// Whether a text is the expected one; binds what appears for the first time.
    fn text(&mut self, expected: &str, actual: &str) -> bool {
        if !expected.contains("{{") {
            return expected == actual;
        }
        let (mut pattern, mut names, mut at) = ("^".to_owned(), Vec::new(), 0);
        for found in placeholder().captures_iter(expected) {
            let (whole, kind) = (found.get(0).unwrap(), found[1].to_owned());
            pattern.push_str(&regex::escape(&expected[at..whole.start()]));
            at = whole.end();
            if let Some(known) = self.0.get(&kind) {
                pattern.push_str(&regex::escape(known));
            } else {
                pattern.push_str(&format!("({})", form_of(&kind)));
                names.push(kind);
            }
        }
        pattern.push_str(&regex::escape(&expected[at..]));
        pattern.push('$');
        let Some(found) = Regex::new(&pattern).unwrap().captures(actual) else { return false };
        for (name, group) in names.into_iter().zip(found.iter().skip(1)) {
            if name.contains(':') {
                self.0.insert(name, group.map_or("", |group| group.as_str()).to_owned());
            }
        }
        true
    }

    fn value(&mut self, expected: &Value, actual: &Value, at: &str, out: &mut Vec<String>) {
        match (expected, actual) {
            (Value::String(text), _) if text == "{{any}}" => {}
            (Value::String(text), _) if text == "{{int}}" => {
                let number = actual.is_number() || actual.as_str().is_some_and(|text| text.parse::<i64>().is_ok());
                if !number {
                    out.push(format!("{at}: a number expected, got {actual}"));
                }
            }
            (Value::String(text), Value::String(got)) if is_json(text) && is_json(got) => {
                let (text, got) = (serde_json::from_str(text).unwrap(), serde_json::from_str(got).unwrap());
                self.value(&text, &got, at, out);
            }
            (Value::String(text), Value::String(got)) => {
                let is_of_a_parser = at.ends_with("/text") && PARSERS.iter().any(|part| text.contains(part));
                let begins_equally = is_of_a_parser && text.get(..4) == got.get(..4);
                if !begins_equally && !self.text(text, got) {
                    out.push(format!("{at}: expected {}, got {}", short(expected), short(actual)));
                }
            }
            (Value::Object(fields), _) if fields.contains_key("{{any order}}") => {
                self.any_order(&fields["{{any order}}"], actual, at, out);
            }
            (Value::Object(fields), Value::Object(got)) => {
                for (key, value) in fields {
                    match got.get(key) {
                        None if value.is_null() => {}
                        None => out.push(format!("{at}/{key}: missing, expected {}", short(value))),
                        Some(found) => self.value(value, found, &format!("{at}/{key}"), out),
                    }
                }
                for (key, value) in got.iter().filter(|(key, value)| !fields.contains_key(*key) && !value.is_null()) {
                    out.push(format!("{at}/{key}: not expected, got {}", short(value)));
                }
            }
            (Value::Array(items), Value::Array(got)) => {
                if items.len() != got.len() {
                    out.push(format!("{at}: {} items expected, got {}", items.len(), got.len()));
                }
                for (i, (item, found)) in items.iter().zip(got).enumerate() {
                    self.value(item, found, &format!("{at}/{i}"), out);
                }
            }
            _ if expected == actual || numbers_equal(expected, actual) => {}
            _ => out.push(format!("{at}: expected {}, got {}", short(expected), short(actual))),
        }
    }

    fn any_order(&mut self, expected: &Value, actual: &Value, at: &str, out: &mut Vec<String>) {
        let (Some(items), Some(got)) = (expected.as_array(), actual.as_array()) else {
            out.push(format!("{at}: expected a list, got {}", short(actual)));
            return;
        };
        let mut left: Vec<&Value> = got.iter().collect();
        for item in items {
            let fits = |found: &&Value| {
                let mut problems = Vec::new();
                self.clone().value(item, found, "", &mut problems);
                problems.is_empty()
            };
            match left.iter().position(fits) {
                Some(place) => self.value(item, left.remove(place), at, out),
                None => out.push(format!("{at}: {} is not in the list", short(item))),
            }
        }
        out.extend(left.iter().map(|extra| format!("{at}: not expected in the list: {}", short(extra))));
    }
}

/// A message inside a text, as tools give their results.
fn is_json(text: &str) -> bool {
    text.starts_with('{') && !text.starts_with("{{") && serde_json::from_str::<Value>(text).is_ok()
}

fn numbers_equal(expected: &Value, actual: &Value) -> bool {
    expected.is_number() && expected.as_f64() == actual.as_f64()
}

/// `{{repeat:z:3}}` → `zzz`.
fn repeated(text: &str) -> String {
    static FORM: OnceLock<Regex> = OnceLock::new();
    let form = FORM.get_or_init(|| Regex::new(r"\{\{repeat:(.):(\d+)\}\}").unwrap());
    form.replace_all(text, |found: &regex::Captures<'_>| found[1].repeat(found[2].parse().unwrap())).into_owned()
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 160 { format!("{}…", text.chars().take(160).collect::<String>()) } else { text }
}

/// Differences between an answer and the recorded one; none when they are equal.
pub(super) fn differences(exchange: &Exchange, answer: &Answer, bindings: &mut Bindings) -> Vec<String> {
    let (expected, mut out) = (&exchange.response, Vec::new());
    if expected.status != answer.status {
        let text: String = answer.text().chars().take(300).collect();
        return vec![format!("status: expected {}, got {}: {text}", expected.status, answer.status)];
    }
    headers(expected, answer, bindings, &mut out);
    if let Some(body) = &expected.body {
        let mut body = unordered(exchange, body);
        let mut got = answer.json();
        if body["result"]["tools"].is_array() {
            // What a tool and its fields are for is said in words of our own.
            drop_descriptions(&mut body);
            drop_descriptions(&mut got);
        }
        let body = &body;
        if expected.status >= 400 && is_of_a_parser(body) {
            got["message"] = body["message"].clone();
        }
        if got.is_null() && !body.is_null() {
            out.push(format!("body: no JSON: {}", answer.text().chars().take(200).collect::<String>()));
        } else {
            bindings.value(body, &got, "", &mut out);
        }
    }
    if let Some(text) = &expected.text
        && !(expected.status >= 400 && PARSERS.iter().any(|part| text.contains(part)))
        && !bindings.text(text, &answer.text())
    {
        let got = answer.text();
        let lines = text.lines().zip(got.lines());
        let (text, got) =
            lines.clone().find(|(one, other)| !one.contains("{{") && one != other).unwrap_or((text, &got));
        let cut = |text: &str| text.chars().take(300).collect::<String>();
        out.push(format!("text: expected {:?}, got {:?}", cut(text), cut(got)));
    }
    if let Some(names) = &expected.names {
        listed(names, expected, answer, &mut out);
    }
    if expected.bytes.is_some() {
        bytes(exchange, answer, &mut out);
    }
    out
}

fn drop_descriptions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "description" || !value.is_string());
            fields.values_mut().for_each(drop_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_descriptions),
        _ => {}
    }
}

/// Notifications of one second come in no fixed order.
fn unordered(exchange: &Exchange, body: &Value) -> Value {
    let mut body = body.clone();
    if exchange.request.path.ends_with("/notifications")
        && let Some(list) = body.get_mut("notifications")
    {
        *list = serde_json::json!({ "{{any order}}": list.take() });
    }
    body
}

fn is_of_a_parser(body: &Value) -> bool {
    body["message"].as_str().is_some_and(|text| PARSERS.iter().any(|part| text.contains(part)))
}

fn headers(expected: &Response, answer: &Answer, bindings: &mut Bindings, out: &mut Vec<String>) {
    for (name, value) in &expected.headers {
        let value = &as_utf8(value.as_str().unwrap_or_default());
        let candidates: Vec<&str> = answer
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        if candidates.is_empty() {
            out.push(format!("header {name}: missing, expected {value:?}"));
        } else if !candidates.iter().any(|got| bindings.text(value, got))
            && !same_media_type(name, value, candidates[0])
        {
            out.push(format!("header {name}: expected {value:?}, got {candidates:?}"));
        }
    }
    for name in NEVER_MORE {
        let recorded = expected.headers.keys().any(|known| known.eq_ignore_ascii_case(name));
        if let Some(got) = answer.header(name).filter(|_| !recorded) {
            out.push(format!("header {name}: not expected, got {got:?}"));
        }
    }
}

/// The recorder read header bytes as Latin-1; they are UTF-8.
fn as_utf8(text: &str) -> String {
    let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

/// `text/html; charset=UTF-8` is `text/html; charset=utf-8`.
fn same_media_type(name: &str, expected: &str, got: &str) -> bool {
    name.eq_ignore_ascii_case("content-type") && expected.eq_ignore_ascii_case(got)
}

/// Names in order: of the first list in the answer.
fn listed(names: &[String], expected: &Response, answer: &Answer, out: &mut Vec<String>) {
    let got = answer.json();
    let lists = got.as_object().into_iter().flat_map(|fields| fields.values()).filter_map(Value::as_array);
    let found: Vec<String> =
        lists.flatten().filter_map(|item| item["name"].as_str().or_else(|| item.as_str())).map(str::to_owned).collect();
    if names != found {
        let missing: Vec<&String> = names.iter().filter(|name| !found.contains(name)).take(5).collect();
        let extra: Vec<&String> = found.iter().filter(|name| !names.contains(name)).take(5).collect();
        out.push(format!("names: {} expected, got {}", names.len(), found.len()));
        if missing.is_empty() && extra.is_empty() {
            let at = names.iter().zip(&found).position(|(a, b)| a != b).unwrap_or_default();
            out.push(format!("names: other order from place {at}: {:?} and {:?}", names.get(at), found.get(at)));
        } else {
            out.push(format!("names: missing {missing:?}, not expected {extra:?}"));
        }
    }
    let token = got["nextPageToken"].as_str().unwrap_or_default();
    if token != expected.next_page_token {
        out.push(format!("nextPageToken: expected {:?}, got {token:?}", expected.next_page_token));
    }
}

/// Bytes by length and hash. A thumbnail is encoded anew and only has to be a JPEG of about that size; parts of a
/// multipart answer lie between boundaries of any length.
fn bytes(exchange: &Exchange, answer: &Answer, out: &mut Vec<String>) {
    let expected = &exchange.response;
    let size = expected.bytes.unwrap_or_default();
    let thumbnail = exchange.request.path.contains("thumbnail=") && answer.header("content-type") == Some("image/jpeg");
    if thumbnail && sha(answer) != expected.sha256.as_deref().unwrap_or_default() {
        if !answer.body.starts_with(&[0xff, 0xd8]) || answer.body.len() > size * 2 + 4096 {
            out.push(format!("thumbnail: a JPEG of about {size} bytes expected, got {}", answer.body.len()));
        }
        return;
    }
    match expected.sha256.as_deref() {
        Some("{{any}}") | None => {
            if answer.body.len().abs_diff(size) > 200 {
                out.push(format!("bytes: about {size} expected, got {}", answer.body.len()));
            }
        }
        Some(hash) => {
            if sha(answer) != hash {
                out.push(format!(
                    "bytes: {size} with hash {hash} expected, got {} with {}",
                    answer.body.len(),
                    sha(answer)
                ));
            }
        }
    }
}

fn sha(answer: &Answer) -> String {
    hex::encode(Sha256::digest(&answer.body))
}
