//! The one door to bytes: the same contract whether S3 or a directory is behind it.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio_util::io::ReaderStream;

use crate::directory::DirectoryStore;
use crate::s3::{S3Config, S3Store};
use crate::{Error, keys};

/// A store of objects. Cheap to clone; every clone shares its connections.
///
/// What is put is durable when `put` returns, and never visible in part.
#[derive(Clone, Debug)]
pub struct ObjectStore(Kind);

#[derive(Clone, Debug)]
enum Kind {
    S3(S3Store),
    Directory(DirectoryStore),
}

/// How to put.
#[derive(Clone, Copy, Debug, Default)]
pub struct PutOptions {
    /// Only create: answer [`Error::Exists`] when the key is taken. Some stores ignore this; the probe tells.
    pub if_none_match: bool,
    /// The SHA-256 of the bytes where the caller knows it already, so that it is not computed again.
    pub sha256: Option<[u8; 32]>,
}

impl PutOptions {
    /// Put that only creates.
    pub const CREATE: Self = Self { if_none_match: true, sha256: None };
}

/// What a streamed put wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes written.
    pub size: u64,
    /// Requests it took (1 for a directory).
    pub requests: u32,
}

/// One version of an object, or the mark of its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The object's key.
    pub key: String,
    /// What the store calls this version.
    pub id: String,
}

/// What a purge removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Objects.
    pub objects: u64,
    /// Their versions, marks of deletions included.
    pub versions: u64,
    /// What is there all the same.
    pub left: u64,
}

/// What a store knows of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes.
    pub size: u64,
    /// The store's tag for these bytes, without quotes; not a hash one may rely on.
    pub etag: Option<String>,
    /// When it was written, by the store's clock.
    pub modified: OffsetDateTime,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The whole key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified: OffsetDateTime,
}

/// The bytes of an object as they arrive.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// An object (or a range of it) on its way; a broken transfer ends in an error, never early.
pub struct Download {
    /// Bytes that will come.
    pub size: u64,
    /// The bytes.
    pub reader: Reader,
}

