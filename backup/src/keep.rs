//! Keeping a point: in the books, by which retention goes, and by locks on all that it needs in every store that locks.
//!
//! A store that does not let itself be locked, or does not answer, changes nothing in the books: it is named, and the worker
//! tries again. Locks are only made longer, and the manifest's comes last: it stands for all others.

use std::collections::{BTreeSet, HashMap};

use domain::id::TenantId;
use domain::retention::FOREVER;
use futures_util::{FutureExt, StreamExt};
use objects::{ObjectStore, keys as layout};
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::points::point::Model as Row;
use time::{Duration, OffsetDateTime};

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::format::manifest::Manifest;
use crate::snapshot::rfc3339;

/// Locks asked for at the same time.
const TOGETHER: usize = 8;
/// How often it is looked whether a kept point lacks a lock.
const LOOK: std::time::Duration = std::time::Duration::from_secs(20);
/// A lock that was found is believed for so long.
const BELIEVED: Duration = Duration::hours(12);
/// A store that refused is asked again after this.
const AGAIN: Duration = Duration::minutes(10);

/// What `backup keep` tells.
#[derive(Clone, Debug, Serialize)]
pub struct KeepReport {
    /// The point.
    pub point: String,
    /// Until when nobody removes it.
    pub kept_until: String,
    /// Why.
    pub reason: String,
    /// Stores that hold it until then themselves.
    pub locked: Vec<LockedIn>,
    /// Stores that lock and did not let this be locked, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A store in which everything that a point needs is locked.
#[derive(Clone, Debug, Serialize)]
pub struct LockedIn {
    /// Where it is.
    pub store: String,
    /// Objects that are locked.
    pub objects: u64,
    /// Until when at least.
    pub until: String,
}

/// When a lock of a point in a store is to be looked at again, and until when the point was kept then.
type Seen = HashMap<(String, String), (OffsetDateTime, OffsetDateTime)>;

/// Brings locks to points that are kept until the task is dropped: asked for in the console, in stores that were away, in
/// copies that came later, and anew for those that are kept for ever.
pub async fn keep_locked(backup: Backup) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = Seen::new();
    loop {
        ticks.tick().await;
        match backup.lock_kept(&mut seen).await {
            Ok(failures) => failures.iter().for_each(|why| tracing::warn!(why, "a kept point is not locked")),
            Err(error) => tracing::warn!(%error, "it cannot be seen which points are kept"),
        }
    }
}

impl Backup {
    /// Keeps a point from being removed, and locks it in every store that locks.
    ///
    /// # Errors
    /// When it cannot be noted. What a store refuses is told in the report.
    pub async fn keep_point(
        &self,
        point: &str,
        until: OffsetDateTime,
        reason: &str,
        actor: &str,
    ) -> Result<KeepReport, Error> {
        let (expected, row) = self.expected(point).await?;
        let detail = json!({ "until": rfc3339(until), "reason": reason });
        let event = AuditEvent { actor, event: "point.kept", object: point, detail };
        self.store.control().keep_point(expected.tenant, point, Some(until), Some(reason), &event).await?;
        let (mut locked, mut warnings) = (Vec::new(), Vec::new());
        if until > self.clock.now() {
            for store in self.stores_with(&row).await? {
                match self.lock_in(store, &row, until, false).await {
                    Ok(done) => locked.push(done),
                    Err(error) => warnings.push(unlocked(store, &row, &error)),
                }
            }
        }
        let (point, reason) = (point.to_owned(), reason.to_owned());
        Ok(KeepReport { point, kept_until: rfc3339(until), reason, locked, warnings })
    }

    /// Locks what is kept and not known to be locked; which store refused what.
    async fn lock_kept(&self, seen: &mut Seen) -> Result<Vec<String>, Error> {
        let now = self.clock.now();
        let mut failures = Vec::new();
        let kept = self.store.control().kept_points(now).await?;
        for row in &kept {
            let Some(until) = row.kept_until else { continue };
            for store in self.stores_with(row).await? {
                let place = (row.point.clone(), store.location());
                if seen.get(&place).is_some_and(|(then, again)| *then == until && now < *again) {
                    continue;
                }
                let again = match self.lock_in(store, row, until, true).await {
                    Ok(_) => now + BELIEVED,
                    Err(error) => {
                        failures.push(unlocked(store, row, &error));
                        now + AGAIN
                    }
                };
                seen.insert(place, (until, again));
            }
        }
        seen.retain(|(point, _), _| kept.iter().any(|row| row.point == *point));
        Ok(failures)
    }

