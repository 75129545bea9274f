//! Rows that SQLite allows and Postgres does not, and rows that lead nowhere: all reported, none dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{import, stamps};
use domain::chance::Chance;
use migrate::{Source, check};
use rusqlite::Connection;

fn sample(dir: &Path) -> Connection {
    migrate::sample::write_sample(dir, &Chance::seeded(6)).unwrap();
    let conn = Connection::open(dir.join("memos_prod.db")).unwrap();
    conn.pragma_update(None, "ignore_check_constraints", true).unwrap();
    conn
}

#[tokio::test]
async fn odd_values_are_converted_reported_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let conn = sample(dir.path());
    conn.execute_batch(
        "UPDATE memo SET content = 'nul' || char(0) || 'inside' WHERE id = 1;
         UPDATE memo SET content = CAST(x'6162ff63' AS TEXT) WHERE id = 2;
         UPDATE memo SET created_ts = 1700000000123 WHERE id = 3;
         UPDATE memo SET created_ts = '2023-11-14 22:13:20' WHERE id = 4;
         UPDATE memo SET visibility = 'SPACE', row_status = 'DRAFT' WHERE id = 5;
         UPDATE memo SET payload = 'broken' WHERE id = 6;
         UPDATE memo SET creator_id = 99 WHERE id = 7;
         UPDATE memo SET content = 12345 WHERE id = 8;
         UPDATE memo SET content = x'e4b8ad' WHERE id = 9;
         UPDATE memo SET payload = '{\"location\":{\"placeholder\":\"nowhere\",\"latitude\":\"NaN\",\"longitude\":1}}' WHERE id = 10;
         UPDATE memo SET payload = '{\"location\":{\"placeholder\":\"text\",\"latitude\":\"46.5\"}}' WHERE id = 11;
         INSERT INTO memo_relation VALUES (10, 9999, 'REFERENCE'), (10, 11, 'WEIRD'), (12, 12, 'COMMENT'),
            (13, 14, 'COMMENT'), (14, 13, 'COMMENT');
         INSERT INTO reaction (creator_id, content_id, reaction_type) VALUES (1, 'memos/nowhere', '👍'), (98, 'memos/5', 'HEART');
         UPDATE attachment SET memo_id = 9999 WHERE id = 1;
         UPDATE attachment SET storage_type = 'S3', reference = 'https://bucket/x', payload = '{\"s3Object\":{\"key\":\"k\"}}' WHERE id = 3;
         UPDATE attachment SET reference = '../../etc/passwd' WHERE id = 4;
         INSERT INTO user_setting VALUES (77, 'GENERAL', '{}'), (1, 'FORK', 'x');
         INSERT INTO system_setting (name, value) VALUES ('FORK', '1');
         INSERT INTO inbox (sender_id, receiver_id, status, message) VALUES
            (1, 2, 'UNREAD', '{\"type\":\"VERSION_UPDATE\"}'), (1, 2, 'UNREAD', '{\"type\":\"MEMO_COMMENT\",\"memoComment\":{\"memoId\":9999}}');
         CREATE TABLE habit (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO habit VALUES (1, 'run');
         ALTER TABLE memo ADD COLUMN space_id INTEGER; UPDATE memo SET space_id = 4 WHERE id = 15;
         ALTER TABLE memo ADD COLUMN mood TEXT; UPDATE memo SET mood = 'fine' WHERE id = 16;",
    )
    .unwrap();
    drop(conn);
    let imported = import(dir.path()).await;
    let report = &imported.report;
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    let codes: BTreeSet<&str> = report.warnings.iter().map(|w| w.code.as_str()).collect();
    for code in [
        "nul_replaced",
        "invalid_utf8",
        "time_unit",
        "wrong_type",
        "unknown_visibility",
        "unknown_state",
        "invalid_json",
        "invalid_location",
        "missing_user",
        "orphan_relation",
        "unknown_relation",
        "circle_of_comments",
        "orphan_reaction",
        "orphan_file",
        "s3_object",
        "missing_file",
        "orphan_setting",
        "unknown_setting",
        "orphan_notification",
        "unknown_table",
        "space",
        "unknown_column",
    ] {
        assert!(codes.contains(code), "{code} is missing in {codes:?}");
    }
    let note = |id: i64| imported.table("note").iter().find(|row| row["id"] == id).unwrap();
    assert_eq!(note(1)["content"], "nul\u{fffd}inside");
    assert_eq!(note(2)["content"], "ab\u{fffd}c");
    assert_eq!(note(3)["created_ts"], 1_700_000_000);
    assert_eq!(note(4)["created_ts"], 1_700_000_000);
    assert_eq!((note(5)["visibility"].as_str(), note(5)["archived"].as_bool()), (Some("PRIVATE"), Some(true)));
    assert_eq!(note(7)["creator_id"], 99);
    assert_eq!(note(8)["content"], "12345");
    assert_eq!(note(9)["content"], "中");
    assert_eq!(note(10)["location"], serde_json::Value::Null, "a place that is nowhere is none");
    assert_eq!(note(11)["location"]["latitude"], 46.5);
    assert!(note(12)["parent_id"].is_null());
    let stand_in = imported.table("member").iter().find(|row| row["id"] == 99).unwrap();
    assert_eq!((stand_in["username"].as_str(), stand_in["archived"].as_bool()), (Some("deleted-user-99"), Some(true)));
    let reaction = imported.table("reaction").iter().find(|row| row["creator_id"] == 98).unwrap();
    assert_eq!((reaction["note_id"].as_i64(), reaction["reaction"].as_str()), (Some(5), Some("💛")));
    let file = |id: i64| imported.table("attachment").iter().find(|row| row["id"] == id).unwrap();
    assert!(file(1)["note_id"].is_null());
    assert_eq!(file(3)["external_link"], "https://bucket/x");
    assert_eq!(file(4)["sha256"], "");
    for (source, rows) in [("habit", 1), ("reaction", 1), ("inbox", 2)] {
        assert_eq!(imported.kept(source), rows, "{source}");
    }
    assert_eq!(report.mapped["note"], report.tables["memo"], "no memo is dropped");
}

