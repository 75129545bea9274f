//! The wrapped keys of a point: read, compared, and the one for the holder at hand opened.

use age::x25519::Identity;
use domain::id::TenantId;
use objects::keys as layout;

use super::{Expected, Problem, ProblemKind, ReadBack};
use crate::error::Error;
use crate::format::hash::{HashCheck, Stamp};
use crate::format::manifest::{Clear, Kind};
use crate::keys::{Holder, TenantKey, WrappedKey};
use crate::seal::OpenError;
use crate::source::Source;

/// Reads every wrapped key and opens the one for the holder at hand. Where the caller's records do not say where the key
/// lies now, the manifest does; where that is not right any more because keys were rotated, the store is looked through.
pub(super) async fn open_keys(
    source: &Source,
    expected: &Expected,
    clear: &Clear,
    holder: Option<(Holder, Identity)>,
    check: HashCheck,
    out: &mut ReadBack,
) -> Result<(), Error> {
    let record = expected.keys.get(&clear.key);
    let mut unopened = None;
    for wrapped in record.unwrap_or(&clear.keys) {
        let stored = match source.get(&wrapped.key).await {
            Ok(stored) => stored,
            Err(objects::Error::NotFound { .. }) => {
                out.problems.push(Problem::missing(&wrapped.key, Kind::Key));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        out.objects += 1;
        out.bytes += stored.len() as u64;
        let mismatch = check.compare_stored(&wrapped.stamp(), &Stamp::of(&stored));
        if let Some(mismatch) = mismatch {
            out.problems.push(Problem::mismatch(&wrapped.key, Kind::Key, mismatch));
        }
        match &holder {
            Some((who, identity)) if *who == wrapped.holder && out.key.is_none() => {
                match TenantKey::unwrap(identity, &stored) {
                    Ok(key) => out.key = Some(key),
                    Err(_) if mismatch.is_some() => {}
                    Err(error) => unopened = Some(problem_of(wrapped, &error)),
                }
            }
            _ => {}
        }
    }
    if out.key.is_none()
        && let (None, Some((holder, identity))) = (record, &holder)
    {
        out.key = elsewhere(source, expected.tenant, &clear.key, *holder, identity).await?;
        if out.key.is_some() {
            out.problems.retain(|problem| problem.kind != Kind::Key);
        }
    }
    if out.key.is_none() {
        out.problems.extend(unopened);
    }
    Ok(())
}

/// Reads what the sheet needs beside the point: what leads from its key to the one that signed the point, and the key to go on
/// with.
pub(super) async fn read_signers(
    source: &Source,
    expected: &Expected,
    clear: &Clear,
    check: HashCheck,
    out: &mut ReadBack,
) -> Result<(), Error> {
    for (at, stamp) in expected.signing.needed_for(&clear.signed_by) {
        let stored = match source.get(&at).await {
            Ok(stored) => stored,
            Err(objects::Error::NotFound { .. }) => {
                out.problems.push(Problem::missing(&at, Kind::Signer));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        out.objects += 1;
        out.bytes += stored.len() as u64;
        if let Some(mismatch) = check.compare_stored(&stamp, &Stamp::of(&stored)) {
            out.problems.push(Problem::mismatch(&at, Kind::Signer, mismatch));
        }
    }
    Ok(())
}

fn problem_of(wrapped: &WrappedKey, error: &OpenError) -> Problem {
    let (kind, message) = match error {
        OpenError::WrongKey => {
            let message = format!("the {} identity at hand does not open it", wrapped.holder.as_str());
            (ProblemKind::WrongKey, message)
        }
        other => (ProblemKind::Altered, other.to_string()),
    };
    Problem::new(&wrapped.key, Kind::Key, kind, message)
}

/// The same key, wrapped for the same holder at another time.
async fn elsewhere(
    source: &Source,
    tenant: TenantId,
    key: &str,
    holder: Holder,
    identity: &Identity,
) -> Result<Option<TenantKey>, Error> {
    let prefix = layout::wrapped_key(tenant, &format!("{key}.{}", holder.as_str()));
    for at in source.list(&prefix).await? {
        let Ok(stored) = source.get(&at).await else { continue };
        if let Ok(found) = TenantKey::unwrap(identity, &stored)
            && found.id() == key
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
