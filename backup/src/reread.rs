//! Tenants in which nothing changes get no new points. Their newest good one is read back again by itself, all of it, when that
//! was last done a week ago.

use std::time::Duration;

use crate::context::Backup;
use crate::error::Error;
use crate::verify::{Problem, VerifyReport, WITHIN};

/// How often it is looked.
const LOOK: Duration = Duration::from_hours(1);
/// Points read in one go.
const AT_ONCE: u64 = 100;

/// Reads points again until the task is dropped.
pub async fn keep_reading(backup: Backup) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = backup.reread_due().await {
            tracing::warn!(%error, "points that nobody read for a week cannot be read again");
        }
    }
}

impl Backup {
    /// Reads every tenant's newest good point again that was not read for a week, those that waited longest first.
    pub async fn reread_due(&self) -> Result<Vec<VerifyReport>, Error> {
        let since = self.clock.now() - time::Duration::seconds(WITHIN);
        let mut reports = Vec::new();
        for row in self.store.control().points_unread_since(since, AT_ONCE).await? {
            let report = match self.verify_point(&row.point, "job:reread").await {
                Ok(report) => report,
                // one that a newer product wrote; the others are read all the same
                Err(error @ Error::Manifest { .. }) => {
                    tracing::warn!(point = row.point, tenant = row.slug, %error, "a point cannot be read again");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if Problem::only_of_identity(&report.problems) {
                let why = Problem::sentence(&report.problems);
                tracing::error!(point = row.point, tenant = row.slug, why, "a point cannot be opened by this machine");
            } else if !report.problems.is_empty() {
                let why = Problem::sentence(&report.problems);
                tracing::error!(point = row.point, tenant = row.slug, why, "a point that was good is damaged");
            }
            reports.push(report);
        }
        Ok(reports)
    }
}
