//! Databases that released Memos servers wrote: everything their `truth.json` tells is in the tenant, and the source
//! stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Imported, import};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use testkit::fixtures::{copy_of, data_folders};

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn truth(folder: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap()
}

fn list<'a>(truth: &'a Json, key: &str) -> &'a [Json] {
    truth.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Imports one fixture and compares everything; prints one line of the matrix.
async fn compare(original: &Path) {
    let name = &original.file_name().unwrap().to_string_lossy().into_owned();
    let truth = truth(original);
    let source = copy_of(original);
    let before = common::stamps(source.path());
    let imported = import(source.path()).await;
    assert_eq!(common::stamps(source.path()), before, "{name}: the source was touched");
    let predicted = migrate::check(&migrate::Source::new(source.path(), imported.dir.path(), false)).await.unwrap();
    assert_eq!(predicted.warnings, imported.report.warnings, "{name}: a check predicts a run");
    assert_eq!(common::promised(&predicted), common::promised(&imported.report), "{name}: a check predicts a run");
    let report = &imported.report;
    assert!(report.errors.is_empty(), "{name}: {:?}", report.errors);
    let verified = report.verified.expect("a run verifies");
    assert!(verified.counts && verified.hashes && verified.references && verified.files);
    let tables: BTreeMap<String, u64> = serde_json::from_value(truth["tables"].clone()).unwrap();
    for (table, rows) in &tables {
        assert_eq!(report.tables.get(table).copied().unwrap_or_default(), *rows, "{name}: rows of {table}");
    }
    members(name, &truth, &imported);
    notes(name, &truth, &imported);
    hanging(name, &truth, &imported);
    let files = files(name, &truth, &imported).await;
    tokens(name, &truth, &imported);
    let rows = |table: &str| report.mapped.get(table).copied().unwrap_or_default();
    eprintln!(
        "{name} | {} | {} | {files} | {} | {} | {} | {} | {} | {} | {}",
        rows("note"),
        rows("member"),
        rows("note_relation"),
        rows("reaction"),
        rows("access_token"),
        rows("note_share"),
        rows("import_remainder"),
        report.warnings.len(),
        report.source.version
    );
}

fn members(name: &str, truth: &Json, imported: &Imported) {
    let rows = imported.table("member");
    assert_eq!(rows.len(), list(truth, "users").len(), "{name}: members");
    for user in list(truth, "users") {
        let username = user["username"].as_str().unwrap();
        let row = rows.iter().find(|row| row["username"] == username).unwrap_or_else(|| panic!("{name}: {username}"));
        let hash = row["password_hash"].as_str().unwrap();
        assert!(bcrypt::verify(user["password"].as_str().unwrap(), hash).unwrap(), "{name}: password of {username}");
        let role = match user["role"].as_str().unwrap() {
            "first user (owner)" => "owner",
            "admin" => "admin",
            _ => "member",
        };
        assert_eq!(row["role"], role, "{name}: role of {username}");
        assert_eq!(row["archived"], user["role"].as_str().unwrap().contains("archived"), "{name}: {username}");
        assert_eq!(row["display_name"], user["nickname"], "{name}: {username}");
    }
}

