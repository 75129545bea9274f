//! Databases of the releases that have no fixture, built from the reference's tables of schemas with made-up content, and
//! the odd states that are known to exist: every row arrives, or is named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::too_many_lines)]

mod common;
#[path = "common/compare.rs"]
mod compare;
#[path = "common/old.rs"]
mod old;

use std::collections::BTreeSet;

use common::{import, promised};
use domain::chance::Chance;
use old::{Old, VERSIONS};
use rusqlite::Connection;
use serde_json::Value as Json;

fn note(imported: &common::Imported, id: i64) -> &Json {
    imported.table("note").iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("note {id}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_imports_with_everything_in_it() {
    for (at, version) in VERSIONS.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let old = Old::build(dir.path(), version, &Chance::seeded(at as u64 + 1));
        let before = common::stamps(dir.path());
        let imported = import(dir.path()).await;
        let report = &imported.report;
        assert!(report.errors.is_empty(), "{}: {:?}", version.name, report.errors);
        assert_eq!(common::stamps(dir.path()), before, "{}: the source was touched", version.name);
        assert_eq!(report.source.version, version.shown, "{}", version.name);
        let source = migrate::Source::new(dir.path(), imported.dir.path(), false);
        let predicted = migrate::check(&source).await.unwrap();
        assert_eq!(promised(&predicted), promised(report), "{}", version.name);
        old.compare(&imported);
        eprintln!(
            "{}: {} notes, {} members, {} files, {} aside, warnings {:?}",
            version.name,
            report.mapped["note"],
            report.mapped["member"],
            report.mapped.get("attachment").copied().unwrap_or_default(),
            report.mapped.get("import_remainder").copied().unwrap_or_default(),
            report.warnings.iter().map(|w| w.code.as_str()).collect::<BTreeSet<_>>()
        );
    }
}

