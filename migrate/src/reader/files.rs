//! Where the bytes of an attachment are: a value in the database, or a file below the data folder.

use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Reader;
use super::stage::open_quietly;
use crate::error::Error;

/// Bytes and SHA-256 (hex) of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Bytes.
    pub size: i64,
    /// Lower-case hex.
    pub sha256: String,
}

/// Why a stored path leads to no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFile {
    /// Nothing is there.
    Missing,
    /// The path leaves the data folder, which is never followed.
    Outside,
    /// It is there, but not for us.
    Unreadable,
}

/// Finds a file by the folders that the operator named first (`--path-map`), then below the data folder. A relative path is
/// looked up in those folders as well: a database without a folder around it has nothing else.
pub fn find_mapped(folder: &Path, maps: &[(String, PathBuf)], reference: &str) -> Result<PathBuf, NoFile> {
    let unified = reference.replace('\\', "/");
    let mapped = maps.iter().find_map(|(from, to)| {
        let rest = unified.strip_prefix(from.replace('\\', "/").trim_end_matches('/'))?;
        find(to, rest.strip_prefix('/')?).ok()
    });
    let found = mapped.map_or_else(|| find(folder, reference), Ok).or_else(|why| {
        let relative = !is_absolute(&unified) && why == NoFile::Missing;
        let elsewhere = maps.iter().filter(|_| relative).find_map(|(_, to)| find(to, reference).ok());
        elsewhere.ok_or(why)
    })?;
    open_quietly(&found).map(|_| found).map_err(|_| NoFile::Unreadable)
}

/// Finds the file that `reference` names, below `folder` and never outside it.
///
/// References are relative in some releases and absolute in others (`/var/opt/memos/assets/…`, `C:\…`), and the folder
/// has usually moved since: of an absolute path, the longest tail that is a file below `folder` is taken.
pub fn find(folder: &Path, reference: &str) -> Result<PathBuf, NoFile> {
    let unified = reference.replace('\\', "/");
    let mut parts: Vec<&str> = Vec::new();
    for part in unified.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(NoFile::Outside),
            part => parts.push(part),
        }
    }
    let tails = if is_absolute(&unified) { parts.len() } else { 1 };
    let root = folder.canonicalize().map_err(|_| NoFile::Missing)?;
    for skip in 0..tails.min(parts.len()) {
        let tail: PathBuf = parts[skip..].iter().collect();
        if tail.components().any(|part| !matches!(part, Component::Normal(_))) {
            continue;
        }
        let Ok(path) = root.join(&tail).canonicalize() else { continue };
        if !path.starts_with(&root) {
            return Err(NoFile::Outside);
        }
        if path.is_file() && !is_database(&path) {
            return Ok(path);
        }
    }
    Err(NoFile::Missing)
}

fn is_absolute(unified: &str) -> bool {
    unified.starts_with('/') || unified.as_bytes().get(1) == Some(&b':')
}

/// The database itself is never an attachment.
fn is_database(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.trim_end_matches("-wal").trim_end_matches("-shm");
    name.starts_with("memos_") && Path::new(name).extension().is_some_and(|ext| ext == "db")
}

/// Hashes a file of the source without touching its access time where that is allowed.
pub fn sum_file(path: &Path) -> Result<Sum, Error> {
    let mut file = open_quietly(path).map_err(Error::file("read", path))?;
    pour(&mut file, &mut std::io::sink()).map_err(Error::file("read", path))
}

/// Copies a file of the source to `to`.
pub fn copy_file(from: &Path, to: &Path) -> Result<Sum, Error> {
    let mut reader = open_quietly(from).map_err(Error::file("read", from))?;
    let mut writer = std::fs::File::create(to).map_err(Error::file("create", to))?;
    pour(&mut reader, &mut writer).map_err(Error::file("copy", from))
}

/// Copies a value of the database to `to`, in pieces.
pub fn copy_blob(reader: &Reader, table: &str, row: i64, to: &Path) -> Result<Sum, Error> {
    let mut blob = reader.open_blob(table, "blob", row)?;
    let mut writer = std::fs::File::create(to).map_err(Error::file("create", to))?;
    pour(&mut blob, &mut writer).map_err(Error::file("write", to))
}

/// Reads a value of the database through, to see whether it can be.
pub fn sum_blob(reader: &Reader, table: &str, row: i64) -> Result<Sum, Error> {
    let mut blob = reader.open_blob(table, "blob", row)?;
    pour(&mut blob, &mut std::io::sink()).map_err(Error::file("read", "the database"))
}

fn pour(from: &mut dyn Read, to: &mut dyn Write) -> std::io::Result<Sum> {
    let mut piece = vec![0_u8; 128 * 1024];
    let mut hash = Sha256::new();
    let mut size = 0_i64;
    loop {
        let got = from.read(&mut piece)?;
        if got == 0 {
            to.flush()?;
            return Ok(Sum { size, sha256: hex::encode(hash.finalize()) });
        }
        hash.update(&piece[..got]);
        to.write_all(&piece[..got])?;
        size += got as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_mapped_onto_the_folder_and_never_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("assets")).unwrap();
        std::fs::write(root.join("assets/a b.txt"), b"x").unwrap();
        std::fs::write(root.join("memos_prod.db"), b"x").unwrap();
        std::os::unix::fs::symlink("/etc", root.join("assets/etc")).unwrap();
        let want = Ok(root.join("assets/a b.txt"));
        assert_eq!(find(&root, "assets/a b.txt"), want);
        assert_eq!(find(&root, "/var/opt/memos/assets/a b.txt"), want);
        assert_eq!(find(&root, "C:\\Users\\me\\memos\\assets\\a b.txt"), want);
        assert_eq!(find(&root, "/etc/passwd"), Err(NoFile::Missing));
        assert_eq!(find(&root, "../x"), Err(NoFile::Outside));
        assert_eq!(find(&root, "assets/etc/passwd"), Err(NoFile::Outside));
        assert_eq!(find(&root, "/var/opt/memos/memos_prod.db"), Err(NoFile::Missing));
        assert_eq!(find(&root, ""), Err(NoFile::Missing));
        let (empty, maps) = (tempfile::tempdir().unwrap(), [("/var/opt/memos".to_owned(), root.clone())]);
        for named in ["assets/a b.txt", "/var/opt/memos/assets/a b.txt"] {
            assert_eq!(find_mapped(empty.path(), &maps, named), want, "{named}");
        }
        assert_eq!(find_mapped(empty.path(), &[], "assets/a b.txt"), Err(NoFile::Missing));
    }
}
