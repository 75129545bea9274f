//! Pieces of answers: conditions, bodies, and rows of listings.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use s3s::dto::{CommonPrefix, ETagCondition, Object, StreamingBlob};
use s3s::{Body, S3Error, S3Result, s3_error};
use tokio_util::io::ReaderStream;

use super::disk::{Facts, failed};

/// Objects up to this size are read in one go and sent from memory.
const AT_ONCE: u64 = 1024 * 1024;

/// Locks and encryption at rest are promises; this store makes none, and says so.
pub(super) fn refuse_promises(locked: bool, sealed: bool) -> S3Result<()> {
    if locked {
        return Err(s3_error!(NotImplemented, "the embedded store has no object lock"));
    }
    if sealed {
        return Err(s3_error!(NotImplemented, "the embedded store does not encrypt; what arrives is what is kept"));
    }
    Ok(())
}

pub(super) fn may_read(
    facts: &Facts,
    wanted: Option<&ETagCondition>,
    unwanted: Option<&ETagCondition>,
) -> S3Result<()> {
    if let Some(ETagCondition::ETag(tag)) = wanted
        && *tag != facts.etag
    {
        return Err(s3_error!(PreconditionFailed));
    }
    match unwanted {
        Some(ETagCondition::Any) => Err(s3_error!(NotModified)),
        Some(ETagCondition::ETag(tag)) if tag.value() == facts.etag.value() => Err(s3_error!(NotModified)),
        _ => Ok(()),
    }
}

/// An object opened for reading, or a part of it.
pub(super) struct Opened {
    pub(super) facts: Facts,
    pub(super) part: Option<Range<u64>>,
    pub(super) body: StreamingBlob,
}

pub(super) fn read(mut file: File, facts: Facts, part: Option<Range<u64>>) -> S3Result<Opened> {
    let (start, size) = part.as_ref().map_or((0, facts.size), |part| (part.start, part.end - part.start));
    let broken = |e| failed(std::path::Path::new("an object"), e);
    if start > 0 {
        file.seek(SeekFrom::Start(start)).map_err(broken)?;
    }
    if size > AT_ONCE {
        let rest = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), size);
        let body = StreamingBlob::wrap(ReaderStream::with_capacity(rest, 256 * 1024));
        return Ok(Opened { facts, part, body });
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(size).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() as u64 != size {
        return Err(s3_error!(InternalError, "the object's file was cut short while it was read; try again"));
    }
    Ok(Opened { facts, part, body: Body::from(Bytes::from(bytes)).into() })
}

pub(super) fn objects(found: Vec<(String, Facts)>) -> Vec<Object> {
    let object = |(key, facts): (String, Facts)| Object {
        key: Some(key),
        size: i64::try_from(facts.size).ok(),
        e_tag: Some(facts.etag),
        last_modified: Some(facts.modified),
        ..Default::default()
    };
    found.into_iter().map(object).collect()
}

pub(super) fn prefixes(groups: Vec<String>) -> Vec<CommonPrefix> {
    groups.into_iter().map(|group| CommonPrefix { prefix: Some(group) }).collect()
}

pub(super) fn failure(key: String, error: &S3Error) -> s3s::dto::Error {
    s3s::dto::Error {
        code: Some(error.code().as_str().to_owned()),
        message: error.message().map(str::to_owned),
        key: Some(key),
        ..Default::default()
    }
}
