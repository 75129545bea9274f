//! Sources that cannot or must not be imported: one clear sentence each, and nothing half-made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use std::path::Path;

use common::{house, run_of};
use domain::chance::Chance;
use migrate::{Error, Source, check};
use rusqlite::Connection;

async fn refused(path: &Path) -> (String, String) {
    let data = tempfile::tempdir().unwrap();
    let report = check(&Source::new(path, data.path(), false)).await.unwrap();
    assert!(!report.passed());
    assert_eq!(migrate::cli::verdict(&report).number(), 4);
    let left: Vec<_> = std::fs::read_dir(data.path().join("staging")).map(Iterator::collect).unwrap_or_default();
    assert!(left.is_empty(), "private copies are removed: {left:?}");
    (report.errors[0].code.clone(), report.errors[0].message.clone())
}

#[tokio::test]
async fn what_is_not_a_memos_folder_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let (code, message) = refused(&dir.path().join("nowhere")).await;
    assert_eq!(code, "not_found");
    assert!(message.contains("nowhere") && message.contains("data folder"), "{message}");
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "not_memos");
    assert!(message.contains("memos_prod.db"), "{message}");
    std::fs::write(dir.path().join("memos_prod.db"), b"").unwrap();
    assert_eq!(refused(dir.path()).await.0, "empty_file");
    std::fs::write(dir.path().join("memos_prod.db"), b"this is some other kind of file").unwrap();
    assert_eq!(refused(dir.path()).await.0, "not_sqlite");
    std::fs::remove_file(dir.path().join("memos_prod.db")).unwrap();
    Connection::open(dir.path().join("memos_prod.db")).unwrap().execute_batch("CREATE TABLE song (id)").unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "not_memos");
    assert!(message.contains("song"), "{message}");
    std::fs::rename(dir.path().join("memos_prod.db"), dir.path().join("a.db")).unwrap();
    std::fs::copy(dir.path().join("a.db"), dir.path().join("b.db")).unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "several_databases");
    assert!(message.contains("a.db, b.db"), "{message}");
}

fn sample(dir: &Path) {
    migrate::sample::write_sample(dir, &Chance::seeded(5)).unwrap();
}

#[tokio::test]
async fn a_database_without_its_log_is_refused_not_taken_for_empty() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let whole = Connection::open(dir.path().join("memos_prod.db")).unwrap();
    whole.execute_batch("DELETE FROM user; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(whole);
    assert_eq!(refused(dir.path()).await.0, "empty_source");
}

