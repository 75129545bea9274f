//! Buckets as folders and objects as files: names, drafts, publishing, removing. All of it blocks.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use tempfile::NamedTempFile;

/// Below the root, what is not a bucket: the lock, drafts and unfinished uploads.
pub(super) const HIDDEN: &str = ".holdfast";

/// Unfinished uploads are kept over a restart, but not for ever.
const UPLOAD_LIFE: Duration = Duration::from_hours(24);

/// A folder of buckets.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Checking a condition and giving a file its name are one step; keys share these locks by hash.
    naming: [Mutex<()>; 32],
}

/// What is known of a file without reading it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) size: u64,
    pub(super) etag: ETag,
    pub(super) modified: Timestamp,
}

impl From<&fs::Metadata> for Facts {
    /// The tag is made of time, size and inode, so it needs no side file and changes with the bytes. The `-1` tells
    /// clients that it is no MD5.
    fn from(of: &fs::Metadata) -> Self {
        let nanos = of.mtime().wrapping_mul(1_000_000_000).wrapping_add(of.mtime_nsec());
        let etag = format!("{nanos:016x}{:08x}{:08x}-1", of.size() & 0xffff_ffff, of.ino() & 0xffff_ffff);
        let modified = of.modified().unwrap_or(SystemTime::UNIX_EPOCH).into();
        Self { size: of.size(), etag: ETag::Strong(etag), modified }
    }
}

