//! Removing points: planned by rules, dry unless confirmed, never across tenants; then what no point refers to is swept.

mod distrust;
mod dumps;
mod sweep;

use std::collections::BTreeMap;

use domain::id::TenantId;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use objects::{ObjectStore, keys as layout};
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::points::point::Model as Row;
use time::Duration;

use crate::context::Backup;
use crate::error::Error;
pub use dumps::{GoneDump, KeptDump};

pub use domain::retention::{Known, NoPolicy, Policy, plan};

/// What nothing refers to stays this long: a point under way may be about to refer to it.
const YOUNG: Duration = Duration::hours(24);
/// Points removed at the same time.
const TOGETHER: usize = 4;
/// Points looked at per tenant.
pub(crate) const MANY: u64 = 1_000_000;

/// What `backup prune` tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PruneReport {
    /// Points that went, or would go.
    pub removed: Vec<Gone>,
    /// Points that stay, each with its reasons.
    pub kept: Vec<Kept>,
    /// Dumps of whole databases that went, or would go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dumps_removed: Vec<GoneDump>,
    /// Dumps of ours that the books had lost and that are in them again, or would be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dumps_found: Vec<GoneDump>,
    /// Dumps that stay, each with its reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dumps_kept: Vec<KeptDump>,
    /// Objects of the store that no point refers to and that went.
    pub swept: u64,
    /// Their bytes.
    pub swept_bytes: u64,
    /// Nothing was written.
    pub dry_run: bool,
    /// What someone should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A point that stays.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// Its name.
    pub point: String,
    /// The tenant's slug then.
    pub tenant: String,
    /// Its state.
    pub state: String,
    /// Why it stays.
    pub reasons: Vec<String>,
}

/// A point that goes.
#[derive(Clone, Debug, Serialize)]
pub struct Gone {
    /// Its name.
    pub point: String,
    /// The tenant's slug then.
    pub tenant: String,
}

impl Backup {
    /// Plans, and carries out unless `dry_run`, for one tenant, or for each and then for the dumps of whole databases.
    pub async fn prune(&self, tenant: Option<TenantId>, dry_run: bool, actor: &str) -> Result<PruneReport, Error> {
        let owners = match tenant {
            Some(tenant) => vec![tenant],
            None => self.store.control().owners_of_points().await?,
        };
        let mut report = PruneReport { dry_run, ..PruneReport::default() };
        for owner in owners {
            self.prune_one(owner, actor, &mut report).await?;
        }
        if tenant.is_none() {
            self.prune_dumps(actor, &mut report).await?;
        }
        self.store.control().forget_copies().await?;
        if !dry_run {
            let (swept, warnings) = self.sweep_unfinished().await;
            report.swept += swept;
            report.warnings.extend(warnings);
        }
        Ok(report)
    }

    /// Ends writes to the stores that were begun a day ago and never ended, as when a worker is killed. How many, and which
    /// store refused.
    pub async fn sweep_unfinished(&self) -> (u64, Vec<String>) {
        let (mut swept, mut warnings) = (0, Vec::new());
        for store in self.stores() {
            match store.sweep_unfinished(self.clock.now() - YOUNG).await {
                Ok(removed) => swept += removed,
                Err(error) => warnings.push(format!("unfinished writes to {} stay: {error}", store.location())),
            }
        }
        (swept, warnings)
    }