#[tokio::test]
async fn a_log_of_another_database_is_named() {
    let (dir, other, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    let merge = Connection::open(dir.path().join("memos_prod.db")).unwrap();
    merge
        .execute_batch(
            "PRAGMA wal_checkpoint(TRUNCATE); UPDATE user SET nickname = 'x'; PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    drop(merge);
    sample(other.path());
    let mut log = std::fs::read(other.path().join("memos_prod.db-wal")).unwrap();
    log[16] ^= 0xff; // the salt in its header
    std::fs::write(dir.path().join("memos_prod.db-wal"), log).unwrap();
    let report = check(&Source::new(dir.path(), data.path(), false)).await.unwrap();
    assert!(report.warnings.iter().any(|w| w.code == "wal_ignored"), "{:?}", report.warnings);
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_salvaged_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("memos_prod.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let page: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = 'reaction'", [], |row| row.get(0))
        .unwrap();
    let at = (page as usize - 1) * 4096;
    bytes[at..at + 4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "damaged");
    assert!(message.contains("--salvage"), "{message}");
    let data = tempfile::tempdir().unwrap();
    let report = check(&Source::new(dir.path(), data.path(), true)).await.unwrap();
    assert!(report.passed(), "{:?}", report.errors);
    assert!(report.warnings.iter().any(|w| w.code == "damaged"));
    assert_eq!(report.mapped["note"], 236);
}

#[tokio::test]
async fn cut_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("memos_prod.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let data = tempfile::tempdir().unwrap();
    for part in 1..12 {
        std::fs::write(&path, &bytes[..bytes.len() * part / 12]).unwrap();
        for salvage in [false, true] {
            let report = check(&Source::new(dir.path(), data.path(), salvage)).await.unwrap();
            assert!(salvage || !report.passed(), "a cut file is refused");
        }
    }
}

#[tokio::test]
async fn a_missing_file_is_a_warning_and_its_row_stays() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let gone = std::fs::read_dir(dir.path().join("assets")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&gone).unwrap();
    let data = tempfile::tempdir().unwrap();
    let house = house(data.path()).await;
    let report = migrate::run(&house, &run_of(dir.path(), data.path())).await.unwrap();
    assert_eq!(migrate::cli::verdict(&report).number(), 3);
    assert_eq!(report.warnings.len(), 1);
    assert_eq!(report.warnings[0].code, "missing_file");
    let name = gone.file_name().unwrap().to_string_lossy().into_owned();
    assert!(report.warnings[0].message.contains(&name), "{}", report.warnings[0].message);
    let tables = common::read_back(&house).await;
    assert_eq!(tables["attachment"].len(), 14);
    assert_eq!(tables["attachment"].iter().filter(|row| row["storage_key"] == "").count(), 1);
}

#[tokio::test]
async fn a_taken_slug_and_a_failing_file_store_leave_nothing() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    let mut house = house(data.path()).await;
    let run = run_of(dir.path(), data.path());
    let works = house.files.clone();
    // A store that cannot be written any more: its folder became a file.
    let blocked = data.path().join("blocked");
    std::fs::create_dir(&blocked).unwrap();
    house.files = objects::FileStore::open(&format!("file://{}", blocked.display()), None).unwrap();
    std::fs::remove_dir_all(&blocked).unwrap();
    std::fs::write(&blocked, b"").unwrap();
    let failed = migrate::run(&house, &run).await;
    assert!(matches!(failed, Err(Error::Files(_))), "{failed:?}");
    assert!(house.store.registry().by_slug("acme").await.unwrap().is_none(), "no tenant stays");
    house.files = works;
    migrate::run(&house, &run).await.unwrap();
    let again = migrate::run(&house, &run).await;
    assert!(matches!(again, Err(Error::SlugTaken(_))), "{again:?}");
}

#[tokio::test]
async fn open_and_rollback_are_for_closed_tenants() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    let house = house(data.path()).await;
    let slug = "acme".parse().unwrap();
    assert!(matches!(migrate::rollback(&house, &slug, "test").await, Err(Error::NoTenant(_))));
    let run = run_of(dir.path(), data.path());
    migrate::run(&house, &run).await.unwrap();
    let tenant = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    assert_eq!(tenant.state.as_str(), "closed");
    assert_eq!(house.files.list(tenant.id).await.unwrap().len(), 14);
    migrate::rollback(&house, &slug, "test").await.unwrap();
    assert!(house.store.registry().by_slug("acme").await.unwrap().is_none());
    assert!(house.files.list(tenant.id).await.unwrap().is_empty(), "files went too");
    migrate::run(&house, &run).await.unwrap();
    migrate::open_tenant(&house, &slug, "test").await.unwrap();
    let opened = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    assert_eq!(opened.state.as_str(), "active");
    assert!(matches!(migrate::rollback(&house, &slug, "test").await, Err(Error::WrongState { .. })));
}

#[tokio::test]
async fn flipped_bytes_never_panic_and_never_pass_unseen() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("memos_prod.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let data = tempfile::tempdir().unwrap();
    let chance = Chance::seeded(11);
    let mut whole = 0;
    for _ in 0..40 {
        let mut altered = bytes.clone();
        for _ in 0..=chance.below(8) {
            let at = chance.below(altered.len() as u64) as usize;
            altered[at] ^= 1 << chance.below(8);
        }
        std::fs::write(&path, &altered).unwrap();
        let salvage = chance.below(2) == 0;
        let report = check(&Source::new(dir.path(), data.path(), salvage)).await.unwrap();
        if report.passed() && report.warnings.is_empty() {
            assert_eq!(report.mapped["note"], report.tables["memo"], "every memo read was mapped");
            whole += 1;
        }
    }
    eprintln!("{whole} of 40 altered files read whole");
}
