//! Cards against what a real 0.30.0 answered for single memos: relations, reactions and files in the same order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;

use common::import;
use serde_json::Value as Json;
use testkit::fixtures::{copy_of, fixture};

/// Answers to the owner, who sees all but other people's private notes, for one memo each.
fn recorded(file: &str) -> Vec<Json> {
    let folder = fixture("recordings-0.30.0").unwrap();
    let text = std::fs::read(folder.join(file)).unwrap();
    let all: Json = serde_json::from_slice(&text).unwrap();
    let exchanges = all.as_array().or_else(|| all["exchanges"].as_array()).unwrap();
    exchanges
        .iter()
        .filter(|e| e["transport"] == "rest" && e["response"]["status"] == 200)
        .map(|e| e["response"]["body"].clone())
        .filter(|body| body["content"].is_string() && body["relations"].is_array())
        .collect()
}

/// (other end's uid, kind, leaves this note) of a recorded relation.
fn relation(uid: &str, item: &Json) -> (String, String, bool) {
    let end = |key: &str| item[key]["name"].as_str().unwrap().trim_start_matches("memos/").to_owned();
    let outgoing = end("memo") == uid;
    let other = if outgoing { end("relatedMemo") } else { end("memo") };
    (other, item["type"].as_str().unwrap().to_owned(), outgoing)
}

fn names(list: &Json, field: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item[field].to_string().trim_matches('"').to_owned()).collect()
}

fn last_part(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cards_say_what_the_original_answered() {
    let Some(folder) = fixture("memos-0.30.0") else { return };
    let source = copy_of(&folder);
    let imported = import(source.path()).await;
    let notes: BTreeMap<&str, &Json> =
        imported.table("note").iter().map(|row| (row["uid"].as_str().unwrap(), row)).collect();
    let mut compared = 0;
    for body in recorded("read-memo-get.json").into_iter().chain(recorded("read-memo-zoo.json")) {
        let uid = last_part(body["name"].as_str().unwrap());
        let note = notes[uid.as_str()];
        let card = &note["card"];
        let want: Vec<_> = body["relations"].as_array().unwrap().iter().map(|item| relation(&uid, item)).collect();
        let got: Vec<_> = card["relations"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| {
                let text = |value: &Json| value.as_str().unwrap().to_owned();
                (text(&item["other"]["uid"]), text(&item["kind"]), item["outgoing"].as_bool().unwrap())
            })
            // A reader who may not see the other end is not told of it.
            .filter(|item| want.contains(item))
            .collect();
        assert_eq!(got, want, "relations of {uid}");
        let files: Vec<_> = names(&body["attachments"], "name").iter().map(|name| last_part(name)).collect();
        assert_eq!(names(&card["attachments"], "uid"), files, "files of {uid}");
        let reactions: Vec<_> = names(&body["reactions"], "name").iter().map(|name| last_part(name)).collect();
        assert_eq!(names(&card["reactions"], "id"), reactions, "reactions of {uid}");
        assert_eq!(note["tags"], body["tags"], "tags of {uid}");
        assert_eq!(note["snippet"], body["snippet"], "snippet of {uid}");
        compared += 1;
    }
    eprintln!("{compared} recorded answers compared");
    assert!(compared >= 60, "only {compared} answers compared");
}