/// Builds one version and alters it by SQL.
async fn altered(version: &str, sql: &str) -> common::Imported {
    let dir = tempfile::tempdir().unwrap();
    let version = VERSIONS.iter().find(|known| known.name == version).unwrap();
    Old::build(dir.path(), version, &Chance::seeded(77));
    let conn = Connection::open(dir.path().join("memos_prod.db")).unwrap();
    conn.pragma_update(None, "ignore_check_constraints", true).unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    let imported = import(dir.path()).await;
    assert!(imported.report.errors.is_empty(), "{sql}: {:?}", imported.report.errors);
    assert_eq!(imported.report.mapped["note"], imported.report.tables["memo"], "{sql}");
    imported
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_made_upgrades_and_canary_images_import() {
    // The canary images of January 2026 renamed tables, and took half of it back.
    let canary = altered(
        "0.25",
        "ALTER TABLE system_setting RENAME TO instance_setting; ALTER TABLE resource RENAME TO attachment;",
    )
    .await;
    assert_eq!(canary.report.mapped["attachment"], canary.report.tables["attachment"]);
    assert!(canary.table("setting").iter().any(|row| row["key"] == "BASIC"));
    // A later release ran on it and made the old tables again, empty.
    let both = altered(
        "0.25",
        "ALTER TABLE resource RENAME TO attachment; CREATE TABLE resource AS SELECT * FROM attachment WHERE 0;
         ALTER TABLE system_setting RENAME TO instance_setting; CREATE TABLE system_setting (name TEXT, value TEXT, description TEXT);",
    )
    .await;
    assert_eq!(both.report.mapped["attachment"], both.report.tables["attachment"]);
    // The other way round: the new table is empty, the rows are in the old one.
    let other = altered("0.25", "CREATE TABLE attachment AS SELECT * FROM resource WHERE 0;").await;
    assert_eq!(other.report.mapped["attachment"], other.report.tables["resource"]);
    // Files in both.
    let split = altered(
        "0.25",
        "CREATE TABLE attachment AS SELECT * FROM resource WHERE id % 2 = 0; DELETE FROM resource WHERE id % 2 = 0;",
    )
    .await;
    let rows = split.report.tables["resource"] + split.report.tables["attachment"];
    assert_eq!(split.report.mapped["attachment"], rows);
    // 0.22 half applied: the column is there, its values are not.
    let half = altered("0.21", "ALTER TABLE resource ADD COLUMN storage_type TEXT NOT NULL DEFAULT ''; ALTER TABLE resource ADD COLUMN reference TEXT NOT NULL DEFAULT '';").await;
    assert!(half.table("attachment").iter().all(|row| row["sha256"] != "" || row["external_link"] != ""));
    // A step was left out.
    let no_memo = altered("0.17", "ALTER TABLE resource DROP COLUMN memo_id;").await;
    assert!(no_memo.table("attachment").iter().all(|row| row["note_id"].is_null()));
    altered("0.21", "DROP TABLE tag;").await;
    let by_hand = altered("0.25", "ALTER TABLE memo ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';").await;
    assert!(by_hand.report.warnings.iter().all(|w| w.code != "unknown_column"), "{:?}", by_hand.report.warnings);
    altered("0.23", "ALTER TABLE memo DROP COLUMN tags;").await;
    // A half-applied 0.19: empty and doubled-quote uids, no index.
    let uids = altered(
        "0.20",
        "CREATE TABLE copy AS SELECT * FROM memo; DROP TABLE memo; ALTER TABLE copy RENAME TO memo;
         UPDATE memo SET resource_name = '' WHERE id % 3 = 0; UPDATE memo SET resource_name = '\"\"' WHERE id % 3 = 1;",
    )
    .await;
    let distinct: BTreeSet<&str> = uids.table("note").iter().map(|row| row["uid"].as_str().unwrap()).collect();
    assert_eq!(distinct.len() as u64, uids.report.mapped["note"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_twice_or_leads_nowhere_is_named_and_kept() {
    let doubled = altered(
        "0.30",
        "CREATE TABLE s AS SELECT * FROM user_setting; DROP TABLE user_setting; ALTER TABLE s RENAME TO user_setting;
         INSERT INTO user_setting VALUES (2, 'GENERAL', '{\"memoVisibility\":\"PUBLIC\",\"locale\":\"de\"}');
         CREATE TABLE t AS SELECT * FROM system_setting; DROP TABLE system_setting; ALTER TABLE t RENAME TO system_setting;
         INSERT INTO system_setting VALUES ('GENERAL', '{\"disallowChangeUsername\":true}', ''), ('GENERAL', CAST(x'ff' AS TEXT), '');
         UPDATE memo SET payload = '{\"property\":{},\"mood\":\"fine\"}' WHERE id = 3;
         INSERT INTO inbox (sender_id, receiver_id, status, message) VALUES (1, 2, 'UNREAD', '{\"type\":\"POLL\"}');",
    )
    .await;
    let codes: Vec<(&str, &str, &str)> =
        doubled.report.warnings.iter().map(|w| (w.code.as_str(), w.table.as_str(), w.row.as_str())).collect();
    for wanted in [
        ("duplicate_setting", "user_setting", "2 GENERAL"),
        ("duplicate_setting", "system_setting", "GENERAL"),
        ("invalid_utf8", "system_setting", "GENERAL"),
        ("unknown_notification", "inbox", "2"),
    ] {
        assert!(codes.contains(&wanted), "{wanted:?} in {codes:?}");
    }
    assert_eq!(doubled.report.aside_rows["memo"], ["3"]);
    let general = doubled.table("member_setting").iter().find(|row| row["member_id"] == 2 && row["key"] == "GENERAL");
    assert_eq!(general.unwrap()["value"]["locale"], "de", "the later row counts");
    let links = altered("0.12", "INSERT INTO memo_resource (memo_id, resource_id) VALUES (1, 99), (2, 'x');").await;
    let lost: Vec<_> =
        links.report.warnings.iter().filter(|w| w.table == "memo_resource").map(|w| w.code.as_str()).collect();
    assert_eq!(lost, ["wrong_type", "orphan_file", "orphan_file"]);
    assert_eq!((links.kept("memo_resource"), links.kept("user")), (3, 3), "links and old API keys are kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forks_and_newer_releases_keep_their_strangers_aside() {
    let fork = altered(
        "0.30",
        "CREATE TABLE habit (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO habit VALUES (1, 'run'), (2, 'read');
         CREATE TABLE \"group\" (name TEXT); INSERT INTO \"group\" VALUES ('x');
         CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT, creator_id INTEGER, colour TEXT); INSERT INTO tag VALUES (1, 'late', 1, 'red');
         ALTER TABLE memo ADD COLUMN mood TEXT; UPDATE memo SET mood = 'fine' WHERE id = 1;
         UPDATE system_setting SET value = '{\"secretKey\":\"s\",\"schemaVersion\":\"26.9.1\"}' WHERE name = 'BASIC';",
    )
    .await;
    assert_eq!((fork.kept("habit"), fork.kept("group"), fork.kept("memo")), (2, 1, 1));
    let codes: BTreeSet<&str> = fork.report.warnings.iter().map(|w| w.code.as_str()).collect();
    assert!(codes.contains("unknown_table") && codes.contains("unknown_column"), "{codes:?}");
    assert_eq!(fork.report.source.marker.as_deref(), Some("26.9.1"));
    let spaces = altered(
        "0.31",
        "UPDATE memo SET visibility = 'SPACE', space_id = 1 WHERE id = 2;
         INSERT INTO space_member VALUES (1, 1, 'ADMIN', 'INVITED');
         INSERT INTO inbox (sender_id, receiver_id, status, message) VALUES (1, 2, 'UNREAD', '{\"type\":\"SPACE_INVITATION\"}');",
    )
    .await;
    assert_eq!(note(&spaces, 2)["visibility"], "PRIVATE");
    let named: BTreeSet<(&str, &str)> = spaces
        .report
        .warnings
        .iter()
        .filter(|w| w.code == "space")
        .map(|w| (w.table.as_str(), w.row.as_str()))
        .collect();
    let invitation = spaces.table("import_remainder").iter().find(|row| row["source"] == "inbox").unwrap();
    let invitation = invitation["row_key"].as_str().unwrap();
    let rows = [("inbox", invitation), ("memo", "2"), ("space", "1"), ("space_member", "1 1"), ("space_member", "1 2")];
    assert_eq!(named, BTreeSet::from(rows));
    let aside = &spaces.report.aside_rows;
    assert_eq!(
        (&aside["space"][..], &aside["space_member"][..]),
        (&["1".to_owned()][..], &["1 2".into(), "1 1".into()][..])
    );
}
