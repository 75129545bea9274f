//! Objects as plain files below a directory: written aside, flushed, then given their name, and the folder flushed too.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};

use crate::keys::UNFINISHED;
use crate::store::{Download, Head, Listed, PutOptions, Written};
use crate::{Error, keys};

/// What of a stream is written at once.
const PIECE: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct DirectoryStore {
    root: Arc<Path>,
}

impl DirectoryStore {
    pub(crate) fn new(root: PathBuf) -> Result<Self, Error> {
        let unfinished = root.join(UNFINISHED);
        fs::create_dir_all(&unfinished).map_err(|e| Error::io(&unfinished, e))?;
        Ok(Self { root: root.into() })
    }

    pub(crate) fn location(&self) -> String {
        self.root.display().to_string()
    }

    pub(crate) async fn check(&self) -> Result<(), Error> {
        let unfinished = self.root.join(UNFINISHED);
        self.blocking(move |_| {
            NamedTempFile::new_in(&unfinished).map(drop).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => Error::NoBucket { bucket: unfinished.display().to_string() },
                _ => Error::io(&unfinished, e),
            })
        })
        .await
    }

    pub(crate) async fn create(&self) -> Result<(), Error> {
        self.blocking(|root| {
            let unfinished = root.join(UNFINISHED);
            fs::create_dir_all(&unfinished).map_err(|e| Error::io(&unfinished, e))
        })
        .await
    }

    pub(crate) async fn put(&self, key: &str, bytes: Bytes, options: PutOptions) -> Result<(), Error> {
        let key = key.to_owned();
        self.blocking(move |root| {
            let mut draft = begin(root)?;
            draft.write_all(&bytes).map_err(|e| Error::io(draft.path(), e))?;
            finish(root, &key, draft, options)
        })
        .await
    }

    pub(crate) async fn put_stream<R>(
        &self,
        key: &str,
        mut source: Pin<&mut R>,
        options: PutOptions,
    ) -> Result<Written, Error>
    where
        R: AsyncRead + Send,
    {
        let mut draft = self.blocking(begin).await?;
        let mut size = 0;
        let mut piece = BytesMut::with_capacity(PIECE / 4);
        loop {
            while piece.len() < PIECE {
                if source.read_buf(&mut piece).await.map_err(Error::Source)? == 0 {
                    break;
                }
            }
            if piece.is_empty() {
                break;
            }
            size += piece.len() as u64;
            (draft, piece) = self
                .blocking(move |_| {
                    draft.write_all(&piece).map_err(|e| Error::io(draft.path(), e))?;
                    piece.clear();
                    Ok((draft, piece))
                })
                .await?;
        }
        let key = key.to_owned();
        self.blocking(move |root| finish(root, &key, draft, options)).await?;
        Ok(Written { size, requests: 1 })
    }

    pub(crate) async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        let path = self.root.join(key);
        let gone =
            |e: io::Error| if is_absence(&e) { Error::NotFound { key: key.to_owned() } } else { Error::io(&path, e) };
        let mut file = tokio::fs::File::open(&path).await.map_err(gone)?;
        let facts = file.metadata().await.map_err(gone)?;
        if !facts.is_file() {
            return Err(Error::NotFound { key: key.to_owned() });
        }
        let Some(range) = range else {
            return Ok(Download { size: facts.len(), reader: Box::pin(exactly(file, facts.len())) });
        };
        if range.start >= facts.len() {
            return Err(Error::OutOfRange { key: key.to_owned() });
        }
        let size = range.end.min(facts.len()) - range.start;
        file.seek(io::SeekFrom::Start(range.start)).await.map_err(gone)?;
        Ok(Download { size, reader: Box::pin(exactly(file, size)) })
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        let path = self.root.join(key);
        match tokio::fs::metadata(&path).await {
            Ok(facts) if facts.is_file() => {
                let modified = modified(&facts);
                let etag = Some(format!("{:x}-{:x}", facts.len(), modified.unix_timestamp_nanos()));
                Ok(Some(Head { size: facts.len(), etag, modified }))
            }
            Ok(_) => Ok(None),
            Err(e) if is_absence(&e) => Ok(None),
            Err(e) => Err(Error::io(&path, e)),
        }
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        let prefix = prefix.to_owned();
        self.blocking(move |root| {
            let mut found = Vec::new();
            walk(root, &prefix, &mut found)?;
            found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        })
        .await
    }

    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let prefix = prefix.to_owned();
        self.blocking(move |root| {
            let folder = root.join(safe_folder(&prefix)?);
            let mut names = BTreeSet::new();
            for (name, path) in entries(&folder)? {
                if path.is_dir() && name != UNFINISHED && has_file(&path)? {
                    names.insert(name);
                }
            }
            Ok(names.into_iter().collect())
        })
        .await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Error> {
        self.delete_many(&[key.to_owned()]).await
    }

    pub(crate) async fn delete_many(&self, all: &[String]) -> Result<(), Error> {
        let all = all.to_vec();
        self.blocking(move |root| all.iter().try_for_each(|key| remove(root, key))).await
    }

    pub(crate) async fn promote(&self, from: &str, to: &str) -> Result<(), Error> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.blocking(move |root| {
            let (source, target) = (root.join(&from), root.join(&to));
            let mut named = Err(io::ErrorKind::NotFound.into());
            for _ in 0..8 {
                make_folders(root, &target)?;
                named = fs::rename(&source, &target);
                if !matches!(&named, Err(e) if is_absence(e) && source.is_file()) {
                    break;
                }
            }
            named.map_err(|e| if is_absence(&e) { Error::NotFound { key: from } } else { Error::io(&target, e) })?;
            flush_folder(&target)?;
            flush_folder(&source)
        })
        .await
    }

    pub(crate) async fn sweep_unfinished(&self, before: OffsetDateTime) -> Result<u64, Error> {
        self.blocking(move |root| {
            let unfinished = root.join(UNFINISHED);
            let mut removed = 0;
            for entry in fs::read_dir(&unfinished).map_err(|e| Error::io(&unfinished, e))? {
                let entry = entry.map_err(|e| Error::io(&unfinished, e))?;
                let written = entry.metadata().and_then(|facts| facts.modified());
                match written {
                    Ok(at) if OffsetDateTime::from(at) < before => {
                        fs::remove_file(entry.path()).map_err(|e| Error::io(&entry.path(), e))?;
                        removed += 1;
                    }
                    // young, or finished meanwhile
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(removed)
        })
        .await
    }

    /// Runs file work off the async threads.
    async fn blocking<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Path) -> Result<T, Error> + Send + 'static,
    {
        let root = self.root.clone();
        let place = self.root.clone();
        match tokio::task::spawn_blocking(move || work(&root)).await {
            Ok(outcome) => outcome,
            Err(broken) => Err(Error::Io { path: place.to_path_buf(), source: io::Error::other(broken) }),
        }
    }
}

