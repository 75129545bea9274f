//! Judging a manifest: is it the one that was written under this name, by this appliance, for a holder of this key?

use super::{Expected, ProblemKind};
use crate::format::hash::{Hash, HashCheck, Measure, Mismatch};
use crate::format::manifest::{Manifest, ManifestError};
use crate::format::sealed::Sealed;
use crate::keys::TenantKey;
use crate::seal::OpenError;

/// Every manifest begins so.
const BEGINNING: &[u8] = b"{\"format\":";

/// And its signature, the last of it, so.
const SIGNATURE: &[u8] = b",\"signature\":\"";

/// Why a manifest may not be looked into.
pub(super) struct Refused {
    pub(super) kind: ProblemKind,
    pub(super) message: String,
    /// The document, where it is one of this name and what it says may be a lie.
    pub(super) manifest: Option<Box<Manifest>>,
}

impl Refused {
    fn new(kind: ProblemKind, message: String) -> Self {
        Self { kind, message, manifest: None }
    }
}

/// The manifest, if it may be looked into. `logged` is what the log of points says of it.
///
/// # Errors
/// A newer product wrote it, as the log says: whether anything is wrong with it cannot be told.
pub(super) fn judge(
    stored: &[u8],
    expected: &Expected,
    logged: Option<&Measure>,
    check: HashCheck,
) -> Result<Result<Manifest, Refused>, ManifestError> {
    let read = Manifest::read(stored);
    if let Err(refused) = compare(stored, &read, expected, logged, check) {
        return Ok(Err(refused));
    }
    let manifest = match read {
        Ok(manifest) => manifest,
        Err(newer @ ManifestError::Newer(_)) => return Err(newer),
        Err(error) => return Ok(Err(Refused::new(ProblemKind::Altered, error.to_string()))),
    };
    Ok(match manifest.signed(expected.signers.as_ref(), check) {
        Ok(()) => Ok(manifest),
        Err(why) => {
            let message = why.to_string();
            Err(Refused { kind: ProblemKind::Altered, message, manifest: Some(Box::new(manifest)) })
        }
    })
}

/// Whether it is the one that was written under this name, by its hash.
fn compare(
    stored: &[u8],
    read: &Result<Manifest, ManifestError>,
    expected: &Expected,
    logged: Option<&Measure>,
    check: HashCheck,
) -> Result<(), Refused> {
    if let Ok(manifest) = read {
        let clear = &manifest.clear;
        if clear.point.as_str() != expected.point || clear.tenant != expected.tenant {
            let message = format!("it is the manifest of point {} of tenant {}", clear.point, clear.tenant);
            return Err(Refused::new(ProblemKind::Stale, message));
        }
    }
    // what begins otherwise is no manifest that lost its end
    let begins = stored.iter().zip(BEGINNING).all(|(found, right)| found == right);
    if let Some(mismatch) = logged.and_then(|logged| check.compare(logged, &Measure::of(stored))) {
        let mismatch = if begins && read.is_err() { mismatch } else { Mismatch::Altered };
        let message = match mismatch {
            Mismatch::Truncated => "it is shorter than what the log of points says",
            Mismatch::Altered => "it is not the manifest that the log of points knows",
        };
        let manifest = read.as_ref().ok().cloned().map(Box::new);
        return Err(Refused { kind: mismatch.into(), message: message.to_owned(), manifest });
    }
    Ok(())
}

/// Whether a manifest is the one that was written but for one byte of its signature: damaged, and not written by somebody who
/// holds the tenant's key and cannot sign. Its content is right then, as its seal shows in either case.
pub(super) fn only_its_signature(stored: &[u8], logged: &Measure) -> bool {
    let at = stored.windows(SIGNATURE.len()).rposition(|part| part == SIGNATURE);
    stored.len() as u64 == logged.bytes
        && at.is_some_and(|at| Hash::is_one_byte_off(stored, at + SIGNATURE.len(), &logged.sha256))
}

/// The sealed part, if the key is right and the seal matches.
pub(super) fn open(manifest: &Manifest, key: &TenantKey, check: HashCheck) -> Result<Sealed, (ProblemKind, String)> {
    if manifest.clear.key != key.id() {
        let message = format!("it was sealed with key {}, the one at hand is {}", manifest.clear.key, key.id());
        return Err((ProblemKind::WrongKey, message));
    }
    manifest.check(key, check).map_err(|error| (ProblemKind::Altered, error.to_string()))?;
    manifest.unseal(key).map_err(|error| match error {
        ManifestError::Open(OpenError::WrongKey) => (ProblemKind::WrongKey, error.to_string()),
        other => (ProblemKind::Altered, other.to_string()),
    })
}
