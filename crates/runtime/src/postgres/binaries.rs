//! Finding the programs of PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use crate::settings::environment;

/// The major versions that we run on.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 15..=18;

/// A folder with the programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    /// The newest supported version that is installed, or the one in `given`.
    pub fn find(given: Option<&Path>) -> Result<Self, Error> {
        Self::choose(given, None, Path::new(""))
    }

    /// The version of an existing data directory, else the newest.
    pub(super) fn choose(given: Option<&Path>, major: Option<&str>, directory: &Path) -> Result<Self, Error> {
        let candidates = given.map_or_else(usual_folders, |folder| vec![folder.to_owned()]);
        let mut found: Vec<Self> = candidates.iter().filter_map(|folder| Self::look(folder)).collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.major));
        if found.is_empty() {
            let looked = candidates.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(Error::NoBinaries {
                looked: if looked.is_empty() { "PATH, /usr/lib/postgresql".to_owned() } else { looked },
            });
        }
        let Some(major) = major else { return Ok(found.swap_remove(0)) };
        match found.iter().position(|one| one.major.to_string() == major) {
            Some(index) => Ok(found.swap_remove(index)),
            None => {
                let available = found.iter().map(|one| one.major.to_string()).collect::<Vec<_>>().join(", ");
                Err(Error::OtherMajor { path: directory.to_owned(), found: major.to_owned(), available })
            }
        }
    }

    /// A folder that holds `initdb` and a supported `postgres`.
    fn look(folder: &Path) -> Option<Self> {
        let server = folder.join("postgres").canonicalize().ok()?;
        let folder = server.parent()?.to_owned();
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(&server).arg("--version").env_clear().output().ok()?;
        let major = major_in(&String::from_utf8_lossy(&output.stdout))?;
        SUPPORTED.contains(&major).then_some(Self { folder, major })
    }

    /// Full path of one of its programs, such as `pg_dump`; it may not exist.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Major version.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The search path, and where distributions put versions side by side.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for version in SUPPORTED.rev() {
        folders.push(PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
        folders.push(PathBuf::from(format!("/usr/pgsql-{version}/bin")));
        folders.push(PathBuf::from(format!("/usr/libexec/postgresql{version}")));
    }
    folders.extend(environment::search_path());
    folders.retain(|folder| folder.join("postgres").is_file());
    folders
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15.
fn major_in(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        assert_eq!(major_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_in("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_in("no such thing"), None);
    }

    #[test]
    fn an_empty_folder_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("postgres_bin") && error.contains(&folder.path().display().to_string()), "{error}");
    }
}