fn begin(root: &Path) -> Result<NamedTempFile, Error> {
    let unfinished = root.join(UNFINISHED);
    NamedTempFile::new_in(&unfinished).map_err(|e| Error::io(&unfinished, e))
}

/// Flushes a draft, gives it its name and flushes the folder that holds the name.
fn finish(root: &Path, key: &str, mut draft: NamedTempFile, options: PutOptions) -> Result<(), Error> {
    let target = root.join(key);
    draft.as_file().sync_all().map_err(|e| Error::io(draft.path(), e))?;
    // A delete may clear away an emptied folder between its making and its use.
    for _ in 0..8 {
        make_folders(root, &target)?;
        let named = if options.if_none_match { draft.persist_noclobber(&target) } else { draft.persist(&target) };
        match named {
            Ok(_) => return flush_folder(&target),
            Err(e) if e.error.kind() == io::ErrorKind::NotFound => draft = e.file,
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists { key: key.to_owned() });
            }
            Err(e) if e.error.kind() == io::ErrorKind::IsADirectory => return Err(clash(key)),
            Err(e) => return Err(Error::io(&target, e.error)),
        }
    }
    Err(Error::io(&target, io::ErrorKind::NotFound.into()))
}

/// Makes the folders above `target`, flushing each new one into its parent.
fn make_folders(root: &Path, target: &Path) -> Result<(), Error> {
    let mut missing = Vec::new();
    let mut folder = target.parent();
    while let Some(at) = folder.filter(|at| *at != root && !at.is_dir()) {
        missing.push(at);
        folder = at.parent();
    }
    for at in missing.into_iter().rev() {
        match fs::create_dir(at) {
            Ok(()) => flush_folder(at)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && !at.is_file() => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) => {
                return Err(clash(&target.display().to_string()));
            }
            Err(e) => return Err(Error::io(at, e)),
        }
    }
    Ok(())
}

fn clash(key: &str) -> Error {
    Error::Refused {
        action: format!("putting {key:?}"),
        code: "name clash".to_owned(),
        message: "a key cannot be both an object and a folder of objects in a directory".to_owned(),
    }
}

