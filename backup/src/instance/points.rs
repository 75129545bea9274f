//! From which points a tenant may come back: those that the control plane remembers, and younger ones that only the store
//! has. What the log in the store knows and the store does not have any more is told.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::TenantId;
use objects::keys as layout;
use serde_json::json;
use store::control::points::NewPoint;
use store::{AuditEvent, Returning};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Measure;
use crate::format::manifest::Manifest;
use crate::snapshot::PointReport;

/// So many points of a tenant are tried.
const TRIED: usize = 5;

impl Backup {
    /// Points a tenant may come back from, the newest first.
    pub(crate) async fn points_of_returning(
        &self,
        tenant: &Returning,
        actor: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<String>, Error> {
        let id = tenant.id;
        let mut stored: BTreeSet<String> = BTreeSet::new();
        for object in self.objects.list(&layout::points(id)).await? {
            if let Some((_, point)) = layout::parse_manifest(&object.key) {
                stored.insert(point.to_owned());
            }
        }
        stored.extend(self.left_out_of_the_list(id, &stored, warnings).await?);
        let mut at: BTreeMap<String, OffsetDateTime> = BTreeMap::new();
        for row in self.store.control().list_points(Some(id), 1_000_000).await? {
            if stored.contains(&row.point) && row.state != "damaged" {
                at.insert(row.point.clone(), row.created_at);
            }
            stored.remove(&row.point);
        }
        let mut fresh = Vec::new();
        for point in stored {
            match self.unknown_point(tenant, &point).await {
                Ok(found) => fresh.push(found),
                Err(error) => warnings.push(format!("point {point} of {} was passed over: {error}", tenant.slug)),
            }
        }
        fresh.sort_by_key(|new| new.created_at);
        for new in &fresh {
            let detail = json!({ "found": "in the store", "slug": new.slug });
            let event = AuditEvent { actor, event: "point.found", object: &new.point, detail };
            self.store.control().add_point(new, &event).await?;
            at.insert(new.point.clone(), new.created_at);
        }
        let mut order: Vec<(OffsetDateTime, String)> = at.into_iter().map(|(point, at)| (at, point)).collect();
        order.sort();
        order.reverse();
        let points: Vec<String> = order.into_iter().map(|(_, point)| point).take(TRIED).collect();
        self.tell_rolled_back(tenant, points.first(), warnings).await?;
        Ok(points)
    }

    /// Points that the log knows, that are in the store, and that its listing leaves out: some stores lose a page.
    pub(super) async fn left_out_of_the_list(
        &self,
        tenant: TenantId,
        listed: &BTreeSet<String>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<String>, Error> {
        let mut log = self.objects.list(&layout::log(tenant)).await?;
        log.sort_by_key(|entry| std::cmp::Reverse(entry.modified));
        let names = log.iter().filter_map(|entry| entry.key.rsplit('/').next());
        let mut found = Vec::new();
        // pruned points stay in the log, so the newest ones are enough to look at
        for name in names.filter(|name| !listed.contains(*name)).take(2 * TRIED) {
            if self.objects.exists(&layout::manifest(tenant, name)).await? {
                warnings.push(format!(
                    "the store's listing leaves out point {name}, which is there; have the store looked at"
                ));
                found.push(name.to_owned());
            }
        }
        Ok(found)
    }

    /// A point that only the store knows: its manifest must be of this tenant, carry the seal of its key
    /// and be signed by this appliance.
    async fn unknown_point(&self, tenant: &Returning, point: &str) -> Result<NewPoint, Error> {
        let stored = self.objects.get(&layout::manifest(tenant.id, point)).await?;
        let wrong = |source| Error::Manifest { point: point.to_owned(), source };
        let manifest = Manifest::read(&stored).map_err(wrong)?;
        if manifest.clear.tenant != tenant.id || manifest.clear.point.as_str() != point {
            return Err(Error::Refused(format!(
                "its manifest is that of point {} of tenant {}",
                manifest.clear.point, manifest.clear.tenant
            )));
        }
        let key_id = manifest.clear.key.clone();
        let records = self.wrapped_keys(tenant.id).await?;
        let key = self.unwrap_key(&self.source(), records.get(&key_id).unwrap_or(&manifest.clear.keys)).await?;
        manifest.check(&key, self.check).map_err(wrong)?;
        manifest.signed(Some(&self.signers().await?), self.check).map_err(|why| Error::Refused(why.to_string()))?;
        let sealed = manifest.unseal(&key).map_err(wrong)?;
        if !records.contains_key(&key_id) {
            self.store.control().put_tenant_key(tenant.id, &key_id, &json!(manifest.clear.keys), None).await?;
        }
        let time = |text: &str| {
            OffsetDateTime::parse(text, &Rfc3339)
                .map_err(|_| Error::Refused(format!("the time {text} in its manifest cannot be read")))
        };
        let (created_at, snapshot_at) = (time(&manifest.clear.created_at)?, time(&manifest.clear.snapshot.at)?);
        let report = PointReport::new(manifest.clear, &sealed, Measure::of(&stored));
        Ok(report.row(created_at, snapshot_at))
    }

    /// The log keeps an entry for every point that was once right, also after it was pruned; the newest point is never
    /// pruned. So an entry younger than every point means that the store lost the newest ones.
    async fn tell_rolled_back(
        &self,
        tenant: &Returning,
        newest: Option<&String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        let log = self.objects.list(&layout::log(tenant.id)).await?;
        let youngest = log.iter().max_by_key(|entry| entry.modified);
        let Some(name) = youngest.and_then(|entry| entry.key.rsplit('/').next()) else { return Ok(()) };
        let there = self.objects.exists(&layout::manifest(tenant.id, name)).await?;
        // of the same second, names do not say which came first
        let second = |point: &str| point.get(..16).unwrap_or(point).to_owned();
        if !there && newest.is_none_or(|newest| second(newest) <= second(name)) {
            warnings.push(format!(
                "the log knows point {name} of {}, which is not in the store any more: the newest points were removed or rolled back; look in another store",
                tenant.slug
            ));
        }
        Ok(())
    }
}
