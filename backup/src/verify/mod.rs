//! Reading a point back: every object, every length, every hash. Used before restoring, by drills and when asked for by hand;
//! after taking, what the point sent, and of what older ones sent a share in turn.

mod keys;
mod log;
mod manifest;
mod problem;
mod rested;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use age::x25519::Identity;
use domain::id::TenantId;
use futures_util::{FutureExt, StreamExt};
use objects::{PutOptions, keys as layout};
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::points::point::Model as Row;
use time::OffsetDateTime;

pub use self::problem::{Problem, ProblemKind};
pub use self::rested::Rests;
pub(crate) use self::rested::WITHIN;
use crate::context::Backup;
use crate::endorsements::Signing;
use crate::error::Error;
use crate::format::hash::{HashCheck, Measure, Mismatch, Stamp, Tally};
use crate::format::manifest::{Clear, Kind, NotSigned};
use crate::format::sealed::Sealed;
use crate::keys::{Holder, TenantKey, WrappedKey};
use crate::snapshot::PointReport;
use crate::source::Source;

/// Objects read at the same time.
const TOGETHER: usize = 4;

/// A point as the log knows it.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub point: String,
    /// Length and hash of its manifest, where the log tells.
    pub manifest: Option<Measure>,
    /// The entry that the log in the store must hold; none when the point has not entered it yet.
    pub log: Option<Vec<u8>>,
    /// Where the tenant's keys lie wrapped now, by their ids: another place than the manifest says after a rotation.
    pub keys: HashMap<String, Vec<WrappedKey>>,
    /// Keys whose signatures count; none when nobody knows any, then a signature only has to be one.
    pub signers: Option<BTreeSet<String>>,
    /// What the appliance's sheet needs beside a point of the control plane.
    pub signing: Signing,
    /// What need not be read because it was not long ago; none to read everything.
    pub rests: Option<Rests>,
}

/// What reading back has shown.
#[derive(Default)]
pub struct ReadBack {
    /// Everything that is wrong; nothing else may be used unless this is empty.
    pub problems: Vec<Problem>,
    /// The clear part.
    pub clear: Option<Clear>,
    /// The sealed part, where the key was at hand.
    pub sealed: Option<Sealed>,
    /// The tenant's key, where an identity was at hand.
    pub key: Option<TenantKey>,
    /// Objects read.
    pub objects: u64,
    /// Objects that were not, because an older point sent them and they were read not long ago.
    pub rested: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// What `backup verify` tells.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Which point.
    pub point: String,
    /// Whose.
    pub tenant: String,
    /// `verified`, `proven` or `damaged`; what it was before when the identity at hand opens none of its keys.
    pub state: String,
    /// The tenant's key was at hand, so the manifest's seal was checked too, not only every stored hash.
    pub seal_checked: bool,
    /// Objects read back, manifest and keys included.
    pub objects: u64,
    /// Objects of older points that are in the store with their length and were not read this time: their turn comes within
    /// seven days.
    pub rested: u64,
    /// Bytes read back.
    pub bytes: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// How long it took.
    pub seconds: f64,
}

/// Reads a point back. An error means that it could not be read; that it is damaged is told in the answer.
pub async fn read_back(
    source: &Source,
    expected: &Expected,
    holder: Option<(Holder, Identity)>,
    check: HashCheck,
) -> Result<ReadBack, Error> {
    let mut out = ReadBack::default();
    let at = layout::manifest(expected.tenant, &expected.point);
    let stored = match source.get(&at).await {
        Ok(stored) => stored,
        Err(objects::Error::NotFound { .. }) => {
            out.problems.push(Problem::missing(&at, Kind::Manifest));
            return Ok(out);
        }
        Err(error) => return Err(error.into()),
    };
    out.objects += 1;
    out.bytes += stored.len() as u64;
    let logged = log::known_measure(source, expected, check, &mut out).await?;
    let judged = manifest::judge(&stored, expected, logged.as_ref(), check);
    let manifest = match judged.map_err(|source| Error::Manifest { point: expected.point.clone(), source })? {
        Ok(manifest) => manifest,
        Err(refused) => {
            let damaged = logged.as_ref().is_some_and(|logged| manifest::only_its_signature(&stored, logged));
            let (kind, message) = match refused {
                refused if damaged => (refused.kind, refused.message),
                refused => Box::pin(or_forged(source, expected, refused, holder, check)).await?,
            };
            out.problems.push(Problem::new(&at, Kind::Manifest, kind, message));
            return Ok(out);
        }
    };
    keys::open_keys(source, expected, &manifest.clear, holder, check, &mut out).await?;
    keys::read_signers(source, expected, &manifest.clear, check, &mut out).await?;
    if let Some(key) = &out.key {
        match manifest::open(&manifest, key, check) {
            Ok(sealed) => out.sealed = Some(sealed),
            Err((kind, message)) => out.problems.push(Problem::new(&at, Kind::Manifest, kind, message)),
        }
    }
    let read = read_objects(source, expected, &manifest.clear, check, &mut out).await;
    source.shown.end();
    read?;
    out.clear = Some(manifest.clear);
    Ok(out)
}