    /// Stores that lock and have the point.
    async fn stores_with(&self, row: &Row) -> Result<Vec<&ObjectStore>, Error> {
        let mut all: Vec<&ObjectStore> = self.stores().filter(|store| store.lock_days().is_some()).collect();
        if all.iter().any(|store| store.location() != self.objects.location()) {
            let copies = self.store.control().copies_of(&row.point).await?;
            let has = |place: &str| copies.iter().any(|copy| copy.store == place && copy.problems.is_none());
            all.retain(|store| store.location() == self.objects.location() || has(&store.location()));
        }
        Ok(all)
    }

    /// Locks everything that a point needs in one store. `briefly`: a manifest that is locked for long enough stands for
    /// the rest.
    async fn lock_in(
        &self,
        store: &ObjectStore,
        row: &Row,
        kept: OffsetDateTime,
        briefly: bool,
    ) -> Result<LockedIn, Error> {
        let tenant = TenantId(row.tenant_id);
        let at = layout::manifest(tenant, &row.point);
        let (enough, until) = terms(kept, self.clock.now(), store.lock_days().unwrap_or_default());
        let told = |objects, until| LockedIn { store: store.location(), objects, until: rfc3339(until) };
        if briefly && let Some(there) = store.locked_until(&at).await.ok().flatten().filter(|there| *there >= enough) {
            return Ok(told(0, there));
        }
        let stored = store.get(&at).await?;
        if Hash::of(&stored).to_string() != row.manifest_sha256 {
            return Err(Error::Refused(format!("the manifest of {} is not as it was written; verify it", row.point)));
        }
        let manifest =
            Manifest::read(&stored).map_err(|source| Error::Manifest { point: row.point.clone(), source })?;
        let mut needed: BTreeSet<String> = manifest.clear.objects.into_iter().map(|object| object.key).collect();
        if row.verified_at.is_some() {
            needed.insert(layout::log_entry(tenant, &row.point));
        }
        let objects = needed.len() as u64 + 1;
        lock_all(store, needed, Some(until)).await?;
        store.lock_until(&at, until).await?;
        Ok(told(objects, until))
    }
}

/// Until when a lock must reach at least to be left as it is, and until when one is made otherwise. What is kept for ever has
/// no last day: it is locked for as long as what is written now, anew before half of that is over, so that it can be let go.
fn terms(kept: OffsetDateTime, now: OffsetDateTime, days: u32) -> (OffsetDateTime, OffsetDateTime) {
    if kept < FOREVER {
        return (kept, kept);
    }
    let whole = Duration::days(i64::from(days));
    (now + whole / 2, now + whole)
}

fn unlocked(store: &ObjectStore, row: &Row, error: &Error) -> String {
    format!(
        "{} is kept in the books and is not locked in {}: {error}. Until it is, who may remove objects there can remove it; \
         the worker tries again",
        row.point,
        store.location()
    )
}

/// Locks objects until a moment, or for as long as one that is written now. How many requests that took: none where nothing
/// is locked.
pub(crate) async fn lock_all(
    store: &ObjectStore,
    keys: BTreeSet<String>,
    until: Option<OffsetDateTime>,
) -> Result<u64, objects::Error> {
    if store.lock_days().is_none() {
        return Ok(0);
    }
    let mut locks = Vec::with_capacity(keys.len());
    for key in keys {
        let store = store.clone();
        let lock = async move {
            match until {
                Some(until) => store.lock_until(&key, until).await,
                None => store.extend_lock(&key).await,
            }
        };
        locks.push(lock.boxed());
    }
    let mut locks = futures_util::stream::iter(locks).buffer_unordered(TOGETHER);
    let mut requests = 0;
    while let Some(took) = locks.next().await {
        requests += u64::from(took?);
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_ever_is_locked_anew_before_half_of_its_lock_is_over() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let day = now + Duration::days(400);
        assert_eq!(terms(day, now, 30), (day, day), "a day is a day, whatever the setting");
        assert_eq!(terms(FOREVER, now, 30), (now + Duration::days(15), now + Duration::days(30)));
    }
}
