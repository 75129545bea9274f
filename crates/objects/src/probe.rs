//! Asks a store what it really does: some accept headers that they ignore.

use bytes::Bytes;
use domain::chance::Chance;
use domain::clock::Clock;
use serde::Serialize;
use time::OffsetDateTime;

use crate::store::{ObjectStore, PutOptions};
use crate::{Error, keys};

/// What a store does, found by trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeReport {
    /// Where the store is.
    pub location: String,
    /// A put that must only create is refused on a taken key, and leaves the first bytes.
    pub conditional_put: bool,
    /// A right SHA-256 is accepted and a wrong one refused.
    pub sha256_checksums: bool,
    /// A range gives exactly its bytes.
    pub ranges: bool,
    /// An upload in parts works.
    pub multipart: bool,
    /// What was written is listed at once, and no longer after its deletion.
    pub listing: bool,
    /// Old versions are kept; `None` when the store does not say.
    pub versioning: Option<bool>,
    /// The bucket is set up for object lock; `None` when the store does not say.
    pub object_lock: Option<bool>,
    /// The store's clock minus ours.
    pub clock_skew_seconds: i64,
    /// What an operator should know, one sentence each; empty when all is well.
    pub sentences: Vec<String>,
}

/// Tries a store out under [`keys::PROBE`] and cleans up behind itself.
///
/// # Errors
/// When the store cannot even put, get and delete a small object: then there is nothing to report.
pub async fn probe(store: &ObjectStore, clock: &Clock, chance: &Chance) -> Result<ProbeReport, Error> {
    store.check().await?;
    let place = format!("{}{}/", keys::PROBE, chance.uid());
    let found = try_out(store, clock, &place).await;
    let left: Vec<String> = store.list(&place).await?.into_iter().map(|object| object.key).collect();
    store.delete_many(&left).await?;
    let mut report = found?;
    report.sentences = sentences(&report);
    Ok(report)
}

async fn try_out(store: &ObjectStore, clock: &Clock, place: &str) -> Result<ProbeReport, Error> {
    let key = format!("{place}object");
    let bytes = Bytes::from_static(b"holdfast was here");
    let before = clock.now();
    store.put(&key, bytes.clone(), PutOptions::default()).await?;
    let middle: OffsetDateTime = before + (clock.now() - before) / 2;
    if store.get(&key).await? != bytes {
        return Err(Error::Altered { key });
    }
    let head = store.head(&key).await?.ok_or_else(|| Error::NotFound { key: key.clone() })?;
    let conditional_put = conditional(store, &format!("{place}once")).await?;
    let ranges = matches!(store.get_range(&key, 9..12).await, Ok(part) if part == "was");
    let listed = store.list(place).await?.iter().any(|object| object.key == key && object.size == bytes.len() as u64);
    store.delete(&key).await?;
    let gone = !store.exists(&key).await? && !store.list(place).await?.iter().any(|object| object.key == key);
    let (sha256_checksums, multipart, versioning, object_lock) = match store.as_s3() {
        None => (true, true, Some(false), Some(false)),
        Some(s3) => (
            s3.probe_checksums(&format!("{place}sum")).await?,
            s3.probe_multipart(&format!("{place}parts")).await?,
            s3.probe_versioning().await,
            s3.probe_object_lock().await,
        ),
    };
    Ok(ProbeReport {
        location: store.location(),
        conditional_put,
        sha256_checksums,
        ranges,
        multipart,
        listing: listed && gone,
        versioning,
        object_lock,
        clock_skew_seconds: (head.modified - middle).whole_seconds(),
        sentences: Vec::new(),
    })
}

async fn conditional(store: &ObjectStore, key: &str) -> Result<bool, Error> {
    match store.put(key, "first", PutOptions::CREATE).await {
        Ok(()) => {}
        Err(Error::Refused { .. } | Error::Exists { .. }) => return Ok(false),
        Err(other) => return Err(other),
    }
    match store.put(key, "second", PutOptions::CREATE).await {
        Err(Error::Exists { .. }) => Ok(store.get(key).await? == "first"),
        Ok(()) | Err(Error::Refused { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

fn sentences(report: &ProbeReport) -> Vec<String> {
    let mut out = Vec::new();
    let mut say = |wrong: bool, text: &str| {
        if wrong {
            out.push(text.to_owned());
        }
    };
    say(
        !report.conditional_put,
        "the store ignores conditional writes, so only Postgres keeps two workers apart; let one Holdfast alone write to this bucket",
    );
    say(
        !report.sha256_checksums,
        "the store does not check SHA-256 checksums on arrival; points are still verified by reading them back",
    );
    say(!report.ranges, "the store does not serve ranges, so restoring a single note reads whole objects");
    say(
        !report.multipart,
        "the store does not take uploads in parts, so files and dumps above 8 MiB cannot be stored; use another store",
    );
    say(
        !report.listing,
        "the store's listings lag behind its writes; retention waits 24 h before it removes anything, which covers this",
    );
    if report.clock_skew_seconds.abs() > 60 {
        out.push(format!(
            "the store's clock is {} s away from ours; set both by NTP, since requests are refused from 15 minutes on",
            report.clock_skew_seconds
        ));
    }
    out
}
