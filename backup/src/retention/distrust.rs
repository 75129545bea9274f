//! Whether the times that retention goes by may be believed.

use std::collections::{BTreeMap, HashMap};

use domain::id::TenantId;
use objects::keys as layout;
use store::control::points::point::Model as Row;
use time::OffsetDateTime;

use super::{PruneReport, YOUNG};
use crate::context::Backup;
use crate::error::Error;

impl Backup {
    /// Someone who can write to the store could add points under other times, so that good ones fall out of their buckets:
    /// when the store's own time of a manifest is far from ours, nothing of the tenant goes.
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
        let listed = self.objects.list(&layout::points(tenant)).await?;
        let listed: HashMap<String, OffsetDateTime> =
            listed.into_iter().map(|object| (object.key, object.modified)).collect();
        for row in rows {
            let at = layout::manifest(tenant, &row.point);
            let Some(modified) = listed.get(&at) else { continue };
            if (*modified - row.created_at).abs() > YOUNG {
                let why = format!("the store says that {} was written at another time than we know", row.point);
                report.warnings.push(why.clone());
                for reasons in reasons.values_mut() {
                    reasons.push(why.clone());
                }
                return Ok(());
            }
        }
        Ok(())
    }
}