#[tokio::test]
async fn a_card_shows_a_comment_to_those_who_may_read_its_thread() {
    let dir = tempfile::tempdir().unwrap();
    let conn = sample(dir.path());
    conn.execute_batch(
        "DELETE FROM memo_relation; UPDATE memo SET visibility = 'PUBLIC', row_status = 'NORMAL', creator_id = 2 WHERE id IN (2, 3, 4);
         UPDATE memo SET visibility = 'PRIVATE', row_status = 'ARCHIVED', creator_id = 1 WHERE id = 1;
         INSERT INTO memo_relation VALUES (2, 1, 'COMMENT'), (3, 2, 'COMMENT'), (4, 3, 'REFERENCE');",
    )
    .unwrap();
    drop(conn);
    let imported = import(dir.path()).await;
    let card = &imported.table("note").iter().find(|row| row["id"] == 4).unwrap()["card"];
    let other = &card["relations"][0]["other"];
    let shown = (other["visibility"].as_str(), other["creator_id"].as_i64(), other["archived"].as_bool());
    assert_eq!(shown, (Some("PRIVATE"), Some(1), Some(true)), "as the note at the top of the thread: {other}");
}

#[tokio::test]
async fn duplicates_of_a_file_without_its_index_get_ids_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let conn = sample(dir.path());
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF; CREATE TABLE copy AS SELECT * FROM memo; DROP TABLE memo; ALTER TABLE copy RENAME TO memo;
         UPDATE memo SET uid = (SELECT uid FROM memo WHERE id = 20) WHERE id IN (21, 22); UPDATE memo SET uid = '' WHERE id = 23;
         INSERT INTO memo SELECT * FROM memo WHERE id = 24;",
    )
    .unwrap();
    drop(conn);
    let imported = import(dir.path()).await;
    let codes: Vec<_> = imported.report.warnings.iter().map(|w| (w.code.as_str(), w.row.as_str())).collect();
    assert_eq!(codes, [("duplicate_uid", "21"), ("duplicate_uid", "22"), ("duplicate_id", "24")]);
    let uids: BTreeSet<_> = imported.table("note").iter().map(|row| row["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), 236);
    assert_eq!(imported.kept("memo"), 3);
}

#[tokio::test]
async fn an_index_that_says_something_else_than_its_table_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let conn = sample(dir.path());
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF; CREATE TABLE copy AS SELECT * FROM memo; DROP TABLE memo; ALTER TABLE copy RENAME TO memo;
         CREATE UNIQUE INDEX stale_uid ON memo (uid); CREATE INDEX stale_creator ON memo (creator_id);
         CREATE TABLE aside AS SELECT * FROM sqlite_schema WHERE name LIKE 'stale%';
         PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name LIKE 'stale%'; PRAGMA writable_schema = RESET;",
    )
    .unwrap();
    drop(conn);
    let conn = Connection::open(dir.path().join("memos_prod.db")).unwrap();
    conn.execute_batch(
        "UPDATE memo SET creator_id = 4242 WHERE id = 5; UPDATE memo SET creator_id = NULL WHERE id = 6;
         UPDATE memo SET uid = (SELECT uid FROM memo WHERE id = 20) WHERE id = 21;
         PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM aside; PRAGMA writable_schema = RESET;
         DROP TABLE aside;",
    )
    .unwrap();
    let stale: i64 = conn.query_row("SELECT count(*) FROM memo WHERE creator_id = 4242", [], |row| row.get(0)).unwrap();
    assert_eq!(stale, 0, "the index does not know of the row");
    drop(conn);
    let imported = import(dir.path()).await;
    assert!(imported.report.errors.is_empty(), "{:?}", imported.report.errors);
    let codes: Vec<_> = imported.report.warnings.iter().map(|w| (w.code.as_str(), w.row.as_str())).collect();
    assert!(codes.contains(&("missing_user", "4242")) && codes.contains(&("duplicate_uid", "21")), "{codes:?}");
    assert_eq!(imported.report.mapped["note"], 236);
    let notes = imported.table("note");
    let creator = |id: i64| notes.iter().find(|row| row["id"] == id).and_then(|row| row["creator_id"].as_i64());
    assert_eq!(creator(5), Some(4242));
    assert!(creator(6).is_some_and(|id| id > 4242), "the stand-in for nobody");
}

