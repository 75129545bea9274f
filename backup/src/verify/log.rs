//! The log of points in the store: an entry for each that was read back and found right.

use objects::keys as layout;
use serde::{Deserialize, Serialize};
use store::control::points::point::Model as Row;

use super::{Expected, Problem, ReadBack};
use crate::error::Error;
use crate::format::hash::{Hash, HashCheck, Measure, Mismatch, Stamp};
use crate::format::manifest::Kind;
use crate::source::Source;

/// An entry of the log of points in the store: what was read back and found right.
#[derive(Serialize, Deserialize)]
struct LogEntry {
    point: String,
    manifest_sha256: Hash,
    manifest_bytes: u64,
    previous: Option<String>,
}

/// The bytes of a point's entry in the log: always the same, so that they can be compared.
pub(super) fn entry(row: &Row, manifest: &Measure) -> Vec<u8> {
    let entry = LogEntry {
        point: row.point.clone(),
        manifest_sha256: manifest.sha256,
        manifest_bytes: manifest.bytes,
        previous: row.previous.clone(),
    };
    serde_json::to_vec(&entry).unwrap_or_default()
}

/// What the log says the manifest is: the caller's log first, then the one in the store.
pub(super) async fn known_measure(
    source: &Source,
    expected: &Expected,
    check: HashCheck,
    out: &mut ReadBack,
) -> Result<Option<Measure>, Error> {
    let at = layout::log_entry(expected.tenant, &expected.point);
    let stored = match source.get(&at).await {
        Ok(bytes) => bytes,
        Err(objects::Error::NotFound { .. }) => {
            // it is written only once the point has been read back for the first time
            if expected.log.is_some() {
                out.problems.push(Problem::missing(&at, Kind::Log));
            }
            return Ok(expected.manifest);
        }
        Err(error) => return Err(error.into()),
    };
    out.objects += 1;
    out.bytes += stored.len() as u64;
    let told = serde_json::from_slice::<LogEntry>(&stored)
        .ok()
        .filter(|entry| entry.point == expected.point)
        .map(|entry| Measure { bytes: entry.manifest_bytes, sha256: entry.manifest_sha256 });
    let mismatch = match &expected.log {
        Some(right) => check.compare_stored(&Stamp::of(right), &Stamp::of(&stored)),
        None if told.is_none() => Some(Mismatch::Altered),
        None => None,
    };
    if let Some(mismatch) = mismatch {
        out.problems.push(Problem::mismatch(&at, Kind::Log, mismatch));
    }
    Ok(expected.manifest.or(told))
}
