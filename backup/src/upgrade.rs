//! Before an upgrade: a verified point of each tenant, a canary, then waves; and the way back.
//!
//! Rows of an older point go the same way: into a schema of the point's version, and from there by the steps since.

use domain::id::{Slug, TenantId};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use serde_json::json;
use store::{AuditEvent, Behind, Store, TenantScope, TenantStep};

use crate::context::Backup;
use crate::diff::Difference;
use crate::error::Error;
use crate::restore::RestoreOptions;
use crate::snapshot::PointOptions;
use crate::swap::SwapReport;

/// Tenants that are stepped at the same time, once the canary has gone well.
const WAVE: usize = 4;
/// How often a tenant is tried whose locks cannot be had.
const TRIES: u32 = 5;
/// How many days the rows from before a rollback are kept.
const KEPT_DAYS: u32 = 30;

/// What became of one tenant.
#[derive(Clone, Debug, Serialize)]
pub struct Stepped {
    /// Its slug.
    pub tenant: String,
    /// The version before.
    pub from: i32,
    /// The version now.
    pub to: i32,
    /// The verified point from right before.
    pub point: Option<String>,
    /// It went first and alone.
    pub canary: bool,
    /// Why it is not where it should be; it is as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What `schema apply` tells.
#[derive(Clone, Debug, Serialize)]
pub struct ApplyReport {
    /// The version of this executable.
    pub version: i32,
    /// Every tenant that was behind.
    pub tenants: Vec<Stepped>,
    /// The canary failed, so the others were left alone.
    pub stopped: bool,
}

/// What `schema rollback` tells.
#[derive(Clone, Debug, Serialize)]
pub struct RollbackReport {
    /// What changed places.
    pub swap: SwapReport,
    /// The point from before the step.
    pub point: String,
    /// Notes that were written or changed since and are kept beside only.
    pub written_since: Vec<String>,
    /// Notes that were deleted since and are back.
    pub deleted_since: Vec<String>,
}

impl Backup {
    /// The schema version that the last step leads to.
    pub fn newest_version(&self) -> i32 {
        self.steps.last().map_or(0, |step| step.version)
    }

    /// The steps that lead to a version: what a schema for its rows is made by.
    pub(crate) fn steps_to(&self, version: i32) -> Vec<TenantStep> {
        self.steps.iter().filter(|step| step.version <= version).cloned().collect()
    }

    /// Brings the copy of a point of this version, which nobody uses yet, to the newest one.
    pub(crate) async fn step_copy(&self, store: &Store, copy: TenantId, version: i32) -> Result<(), Error> {
        for step in self.steps.iter().filter(|step| step.version > version) {
            take_patiently(store, copy, step).await.map_err(|source| Error::Step {
                from: version,
                to: step.version,
                source,
            })?;
        }
        Ok(())
    }

    /// Brings every tenant to the newest version. One that fails stays as it was, and the others go on.
    pub async fn apply_steps(&self, actor: &str) -> Result<ApplyReport, Error> {
        let version = self.newest_version();
        let mut behind = self.store.tenants_behind(version).await?;
        let mut report = ApplyReport { version, tenants: Vec::new(), stopped: false };
        if behind.is_empty() {
            return Ok(report);
        }
        let canary = self.step_one(&behind.remove(0), true, actor).await?;
        report.stopped = canary.problem.is_some();
        report.tenants.push(canary);
        if report.stopped {
            return Ok(report);
        }
        let work: Vec<_> = behind
            .into_iter()
            .map(|one| {
                let (backup, actor) = (self.clone(), actor.to_owned());
                async move { backup.step_one(&one, false, &actor).await }.boxed()
            })
            .collect();
        let mut done = futures_util::stream::iter(work).buffered(WAVE);
        while let Some(stepped) = done.next().await {
            report.tenants.push(stepped?);
        }
        Ok(report)
    }