fn flush_folder(of: &Path) -> Result<(), Error> {
    let Some(folder) = of.parent() else { return Ok(()) };
    match File::open(folder).and_then(|f| f.sync_all()) {
        Err(e) if !is_absence(&e) => Err(Error::io(folder, e)),
        _ => Ok(()),
    }
}

/// Removes one file and the folders that it leaves empty.
fn remove(root: &Path, key: &str) -> Result<(), Error> {
    let path = root.join(key);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(e) if is_absence(&e) || e.kind() == io::ErrorKind::IsADirectory => return Ok(()),
        Err(e) => return Err(Error::io(&path, e)),
    }
    flush_folder(&path)?;
    let mut folder = path.parent();
    while let Some(at) = folder.filter(|at| *at != root) {
        if fs::remove_dir(at).is_err() {
            break;
        }
        folder = at.parent();
    }
    Ok(())
}

/// Finds the files whose keys begin with `prefix`, entering only folders that can hold some.
fn walk(root: &Path, prefix: &str, found: &mut Vec<Listed>) -> Result<(), Error> {
    let (folder, _) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let mut pending = vec![safe_folder(folder)?.to_owned()];
    while let Some(at) = pending.pop() {
        for (name, path) in entries(&root.join(&at))? {
            let key = if at.is_empty() { name } else { format!("{at}/{name}") };
            if at.is_empty() && key == UNFINISHED {
                continue;
            }
            let facts = match fs::metadata(&path) {
                Ok(facts) => facts,
                Err(e) if is_absence(&e) => continue,
                Err(e) => return Err(Error::io(&path, e)),
            };
            if facts.is_dir() && format!("{key}/").get(..prefix.len()).is_none_or(|head| head == prefix) {
                pending.push(key);
            } else if facts.is_file() && key.starts_with(prefix) {
                found.push(Listed { key, size: facts.len(), modified: modified(&facts) });
            }
        }
    }
    Ok(())
}

/// A prefix's folder, once it is sure that it stays inside the root.
fn safe_folder(prefix: &str) -> Result<&str, Error> {
    let folder = prefix.trim_end_matches('/');
    if !folder.is_empty() {
        keys::check(folder)?;
    }
    Ok(folder)
}

/// Names in a folder; none when it is missing. Names that are not text cannot be keys and are passed over.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if is_absence(&e) => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(folder, e)),
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, entry.path()));
        }
    }
    Ok(names)
}

fn has_file(folder: &Path) -> Result<bool, Error> {
    for (_, path) in entries(folder)? {
        if path.is_file() || (path.is_dir() && has_file(&path)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn modified(facts: &fs::Metadata) -> OffsetDateTime {
    facts.modified().map_or(OffsetDateTime::UNIX_EPOCH, OffsetDateTime::from)
}

fn is_absence(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Yields `size` bytes, or an error when the file ends before.
fn exactly(file: tokio::fs::File, size: u64) -> impl AsyncRead + Send {
    crate::store::Exact::new(file.take(size), size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_source_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path().to_owned()).unwrap();
        let broken = tokio_util::io::StreamReader::new(futures_util::stream::iter([
            Ok(Bytes::from_static(b"half")),
            Err(io::Error::other("the producer failed")),
        ]));
        let mut broken = Box::pin(broken);
        let outcome = store.put_stream("a/b", broken.as_mut(), PutOptions::default()).await;
        assert!(matches!(outcome, Err(Error::Source(_))));
        assert_eq!(store.list("").await.unwrap(), []);
        assert_eq!(fs::read_dir(dir.path().join(UNFINISHED)).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_a_killed_write_left_goes_when_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path().to_owned()).unwrap();
        let left = dir.path().join(UNFINISHED).join("left");
        fs::write(&left, "half").unwrap();
        let now = OffsetDateTime::now_utc();
        assert_eq!(store.sweep_unfinished(now - time::Duration::DAY).await.unwrap(), 0, "it may be under way");
        assert_eq!(store.sweep_unfinished(now + time::Duration::MINUTE).await.unwrap(), 1);
        assert!(!left.exists());
    }

    #[tokio::test]
    async fn a_file_and_a_folder_cannot_share_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path().to_owned()).unwrap();
        store.put("a/b", "x".into(), PutOptions::default()).await.unwrap();
        for key in ["a", "a/b/c"] {
            let outcome = store.put(key, "x".into(), PutOptions::default()).await;
            assert!(matches!(outcome, Err(Error::Refused { .. })), "{outcome:?}");
        }
    }
}
