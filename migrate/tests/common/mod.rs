//! A house for one test: a database of its own, a file store in a temporary folder, and what was imported into it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use futures_util::StreamExt as _;
use migrate::{House, Report, Run, Source};
use objects::{FileKey, FileStore};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use store::TenantScope;
use testkit::pg::TestDatabase;

/// A house with nothing in it.
pub(crate) async fn house(dir: &Path) -> House {
    house_over(&TestDatabase::create().await, dir).await
}

/// A house over a database of the caller's.
pub(crate) async fn house_over(database: &TestDatabase, dir: &Path) -> House {
    let url = format!("file://{}", dir.join("files").display());
    std::fs::create_dir_all(dir.join("files")).unwrap();
    House {
        store: database.store().await,
        files: FileStore::open(&url, None).unwrap(),
        file_keys: Arc::new(|tenant| FileKey::new(Sha256::digest(tenant.0.as_bytes()).into())),
        read_back: None,
    }
}

/// A run of `folder` as tenant `acme`.
pub(crate) fn run_of(folder: &Path, data: &Path) -> Run {
    Run {
        source: Source::new(folder, data, false),
        slug: "acme".parse().unwrap(),
        reach: migrate::Reach::default(),
        open: false,
        actor: "test".to_owned(),
        watch: migrate::Watch::default(),
    }
}

/// What a check says and a run must repeat: everything but what only a run can know.
pub(crate) fn promised(report: &Report) -> Json {
    let mut said = serde_json::to_value(report).unwrap();
    for known_later in ["tenant", "verified", "opened", "phases"] {
        said.as_object_mut().unwrap().remove(known_later);
    }
    said
}

/// An imported tenant, all rows in memory as JSON.
pub(crate) struct Imported {
    pub(crate) report: Report,
    pub(crate) house: House,
    pub(crate) dir: tempfile::TempDir,
    tables: BTreeMap<String, Vec<Json>>,
}

/// Imports `folder` and reads everything back through a snapshot.
pub(crate) async fn import(folder: &Path) -> Imported {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path()).await;
    let report = migrate::run(&house, &run_of(folder, dir.path())).await.unwrap();
    let mut tables = BTreeMap::new();
    if report.tenant.is_some() {
        tables = read_back(&house).await;
    }
    Imported { report, house, dir, tables }
}

/// Every row of every table of the tenant `acme`.
pub(crate) async fn read_back(house: &House) -> BTreeMap<String, Vec<Json>> {
    read_back_as(house, "acme").await
}

/// Every row of every table of a tenant.
pub(crate) async fn read_back_as(house: &House, slug: &str) -> BTreeMap<String, Vec<Json>> {
    let tenant = house.store.registry().by_slug(slug).await.unwrap().unwrap();
    let mut snapshot = house.store.open_snapshot(&TenantScope::for_command(tenant, "test")).await.unwrap();
    let mut all = BTreeMap::new();
    for table in snapshot.tables().await.unwrap() {
        let mut bytes = Vec::new();
        let mut stream = snapshot.copy_out(&table, None).await.unwrap();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        drop(stream);
        let rows = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|line| row(&table, line)).collect();
        all.insert(table.name.clone(), rows);
    }
    snapshot.finish().await.unwrap();
    all
}

fn row(table: &store::Table, line: &[u8]) -> Json {
    use migrate::table::Kind;
    let kinds: Vec<Kind> = table
        .columns
        .iter()
        .map(|column| match column.type_name.as_str() {
            "bigint" | "integer" => Kind::Int,
            "boolean" => Kind::Bool,
            "jsonb" => Kind::Json,
            "text[]" => Kind::Texts,
            _ => Kind::Text,
        })
        .collect();
    let cells = migrate::row::read_row(line, kinds).unwrap();
    let values = cells.into_iter().map(|cell| match cell {
        migrate::table::Cell::Null => Json::Null,
        migrate::table::Cell::Int(n) => n.into(),
        migrate::table::Cell::Bool(b) => b.into(),
        migrate::table::Cell::Text(text) => text.into(),
        migrate::table::Cell::Json(json) => json,
        migrate::table::Cell::Texts(texts) => texts.into(),
    });
    Json::Object(table.columns.iter().map(|column| column.name.clone()).zip(values).collect())
}

impl Imported {
    pub(crate) fn table(&self, name: &str) -> &[Json] {
        self.tables.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Rows of a source table in the remainder.
    pub(crate) fn kept(&self, source: &str) -> usize {
        self.table("import_remainder").iter().filter(|row| row["source"] == source).count()
    }

    /// Whether the report says that the text of this row could not be kept as it was.
    pub(crate) fn odd(&self, table: &str, id: i64) -> bool {
        let text = ["nul_replaced", "invalid_utf8"];
        self.report
            .warnings
            .iter()
            .any(|w| w.table == table && w.row == id.to_string() && text.contains(&w.code.as_str()))
    }

    /// Whether the remainder holds bytes with this hash for the row.
    pub(crate) fn kept_bytes(&self, table: &str, id: i64, sha256: &str) -> bool {
        self.table("import_remainder").iter().any(|row| {
            row["source"] == table
                && row["row_key"] == id.to_string().as_str()
                && row["value"]["content"]["base64"].as_str().is_some_and(|packed| {
                    let bytes = base64::engine::general_purpose::STANDARD.decode(packed).unwrap();
                    hex::encode(Sha256::digest(&bytes)) == sha256
                })
        })
    }

    pub(crate) async fn file(&self, key: &str) -> Vec<u8> {
        self.house.files.read(key, None).await.unwrap().bytes().await.unwrap().to_vec()
    }
}

/// One file of a folder: name, bytes, modification and access time.
pub(crate) type Stamp = (PathBuf, u64, i64, i64, i64, i64);

/// Every file of a folder with its times, and those of the folders themselves.
pub(crate) fn stamps(folder: &Path) -> Vec<Stamp> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                open.push(path.clone());
                found.push((path, 0, meta.mtime(), meta.mtime_nsec(), 0, 0));
            } else {
                found.push((path, meta.len(), meta.mtime(), meta.mtime_nsec(), meta.atime(), meta.atime_nsec()));
            }
        }
    }
    found.sort();
    found
}
