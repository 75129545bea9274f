//! Faults done to copies of a point: each must be refused, naming the right object. The store is never touched.

use std::collections::HashMap;
use std::str::FromStr;

use age::x25519::Identity;
use domain::chance::Chance;
use objects::keys as layout;

use super::report::FaultResult;
use crate::context::Backup;
use crate::error::Error;
use crate::format::manifest::{Clear, Manifest};
use crate::format::name::PointName;
use crate::keys::{Holder, Signer};
use crate::restore::Opened;
use crate::source::{Damage, Source};
use crate::verify::ProblemKind;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One bit of a stored object is another.
    Flip,
    /// An object lost its end.
    Truncate,
    /// An object is gone.
    Remove,
    /// Two objects have changed places.
    Swap,
    /// An older manifest lies under the point's name.
    Stale,
    /// The key at hand is someone else's.
    WrongKey,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Flip, Self::Truncate, Self::Remove, Self::Swap, Self::Stale, Self::WrongKey];

    /// The word on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::Truncate => "truncate",
            Self::Remove => "remove",
            Self::Swap => "swap",
            Self::Stale => "stale",
            Self::WrongKey => "wrong_key",
        }
    }

    /// Reads `all`, `none` or a comma list.
    pub fn list(text: &str) -> Result<Vec<Self>, UnknownFault> {
        match text {
            "all" => Ok(Self::ALL.to_vec()),
            "none" => Ok(Vec::new()),
            list => list.split(',').map(|word| word.trim().parse()).collect(),
        }
    }

    /// How the refusal must call it.
    const fn expected(self) -> ProblemKind {
        match self {
            Self::Flip | Self::Swap => ProblemKind::Altered,
            Self::Truncate => ProblemKind::Truncated,
            Self::Remove => ProblemKind::Missing,
            Self::Stale => ProblemKind::Stale,
            Self::WrongKey => ProblemKind::WrongKey,
        }
    }
}

/// The word names no fault.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a fault; give all, none or a comma list of flip, truncate, remove, swap, stale, wrong_key")]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == text).ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

/// A stored object of the point: its key and length.
type Target = (String, u64);

/// Does one fault to a copy of the point and tells whether it was refused rightly.
pub(crate) async fn try_fault(
    backup: &Backup,
    opened: &Opened,
    fault: Fault,
    chance: &Chance,
) -> Result<FaultResult, Error> {
    let point = opened.clear.point.to_string();
    let (object, outcome) = if fault == Fault::WrongKey {
        let stranger = backup.clone().with_identity(Some(Identity::generate()));
        let record = backup.wrapped_keys(opened.clear.tenant).await?;
        let now = record.get(&opened.clear.key).unwrap_or(&opened.clear.keys);
        let wrapped = now.iter().rfind(|key| key.holder == Holder::Escrow);
        let object = wrapped.map_or_else(String::new, |key| key.key.clone());
        (object, stranger.open_point(&backup.source(), &point).await)
    } else {
        let (object, overlay) = overlay(backup, opened, fault, chance).await?;
        let source = Source::damaged(backup.objects.clone(), overlay);
        (object, backup.open_point(&source, &point).await)
    };
    let (detected, message) = match outcome {
        Ok(_) => (false, "the damaged copy was accepted".to_owned()),
        Err(error @ Error::Damaged { .. }) => {
            let named = matches!(&error, Error::Damaged { problems, .. } if problems.iter().any(|problem| {
                problem.object == object && problem.problem == fault.expected()
            }));
            (named, error.to_string())
        }
        Err(other) => (false, other.to_string()),
    };
    Ok(FaultResult { fault: fault.as_str().to_owned(), object, detected, message })
}

async fn overlay(
    backup: &Backup,
    opened: &Opened,
    fault: Fault,
    chance: &Chance,
) -> Result<(String, HashMap<String, Damage>), Error> {
    let manifest = layout::manifest(opened.clear.tenant, opened.clear.point.as_str());
    if fault == Fault::Stale {
        let damage = older_manifest(backup, opened).await?;
        return Ok((manifest.clone(), HashMap::from([(manifest, damage)])));
    }
    let targets = targets(&opened.clear, &manifest);
    let (key, bytes) = pick(&targets, chance);
    let single = |damage| (key.clone(), HashMap::from([(key.clone(), damage)]));
    Ok(match fault {
        Fault::Flip => single(Damage::Flip(chance.below(bytes))),
        Fault::Truncate => single(Damage::Truncate(bytes - 1 - chance.below(bytes / 2))),
        Fault::Swap => {
            let (one, other) = pair(&opened.clear, &manifest, chance);
            let both = [(one.clone(), Damage::Replace(other.clone())), (other, Damage::Replace(one.clone()))];
            (one, HashMap::from(both))
        }
        _ => single(Damage::Remove),
    })
}

/// Everything of the point whose damage must be noticed.
fn targets(clear: &Clear, manifest: &str) -> Vec<Target> {
    let objects = clear.objects.iter().map(|object| (object.key.clone(), object.bytes_stored));
    let smallest = clear.objects.iter().map(|object| object.bytes_stored).min().unwrap_or(1024);
    // the manifest's own length is not in it; any byte of its beginning will do
    objects.chain([(manifest.to_owned(), smallest.min(512))]).collect()
}

fn pick(targets: &[Target], chance: &Chance) -> Target {
    let at = chance.below(targets.len() as u64) as usize;
    targets.get(at).cloned().unwrap_or_default()
}

/// Two objects of the same kind where there are such, else the first object and the manifest.
fn pair(clear: &Clear, manifest: &str, chance: &Chance) -> (String, String) {
    let start = chance.below(clear.objects.len().max(1) as u64) as usize;
    let turned = || clear.objects.iter().cycle().skip(start).take(clear.objects.len());
    for one in turned() {
        let other = turned()
            .find(|other| other.kind == one.kind && other.key != one.key && other.sha256_stored != one.sha256_stored);
        if let Some(other) = other {
            return (one.key.clone(), other.key.clone());
        }
    }
    let first = clear.objects.first().map_or_else(String::new, |object| object.key.clone());
    let second = clear.objects.get(1).map_or_else(|| manifest.to_owned(), |object| object.key.clone());
    if second == manifest { (manifest.to_owned(), first) } else { (first, second) }
}

/// The manifest of an older point of the tenant, or, at the first point, one made for this purpose.
async fn older_manifest(backup: &Backup, opened: &Opened) -> Result<Damage, Error> {
    let clear = &opened.clear;
    if let Some(previous) = &clear.previous {
        let key = layout::manifest(clear.tenant, previous.point.as_str());
        if backup.objects.exists(&key).await? {
            return Ok(Damage::Replace(key));
        }
    }
    let key = backup.tenant_key(clear.tenant).await?.key;
    let point = PointName::draw(&backup.clock, &backup.chance);
    let older = Clear { point, ..clear.clone() };
    // it must be refused for its name already, whoever signed it
    let bytes = Manifest::write(&older, &opened.sealed, &key, &Signer::generate())
        .map_err(|source| Error::Manifest { point: older.point.to_string(), source })?;
    Ok(Damage::Bytes(bytes.into()))
}
