//! Damaged copies of real databases: never a panic, never a half-open tenant, and every row that SQLite still reads is
//! imported or named. 500 in `make test`, 10,000 in `make soak` (or HOLDFAST_SOAK_MUTATIONS, of HOLDFAST_SOAK_SEED, from the HOLDFAST_SOAK_FROM-th on).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{house, promised};
use domain::chance::Chance;
use migrate::{House, Report, Run, Source, check};
use rusqlite::Connection;
use testkit::fixtures::{copy_of, data_folders};

const TABLES: [&str; 12] = [
    "memo",
    "user",
    "resource",
    "attachment",
    "memo_relation",
    "reaction",
    "user_setting",
    "system_setting",
    "inbox",
    "memo_share",
    "memo_organizer",
    "activity",
];

/// One file with everything merged, so that bytes can be altered.
fn merged(folder: &Path) -> PathBuf {
    let database = folder.join("memos_prod.db");
    let conn = Connection::open(&database).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    database
}

fn mutate_bytes(bytes: &mut [u8], chance: &Chance) {
    for _ in 0..=chance.below(6) {
        let at = chance.below(bytes.len() as u64) as usize;
        match chance.below(3) {
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => {
                let end = (at + 1 + chance.below(64) as usize).min(bytes.len());
                bytes[at..end].fill(chance.below(256) as u8);
            }
            _ => {
                let page = at / 4096 * 4096;
                let end = (page + 4096).min(bytes.len());
                if page > 0 {
                    bytes[page..end].fill(0xa5);
                }
            }
        }
    }
}

/// Values of wrong classes, NUL, broken UTF-8, missing tables and columns: whatever SQL can do to a file.
fn mutate_rows(conn: &Connection, chance: &Chance) {
    let run = |sql: &str| drop(conn.execute_batch(sql));
    run("PRAGMA ignore_check_constraints = 1; PRAGMA foreign_keys = OFF");
    for _ in 0..=chance.below(4) {
        let table = TABLES[chance.below(TABLES.len() as u64) as usize];
        let columns: Vec<String> = conn
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'id'"))
            .and_then(|mut list| list.query_map([], |row| row.get(0))?.collect())
            .unwrap_or_default();
        if columns.is_empty() {
            continue;
        }
        let column = &columns[chance.below(columns.len() as u64) as usize];
        let value = [
            "NULL",
            "''",
            "x'00ff10'",
            "CAST(x'61ff62' AS TEXT)",
            "'a' || char(0) || 'b'",
            "-1",
            "9e300",
            "1700000000123",
            "'not a number'",
            "CAST(x'eda080' AS TEXT)",
            "99999999",
            "'{\"broken'",
        ][chance.below(12) as usize];
        let some = 1 + chance.below(5);
        match chance.below(9) {
            0 => run(&format!("DROP TABLE {table}")),
            1 => run(&format!("ALTER TABLE {table} DROP COLUMN {column}")),
            2 => run(&format!("ALTER TABLE {table} ADD COLUMN made_up TEXT; UPDATE {table} SET made_up = {value}")),
            3 => run(&format!(
                "CREATE TABLE loose AS SELECT * FROM {table}; DROP TABLE {table}; ALTER TABLE loose RENAME TO {table}; INSERT INTO {table} SELECT * FROM {table} WHERE rowid % 7 = 0"
            )),
            4 => run(&format!("DELETE FROM {table} WHERE rowid % {some} = 0")),
            _ => run(&format!("UPDATE OR IGNORE {table} SET {column} = {value} WHERE rowid % {} = 0", 3 * some)),
        }
    }
}

/// Rows per table that the program `sqlite3` reads with every value of theirs; a table that it gives up on is left out.
fn readable(database: &Path) -> BTreeMap<String, u64> {
    let Ok(conn) = Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return BTreeMap::new();
    };
    let mut command = Command::new("sqlite3");
    command.arg("-readonly").arg(database);
    for table in TABLES {
        let columns: Vec<String> = conn
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .and_then(|mut list| list.query_map([], |row| row.get(0))?.collect())
            .unwrap_or_default();
        if columns.is_empty() {
            continue;
        }
        let values: Vec<String> = columns.iter().map(|column| format!("length(quote(\"{column}\"))")).collect();
        command.arg(format!("SELECT '{table}', count(*), total({}) FROM \"{table}\" NOT INDEXED", values.join(" + ")));
    }
    let output = command.output().expect("the program sqlite3");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = |line: &str| {
        let mut parts = line.split('|');
        Some((parts.next()?.to_owned(), parts.next()?.parse().ok()?))
    };
    lines.lines().filter_map(told).collect()
}

fn named(report: &Report, table: &str, codes: &[&str]) -> u64 {
    report.warnings.iter().filter(|w| w.table == table && codes.contains(&w.code.as_str())).count() as u64
}

