//! How old what lies in a store is.

use std::path::Path;
use std::time::{Duration, SystemTime};

/// Makes everything but manifests so old that nobody can be at it any more.
pub(super) fn age(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            age(&path);
        } else if !path.ends_with("manifest.json") {
            let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
    }
}

/// Makes the manifests so much older than they are.
pub(super) fn move_manifests(folder: &Path, by: Duration) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            move_manifests(&path, by);
        } else if path.ends_with("manifest.json") {
            let then = path.metadata().unwrap().modified().unwrap() - by;
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}
