//! Write-ahead logs that are missing or another database's.

use std::path::Path;

use domain::chance::Chance;
use migrate::{Report, Source, check};
use rusqlite::Connection;

use crate::{refused, sample};

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

/// Everything merged, so that there is no log any more.
fn merge(folder: &Path) {
    let conn = Connection::open(folder.join("memos_prod.db")).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE; PRAGMA journal_mode = WAL")
        .unwrap();
}

async fn looked(folder: &Path, salvage: bool) -> Report {
    let data = tempfile::tempdir().unwrap();
    check(&Source::new(folder, data.path(), salvage)).await.unwrap()
}

#[tokio::test]
async fn a_whole_log_of_another_database_is_never_mixed_in() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    merge(dir.path());
    let plain = looked(dir.path(), false).await;
    migrate::sample::write_sample(other.path(), &Chance::seeded(6)).unwrap();
    // SQLite itself takes it: its check sums are right.
    std::fs::copy(other.path().join("memos_prod.db-wal"), dir.path().join("memos_prod.db-wal")).unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "wal_foreign");
    assert!(message.contains("-wal") && message.contains("--salvage"), "{message}");
    let without = looked(dir.path(), true).await;
    assert!(without.passed(), "{:?}", without.errors);
    assert_eq!(without.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["wal_ignored"]);
    assert_eq!((without.mapped, without.members), (plain.mapped, plain.members));
    // One of its own that is only older than the database tells nothing, and nothing is said.
    std::fs::remove_file(dir.path().join("memos_prod.db-wal")).unwrap();
    assert!(looked(dir.path(), false).await.warnings.is_empty());
}

#[tokio::test]
async fn databases_of_other_modes_are_named_and_links_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    std::fs::copy(dir.path().join("memos_prod.db"), dir.path().join("memos_dev.db")).unwrap();
    let report = looked(dir.path(), false).await;
    let told: Vec<_> = report.warnings.iter().map(|w| (w.code.as_str(), w.row.as_str())).collect();
    assert_eq!(told, [("other_database", "memos_dev.db")]);
    // Through a link in another folder, the database and its log are found where they are.
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(dir.path().join("memos_prod.db"), elsewhere.path().join("memos_prod.db")).unwrap();
    let linked = looked(elsewhere.path(), false).await;
    assert_eq!(linked.mapped, report.mapped);
}
