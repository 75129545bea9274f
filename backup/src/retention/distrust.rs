//! Whether the times that retention goes by may be believed.
//!
//! Points that count with false times would push good ones out of their hours, days and years. So the store's own time of every
//! good point's manifest is compared with ours, and where one is far from the other nothing of the tenant goes. A clock that was
//! wrong, a bucket that was copied and a further store that has become the first one look the same from here: an operator has to
//! say that our times are right, for the points that there are by then. That is only taken where each such manifest is as we
//! wrote it, by its hash in the books.

use std::collections::{BTreeMap, HashMap};

use domain::id::TenantId;
use objects::keys as layout;
use serde_json::json;
use store::AuditEvent;
use store::control::points::point::Model as Row;
use time::OffsetDateTime;

use super::{MANY, PruneReport, YOUNG};
use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::snapshot::rfc3339;

/// What the values of the instance begin with that say up to which of a tenant's points our times count whatever a store says.
const ACCEPTED: &str = "accepted_times:";

/// A point of which the store tells another time than the books.
struct Differing<'a> {
    row: &'a Row,
    /// The store's time of its manifest.
    modified: OffsetDateTime,
}

impl Backup {
    /// Why nothing of the tenant may go, is added to the reasons of its points.
    pub(super) async fn distrust(
        &self,
        tenant: TenantId,
        rows: &[Row],
        reasons: &mut BTreeMap<String, Vec<String>>,
        report: &mut PruneReport,
    ) -> Result<(), Error> {
        if reasons.values().all(|reasons| !reasons.is_empty()) {
            return Ok(());
        }
        let differing = self.differing(tenant, rows).await?;
        let Some(first) = differing.first() else { return Ok(()) };
        let (point, slug) = (&first.row.point, &first.row.slug);
        let why = if self.is_as_written(tenant, first.row).await? {
            format!(
                "the store says that {point} was written at {}, and we know {}: a clock was wrong, or the store was filled later; \
                 where our times of {slug} are right, say so by `holdfast backup prune --tenant {slug} --accept-times`",
                rfc3339(first.modified),
                rfc3339(first.row.created_at)
            )
        } else {
            format!("the manifest of {point} is not as it was written; look at it by `holdfast backup verify {point}`")
        };
        report.warnings.push(why.clone());
        for reasons in reasons.values_mut() {
            reasons.push(why.clone());
        }
        Ok(())
    }

    /// Takes an operator's word that our times of the points that there are now are right, of one tenant or of all. The points
    /// of which a store says otherwise.
    ///
    /// # Errors
    /// `Refused` where a manifest is not as it was written: then nothing is taken of that tenant.
    pub async fn accept_times(&self, tenant: Option<TenantId>, actor: &str) -> Result<Vec<String>, Error> {
        let owners = match tenant {
            Some(tenant) => vec![tenant],
            None => self.store.control().owners_of_points().await?,
        };
        let mut accepted = Vec::new();
        for owner in owners {
            accepted.extend(self.accept_times_of(owner, actor).await?);
        }
        Ok(accepted)
    }

    async fn accept_times_of(&self, tenant: TenantId, actor: &str) -> Result<Vec<String>, Error> {
        let control = self.store.control();
        let rows = control.list_points(Some(tenant), MANY).await?;
        let mut points = Vec::new();
        for one in self.differing(tenant, &rows).await? {
            if !self.is_as_written(tenant, one.row).await? {
                return Err(Error::Refused(format!(
                    "the manifest of {0} is not as it was written; look at it by `holdfast backup verify {0}` first",
                    one.row.point
                )));
            }
            points.push(one.row.point.clone());
        }
        let (Some(upto), Some(newest)) = (rows.iter().map(|row| row.seq).max(), rows.first()) else {
            return Ok(points);
        };
        if !points.is_empty() {
            control.set_setting(&format!("{ACCEPTED}{tenant}"), &json!(upto)).await?;
            let detail = json!({ "upto": newest.point, "points": points });
            let event = AuditEvent { actor, event: "point.times_accepted", object: &newest.slug, detail };
            control.audit(Some(tenant), &event).await?;
        }
        Ok(points)
    }

    /// Points that count for retention and of which the store tells a time far from ours, those left out that an operator has
    /// looked at.
    async fn differing<'a>(&self, tenant: TenantId, rows: &'a [Row]) -> Result<Vec<Differing<'a>>, Error> {
        let accepted = self.store.control().setting(&format!("{ACCEPTED}{tenant}")).await?;
        let accepted = accepted.and_then(|seq| seq.as_i64()).unwrap_or(0);
        let listed = self.objects.list(&layout::points(tenant)).await?;
        let listed: HashMap<String, OffsetDateTime> =
            listed.into_iter().map(|object| (object.key, object.modified)).collect();
        // a damaged one pushes nothing out
        let counts = |row: &&Row| row.seq > accepted && matches!(row.state.as_str(), "verified" | "proven");
        let differing = rows.iter().filter(counts).filter_map(|row| {
            let modified = *listed.get(&layout::manifest(tenant, &row.point))?;
            ((modified - row.created_at).abs() > YOUNG).then_some(Differing { row, modified })
        });
        Ok(differing.collect())
    }

    /// Whether the manifest in the store is the one that the books know.
    async fn is_as_written(&self, tenant: TenantId, row: &Row) -> Result<bool, Error> {
        match self.objects.get(&layout::manifest(tenant, &row.point)).await {
            Ok(stored) => Ok(Hash::of(&stored).to_string() == row.manifest_sha256),
            Err(objects::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
