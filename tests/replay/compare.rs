//! Whether an answer is the recorded one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::http::Answer;
use super::recording::pairs;

/// Generated values of this run, by their placeholder: `memo:1` → its uid.
#[derive(Default)]
pub(crate) struct Bindings(BTreeMap<String, String>);

impl Bindings {
    /// A text of a later request, with the values filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, value) in &self.0 {
            out = out.replace(&format!("{{{{{name}}}}}"), value);
        }
        out
    }

    /// Remembers a value.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }
}

type Outcome = Result<(), String>;

/// Beginnings of messages that parsers of the original made: there the code alone counts.
const PARSERS: [&str; 9] = [
    "invalid filter:",
    "proto:",
    "parsing field",
    "unmarshal message",
    "unexpected EOF",
    "invalid character",
    "invalid page token",
    "type mismatch",
    "protocol error",
];

/// Compares an answer with the recorded one, and binds what it shows for the first time.
pub(crate) fn compare(expected: &Value, answer: &Answer, bound: &mut Bindings) -> Outcome {
    let status = expected["status"].as_u64().unwrap_or(0);
    if status != u64::from(answer.status) {
        return Err(format!("status {} instead of {status}: {}", answer.status, start(&answer.body)));
    }
    for (name, recorded) in pairs(expected.get("headers")) {
        let Some(found) = answer.header(&name) else { return Err(format!("no header {name}: {recorded}")) };
        text(&recorded, &found, bound).map_err(|_| format!("header {name}: {found:?} instead of {recorded:?}"))?;
    }
    body(expected, answer, bound)
}

fn body(expected: &Value, answer: &Answer, bound: &mut Bindings) -> Outcome {
    if let Some(recorded) = expected.get("body") {
        let found = json(&answer.body)?;
        let code = recorded.get("code");
        if let (Some(code), Some(message)) = (code, recorded.get("message").and_then(Value::as_str))
            && PARSERS.iter().any(|parser| message.starts_with(parser))
        {
            let same = found.get("code") == Some(code);
            return if same { Ok(()) } else { Err(format!("{found} instead of {recorded}")) };
        }
        return value("", recorded, &found, bound);
    }
    if let Some(names) = expected.get("names") {
        let found = json(&answer.body)?;
        let list = found.as_object().and_then(|object| object.values().find_map(Value::as_array));
        let found_names: Vec<Value> = list.into_iter().flatten().map(|one| one["name"].clone()).collect();
        value("names", names, &Value::Array(found_names), bound)?;
        let token = found.get("nextPageToken").cloned().unwrap_or_else(|| Value::String(String::new()));
        return value("nextPageToken", &expected["nextPageToken"], &token, bound);
    }
    bytes(expected, answer, bound)
}

fn bytes(expected: &Value, answer: &Answer, bound: &mut Bindings) -> Outcome {
    if let Some(hash) = expected.get("sha256").and_then(Value::as_str) {
        let thumbnail = expected["headers"]["Content-Type"] == "image/jpeg" && answer.header("last-modified").is_none();
        let found: String = Sha256::digest(&answer.body).iter().map(|b| format!("{b:02x}")).collect();
        if hash == found || hash == "{{any}}" || thumbnail {
            return Ok(());
        }
        return Err(format!("{} bytes with another hash instead of {}", answer.body.len(), expected["bytes"]));
    }
    match expected.get("text").and_then(Value::as_str) {
        None | Some("{{web app page}}") => Ok(()),
        Some(recorded) => text(recorded, &String::from_utf8_lossy(&answer.body), bound)
            .map_err(|()| format!("{:?} instead of {recorded:?}", start(&answer.body))),
    }
}

fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(300).collect()
}

fn json(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("no JSON ({error}): {}", start(body)))
}

fn value(at: &str, expected: &Value, found: &Value, bound: &mut Bindings) -> Outcome {
    match (expected, found) {
        (Value::Object(expected), found) if expected.contains_key("{{any order}}") => {
            any_order(at, &expected["{{any order}}"], found, bound)
        }
        (Value::Object(expected), Value::Object(found)) => object(at, expected, found, bound),
        (Value::Array(expected), Value::Array(found)) => {
            if expected.len() != found.len() {
                return Err(format!("{at}: {} elements instead of {}", found.len(), expected.len()));
            }
            for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
                value(&format!("{at}[{place}]"), expected, found, bound)?;
            }
            Ok(())
        }
        (Value::String(recorded), _) if recorded.contains("{{list of varying length}}") => Ok(()),
        (Value::String(recorded), Value::String(found)) => {
            text(recorded, found, bound).map_err(|()| format!("{at}: {:?} instead of {:?}", cut(found), cut(recorded)))
        }
        (Value::String(recorded), Value::Number(_)) if recorded.starts_with("{{") => Ok(()),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Ok(()),
        (expected, found) if expected == found => Ok(()),
        (expected, found) => {
            Err(format!("{at}: {} instead of {}", cut(&found.to_string()), cut(&expected.to_string())))
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(160).collect()
}

fn object(at: &str, expected: &Map<String, Value>, found: &Map<String, Value>, bound: &mut Bindings) -> Outcome {
    for (key, recorded) in expected {
        match found.get(key) {
            Some(found) => value(&format!("{at}.{key}"), recorded, found, bound)?,
            None if recorded.is_null() || recorded.to_string().contains("{{maybe}}") => {}
            None => return Err(format!("{at}.{key} is missing; {} was recorded", cut(&recorded.to_string()))),
        }
    }
    let known = |key: &String| expected.contains_key(key) || expected.contains_key(&format!("{{{{maybe}}}}{key}"));
    match found.iter().find(|(key, value)| !known(key) && !value.is_null()) {
        Some((key, value)) => Err(format!("{at}.{key} is there: {}", cut(&value.to_string()))),
        None => Ok(()),
    }
}

fn any_order(at: &str, expected: &Value, found: &Value, bound: &mut Bindings) -> Outcome {
    let (Value::Array(expected), Value::Array(found)) = (expected, found) else {
        return Err(format!("{at}: no list"));
    };
    if expected.len() != found.len() {
        return Err(format!("{at}: {} elements instead of {}", found.len(), expected.len()));
    }
    let mut left: Vec<&Value> = found.iter().collect();
    for recorded in expected {
        let place = left.iter().position(|found| value(at, recorded, found, bound).is_ok());
        match place {
            Some(place) => drop(left.remove(place)),
            None => return Err(format!("{at}: nothing like {}", cut(&recorded.to_string()))),
        }
    }
    Ok(())
}

/// A text with placeholders against a text. A numbered placeholder is bound where it stands first.
fn text(recorded: &str, found: &str, bound: &mut Bindings) -> Result<(), ()> {
    let filled = bound.fill(recorded);
    let Some((before, rest)) = filled.split_once("{{") else {
        return if filled == found { Ok(()) } else { Err(()) };
    };
    let (name, after) = rest.split_once("}}").ok_or(())?;
    let found = found.strip_prefix(before).ok_or(())?;
    // The literal that follows ends the placeholder; without one it takes the rest.
    let literal = after.split("{{").next().unwrap_or_default();
    let ends: Vec<usize> = match literal {
        "" => vec![found.len()],
        literal => found.match_indices(literal).map(|(at, _)| at).collect(),
    };
    let (name, after) = (name.to_owned(), after.to_owned());
    for end in ends {
        if text(&after, &found[end..], bound).is_ok() {
            if name.contains(':') {
                bound.set(&name, &found[..end]);
            }
            return Ok(());
        }
    }
    Err(())
}
