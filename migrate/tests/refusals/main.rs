//! Sources that cannot or must not be imported: one clear sentence each, and nothing half-made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../common/mod.rs"]
mod common;
mod log;
mod source;
mod tenant;

use std::path::Path;

use domain::chance::Chance;
use migrate::{Source, check};

fn sample(dir: &Path) {
    migrate::sample::write_sample(dir, &Chance::seeded(5)).unwrap();
}

async fn refused(path: &Path) -> (String, String) {
    let data = tempfile::tempdir().unwrap();
    let report = check(&Source::new(path, data.path(), false)).await.unwrap();
    assert!(!report.passed());
    assert_eq!(migrate::cli::verdict(&report).number(), 4);
    let left: Vec<_> = std::fs::read_dir(data.path().join("staging")).map(Iterator::collect).unwrap_or_default();
    assert!(left.is_empty(), "private copies are removed: {left:?}");
    (report.errors[0].code.clone(), report.errors[0].message.clone())
}