/// A manifest that is not the one that was written may have been damaged, or written by someone who holds the tenant's key:
/// then its seal is right, and the signature is not ours.
async fn or_forged(
    source: &Source,
    expected: &Expected,
    refused: manifest::Refused,
    holder: Option<(Holder, Identity)>,
    check: HashCheck,
) -> Result<(ProblemKind, String), Error> {
    let verdict = (refused.kind, refused.message);
    let Some(manifest) = refused.manifest else { return Ok(verdict) };
    let Err(why) = manifest.signed(expected.signers.as_ref(), check) else { return Ok(verdict) };
    if let NotSigned::Foreign(_) = &why {
        return Ok((ProblemKind::Forged, why.to_string()));
    }
    let mut aside = ReadBack::default();
    keys::open_keys(source, expected, &manifest.clear, holder, check, &mut aside).await?;
    match aside.key {
        Some(key) if manifest.clear.key == key.id() && manifest.check(&key, check).is_ok() => {
            Ok((ProblemKind::Forged, format!("{why}: someone who holds the tenant's key wrote it")))
        }
        _ => Ok(verdict),
    }
}

async fn read_objects(
    source: &Source,
    expected: &Expected,
    clear: &Clear,
    check: HashCheck,
    out: &mut ReadBack,
) -> Result<(), Error> {
    let resting = match expected.rests {
        Some(rests) => rests.of(source, clear).await?,
        None => HashSet::new(),
    };
    let objects: Vec<_> = clear.objects.iter().filter(|object| !resting.contains(&object.key)).collect();
    out.rested = (clear.objects.len() - objects.len()) as u64;
    source.shown.begin("reading every object back", Some(objects.len() as u64));
    let keys: Vec<_> = objects.iter().map(|object| object.key.clone()).collect();
    let reads = futures_util::stream::iter(keys).map(|key| stamp_of(source.clone(), key).boxed());
    let mut found = reads.buffered(TOGETHER).zip(futures_util::stream::iter(objects));
    while let Some((stamp, object)) = found.next().await {
        source.shown.advance(1);
        let Some(stamp) = stamp? else {
            out.problems.push(Problem::missing(&object.key, object.kind));
            continue;
        };
        out.objects += 1;
        out.bytes += stamp.measure.bytes;
        if let Some(mismatch) = check.compare_stored(&object.stamp(), &stamp) {
            out.problems.push(Problem::mismatch(&object.key, object.kind, mismatch));
        }
    }
    Ok(())
}

/// The stamp of a stored object; none when it is not there.
async fn stamp_of(source: Source, key: String) -> Result<Option<Stamp>, Error> {
    let mut stream = match source.stream(&key).await {
        Ok(stream) => stream,
        Err(objects::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut tally = Tally::default();
    while let Some(portion) = stream.next().await {
        let portion = portion.map_err(|source| {
            let unreachable = objects::Error::Unreachable { endpoint: key.clone(), source: source.into() };
            Error::Objects(unreachable)
        })?;
        tally.update(&portion);
    }
    Ok(Some(tally.stamp()))
}

impl From<Mismatch> for ProblemKind {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Truncated => Self::Truncated,
            Mismatch::Altered => Self::Altered,
        }
    }
}

impl Backup {
    /// What the log knows of a point.
    pub async fn expected(&self, point: &str) -> Result<(Expected, Row), Error> {
        let row = self.store.control().find_point(point).await?.ok_or_else(|| Error::NoPoint(point.to_owned()))?;
        let measure = |sha256| Measure { bytes: row.manifest_bytes.unsigned_abs(), sha256 };
        let manifest = row.manifest_sha256.parse().ok().map(measure);
        let log = manifest.filter(|_| row.verified_at.is_some()).map(|manifest| log::entry(&row, &manifest));
        let tenant = TenantId(row.tenant_id);
        let keys = self.wrapped_keys(tenant).await?;
        // bytes whose hash is known need no key that is trusted still
        let signers = Some(if manifest.is_some() { self.signers_of_known().await? } else { self.signers().await? });
        let signing = if tenant.is_control() { self.signing().await? } else { Signing::default() };
        Ok((Expected { tenant, point: row.point.clone(), manifest, log, keys, signers, signing, rests: None }, row))
    }