impl Download {
    /// The bytes as a stream of pieces, for HTTP bodies.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        ReaderStream::with_capacity(self.reader, 64 * 1024)
    }

    /// All the bytes. For objects known to be small.
    pub async fn bytes(mut self) -> Result<Bytes, io::Error> {
        let mut all = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0).min(crate::PART_BYTES));
        self.reader.read_to_end(&mut all).await?;
        if all.len() as u64 == self.size { Ok(all.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Passes bytes through and turns an end that comes too early into an error.
pub(crate) struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R> Exact<R> {
    pub(crate) fn new(inner: R, size: u64) -> Self {
        Self { inner, left: size }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Exact<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let came = (buf.filled().len() - before) as u64;
        self.left = self.left.saturating_sub(came);
        if came == 0 && room > 0 && self.left > 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(()))
    }
}

/// Calls the same method on whichever store is inside.
macro_rules! each {
    ($self:expr, $store:ident => $call:expr) => {
        match &$self.0 {
            Kind::S3($store) => $call,
            Kind::Directory($store) => $call,
        }
    };
}

impl ObjectStore {
    /// A store in an S3 bucket. Opens no connection yet.
    pub fn s3(config: S3Config) -> Result<Self, Error> {
        Ok(Self(Kind::S3(S3Store::new(config)?)))
    }

    /// A store in a directory, which is made when missing.
    pub fn directory(root: impl Into<PathBuf>) -> Result<Self, Error> {
        Ok(Self(Kind::Directory(DirectoryStore::new(root.into())?)))
    }

    /// A store at `file:///folder` or `s3://bucket/prefix`; the latter takes address and keys from `s3`, whose own bucket
    /// and prefix do not count.
    pub fn at(url: &str, s3: Option<&S3Config>) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("file://") {
            if !path.starts_with('/') {
                return Err(Error::Setup(format!("{url:?} names no whole path; write file:///folder")));
            }
            return Self::directory(path);
        }
        let place = url
            .strip_prefix("s3://")
            .ok_or_else(|| Error::Setup(format!("{url:?} is unknown; write file:///folder or s3://bucket/prefix")))?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let config = s3.ok_or_else(|| {
            Error::Setup(format!("{url:?} is in S3, so store_endpoint and the store's keys are needed too"))
        })?;
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self::s3(S3Config { bucket: bucket.to_owned(), prefix, ..config.clone() })
    }

    /// Where it is, for messages: an address and bucket, or a path. Holds no secret.
    pub fn location(&self) -> String {
        each!(self, store => store.location())
    }

    /// Whether the store is there and lets us in.
    ///
    /// # Errors
    /// [`Error::NoBucket`], [`Error::Denied`] or [`Error::Unreachable`].
    pub async fn check(&self) -> Result<(), Error> {
        each!(self, store => store.check().await)
    }

    /// Makes the bucket or directory unless it is there.
    pub async fn create(&self) -> Result<(), Error> {
        each!(self, store => store.create().await)
    }

    /// Stores `bytes` under `key`, in one request.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>, options: PutOptions) -> Result<(), Error> {
        keys::check(key)?;
        each!(self, store => store.put(key, bytes.into(), options).await)
    }

    /// Stores what `source` yields until its end; above [`crate::PART_BYTES`] in parts, of which at most four are in
    /// flight in the whole process. When `source` fails, nothing is stored: so a producer can still say no at its end.
    pub async fn put_stream<R>(&self, key: &str, source: R, options: PutOptions) -> Result<Written, Error>
    where
        R: AsyncRead + Send,
    {
        keys::check(key)?;
        let mut source = Box::pin(source);
        each!(self, store => store.put_stream(key, source.as_mut(), options).await)
    }

    /// The whole object, in memory. For objects known to be small.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        let download = self.get_stream(key).await?;
        self.collect(key, download).await
    }

    /// Bytes `range` of an object; a range that reaches past the end is cut there.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when it begins past the end.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let download = self.get_range_stream(key, range).await?;
        self.collect(key, download).await
    }

    /// The whole object as it arrives.
    pub async fn get_stream(&self, key: &str) -> Result<Download, Error> {
        keys::check(key)?;
        each!(self, store => store.get(key, None).await)
    }

    /// Bytes `range` of an object as they arrive.
    pub async fn get_range_stream(&self, key: &str, range: Range<u64>) -> Result<Download, Error> {
        keys::check(key)?;
        if range.is_empty() {
            return Ok(Download { size: 0, reader: Box::pin(tokio::io::empty()) });
        }
        each!(self, store => store.get(key, Some(range)).await)
    }

    /// Size, tag and time of an object; `None` when it is not there.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        keys::check(key)?;
        each!(self, store => store.head(key).await)
    }

    /// Whether there is such an object.
    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.head(key).await?.is_some())
    }

    /// Every object whose key begins with `prefix`, in key order, however many pages that takes.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        each!(self, store => store.list(prefix).await)
    }

    /// The names directly below `prefix` that have objects below them, in order: `folders("t/")` names the tenants.
    /// `prefix` is empty or ends with a slash. Some stores go on naming a folder that was emptied.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, Error> {
        each!(self, store => store.folders(prefix).await)
    }

    /// Removes an object; one that is not there is as good as removed.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        keys::check(key)?;
        each!(self, store => store.delete(key).await)
    }

    /// Removes many objects, up to a thousand in one request.
    pub async fn delete_many(&self, all: &[String]) -> Result<(), Error> {
        for key in all {
            keys::check(key)?;
        }
        each!(self, store => store.delete_many(all).await)
    }

    /// Every version of everything whose key begins with `prefix`; none when the store knows of no versions.
    pub async fn versions(&self, prefix: &str) -> Result<Option<Vec<Version>>, Error> {
        match &self.0 {
            Kind::S3(store) => store.versions(prefix).await,
            Kind::Directory(_) => Ok(None),
        }
    }

    /// The bytes of one version: to see for oneself what somebody with the whole bucket could read.
    pub async fn get_version(&self, version: &Version) -> Result<Bytes, Error> {
        match &self.0 {
            Kind::S3(store) => store.get_version(version).await,
            Kind::Directory(_) => Err(Error::NotFound { key: version.key.clone() }),
        }
    }

    /// Days for which what is written is locked; none where nothing is.
    pub fn lock_days(&self) -> Option<u32> {
        self.as_s3().and_then(|s3| s3.config.lock_days)
    }

    /// Where objects are locked: locks one that is there already for as long as one that is written now, and never for less
    /// than it is locked already. How many requests that took.
    pub async fn extend_lock(&self, key: &str) -> Result<u32, Error> {
        match &self.0 {
            Kind::S3(store) => store.extend_lock(key).await,
            Kind::Directory(_) => Ok(0),
        }
    }

    /// The same until a moment.
    ///
    /// # Errors
    /// [`Error::Denied`] or [`Error::Refused`] when the store does not let itself be told.
    pub async fn lock_until(&self, key: &str, until: OffsetDateTime) -> Result<u32, Error> {
        match &self.0 {
            Kind::S3(store) => store.lock_until(key, until).await,
            Kind::Directory(_) => Ok(0),
        }
    }

    /// Until when an object cannot be removed; none when it can.
    pub async fn locked_until(&self, key: &str) -> Result<Option<OffsetDateTime>, Error> {
        match &self.0 {
            Kind::S3(store) => store.locked_until(key).await,
            Kind::Directory(_) => Ok(None),
        }
    }

    /// Removes everything whose key begins with `prefix` so that no version of it is left, and tells what was there. For
    /// what must not be read by anyone again: keys, and all of a tenant that is gone.
    ///
    /// # Errors
    /// When the store refuses to remove a version, as under an object lock.
    pub async fn purge(&self, prefix: &str) -> Result<Purged, Error> {
        match &self.0 {
            Kind::S3(store) => store.purge(prefix).await,
            Kind::Directory(store) => {
                let keys: Vec<String> = store.list(prefix).await?.into_iter().map(|object| object.key).collect();
                store.delete_many(&keys).await?;
                let (objects, left) = (keys.len() as u64, store.list(prefix).await?.len() as u64);
                Ok(Purged { objects, versions: objects, left })
            }
        }
    }

    /// Removes writes that were begun before `before` and never ended: drafts of a killed process, uploads in parts. How
    /// many there were.
    pub async fn sweep_unfinished(&self, before: OffsetDateTime) -> Result<u64, Error> {
        each!(self, store => store.sweep_unfinished(before).await)
    }

    /// Gives an object another key (replacing what is there) without its bytes passing through us.
    pub(crate) async fn promote(&self, from: &str, to: &str) -> Result<(), Error> {
        keys::check(from)?;
        keys::check(to)?;
        each!(self, store => store.promote(from, to).await)
    }

    /// The S3 behind it, for what only S3 has.
    pub(crate) fn as_s3(&self) -> Option<&S3Store> {
        match &self.0 {
            Kind::S3(store) => Some(store),
            Kind::Directory(_) => None,
        }
    }

    async fn collect(&self, key: &str, download: Download) -> Result<Bytes, Error> {
        download.bytes().await.map_err(|source| {
            tracing::debug!(key, %source, "an object broke off on its way");
            Error::Unreachable { endpoint: self.location(), source: source.into() }
        })
    }
}