    async fn step_one(&self, behind: &Behind, canary: bool, actor: &str) -> Result<Stepped, Error> {
        let mut out = Stepped {
            tenant: behind.slug.clone(),
            from: behind.version,
            to: behind.version,
            point: None,
            canary,
            problem: None,
        };
        let point = match self.point_before_step(behind, actor).await {
            Ok(point) => point,
            Err(error) => {
                out.problem = Some(format!("no verified point could be taken, so it was left alone: {error}"));
                return Ok(out);
            }
        };
        out.point = Some(point.clone());
        for step in self.steps.iter().filter(|step| step.version > behind.version) {
            let taken = take_patiently(&self.store, behind.tenant, step).await;
            let problem = taken.err().map(|error| error.to_string());
            self.store.note_step(behind, step.version, &point, problem.as_deref()).await?;
            let detail = json!({ "to": step.version, "point": point, "problem": problem });
            let event = if problem.is_none() { "schema.stepped" } else { "schema.failed" };
            let event = AuditEvent { actor, event, object: &behind.slug, detail };
            self.store.control().audit(Some(behind.tenant), &event).await?;
            if let Some(problem) = problem {
                out.problem = Some(format!("step {} failed: {problem}", step.version));
                break;
            }
            out.to = step.version;
        }
        Ok(out)
    }

    async fn point_before_step(&self, behind: &Behind, actor: &str) -> Result<String, Error> {
        let tenant = self.tenant(&behind.slug).await?;
        let options = PointOptions { trigger: "upgrade", actor: actor.to_owned(), markdown: false };
        let point = self.take_point(&TenantScope::for_command(tenant, "schema apply"), &options).await?.point;
        let verified = self.verify_point(&point, actor).await?;
        if verified.problems.is_empty() {
            Ok(point)
        } else {
            Err(Error::ReadsBadly { point, problems: verified.problems })
        }
    }

    /// Puts a tenant back to the point from before its newest step; what was written since stays beside.
    pub async fn roll_back(&self, slug: &str, actor: &str) -> Result<RollbackReport, Error> {
        let tenant = self.tenant(slug).await?;
        let Some(step) = self.store.newest_step(tenant.id).await? else {
            return Err(Error::Refused(format!("{slug} has taken no schema step that could be taken back")));
        };
        let beside: Slug = self.free_slug(slug).await?;
        let options = RestoreOptions { slug: beside.clone(), dry_run: false, actor: actor.to_owned() };
        // by the steps of then: it is to be as it was, and not to be stepped on
        let mut then = self.clone();
        then.steps = self.steps_to(step.from).into();
        then.restore_point(&step.point, &options).await?;
        let Difference { added, changed, deleted, .. } = self.compare_tenants(beside.as_str(), slug).await?.notes;
        let swap = self.swap(slug, beside.as_str(), KEPT_DAYS, actor).await?;
        let mut written_since = added;
        written_since.extend(changed.into_iter().map(|one| one.name));
        Ok(RollbackReport { swap, point: step.point, written_since, deleted_since: deleted })
    }

    /// A slug beside the tenant's own that nobody has.
    async fn free_slug(&self, slug: &str) -> Result<Slug, Error> {
        let stem: String = slug.chars().take(28).collect();
        for number in 1..1000 {
            let wanted = format!("{}-before-{number}", stem.trim_end_matches('-'));
            if self.store.registry().by_slug(&wanted).await?.is_none()
                && let Ok(slug) = wanted.parse()
            {
                return Ok(slug);
            }
        }
        Err(Error::Refused(format!("no free slug beside {slug} was found")))
    }
}

/// One step of one tenant, tried again while its locks cannot be had.
async fn take_patiently(store: &Store, tenant: TenantId, step: &TenantStep) -> Result<(), store::Error> {
    let mut tries = 1;
    loop {
        match store.take_step(tenant, step).await {
            Err(store::Error::TooBusy) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}
