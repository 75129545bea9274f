//! Puts: in one request, or in parts that overlap.

use std::pin::Pin;

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::S3Store;
use crate::store::{PutOptions, Written};
use crate::{Error, PART_BYTES};

/// Parts in flight in the whole process: what bounds the memory of uploads, however many run.
static IN_FLIGHT: Semaphore = Semaphore::const_new(4);

/// Parts of the first size; later ones are twice as large, so that a hundred gigabytes fit in 10,000 parts.
const SMALL_PARTS: i32 = 5000;

impl S3Store {
    pub(crate) async fn put(&self, key: &str, bytes: Bytes, options: PutOptions) -> Result<(), Error> {
        let sum = self.checksum(&bytes, options.sha256);
        let (mode, until) = self.lock_of(key);
        let asked = self
            .client
            .put_object()
            .set_object_lock_mode(mode)
            .set_object_lock_retain_until_date(until)
            .bucket(&self.config.bucket)
            .key(self.full(key))
            .set_checksum_sha256(sum.clone())
            .set_if_none_match(options.if_none_match.then(|| "*".to_owned()))
            .body(bytes.into())
            .customize();
        // The checksum is a signed header: hashing the same bytes once more for the signature proves nothing new.
        let asked = if sum.is_some() { asked.disable_payload_signing() } else { asked };
        asked.send().await.map(drop).map_err(|e| self.failure("writing", key, e))
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
        let first = next_part(source.as_mut(), PART_BYTES).await?;
        if first.len() < PART_BYTES {
            let size = first.len() as u64;
            self.put(key, first, options).await?;
            return Ok(Written { size, requests: 1 });
        }
        let mut upload = Upload::begin(self, key).await?;
        match upload.send_all(first, source).await {
            Ok(size) => {
                let requests = upload.complete(options).await?;
                Ok(Written { size, requests })
            }
            Err(failed) => {
                upload.abort().await;
                Err(failed)
            }
        }
    }

    /// The checksum header's value where this store is to get one.
    fn checksum(&self, bytes: &[u8], known: Option<[u8; 32]>) -> Option<String> {
        let sum = || known.unwrap_or_else(|| Sha256::digest(bytes).into());
        self.config.checksums.then(|| STANDARD.encode(sum()))
    }
}

/// Reads until `size` bytes are there or the source ends.
async fn next_part<R: AsyncRead>(mut source: Pin<&mut R>, size: usize) -> Result<Bytes, Error> {
    let mut part = BytesMut::new();
    while part.len() < size {
        part.reserve((size - part.len()).min(1024 * 1024));
        let mut rest = source.as_mut().take((size - part.len()) as u64);
        if rest.read_buf(&mut part).await.map_err(Error::Source)? == 0 {
            break;
        }
    }
    Ok(part.freeze())
}

/// An upload in parts. Dropped before its end it aborts itself, so that a cancelled job leaves nothing to pay for.
struct Upload<'a> {
    store: &'a S3Store,
    key: &'a str,
    id: Option<String>,
    running: JoinSet<Result<CompletedPart, Error>>,
    done: Vec<CompletedPart>,
}

impl<'a> Upload<'a> {
    async fn begin(store: &'a S3Store, key: &'a str) -> Result<Self, Error> {
        let (mode, until) = store.lock_of(key);
        let asked = store
            .client
            .create_multipart_upload()
            .set_object_lock_mode(mode)
            .set_object_lock_retain_until_date(until)
            .bucket(&store.config.bucket)
            .key(store.full(key))
            .set_checksum_algorithm(store.config.checksums.then_some(ChecksumAlgorithm::Sha256));
        let begun = asked.send().await.map_err(|e| store.failure("writing", key, e))?;
        let id = begun.upload_id.ok_or_else(|| {
            store.judge("writing", key, "NoUploadId", "the store began an upload without naming it".to_owned())
        })?;
        Ok(Self { store, key, id: Some(id), running: JoinSet::new(), done: Vec::new() })
    }

    async fn send_all<R: AsyncRead>(&mut self, first: Bytes, mut source: Pin<&mut R>) -> Result<u64, Error> {
        let mut part = first;
        let mut number = 1;
        let mut size = 0;
        while !part.is_empty() {
            size += part.len() as u64;
            self.send(number, part).await?;
            number += 1;
            let wanted = if number <= SMALL_PARTS { PART_BYTES } else { 2 * PART_BYTES };
            part = next_part(source.as_mut(), wanted).await?;
        }
        while let Some(settled) = self.running.join_next().await {
            self.done.push(flatten(settled)?);
        }
        Ok(size)
    }