    async fn prune_one(&self, tenant: TenantId, actor: &str, report: &mut PruneReport) -> Result<(), Error> {
        let rows = self.store.control().list_points(Some(tenant), MANY).await?;
        let known = self.store.control().known_points(&rows).await?;
        let mut reasons = plan(&known, &self.policy, self.clock.now());
        self.distrust(tenant, &rows, &mut reasons, report).await?;
        self.await_locks(tenant, &rows, &mut reasons).await?;
        let purged = self.store.control().is_purged(tenant).await?;
        if purged {
            // nobody will ever open them again
            reasons.values_mut().for_each(Vec::clear);
        }
        let mut gone = Vec::new();
        for row in &rows {
            let (point, slug) = (row.point.clone(), row.slug.clone());
            match reasons.remove(&point).filter(|reasons| !reasons.is_empty()) {
                Some(reasons) => report.kept.push(Kept { point, tenant: slug, state: row.state.clone(), reasons }),
                None => {
                    gone.push(row);
                    report.removed.push(Gone { point, tenant: slug });
                }
            }
        }
        if !report.dry_run {
            let mut removals = Vec::with_capacity(gone.len());
            for row in gone {
                removals.push(self.remove_point(tenant, row, actor).boxed());
            }
            self.shown.begin("removing points", Some(removals.len() as u64));
            let removals = futures_util::stream::iter(removals).buffer_unordered(TOGETHER);
            let stayed: Result<Vec<_>, _> = removals.inspect(|_| self.shown.advance(1)).try_collect().await;
            self.shown.end();
            for point in stayed?.into_iter().flatten() {
                report.removed.retain(|gone| gone.point != point);
                report.warnings.push(format!("{point} stays: somebody kept it or let it go meanwhile"));
            }
            self.sweep(tenant, purged, report).await?;
            if purged && self.nothing_left(tenant).await? {
                self.store.control().note_points_gone(tenant, self.clock.now()).await?;
            }
        }
        Ok(())
    }

    /// Whether no store lists anything of the tenant's points: young objects stay for a day, and a store may have refused.
    async fn nothing_left(&self, tenant: TenantId) -> Result<bool, Error> {
        for store in self.stores() {
            if !store.list(&layout::owned(tenant)).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A point that was kept is locked in the store until the day that was said then, and no store lets that be taken back: its
    /// bytes stay whatever we do, so it stays in the books with them. Locks that every point has do not count here: what goes
    /// in spite of them is out of the books and of listings, and the store forgets it in its time.
    async fn await_locks(
        &self,
        tenant: TenantId,
        rows: &[Row],
        reasons: &mut BTreeMap<String, Vec<String>>,
    ) -> Result<(), Error> {
        let Some(days) = self.objects.lock_days() else { return Ok(()) };
        let now = self.clock.now();
        let mut asked = Vec::new();
        for row in rows.iter().filter(|row| reasons.get(&row.point).is_some_and(Vec::is_empty)) {
            let (store, at) = (self.objects.clone(), layout::manifest(tenant, &row.point));
            asked.push(async move { (row, store.locked_until(&at).await) }.boxed());
        }
        let locks: Vec<_> = futures_util::stream::iter(asked).buffer_unordered(TOGETHER).collect().await;
        for (row, lock) in locks {
            let until = match lock {
                Ok(until) => until,
                // who may not look finds out by removing
                Err(objects::Error::NotFound { .. } | objects::Error::Denied { .. }) => None,
                Err(other) => return Err(other.into()),
            };
            let usual = row.created_at + Duration::days(i64::from(days) + 1);
            if let Some(until) = until.filter(|until| *until > now && *until > usual) {
                let why = format!(
                    "locked in {} until {}, since it was kept; the store does not let it go before",
                    self.objects.location(),
                    until.date()
                );
                reasons.entry(row.point.clone()).or_default().push(why);
            }
        }
        Ok(())
    }

    /// The row first: from then on nothing counts on the point. Its entry in the log stays. The point's name when it was kept
    /// since the plan was made, and stays.
    async fn remove_point(&self, tenant: TenantId, row: &Row, actor: &str) -> Result<Option<String>, Error> {
        let detail = json!({ "state": row.state, "created_at": crate::snapshot::rfc3339(row.created_at) });
        let event = AuditEvent { actor, event: "point.removed", object: &row.point, detail };
        if !self.store.control().remove_point(tenant, row, &event).await? {
            return Ok(Some(row.point.clone()));
        }
        for store in self.stores() {
            if let Err(error) = remove_from(store, tenant, &row.point).await {
                // what stays there is half a point, which the next sweep of that store takes
                tracing::warn!(point = row.point, store = store.location(), %error, "a point could not be removed");
                if store.location() == self.objects.location() {
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}

/// The manifest first: half a point must not look like one.
async fn remove_from(store: &ObjectStore, tenant: TenantId, point: &str) -> Result<(), Error> {
    let own = store.list(&layout::point(tenant, point)).await?;
    let mut keys: Vec<String> = own.into_iter().map(|object| object.key).collect();
    keys.sort_by_key(|key| !key.ends_with("/manifest.json"));
    for key in keys {
        store.delete(&key).await?;
    }
    Ok(())
}