/// Rows imported and rows named as not imported are all the rows that `sqlite3` counts.
fn account(report: &Report, database: &Path, what: &str) {
    let rows = readable(database);
    let mapped = |table: &str| report.mapped.get(table).copied().unwrap_or_default();
    let equal = |table: &str, arrived: u64, reported: u64| {
        let Some(rows) = rows.get(table) else { return };
        let lost = report.unread.get(table).copied().unwrap_or_default();
        assert_eq!(
            arrived + reported + lost,
            *rows,
            "{what}: {table}: {arrived} arrived, {reported} reported, {lost} lost: {:?}",
            report.warnings.iter().filter(|w| w.table == table).take(5).collect::<Vec<_>>()
        );
    };
    equal("memo", mapped("note"), named(report, "memo", &["duplicate_id"]));
    equal(
        "memo_relation",
        mapped("note_relation"),
        named(report, "memo_relation", &["orphan_relation", "unknown_relation", "duplicate_relation"]),
    );
    equal("reaction", mapped("reaction"), named(report, "reaction", &["orphan_reaction", "duplicate_reaction"]));
    // Users who are missing get stand-ins.
    if let Some(users) = rows.get("user") {
        let members = mapped("member");
        let stand_ins = named(report, "user", &["missing_user"]) + 1;
        assert!(
            members + named(report, "user", &["duplicate_id"]) >= *users && members <= users + stand_ins,
            "{what}: {members} of {users}"
        );
    }
    // A file on several notes gets a row for each.
    let files: Option<u64> = match (rows.get("attachment"), rows.get("resource")) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(&0) + b.unwrap_or(&0)),
    };
    let whole =
        ["attachment", "resource"].iter().all(|table| rows.contains_key(*table) == report.tables.contains_key(*table));
    if let Some(files) = files.filter(|_| whole) {
        let of = |code: &str| named(report, "attachment", &[code]) + named(report, "resource", &[code]);
        let lost: u64 = ["attachment", "resource"].iter().filter_map(|table| report.unread.get(*table)).sum();
        assert_eq!(mapped("attachment") + of("duplicate_id") + lost, files + of("shared_file"), "{what}: files");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_databases_never_panic_and_lose_no_row_unnamed() {
    damage(0, 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make soak"]
async fn soak_ten_thousand_damaged_databases() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = (number("HOLDFAST_SOAK_SEED").unwrap_or(1) << 16) + number("HOLDFAST_SOAK_FROM").unwrap_or(0);
    damage(first, number("HOLDFAST_SOAK_MUTATIONS").unwrap_or(10_000)).await;
}

/// What came of some of the files.
#[derive(Default)]
struct Tally {
    passed: u64,
    imported: u64,
    refused: BTreeMap<String, u64>,
}

async fn damage(first: u64, count: u64) {
    if data_folders().is_empty() {
        return;
    }
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 4) as u64;
    let data = tempfile::tempdir().unwrap();
    let house = house(data.path()).await;
    let mut working = tokio::task::JoinSet::new();
    for worker in 0..workers {
        let seeds = (first + worker..first + count).step_by(workers as usize);
        working.spawn(damage_some(house.clone(), data.path().to_owned(), seeds));
    }
    let mut all = Tally::default();
    while let Some(done) = working.join_next().await {
        let done = done.unwrap();
        all.passed += done.passed;
        all.imported += done.imported;
        for (code, files) in done.refused {
            *all.refused.entry(code).or_default() += files;
        }
    }
    let Tally { passed, imported, refused } = all;
    eprintln!(
        "{count} damaged files: {passed} pass a check with --salvage, {imported} of them were imported whole; refused: {refused:?}"
    );
    assert!(passed * 2 >= count, "at least half import");
}

async fn damage_some(house: House, data: PathBuf, seeds: impl Iterator<Item = u64> + Send + 'static) -> Tally {
    let folders: Vec<tempfile::TempDir> = data_folders().iter().map(|folder| copy_of(folder)).collect();
    let databases: Vec<(PathBuf, Vec<u8>)> = folders
        .iter()
        .map(|folder| {
            let path = merged(folder.path());
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    let mut tally = Tally::default();
    for seed in seeds {
        let chance = Chance::seeded(seed);
        let (path, bytes) = &databases[chance.below(databases.len() as u64) as usize];
        let mut altered = bytes.clone();
        let by_bytes = chance.below(2) == 0;
        if by_bytes {
            mutate_bytes(&mut altered, &chance);
        }
        std::fs::write(path, &altered).unwrap();
        if !by_bytes {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
            mutate_rows(&conn, &chance);
        }
        let what = format!("seed {seed} of {}", path.parent().unwrap().display());
        let mut source = Source::new(path.parent().unwrap(), &data, true);
        source.path.clone_from(path);
        let predicted = check(&source).await.unwrap_or_else(|err| panic!("{what}: {err}"));
        if !predicted.passed() {
            *tally.refused.entry(predicted.errors[0].code.clone()).or_default() += 1;
            continue;
        }
        tally.passed += 1;
        account(&predicted, path, &what);
        // Every eighth is carried out; the check has walked the same way for the others.
        if seed % 8 != 0 {
            continue;
        }
        let slug = format!("m-{seed}");
        let run = Run { source, slug: slug.parse().unwrap(), ..common::run_of(path, &data) };
        let report = migrate::run(&house, &run).await.unwrap_or_else(|err| panic!("{what}: {err}"));
        assert_eq!(promised(&predicted), promised(&report), "{what}");
        let tenant = house.store.registry().by_slug(&slug).await.unwrap().unwrap();
        assert_eq!(tenant.state.as_str(), "closed", "{what}");
        migrate::rollback(&house, &run.slug, "test").await.unwrap();
        tally.imported += 1;
    }
    tally
}
