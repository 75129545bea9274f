//! The bytes of live attachments: one object per content and tenant, under a name that only the tenant's key can make.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use domain::chance::Chance;
use domain::id::TenantId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::store::{Download, Listed, ObjectStore, Purged, PutOptions};
use crate::{Error, PART_BYTES, S3Config, keys};

/// A tenant's secret for naming its files: without it nobody can tell from a name which content is stored.
#[derive(Clone)]
pub struct FileKey([u8; 32]);

impl FileKey {
    /// From 32 secret bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// A tenant's own, from a secret of the installation.
    pub fn derive(secret: &[u8], tenant: TenantId) -> Self {
        let mut digest = Sha256::new();
        digest.update(secret);
        digest.update(tenant.0.as_bytes());
        Self(digest.finalize().into())
    }

    /// HMAC-SHA256 of a content's SHA-256, in hex.
    fn name(&self, sha256: &[u8; 32]) -> Result<String, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|e| Error::Setup(e.to_string()))?;
        mac.update(sha256);
        Ok(hex::encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(…)")
    }
}

/// A file as it was stored: what the attachment's row keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where its bytes are.
    pub storage_key: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// Where live attachments are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileStore {
    store: ObjectStore,
    chance: Chance,
}

impl FileStore {
    /// Opens `file:///folder` or `s3://bucket/prefix`; the latter takes address and keys from `s3`, whose own bucket and
    /// prefix do not count.
    pub fn open(url: &str, s3: Option<&S3Config>) -> Result<Self, Error> {
        Ok(Self::over(ObjectStore::at(url, s3)?))
    }

    /// A file store over a store that is open already.
    pub fn over(store: ObjectStore) -> Self {
        Self { store, chance: Chance::System }
    }

    /// The store below.
    pub fn objects(&self) -> &ObjectStore {
        &self.store
    }

    /// The name a content has for a tenant.
    pub fn key_for(tenant: TenantId, key: &FileKey, sha256: &[u8; 32]) -> Result<String, Error> {
        Ok(keys::live_file(tenant, &key.name(sha256)?))
    }

    /// Stores what `source` yields. The same content of the same tenant is kept once; putting it again renews its time,
    /// so that a sweeper does not take it meanwhile. Commit the row afterwards.
    pub async fn put_file<R>(&self, tenant: TenantId, key: &FileKey, source: R) -> Result<Stored, Error>
    where
        R: AsyncRead + Send,
    {
        let mut source = Box::pin(source);
        let mut start = Vec::new();
        let mut limited = source.as_mut().take(PART_BYTES as u64);
        limited.read_to_end(&mut start).await.map_err(Error::Source)?;
        if start.len() < PART_BYTES {
            let sum: [u8; 32] = Sha256::digest(&start).into();
            let storage_key = Self::key_for(tenant, key, &sum)?;
            let size = start.len() as u64;
            self.store.put(&storage_key, start, PutOptions { if_none_match: false, sha256: Some(sum) }).await?;
            return Ok(Stored { storage_key, sha256: hex::encode(sum), size });
        }
        let draft = keys::live_upload(tenant, &self.chance.uid());
        let mut hashed = Hashed { inner: std::io::Cursor::new(start).chain(source), hash: Sha256::new() };
        let written = self.store.put_stream(&draft, &mut hashed, PutOptions::default()).await?;
        let sum: [u8; 32] = hashed.hash.finalize().into();
        let storage_key = Self::key_for(tenant, key, &sum)?;
        if let Err(failed) = self.store.promote(&draft, &storage_key).await {
            let _ = self.store.delete(&draft).await;
            return Err(failed);
        }
        Ok(Stored { storage_key, sha256: hex::encode(sum), size: written.size })
    }

    /// The bytes of a file, or of a range of it.
    pub async fn read(&self, storage_key: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        match range {
            None => self.store.get_stream(storage_key).await,
            Some(range) => self.store.get_range_stream(storage_key, range).await,
        }
    }

    /// Removes a file's bytes.
    pub async fn delete(&self, storage_key: &str) -> Result<(), Error> {
        self.store.delete(storage_key).await
    }

    /// Whether a file's bytes are there.
    pub async fn exists(&self, storage_key: &str) -> Result<bool, Error> {
        self.store.exists(storage_key).await
    }

    /// Everything stored for a tenant, unfinished uploads and what is set aside included: what the sweeper goes through.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<Listed>, Error> {
        self.store.list(&keys::live_files(tenant)).await
    }

    /// Removes everything of a tenant so that no version of it is left, and tells what was there.
    ///
    /// # Errors
    /// When the store refuses to remove a version, as under an object lock.
    pub async fn purge(&self, tenant: TenantId) -> Result<Purged, Error> {
        self.store.purge(&keys::live_files(tenant)).await
    }

    /// Whether this is the place of a file that was set aside.
    pub fn is_aside(&self, key: &str) -> bool {
        key.split('/').nth(2) == Some(keys::ASIDE)
    }

    /// Takes a file away from its place without losing it: [`FileStore::bring_back`] undoes it.
    pub async fn set_aside(&self, storage_key: &str) -> Result<(), Error> {
        self.store.promote(storage_key, &keys::live_aside(storage_key)).await
    }

    /// Puts a file that was set aside back to its place.
    pub async fn bring_back(&self, storage_key: &str) -> Result<(), Error> {
        self.store.promote(&keys::live_aside(storage_key), storage_key).await
    }

    /// Removes a file that was set aside for good.
    pub async fn remove_aside(&self, storage_key: &str) -> Result<(), Error> {
        self.store.delete(&keys::live_aside(storage_key)).await
    }
}

/// Passes bytes through and hashes them.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: AsyncRead + Unpin> AsyncRead for Hashed<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if let Some(new) = buf.filled().get(before..) {
            self.hash.update(new);
        }
        Poll::Ready(Ok(()))
    }
}
