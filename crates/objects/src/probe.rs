//! Asks a store what it really does: some accept headers that they ignore.

use bytes::Bytes;
use domain::chance::Chance;
use domain::clock::Clock;
use serde::Serialize;
use time::OffsetDateTime;

use crate::store::{ObjectStore, PutOptions};
use crate::{Error, keys};

/// A rule of the bucket that removes objects by their age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LifecycleRule {
    /// What the store calls it.
    pub name: String,
    /// Which keys it is for.
    pub prefix: String,
    /// Among them are ours.
    pub reaches_us: bool,
    /// It removes objects.
    pub expires: bool,
    /// It removes versions that are not the newest any more.
    pub expires_old_versions: bool,
    /// After so many days.
    pub old_versions_days: Option<u32>,
    /// It ends uploads in parts that take longer than so many days.
    pub aborts_uploads_days: Option<u32>,
}

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
    /// Days for which we lock points; `None`: we do not.
    pub lock_days: Option<u32>,
    /// Rules that remove objects by their age; `None` when the store does not say.
    pub lifecycle: Option<Vec<LifecycleRule>>,
    /// The store's clock minus ours.
    pub clock_skew_seconds: i64,
    /// What Holdfast does because of each answer, one sentence each, in the order of the answers.
    pub therefore: Vec<String>,
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
    report.therefore = therefore(&report);
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
        lock_days: store.as_s3().and_then(|s3| s3.config.lock_days),
        lifecycle: match store.as_s3() {
            None => Some(Vec::new()),
            Some(s3) => s3.probe_lifecycle().await,
        },
        clock_skew_seconds: (head.modified - middle).whole_seconds(),
        therefore: Vec::new(),
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
    say(
        report.lock_days.is_some() && report.object_lock == Some(false),
        "store_lock_days is set and the bucket was made without object lock, so nothing is locked; make a bucket with it",
    );
    for rule in report.lifecycle.iter().flatten().filter(|rule| rule.reaches_us) {
        let (name, prefix) = (&rule.name, &rule.prefix);
        if rule.expires {
            out.push(format!(
                "the bucket's rule {name:?} removes objects under {prefix:?} by their age, ours among them: points and keys \
                 would be lost; take it away, retention is Holdfast's"
            ));
        }
        if rule.expires_old_versions && report.versioning == Some(true) {
            let days = rule.old_versions_days.unwrap_or_default();
            out.push(format!(
                "the bucket's rule {name:?} removes old versions after {days} days: what somebody overwrites or deletes comes \
                 back only until then"
            ));
        }
    }
    if report.clock_skew_seconds.abs() > 60 {
        out.push(format!(
            "the store's clock is {} s away from ours; set both by NTP, since requests are refused from 15 minutes on",
            report.clock_skew_seconds
        ));
    }
    out
}

/// What follows from each answer, whether it is a good one or not.
fn therefore(report: &ProbeReport) -> Vec<String> {
    let pick = |good: bool, yes: &str, no: &str| if good { yes } else { no }.to_owned();
    let mut out = vec![
        pick(
            report.conditional_put,
            "conditional writes: kept, so what must be written once is written once",
            "conditional writes: ignored, so Postgres alone keeps two workers apart",
        ),
        pick(
            report.sha256_checksums,
            "checksums: checked on arrival, and every point is read back all the same",
            "checksums: not checked on arrival, so reading every point back is what finds damage",
        ),
        pick(
            report.ranges,
            "ranges: served, so one note is restored from the bytes it lies in",
            "ranges: not served, so restoring one note reads whole objects",
        ),
        pick(
            report.multipart,
            "uploads in parts: taken, so files and dumps above 8 MiB are streamed",
            "uploads in parts: not taken, so files and dumps above 8 MiB cannot be stored",
        ),
        pick(
            report.listing,
            "listings: at once, and prune waits 24 h before it removes what nothing refers to",
            "listings: late, which the 24 h cover that prune waits",
        ),
    ];
    out.push(match report.versioning {
        Some(true) => "versions: kept, so wrapped keys and dumps are removed in every version".to_owned(),
        Some(false) => "versions: not kept, so what is removed or overwritten is gone at once".to_owned(),
        None => {
            "versions: the store does not say, so every version that it lists is removed with keys and dumps".to_owned()
        }
    });
    out.push(match (report.lock_days, report.object_lock) {
        (Some(days), Some(false)) => format!("object lock: wanted for {days} days and not to be had in this bucket"),
        (Some(days), _) => format!("object lock: points and their log are locked for {days} days, wrapped keys never"),
        (None, Some(true)) => "object lock: to be had, and not used; store_lock_days switches it on".to_owned(),
        (None, _) => {
            "object lock: not used, so credentials that may write can remove points; a second store helps".to_owned()
        }
    });
    out.push(match &report.lifecycle {
        None => "lifecycle: the store does not say; see to it that no rule removes objects here".to_owned(),
        Some(rules) => match rules.iter().filter(|rule| rule.reaches_us).count() {
            0 => "lifecycle: no rule reaches our objects, so retention alone decides".to_owned(),
            count => format!("lifecycle: {count} rules reach our objects, beside retention"),
        },
    });
    let skew = report.clock_skew_seconds;
    out.push(format!(
        "clock: {skew} s from ours; retention goes by our own, and stops where the store's times are a day apart from it"
    ));
    out
}
