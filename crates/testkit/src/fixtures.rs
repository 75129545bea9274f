//! Databases that real Memos releases wrote, and what a real server answered: found, never copied into the repository.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The fixture `name`, or none: then the test is reported as skipped by name. With `CI=true` a missing fixture fails.
pub fn fixture(name: &str) -> Option<PathBuf> {
    let root =
        std::env::var_os("HOLDFAST_FIXTURES").map_or_else(|| workspace().join("../shared/fixtures"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "fixture {name} is missing below {}", root.display());
    skipped(&format!("fixture {name} is not there (HOLDFAST_FIXTURES)"));
    None
}

/// Says by name that a test was not run, and why. Straight to stderr: what a test prints with the macros is shown only
/// when it fails, and then nobody would ever read this.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr().lock(), "\nskipped {test}: {why}").expect("stderr can be written");
}

/// Every data folder among the fixtures: those that come with a `truth.json`.
pub fn data_folders() -> Vec<PathBuf> {
    let Some(root) = fixture(".") else { return Vec::new() };
    let entries = std::fs::read_dir(root).expect("a readable folder");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.join("truth.json").is_file())
        .collect();
    found.sort();
    found
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/testkit lies two levels down")
}

/// A private copy of a folder, in a temporary directory.
pub fn copy_of(folder: &Path) -> tempfile::TempDir {
    let target = tempfile::tempdir().expect("a temporary directory");
    copy_into(folder, target.path());
    target
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file type").is_dir() {
            std::fs::create_dir_all(&target).expect("a new folder");
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a copied file");
            let mut permissions = std::fs::metadata(&target).expect("metadata").permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
            std::fs::set_permissions(&target, permissions).expect("permissions");
        }
    }
}