/// What has to be so for a write to count.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Disk {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let disk = Self { root: root.to_owned(), naming: Default::default() };
        let drafts = disk.drafts();
        match fs::remove_dir_all(&drafts) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => fs::create_dir_all(&drafts)?,
        }
        fs::create_dir_all(disk.uploads())?;
        for upload in fs::read_dir(disk.uploads())? {
            let upload = upload?;
            let age = upload.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > UPLOAD_LIFE {
                fs::remove_dir_all(upload.path())?;
            }
        }
        Ok(disk)
    }

    fn drafts(&self) -> PathBuf {
        self.root.join(HIDDEN).join("tmp")
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join(HIDDEN).join("uploads")
    }

    /// The folder of a bucket that exists.
    pub(super) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let path = self.root.join(bucket);
        if is_bucket_name(bucket) && path.is_dir() { Ok(path) } else { Err(s3_error!(NoSuchBucket)) }
    }

    /// All buckets with the time of their last change.
    pub(super) fn buckets(&self) -> S3Result<Vec<(String, Timestamp)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(|e| failed(&self.root, e))? {
            let entry = entry.map_err(|e| failed(&self.root, e))?;
            let (Ok(name), Ok(facts)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
            if facts.is_dir() && is_bucket_name(&name) {
                found.push((name, Facts::from(&facts).modified));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    pub(super) fn make_bucket(&self, bucket: &str) -> S3Result<()> {
        if !is_bucket_name(bucket) {
            return Err(s3_error!(InvalidBucketName));
        }
        let path = self.root.join(bucket);
        match fs::create_dir(&path) {
            Ok(()) => flush_folder(&path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(s3_error!(BucketAlreadyOwnedByYou)),
            Err(e) => Err(failed(&path, e)),
        }
    }

    /// The file of an object, which need not exist.
    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let folder = self.bucket(bucket)?;
        for segment in key.split('/') {
            if segment.len() > 255 {
                return Err(s3_error!(KeyTooLongError));
            }
            if matches!(segment, "" | "." | "..") || segment.contains('\0') {
                return Err(s3_error!(InvalidArgument, "keys must have no empty, . or .. segments here"));
            }
        }
        Ok(folder.join(key))
    }

    /// Opens an object for reading.
    pub(super) fn read(&self, bucket: &str, key: &str) -> S3Result<(File, Facts)> {
        let path = self.object(bucket, key)?;
        let opened = File::open(&path).and_then(|file| file.metadata().map(|facts| (file, facts)));
        match opened {
            Ok((file, facts)) if facts.is_file() => Ok((file, Facts::from(&facts))),
            Ok(_) => Err(s3_error!(NoSuchKey)),
            Err(e) if is_absence(&e) => Err(s3_error!(NoSuchKey)),
            Err(e) => Err(failed(&path, e)),
        }
    }

    /// What is known of an object.
    pub(super) fn facts(&self, bucket: &str, key: &str) -> S3Result<Facts> {
        let path = self.object(bucket, key)?;
        match fs::metadata(&path) {
            Ok(facts) if facts.is_file() => Ok(Facts::from(&facts)),
            Ok(_) => Err(s3_error!(NoSuchKey)),
            Err(e) if is_absence(&e) => Err(s3_error!(NoSuchKey)),
            Err(e) => Err(failed(&path, e)),
        }
    }

    /// A file to write to that no one sees.
    pub(super) fn draft(&self) -> S3Result<NamedTempFile> {
        let drafts = self.drafts();
        NamedTempFile::new_in(&drafts).map_err(|e| failed(&drafts, e))
    }

    /// Flushes a draft and makes it the object, if the condition holds.
    pub(super) fn publish(
        &self,
        draft: NamedTempFile,
        bucket: &str,
        key: &str,
        condition: &Condition,
    ) -> S3Result<Facts> {
        let target = self.object(bucket, key)?;
        let written = draft.as_file();
        written.sync_all().map_err(|e| failed(&target, e))?;
        let facts = Facts::from(&written.metadata().map_err(|e| failed(&target, e))?);
        self.name(draft, &target, condition)?;
        flush_folder(&target)?;
        Ok(facts)
    }

    fn name(&self, mut draft: NamedTempFile, target: &Path, condition: &Condition) -> S3Result<()> {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let lock = self.naming.get(hasher.finish() as usize % self.naming.len());
        let _held = lock.map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        check(target, condition)?;
        // A delete may clear away an emptied folder between its making and its use.
        for _ in 0..8 {
            self.make_folders(target)?;
            match draft.persist(target) {
                Ok(_) => return Ok(()),
                Err(e) if e.error.kind() == io::ErrorKind::NotFound => draft = e.file,
                Err(e) if e.error.kind() == io::ErrorKind::IsADirectory => return Err(clash()),
                Err(e) => return Err(failed(target, e.error)),
            }
        }
        Err(s3_error!(OperationAborted, "the folder of this key is being cleared away; try again"))
    }

    /// Makes the folders above an object, flushing each new name.
    fn make_folders(&self, target: &Path) -> S3Result<()> {
        let mut missing = Vec::new();
        let mut above = target.parent();
        while let Some(at) = above.filter(|at| *at != self.root && !at.is_dir()) {
            missing.push(at);
            above = at.parent();
        }
        for at in missing.into_iter().rev() {
            match fs::create_dir(at) {
                Ok(()) => flush_folder(at)?,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && !at.is_file() => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) => {
                    return Err(clash());
                }
                Err(e) => return Err(failed(at, e)),
            }
        }
        Ok(())
    }

    /// Removes an object and the folders that it leaves empty. A missing one is as good as removed.
    pub(super) fn remove(&self, bucket: &str, key: &str) -> S3Result<()> {
        let folder = self.bucket(bucket)?;
        let path = self.object(bucket, key)?;
        match fs::remove_file(&path) {
            Ok(()) => flush_folder(&path)?,
            Err(e) if is_absence(&e) || e.kind() == io::ErrorKind::IsADirectory => return Ok(()),
            Err(e) => return Err(failed(&path, e)),
        }
        let mut above = path.parent();
        while let Some(at) = above.filter(|at| *at != folder && fs::remove_dir(at).is_ok()) {
            above = at.parent();
        }
        Ok(())
    }
}

/// Whether a write's condition holds for what is there now.
fn check(target: &Path, condition: &Condition) -> S3Result<()> {
    if condition.if_match.is_none() && condition.if_none_match.is_none() {
        return Ok(());
    }
    let present = match fs::metadata(target) {
        Ok(facts) => Some(Facts::from(&facts).etag),
        Err(e) if is_absence(&e) => None,
        Err(e) => return Err(failed(target, e)),
    };
    match (&condition.if_match, &present) {
        (Some(_), None) => return Err(s3_error!(NoSuchKey)),
        (Some(ETagCondition::ETag(wanted)), Some(etag)) if wanted != etag => return Err(s3_error!(PreconditionFailed)),
        _ => {}
    }
    match (&condition.if_none_match, &present) {
        (Some(ETagCondition::Any), Some(_)) => Err(s3_error!(PreconditionFailed)),
        (Some(ETagCondition::ETag(unwanted)), Some(etag)) if unwanted == etag => Err(s3_error!(PreconditionFailed)),
        _ => Ok(()),
    }
}

/// Buckets are folders, so a name must be one plain segment; the HTTP layer has checked the finer rules.
fn is_bucket_name(name: &str) -> bool {
    name.len() >= 3
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && !name.starts_with('.')
}

fn clash() -> S3Error {
    s3_error!(InvalidArgument, "a key cannot be both an object and a folder of objects here")
}

/// Flushes the folder that holds `of`, so that the name lasts.
fn flush_folder(of: &Path) -> S3Result<()> {
    let Some(folder) = of.parent() else { return Ok(()) };
    match File::open(folder).and_then(|f| f.sync_all()) {
        Err(e) if !is_absence(&e) => Err(failed(folder, e)),
        _ => Ok(()),
    }
}

pub(super) fn is_absence(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A failure of the file system as S3 tells it.
pub(super) fn failed(path: &Path, source: io::Error) -> S3Error {
    tracing::error!(path = %path.display(), error = %source, "the embedded S3 could not use a file");
    let mut error = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let mut full = S3Error::with_message(S3ErrorCode::Custom("InsufficientStorage".into()), "the disk is full");
            full.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
            full
        }
        io::ErrorKind::PermissionDenied => s3_error!(AccessDenied, "the service user may not use the file"),
        _ => s3_error!(InternalError, "the file system failed; see the log"),
    };
    error.set_source(source.into());
    error
}

/// Runs file work off the async threads.
pub(super) async fn blocking<T, F>(work: F) -> S3Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> S3Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|broken| Err(S3Error::internal_error(broken)))
}