    /// Verifies a point and remembers what was found. A point that reads well for the first time enters the log in the
    /// store, and the changes it holds are no longer marked as held by none.
    pub async fn verify_point(&self, point: &str, actor: &str) -> Result<VerifyReport, Error> {
        self.verify(point, actor, self.clock.now(), None).await
    }

    /// The same of a point that was just taken: what it sent is read, and of what it refers to the share whose turn has come.
    pub async fn verify_taken(&self, taken: &PointReport, actor: &str) -> Result<VerifyReport, Error> {
        let now = self.clock.now();
        let good = match &taken.rests_on {
            Some(point) => self.store.control().find_point(point).await?,
            None => None,
        };
        let verified = good.filter(|row| matches!(row.state.as_str(), "verified" | "proven"));
        let rests = verified
            .and_then(|row| row.verified_at)
            .map(|at| Rests { since: at.unix_timestamp(), now: now.unix_timestamp() });
        self.verify(&taken.point, actor, now, rests).await
    }

    /// `at`: now, before anything is read. It is what the next point rests on: a turn that falls into the time of reading is
    /// for the next one.
    async fn verify(
        &self,
        point: &str,
        actor: &str,
        at: OffsetDateTime,
        rests: Option<Rests>,
    ) -> Result<VerifyReport, Error> {
        let begun = Instant::now();
        let (expected, row) = self.expected(point).await?;
        let expected = Expected { rests, ..expected };
        let holder = match self.holder() {
            Ok(holder) => Some(holder),
            // the server may not read the drill identity; every stored hash is compared all the same
            Err(crate::keys::KeyError::NoIdentity) => None,
            Err(error) => return Err(error.into()),
        };
        let read = read_back(&self.source(), &expected, holder, self.check).await?;
        let good = read.problems.is_empty();
        let problems = (!good).then(|| json!(read.problems));
        let control = self.store.control();
        if good {
            // the entry must be there before anything says that it has to be
            self.write_log(&expected, &row).await?;
        }
        let unopened = Problem::only_of_identity(&read.problems);
        if !unopened {
            control.mark_point_read(point, at, problems.clone()).await?;
        }
        if good {
            self.settle(&row).await?;
        } else if !unopened {
            self.unsettle(&row).await?;
        }
        let state = match (good, row.proven_at.is_some()) {
            (false, _) if unopened => row.state.as_str(),
            (false, _) => "damaged",
            (true, true) => "proven",
            (true, false) => "verified",
        };
        let detail = json!({ "state": state, "problems": problems });
        let event = AuditEvent { actor, event: "point.verified", object: point, detail };
        control.audit(Some(expected.tenant), &event).await?;
        Ok(VerifyReport {
            point: row.point,
            tenant: row.slug,
            state: state.to_owned(),
            seal_checked: read.key.is_some(),
            objects: read.objects,
            rested: read.rested,
            bytes: read.bytes,
            problems: read.problems,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    async fn write_log(&self, expected: &Expected, row: &Row) -> Result<(), Error> {
        let (Some(manifest), None) = (&expected.manifest, &expected.log) else { return Ok(()) };
        let at = layout::log_entry(expected.tenant, &expected.point);
        Ok(self.objects.put(&at, log::entry(row, manifest), PutOptions::default()).await?)
    }

    /// Forgets the marks of changes that this point holds, if the tenant is still there.
    async fn settle(&self, row: &Row) -> Result<(), Error> {
        let Some(tenant) = self.store.registry().by_id(TenantId(row.tenant_id)).await? else { return Ok(()) };
        let scope = store::TenantScope::for_job(tenant, "verify");
        Ok(self.store.clear_marks(&scope, row.generation).await?)
    }

    /// Marks the changes again that only this damaged point held: since the newest good point, or since ever.
    pub(crate) async fn unsettle(&self, row: &Row) -> Result<(), Error> {
        let id = TenantId(row.tenant_id);
        let Some(tenant) = self.store.registry().by_id(id).await? else { return Ok(()) };
        let good = self.store.control().newest_point(id, &["verified", "proven"]).await?;
        if good.as_ref().is_some_and(|good| good.generation >= row.generation) {
            return Ok(());
        }
        let made = time::OffsetDateTime::from_unix_timestamp(tenant.created_ts).unwrap_or(row.snapshot_at);
        let since = good.map_or(made, |good| good.snapshot_at);
        let scope = store::TenantScope::for_job(tenant, "verify");
        Ok(self.store.restore_mark(&scope, row.generation, since).await?)
    }
}
