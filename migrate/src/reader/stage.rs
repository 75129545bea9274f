//! Bringing the source to safety: a private copy is read, never the source itself.
//!
//! A stopped source is copied byte for byte (`.db`, `-wal`, `-journal`), opened without touching access times where
//! the system allows it; a running one goes through SQLite's backup API on a connection that writes nothing.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::StepResult;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::check::Source;
use crate::error::Error;

const NAMES: [&str; 3] = ["memos_prod.db", "memos_dev.db", "memos_demo.db"];
/// How long a locked source is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How a source was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its files were copied.
    Stopped,
    /// Another process had it open: by SQLite's backup API.
    Running,
    /// Table by table from PostgreSQL.
    Postgres,
}

impl Taken {
    /// As the report says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running | Self::Postgres => "running",
        }
    }
}

/// A private copy of a source. The folder vanishes when this is dropped.
#[derive(Debug)]
pub struct Staged {
    /// Private folder (mode 0700) with the copy and scratch files.
    pub dir: TempDir,
    /// The copied database.
    pub database: PathBuf,
    /// The data folder of the source: local files are looked up below it.
    pub folder: PathBuf,
    /// How the source was taken.
    pub taken: Taken,
    /// Bytes of the `-wal` that was copied, 0 when there was none.
    pub wal_bytes: u64,
    /// Databases of other modes in the same folder, which were not read.
    pub others: Vec<String>,
}

/// A database that was found, and the data folder around it.
struct Located {
    database: PathBuf,
    folder: PathBuf,
    others: Vec<String>,
}

/// Copies a source below its staging folder.
pub fn stage(source: &Source) -> Result<Staged, Error> {
    let parent = source.staging.as_path();
    if let Some(url) = source.postgres() {
        let dir = private_folder(parent)?;
        let database = dir.path().join("source.db");
        super::foreign::copy(url, source.options.password_file.as_ref(), &database)?;
        let folder = dir.path().join("files");
        std::fs::create_dir(&folder).map_err(Error::file("create", &folder))?;
        return Ok(Staged { dir, database, folder, taken: Taken::Postgres, wal_bytes: 0, others: Vec::new() });
    }
    let Located { database: original, folder, others } = locate(&source.path)?;
    look_inside(&original)?;
    let dir = private_folder(parent)?;
    let database = dir.path().join("source.db");
    let mut taken = if is_held(&original) { Taken::Running } else { Taken::Stopped };
    let mut wal_bytes = 0;
    if taken == Taken::Stopped {
        match copy_set(&original, &database) {
            Ok(bytes) => wal_bytes = bytes,
            // Written meanwhile, so somebody runs it after all.
            Err(Error::Source { code: "source_changed", .. }) => taken = Taken::Running,
            Err(other) => return Err(other),
        }
    }
    if taken == Taken::Running {
        for suffix in ["", "-wal", "-journal"] {
            let _ = std::fs::remove_file(beside(&database, suffix));
        }
        back_up(&original, &database, source.options.patience.unwrap_or(PATIENCE))?;
    }
    Ok(Staged { dir, database, folder, taken, wal_bytes, others })
}

fn private_folder(parent: &Path) -> Result<TempDir, Error> {
    if !parent.exists() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(parent).map_err(Error::file("create", parent))?;
    }
    tempfile::Builder::new().prefix("import-").tempdir_in(parent).map_err(Error::file("create", parent))
}

/// The database itself is followed through links, because its log is beside it there; files are looked up around the path
/// that was given.
fn located(path: &Path, others: Vec<String>) -> Result<Located, Error> {
    let shown = path.display();
    let lost = |err: std::io::Error| Error::source("not_found", format!("cannot open {shown} ({err})"));
    let folder = std::path::absolute(path).map_err(lost)?.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    Ok(Located { database: path.canonicalize().map_err(lost)?, folder, others })
}

fn locate(source: &Path) -> Result<Located, Error> {
    let shown = source.display();
    if let Some((scheme, _)) = source.to_str().and_then(|text| text.split_once("://")) {
        let message = format!(
            "an address that begins with {scheme}:// is not read; give a Memos data folder, its .db file or postgres://USER@HOST/DATABASE"
        );
        return Err(Error::source("unknown_address", message));
    }
    let meta = std::fs::metadata(source).map_err(|err| {
        Error::source("not_found", format!("cannot open {shown} ({err}); give the Memos data folder or its .db file"))
    })?;
    if meta.is_file() {
        return located(source, Vec::new());
    }
    let mut known = NAMES.into_iter().filter(|name| source.join(name).is_file());
    if let Some(name) = known.next() {
        return located(&source.join(name), known.map(str::to_owned).collect());
    }
    let entries = std::fs::read_dir(source)
        .map_err(|err| Error::source("not_readable", format!("cannot read the folder {shown}: {err}")))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file() && path.extension().is_some_and(|ext| ext == "db"))
        .collect();
    found.sort();
    match found.len() {
        0 => Err(Error::source(
            "not_memos",
            format!(
                "{shown} is not a Memos data folder: there is no memos_prod.db in it; give the folder that Memos was started with (its --data, or the Docker volume)"
            ),
        )),
        1 => located(&found.remove(0), Vec::new()),
        _ => {
            let names: Vec<_> =
                found.iter().filter_map(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned()).collect();
            Err(Error::source(
                "several_databases",
                format!("{shown} holds several databases ({}); give one of these files", names.join(", ")),
            ))
        }
    }
}