#[tokio::test]
async fn the_highest_numbers_there_are_leave_room_for_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let conn = sample(dir.path());
    conn.execute_batch(
        "UPDATE user SET id = 9223372036854775807 WHERE id = 4; UPDATE memo SET id = 9223372036854775807 WHERE id = 30;
         UPDATE attachment SET id = 9223372036854775807 WHERE id = 2; UPDATE sqlite_sequence SET seq = 9223372036854775807;
         UPDATE memo SET creator_id = NULL WHERE id = 31; UPDATE memo SET creator_id = -9223372036854775808 WHERE id = 32;",
    )
    .ok();
    conn.execute_batch("UPDATE memo SET creator_id = -7 WHERE id = 33").unwrap();
    drop(conn);
    let imported = import(dir.path()).await;
    assert!(imported.report.errors.is_empty(), "{:?}", imported.report.errors);
    assert_eq!(imported.report.mapped["note"], 236);
    assert!(imported.table("note").iter().any(|row| row["id"] == i64::MAX));
}

#[tokio::test]
async fn a_sample_imports_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    migrate::sample::write_sample(dir.path(), &Chance::seeded(7)).unwrap();
    assert!(dir.path().join("memos_prod.db-wal").metadata().unwrap().len() > 100_000, "the log is left unmerged");
    let before = stamps(dir.path());
    let imported = import(dir.path()).await;
    assert_eq!(stamps(dir.path()), before);
    assert!(imported.report.warnings.is_empty(), "{:?}", imported.report.warnings);
    assert_eq!(imported.report.source.version, "0.30");
    assert_eq!(imported.report.mapped["note"], 236);
    assert!(migrate::sample::write_sample(dir.path(), &Chance::System).is_err(), "a folder in use is refused");
}

#[tokio::test]
async fn a_running_source_is_backed_up_without_being_stopped() {
    let dir = tempfile::tempdir().unwrap();
    drop(sample(dir.path()));
    let Some(sqlite) = ["/usr/bin/sqlite3", "/usr/local/bin/sqlite3"].into_iter().find(|p| Path::new(p).exists())
    else {
        testkit::fixtures::skipped("no sqlite3 program");
        return;
    };
    let mut child = Command::new(sqlite)
        .arg(dir.path().join("memos_prod.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"UPDATE memo SET content = 'written while running' WHERE id = 1;\nSELECT 'holding';\n").unwrap();
    stdin.flush().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "holding");
    let names = || std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<BTreeSet<_>>();
    let before = names();
    let imported = import(dir.path()).await;
    assert_eq!(imported.report.source.taken, "running");
    assert_eq!(imported.report.mapped["note"], 236);
    assert_eq!(imported.table("note")[0]["content"], "written while running");
    assert_eq!(names(), before);
    drop(stdin);
    child.wait().unwrap();
    let data = tempfile::tempdir().unwrap();
    let stopped = check(&Source::new(dir.path(), data.path(), false)).await.unwrap();
    assert_eq!(stopped.source.taken, "stopped");
}
