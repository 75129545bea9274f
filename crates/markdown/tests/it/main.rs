//! What is derived from a note, against what a real server answered.
#![allow(clippy::expect_used, reason = "a test may stop where it stands")]

mod properties;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The recordings' folder, or none where this machine has none (never so in CI).
fn recordings() -> Option<PathBuf> {
    let root = std::env::var_os("HOLDFAST_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"), PathBuf::from);
    let folder = root.join("recordings-0.30.0");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no recordings: set HOLDFAST_FIXTURES");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not with the macro, whose text is shown of failed tests only.
    writeln!(std::io::stderr().lock(), "\nskipped {test}: no recordings (HOLDFAST_FIXTURES)")
        .expect("stderr can be written");
    None
}

/// Calls `each` with every note in `value`, also in JSON held as text.
fn walk(value: &Value, each: &mut dyn FnMut(&Value)) {
    match value {
        Value::Object(map) => {
            if ["content", "tags", "property", "snippet"].iter().all(|key| map.contains_key(*key)) {
                each(value);
            }
            map.values().for_each(|value| walk(value, each));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, each)),
        Value::String(text) if text.starts_with('{') => {
            if let Ok(inner) = serde_json::from_str::<Value>(text) {
                walk(&inner, each);
            }
        }
        _ => {}
    }
}

/// Compares one note; differences are appended to `wrong`.
fn compare(note: &Value, wrong: &mut Vec<String>) -> bool {
    let Some(content) = note["content"].as_str() else { return false };
    let derived = markdown::derive(content);
    let flag = |name: &str| note["property"][name].as_bool().unwrap_or(false);
    let tags: Vec<&str> = note["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut check = |what: &str, right: bool, got: String, want: String| {
        if !right {
            let shown: String = content.chars().take(600).collect();
            wrong.push(format!("{what}: got {got} want {want}\n    in {shown:?}"));
        }
    };
    check("tags", derived.tags == tags, format!("{:?}", derived.tags), format!("{tags:?}"));
    if let Some(snippet) = note["snippet"].as_str() {
        check("snippet", derived.snippet == snippet, format!("{:?}", derived.snippet), format!("{snippet:?}"));
    }
    let title = note["property"]["title"].as_str().unwrap_or_default();
    check("title", derived.title == title, format!("{:?}", derived.title), format!("{title:?}"));
    for (name, got) in [
        ("hasLink", derived.has_link),
        ("hasTaskList", derived.has_task_list),
        ("hasCode", derived.has_code),
        ("hasIncompleteTasks", derived.has_incomplete_tasks),
    ] {
        check(name, got == flag(name), got.to_string(), flag(name).to_string());
    }
    true
}

#[test]
fn every_recorded_note_is_derived_alike() {
    let Some(folder) = recordings() else { return };
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("recordings can be listed") {
        let path = entry.expect("recordings can be listed").path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a recording can be read");
        let value: Value = serde_json::from_str(&text).expect("a recording is JSON");
        walk(&value, &mut |note| seen += usize::from(compare(note, &mut wrong)));
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} differences in {seen} notes:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 0, "the recordings hold no notes");
}
