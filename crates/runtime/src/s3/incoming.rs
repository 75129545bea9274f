//! A request's body on its way to the disk, checked against every sum that came with it.

use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures_util::StreamExt;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders, s3_error};
use tempfile::NamedTempFile;

use super::disk::{Disk, blocking, failed};

/// Bytes gathered before they are written: what one request holds in memory.
const PIECE: usize = 1024 * 1024;

/// The sums a client may send, in the order in which [`found`] gives them.
const SUMS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-crc64nvme",
];

/// What a body has to hash to, as the request's headers say, or its trailer will.
pub(super) struct Expected {
    md5: Option<String>,
    headers: HeaderMap,
    trailer: Option<TrailingHeaders>,
}

impl Expected {
    pub(super) fn new(headers: HeaderMap, trailer: Option<TrailingHeaders>) -> Self {
        let md5 = headers.get("content-md5").and_then(|v| v.to_str().ok()).map(str::to_owned);
        Self { md5, headers, trailer }
    }

    /// Whether a sum comes with the request, in front or behind.
    fn wants(&self, name: &str) -> bool {
        let announced = self.headers.get_all("x-amz-trailer").iter().filter_map(|v| v.to_str().ok());
        self.headers.contains_key(name)
            || announced.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(name))
    }

    fn hasher(&self) -> ChecksumHasher {
        let [crc32, crc32c, sha1, sha256, crc64nvme] = SUMS.map(|name| self.wants(name));
        ChecksumHasher {
            crc32: crc32.then(Crc32::new),
            crc32c: crc32c.then(Crc32c::new),
            sha1: sha1.then(Sha1::new),
            sha256: sha256.then(Sha256::new),
            crc64nvme: crc64nvme.then(Crc64Nvme::new),
        }
    }

    /// Compares what was found with what was promised, once the body has been read.
    fn verify(&self, hasher: ChecksumHasher, md5: Option<Md5>) -> S3Result<()> {
        let trailer = self.trailer.as_ref().and_then(TrailingHeaders::take).unwrap_or_default();
        let sums = hasher.finalize();
        let found = [
            sums.checksum_crc32,
            sums.checksum_crc32c,
            sums.checksum_sha1,
            sums.checksum_sha256,
            sums.checksum_crc64nvme,
        ];
        for (name, found) in SUMS.into_iter().zip(found) {
            let Some(found) = found else { continue };
            let promised = self.headers.get(name).or_else(|| trailer.get(name));
            let promised = promised.ok_or_else(|| s3_error!(InvalidRequest, "the announced checksum did not come"))?;
            if promised.as_bytes() != found.as_bytes() {
                return Err(s3_error!(BadDigest, "the body does not match its checksum"));
            }
        }
        match (&self.md5, md5.map(|md5| STANDARD.encode(md5.finalize()))) {
            (Some(promised), Some(found)) if *promised != found => {
                Err(s3_error!(BadDigest, "the body does not match its Content-MD5"))
            }
            _ => Ok(()),
        }
    }
}

/// A body received whole and found right: in memory when small, else in a draft.
pub(super) enum Received {
    Memory(BytesMut),
    Draft(NamedTempFile),
}

impl Received {
    /// As a draft with all its bytes, not yet flushed. Blocks.
    pub(super) fn into_draft(self, disk: &Disk) -> S3Result<NamedTempFile> {
        match self {
            Self::Draft(draft) => Ok(draft),
            Self::Memory(bytes) => append(disk.draft()?, &bytes),
        }
    }
}

/// Reads a body to its end. `length` is what the request said it would be.
pub(super) async fn receive(
    disk: &Arc<Disk>,
    body: Option<StreamingBlob>,
    length: Option<i64>,
    expected: Expected,
) -> S3Result<Received> {
    let mut hasher = expected.hasher();
    let mut md5 = expected.md5.as_ref().map(|_| Md5::new());
    let mut memory = BytesMut::new();
    let mut draft = None;
    let mut size = 0;
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|e| {
                tracing::debug!(error = %e, "a body broke off or did not match its signature");
                s3_error!(BadDigest, "the body broke off or does not match its signature")
            })?;
            hasher.update(&piece);
            if let Some(md5) = &mut md5 {
                md5.update(&piece);
            }
            size += piece.len() as u64;
            memory.extend_from_slice(&piece);
            if memory.len() >= PIECE {
                draft = Some(spill(disk, draft, std::mem::take(&mut memory)).await?);
            }
        }
    }
    if length.is_some_and(|length| u64::try_from(length) != Ok(size)) {
        return Err(s3_error!(IncompleteBody));
    }
    expected.verify(hasher, md5)?;
    match draft {
        None => Ok(Received::Memory(memory)),
        Some(draft) => Ok(Received::Draft(spill(disk, Some(draft), memory).await?)),
    }
}

async fn spill(disk: &Arc<Disk>, draft: Option<NamedTempFile>, bytes: BytesMut) -> S3Result<NamedTempFile> {
    let disk = disk.clone();
    blocking(move || append(draft.map_or_else(|| disk.draft(), Ok)?, &bytes)).await
}

fn append(mut draft: NamedTempFile, bytes: &[u8]) -> S3Result<NamedTempFile> {
    draft.write_all(bytes).map_err(|e| failed(draft.path(), e))?;
    Ok(draft)
}