/// Refuses at once what cannot be an SQLite database, with the reason.
fn look_inside(path: &Path) -> Result<(), Error> {
    use std::io::Read as _;
    let shown = path.display();
    let unreadable = |err: std::io::Error| {
        Error::source("not_readable", format!("cannot read {shown} ({err}); run as a user who may read it"))
    };
    let mut head = Vec::new();
    open_quietly(path).map_err(unreadable)?.take(16).read_to_end(&mut head).map_err(unreadable)?;
    if head.is_empty() {
        return Err(Error::source(
            "empty_file",
            format!("{shown} is empty; the database and its -wal file belong together"),
        ));
    }
    if head != MAGIC {
        return Err(Error::source(
            "not_sqlite",
            format!(
                "{shown} is not an SQLite database, or it is encrypted or damaged at its first page; give a Memos data folder"
            ),
        ));
    }
    Ok(())
}

/// Opens for reading without moving the access time where that is allowed (own files, or root).
pub(crate) fn open_quietly(path: &Path) -> std::io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOATIME.bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path).or_else(|_| File::open(path))
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether another process holds SQLite's locks on the database or on its shared memory.
fn is_held(database: &Path) -> bool {
    const PENDING_AND_SHARED: (i64, i64) = (0x4000_0000, 512);
    const SHARED_MEMORY_SWITCH: (i64, i64) = (128, 1);
    locked(database, PENDING_AND_SHARED) || locked(&beside(database, "-shm"), SHARED_MEMORY_SWITCH)
}

fn locked(path: &Path, (start, length): (i64, i64)) -> bool {
    let Ok(file) = open_quietly(path) else { return false };
    let mut lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    let asked = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETLK(&mut lock));
    asked.is_ok() && lock.l_type != nix::libc::F_UNLCK as nix::libc::c_short
}

fn copy_set(original: &Path, copy: &Path) -> Result<u64, Error> {
    let mut wal_bytes = 0;
    let before = stamps(original);
    for suffix in ["", "-wal", "-journal"] {
        let from = beside(original, suffix);
        if suffix.is_empty() || from.is_file() {
            let bytes = copy_file(&from, &beside(copy, suffix))?;
            if suffix == "-wal" {
                wal_bytes = bytes;
            }
        }
    }
    if stamps(original) != before {
        return Err(Error::source(
            "source_changed",
            format!("{} changed while it was being copied; stop Memos and try again", original.display()),
        ));
    }
    Ok(wal_bytes)
}

fn stamps(original: &Path) -> Vec<Option<(u64, i64, i64)>> {
    let stamp = |meta: Metadata| (meta.size(), meta.mtime(), meta.mtime_nsec());
    ["", "-wal", "-journal"].iter().map(|suffix| std::fs::metadata(beside(original, suffix)).ok().map(stamp)).collect()
}

fn copy_file(from: &Path, to: &Path) -> Result<u64, Error> {
    let mut reader = open_quietly(from)
        .map_err(|err| Error::source("not_readable", format!("cannot read {}: {err}", from.display())))?;
    let mut writer =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(Error::file("create", to))?;
    std::io::copy(&mut reader, &mut writer).map_err(Error::file("copy to", to))
}

/// A path as SQLite takes it with options behind.
pub(super) fn uri_of(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(char::from(*byte)),
            _ => {
                use std::fmt::Write as _;
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

fn back_up(original: &Path, copy: &Path, patience: Duration) -> Result<(), Error> {
    let mut uri = uri_of(original);
    uri.push_str("?mode=ro");
    if beside(original, "-shm").is_file() {
        uri.push_str("&readonly_shm=1");
    }
    let refused = |why: String| {
        Error::source(
            "source_locked",
            format!(
                "{} is in use by a running Memos and could not be backed up ({why}); stop Memos and try again",
                original.display()
            ),
        )
    };
    let locked = |err: rusqlite::Error| refused(err.to_string());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(&uri, flags).map_err(locked)?;
    from.busy_timeout(patience / 4).map_err(locked)?;
    let mut to = Connection::open(copy).map_err(Error::sqlite("create the copy"))?;
    let backup = rusqlite::backup::Backup::new(&from, &mut to).map_err(locked)?;
    let began = Instant::now();
    loop {
        // In one step: a backup in several begins anew whenever the source is written between two of them.
        match backup.step(i32::MAX).map_err(locked)? {
            StepResult::Done => return Ok(()),
            _ if began.elapsed() >= patience => return Err(refused("it stayed locked".to_owned())),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