    /// Waits for one of the process's places, then sends a part beside the others.
    async fn send(&mut self, number: i32, part: Bytes) -> Result<(), Error> {
        let place = IN_FLIGHT.acquire().await.map_err(|e| Error::Setup(e.to_string()))?;
        let (store, key, id) = (self.store.clone(), self.key.to_owned(), self.id.clone());
        self.running.spawn(async move {
            let _place = place;
            send_part(&store, &key, id, number, part).await
        });
        while let Some(settled) = self.running.try_join_next() {
            self.done.push(flatten(settled)?);
        }
        Ok(())
    }

    async fn complete(&mut self, options: PutOptions) -> Result<u32, Error> {
        let mut parts = std::mem::take(&mut self.done);
        parts.sort_unstable_by_key(|part| part.part_number);
        let requests = parts.len() as u32 + 2;
        let asked = self
            .store
            .client
            .complete_multipart_upload()
            .bucket(&self.store.config.bucket)
            .key(self.store.full(self.key))
            .set_upload_id(self.id.clone())
            .set_if_none_match(options.if_none_match.then(|| "*".to_owned()))
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        match asked.send().await.map_err(|e| self.store.failure("writing", self.key, e)) {
            Ok(_) => {
                self.id = None;
                Ok(requests)
            }
            Err(failed) => {
                self.abort().await;
                Err(failed)
            }
        }
    }

    async fn abort(&mut self) {
        self.running.shutdown().await;
        if let Some(id) = self.id.take() {
            abort(self.store.clone(), self.key.to_owned(), id).await;
        }
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(abort(self.store.clone(), self.key.to_owned(), id));
        }
    }
}

impl S3Store {
    /// Aborts uploads in parts that were begun before `before`: a process that is killed cannot do so itself.
    pub(crate) async fn sweep_unfinished(&self, before: OffsetDateTime) -> Result<u64, Error> {
        let (mut key_marker, mut upload_marker, mut aborted) = (None, None, 0);
        loop {
            let asked = self.client.list_multipart_uploads().bucket(&self.config.bucket).prefix(&self.config.prefix);
            let asked = asked.set_key_marker(key_marker).set_upload_id_marker(upload_marker);
            let page = match asked.send().await.map_err(|e| self.failure("listing unfinished uploads below", "", e)) {
                Ok(page) => page,
                Err(Error::Refused { code, .. }) if code == "NotImplemented" || code == "MethodNotAllowed" => {
                    return Ok(aborted);
                }
                Err(other) => return Err(other),
            };
            for upload in page.uploads.unwrap_or_default() {
                let old = upload.initiated.is_some_and(|at| at.secs() < before.unix_timestamp());
                let key = upload.key.as_deref().and_then(|key| key.strip_prefix(&self.config.prefix));
                if let (true, Some(key), Some(id)) = (old, key, upload.upload_id) {
                    abort(self.clone(), key.to_owned(), id).await;
                    aborted += 1;
                }
            }
            if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
                return Ok(aborted);
            }
            (key_marker, upload_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }
}

async fn abort(store: S3Store, key: String, id: String) {
    let asked = store.client.abort_multipart_upload().bucket(&store.config.bucket).key(store.full(&key)).upload_id(id);
    if let Err(failed) = asked.send().await.map_err(|e| store.failure("aborting the upload of", &key, e)) {
        tracing::warn!(key, error = %failed, "an unfinished upload could not be aborted; the store's lifecycle rule will");
    }
}

async fn send_part(
    store: &S3Store,
    key: &str,
    id: Option<String>,
    number: i32,
    part: Bytes,
) -> Result<CompletedPart, Error> {
    let sum = store.checksum(&part, None);
    let asked = store
        .client
        .upload_part()
        .bucket(&store.config.bucket)
        .key(store.full(key))
        .set_upload_id(id)
        .part_number(number)
        .set_checksum_sha256(sum.clone())
        .body(part.into())
        .customize();
    let asked = if sum.is_some() { asked.disable_payload_signing() } else { asked };
    let sent = asked.send().await.map_err(|e| store.failure("writing", key, e))?;
    Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).set_checksum_sha256(sum).build())
}

fn flatten<T>(settled: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    settled.unwrap_or_else(|broken| Err(Error::Source(std::io::Error::other(broken))))
}
