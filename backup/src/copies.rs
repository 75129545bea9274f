//! Further stores (3-2-1): every verified point is brought to each of them and read back there, each on its own account.
//!
//! A store that is down holds nobody up: points stay in the first one, and what a copy lacks is brought as soon as it
//! answers again.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::id::TenantId;
use objects::{ObjectStore, PutOptions, keys as layout};
use serde::Serialize;
use serde_json::json;
use store::control::points::point::Model as Row;

use crate::context::Backup;
use crate::endorsements::about_signers;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::format::manifest::Manifest;
use crate::source::Source;
use crate::verify::{Expected, Problem, ReadBack, read_back};

/// Points brought to one store in one go.
const AT_ONCE: u64 = 200;

/// A point in one further store.
#[derive(Clone, Debug, Serialize)]
pub struct CopyReport {
    /// Where the store is.
    pub store: String,
    /// The point.
    pub point: String,
    /// Objects that were sent.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What reading back there has shown.
    pub problems: Vec<Problem>,
}

/// How often it is looked whether a store lacks something.
const LOOK: Duration = Duration::from_secs(10);

/// Brings points to the further stores until the task is dropped.
pub async fn keep_copies(backup: Backup) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match backup.copy_due().await {
            Ok((_, failures)) => failures.iter().for_each(|why| tracing::warn!(why, "a copy is behind")),
            Err(error) => tracing::warn!(%error, "it cannot be seen which points lack a copy"),
        }
    }
}

/// Whether the next point may do better, or the store is at fault.
fn is_of_one_point(error: &Error) -> bool {
    matches!(error, Error::Objects(objects::Error::NotFound { .. }) | Error::Manifest { .. } | Error::Refused(_))
}

impl Backup {
    /// Brings one point to every further store now; what could not be brought, in sentences.
    pub async fn copy_now(&self, point: &str) -> Result<Vec<String>, Error> {
        let mut failures = Vec::new();
        if self.copies.is_empty() {
            return Ok(failures);
        }
        let (_, row) = self.expected(point).await?;
        for store in &self.copies {
            match self.copy_point(store, &row).await {
                Ok(report) if report.problems.is_empty() => {}
                Ok(report) => {
                    failures.push(format!(
                        "the copy in {} reads badly: {}",
                        report.store,
                        Problem::sentence(&report.problems)
                    ));
                }
                Err(error) => {
                    failures.push(format!("{} is without it: {error}; the worker tries again", store.location()));
                }
            }
        }
        Ok(failures)
    }

    /// Reads a point back from every further store, each on its own account.
    pub async fn verify_copies(&self, point: &str) -> Result<Vec<CopyReport>, Error> {
        let (_, row) = self.expected(point).await?;
        let mut reports = Vec::new();
        for store in &self.copies {
            let read = self.read_copy(store, &row).await?;
            let problems = (!read.problems.is_empty()).then(|| json!(read.problems));
            self.store.control().note_copy(point, &store.location(), self.clock.now(), problems).await?;
            reports.push(CopyReport {
                store: store.location(),
                point: point.to_owned(),
                objects: 0,
                bytes: read.bytes,
                problems: read.problems,
            });
        }
        Ok(reports)
    }

    /// Brings to every further store what it lacks, the newest points first. A store that fails is told in the second
    /// list, and the others go on.
    pub async fn copy_due(&self) -> Result<(Vec<CopyReport>, Vec<String>), Error> {
        let (mut reports, mut failures) = (Vec::new(), Vec::new());
        let mut behind = 0;
        for store in &self.copies {
            let (place, failed) = (store.location(), failures.len());
            for row in self.store.control().points_without_copy(&place, AT_ONCE).await? {
                match self.copy_point(store, &row).await {
                    Ok(report) => reports.push(report),
                    Err(error) => {
                        failures.push(format!("point {} cannot be brought to {place}: {error}", row.point));
                        if !is_of_one_point(&error) {
                            break;
                        }
                    }
                }
            }
            behind += u32::from(failures.len() > failed);
        }
        behind += reports.iter().filter(|report| !report.problems.is_empty()).count() as u32;
        metrics::gauge!("holdfast_copies_failing").set(f64::from(behind));
        Ok((reports, failures))
    }

    /// Brings one point to a store and reads it back there.
    pub async fn copy_point(&self, to: &ObjectStore, row: &Row) -> Result<CopyReport, Error> {
        let tenant = TenantId(row.tenant_id);
        let mut report =
            CopyReport { store: to.location(), point: row.point.clone(), objects: 0, bytes: 0, problems: Vec::new() };
        let at = layout::manifest(tenant, &row.point);
        let stored = self.objects.get(&at).await?;
        if Hash::of(&stored).to_string() != row.manifest_sha256 {
            // never a damaged one over what may be the last good copy
            return Err(Error::Refused(format!("the manifest of {} is not as it was written; verify it", row.point)));
        }
        let manifest =
            Manifest::read(&stored).map_err(|source| Error::Manifest { point: row.point.clone(), source })?;
        let mut wanted: BTreeSet<String> = manifest.clear.objects.iter().map(|object| object.key.clone()).collect();
        let records = self.wrapped_keys(tenant).await?;
        let keys = records.get(&manifest.clear.key).unwrap_or(&manifest.clear.keys);
        wanted.extend(keys.iter().map(|one| one.key.clone()));
        if tenant.is_control() {
            wanted.extend(self.objects.list(&about_signers()).await?.into_iter().map(|object| object.key));
        }
        for key in &wanted {
            self.copy_object(to, key, &mut report).await?;
        }
        // last, as in the first store: without it nothing counts
        to.put(&at, stored, PutOptions::default()).await?;
        self.copy_object(to, &layout::log_entry(tenant, &row.point), &mut report).await?;
        report.problems = self.read_copy(to, row).await?.problems;
        if !report.problems.is_empty() {
            // of the right length and wrong all the same: sent again, once
            for problem in std::mem::take(&mut report.problems) {
                to.delete(&problem.object).await?;
                self.copy_object(to, &problem.object, &mut report).await?;
            }
            report.problems = self.read_copy(to, row).await?.problems;
        }
        let problems = (!report.problems.is_empty()).then(|| json!(report.problems));
        self.store.control().note_copy(&row.point, &report.store, self.clock.now(), problems).await?;
        Ok(report)
    }

    /// Reads a point back from a further store.
    pub async fn read_copy(&self, from: &ObjectStore, row: &Row) -> Result<ReadBack, Error> {
        let (expected, _) = self.expected(&row.point).await?;
        let holder = self.holder().ok();
        read_back(&Source::plain(from.clone()), &Expected { ..expected }, holder, self.check).await
    }

    async fn copy_object(&self, to: &ObjectStore, key: &str, report: &mut CopyReport) -> Result<(), Error> {
        let here = self.objects.get_stream(key).await?;
        if to.head(key).await?.is_some_and(|there| there.size == here.size) {
            to.extend_lock(key).await?;
            return Ok(());
        }
        report.objects += 1;
        report.bytes += here.size;
        to.put_stream(key, here.reader, PutOptions::default()).await?;
        Ok(())
    }
}
