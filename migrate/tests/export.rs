//! Out again: a Memos 0.30 folder that passes SQLite's own check, has 0.30's tables, and imports to the same rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;
#[path = "common/shape.rs"]
mod shape;

use std::collections::BTreeMap;

use common::{house, import, read_back_as, run_of};
use migrate::{Form, Source, check, export};
use rusqlite::Connection;
use serde_json::Value as Json;
use shape::shape;
use testkit::fixtures::{copy_of, data_folders, fixture};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fixture_goes_out_as_memos_and_comes_back_the_same() {
    for original in data_folders() {
        let name = original.file_name().unwrap().to_string_lossy().into_owned();
        let source = copy_of(&original);
        let imported = import(source.path()).await;
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join("memos");
        let report = export(&imported.house, &"acme".parse().unwrap(), Form::Memos030, &folder, "test").await.unwrap();
        let database = folder.join("memos_prod.db");
        let conn = Connection::open(&database).unwrap();
        let said: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(said, "ok", "{name}");
        drop(conn);
        if let Some(real) = fixture("memos-0.30.0") {
            let real = copy_of(&real);
            assert_eq!(shape(&database), shape(&real.path().join("memos_prod.db")), "{name}");
        }
        let data = tempfile::tempdir().unwrap();
        let looked = check(&Source::new(&folder, data.path(), false)).await.unwrap();
        assert!(looked.errors.is_empty(), "{name}: {:?}", looked.errors);
        assert_eq!(looked.source.version, "0.30", "{name}");
        let other = house(data.path()).await;
        migrate::run(&other, &run_of(&folder, data.path())).await.unwrap();
        let (before, after) = (rows(&imported.house).await, rows(&other).await);
        for (table, rows) in &before {
            for (a, b) in rows.iter().zip(&after[table]) {
                assert_eq!(a, b, "{name}: {table}");
            }
            assert_eq!(rows.len(), after[table].len(), "{name}: {table}");
        }
        eprintln!(
            "{name}: {:?}, {} files, left out {:?}",
            report.tables,
            report.files,
            report.left_out.iter().map(|l| (&l.table, l.rows)).collect::<Vec<_>>()
        );
        assert!(report.left_out.iter().all(|item| item.rows > 0 && !item.message.is_empty()));
    }
}

/// Everything but what belongs to one installation.
async fn rows(house: &migrate::House) -> BTreeMap<String, Vec<Json>> {
    let mut tables = read_back_as(house, "acme").await;
    for name in ["import_base", "import_remainder", "change_mark", "point_state"] {
        tables.remove(name);
    }
    for (table, rows) in &mut tables {
        for row in rows.iter_mut() {
            let row = row.as_object_mut().unwrap();
            row.remove("storage_key");
            if table == "setting" && row["key"] == "BASIC" {
                row["value"].as_object_mut().unwrap().remove("schemaVersion");
            }
        }
        rows.sort_by_key(Json::to_string);
    }
    tables
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_note_goes_out_as_markdown() {
    let source = tempfile::tempdir().unwrap();
    migrate::sample::write_sample(source.path(), &domain::chance::Chance::seeded(3)).unwrap();
    let imported = import(source.path()).await;
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("md");
    let slug = "acme".parse().unwrap();
    let report = export(&imported.house, &slug, Form::Markdown, &folder, "test").await.unwrap();
    assert_eq!(report.tables["note"], imported.report.mapped["note"]);
    for row in imported.table("note") {
        let path = folder.join("notes").join(format!("{}.md", row["uid"].as_str().unwrap()));
        let file = markdown::parse_note_file(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(file.content, row["content"].as_str().unwrap());
    }
    assert_eq!(report.files, 14);
    assert!(report.left_out.iter().any(|item| item.table == "member"));
    let again = export(&imported.house, &slug, Form::Markdown, &folder, "test").await;
    assert!(again.is_err(), "a folder in use is refused");
}