fn notes(name: &str, truth: &Json, imported: &Imported) {
    let rows = imported.table("note");
    let members: BTreeMap<i64, String> = imported
        .table("member")
        .iter()
        .map(|row| (row["id"].as_i64().unwrap(), row["username"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(rows.len(), list(truth, "memos").len(), "{name}: notes");
    let by_id: BTreeMap<i64, &Json> = rows.iter().map(|row| (row["id"].as_i64().unwrap(), row)).collect();
    for memo in list(truth, "memos") {
        let id = memo["id"].as_i64().unwrap();
        let row = by_id[&id];
        let at = format!("{name}: memo {id}");
        let content = row["content"].as_str().unwrap();
        if imported.odd("memo", id) {
            // NUL or broken UTF-8: reported, and the original bytes are in the remainder.
            assert!(imported.kept_bytes("memo", id, memo["content_sha256"].as_str().unwrap()), "{at}");
        } else {
            assert_eq!(sha(content.as_bytes()), memo["content_sha256"].as_str().unwrap(), "{at}");
        }
        if let Some(uid) = memo["uid"].as_str() {
            assert_eq!(row["uid"], uid, "{at}");
        }
        assert_eq!(members[&row["creator_id"].as_i64().unwrap()], memo["creator"].as_str().unwrap(), "{at}");
        for key in ["visibility", "archived", "pinned", "created_ts", "updated_ts"] {
            assert_eq!(row[key], memo[key], "{at} {key}");
        }
        let parent = row["parent_id"].as_i64().map(|id| by_id[&id]);
        match (&memo["comment_of"], parent) {
            (Json::Null, None) => {}
            (Json::Null, Some(parent)) => panic!("{at} should comment on nothing, not on {}", parent["id"]),
            (of, Some(parent)) => assert!(parent["uid"] == *of || parent["id"] == *of, "{at} comments on {of}"),
            (of, None) => panic!("{at} lost its parent {of}"),
        }
    }
}

fn hanging(name: &str, truth: &Json, imported: &Imported) {
    let relations = imported.table("note_relation");
    assert_eq!(relations.len(), list(truth, "relations").len(), "{name}: relations");
    let aside = imported.kept("reaction");
    assert_eq!(imported.table("reaction").len() + aside, list(truth, "reactions").len(), "{name}: reactions");
    assert_eq!(aside, 0, "{name}: reactions without a note");
    assert_eq!(imported.table("note_share").len(), list(truth, "shares").len(), "{name}: shares");
    for share in list(truth, "shares") {
        assert!(imported.table("note_share").iter().any(|row| row["token"] == share["token"]), "{name}: {share}");
    }
}

async fn files(name: &str, truth: &Json, imported: &Imported) -> usize {
    let rows = imported.table("attachment");
    let stored = list(truth, "stored_attachments");
    assert_eq!(rows.len(), stored.len(), "{name}: attachments");
    for want in stored {
        let row = rows.iter().find(|row| row["id"] == want["id"]).unwrap();
        let at = format!("{name}: attachment {} {}", want["id"], want["filename"]);
        assert_eq!(row["filename"], want["filename"], "{at}");
        assert_eq!(row["kind"], want["type"], "{at}");
        if let Some(uid) = want["uid"].as_str() {
            assert_eq!(row["uid"], uid, "{at}");
        }
        let Some(sha256) = want["sha256"].as_str() else {
            let link = row["external_link"].as_str().unwrap();
            assert!(want["path"].as_str().map_or(!link.is_empty(), |path| path == link), "{at}: {link}");
            continue;
        };
        assert_eq!(row["sha256"], sha256, "{at}");
        assert_eq!(row["size"], want["bytes"], "{at}");
        let bytes = imported.file(row["storage_key"].as_str().unwrap()).await;
        assert_eq!(sha(&bytes), sha256, "{at}");
    }
    stored.len()
}

fn tokens(name: &str, truth: &Json, imported: &Imported) {
    let rows = imported.table("access_token");
    for token in list(truth, "personal_access_tokens") {
        let hash = sha(token["token"].as_str().unwrap().as_bytes());
        assert!(rows.iter().any(|row| row["token_hash"] == hash.as_str()), "{name}: token {}", token["description"]);
    }
}

/// One test for all, so that a fixture added later is imported too; each line of the matrix is printed as it is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fixture_imports_with_its_truth() {
    let folders = data_folders();
    eprintln!(
        "fixture | notes | members | files | relations | reactions | tokens | shares | aside | warnings | version"
    );
    for folder in &folders {
        compare(folder).await;
    }
    eprintln!("{} fixtures", folders.len());
}
