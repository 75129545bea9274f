//! What operators ask for in the console: points read back, what they depend on, restores, comparisons, swaps.
//!
//! The rules are those of the commands; a job only carries the question there and the answer back. Answers are kept with
//! their jobs, so they hold names and counts and no content.

use std::sync::Arc;

use domain::id::Slug;
use jobs::{
    CompareTenants, Context, Failure, Handler, JobRow, Outcome, RestorePart, RestorePoint, SurveyPoints, SwapTenants,
    VerifyPoint, kind,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::context::Backup;
use crate::error::Error;
use crate::restore::{PHASES, Phase, RestoreOptions, Stopwatch};
use crate::run::Watched;
use crate::work::{again, who};

/// A handler for each of them.
pub(crate) fn handlers(backup: &Backup) -> Vec<Arc<dyn Handler>> {
    let one = |kind| Arc::new(Asked { backup: backup.clone(), kind }) as Arc<dyn Handler>;
    [kind::VERIFY, kind::SURVEY, kind::RESTORE, kind::PART, kind::COMPARE, kind::SWAP].map(one).into()
}

struct Asked {
    backup: Backup,
    kind: &'static str,
}

impl Handler for Asked {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn run(&self, job: JobRow, context: Context) -> Outcome {
        let (backup, kind) = (self.backup.clone(), self.kind);
        Box::pin(async move {
            match kind {
                kind::VERIFY => verify(&backup, &read(job)?, context).await,
                kind::SURVEY => survey(&backup, &read(job)?, context).await,
                kind::RESTORE => restore(&backup, read(job)?, context).await,
                kind::PART => part(&backup, &read(job)?, context).await,
                kind::COMPARE => compare(&backup, &read(job)?, context).await,
                _ => swap(&backup, &read(job)?, context).await,
            }
            .map_err(told)
        })
    }
}

fn read<M: DeserializeOwned>(job: JobRow) -> Result<M, Failure> {
    Ok(serde_json::from_value(job.payload)?)
}

/// In words for whoever looks at the page, and not at a command line.
fn told(error: Error) -> Failure {
    again(match error {
        Error::Cancelled => return Failure::Cancelled,
        Error::Store(inner) if inner.is_conflict("tenant_slug_key") => {
            Error::Refused("a tenant of that name is there already; choose another".to_owned())
        }
        Error::Store(inner) if inner.is_conflict("note_uid_key") || inner.is_conflict("attachment_uid_key") => {
            Error::Refused("it is there already, and was left as it is".to_owned())
        }
        other => other,
    })
}

async fn verify(backup: &Backup, message: &VerifyPoint, context: Context) -> Result<Value, Error> {
    let (_, actor) = who(&message.trigger);
    let run = Watched::by(context);
    run.tell("reading every object back", 0.0);
    let report = run.unless_cancelled(backup.verify_point(&message.point, &actor)).await?;
    let mut copies = Vec::new();
    if report.problems.is_empty() {
        run.tell("reading the copies back", 0.5);
        copies = run.unless_cancelled(backup.verify_copies(&message.point)).await?;
    }
    Ok(json!({ "point": report.point, "state": report.state, "report": report, "copies": copies }))
}

async fn survey(backup: &Backup, message: &SurveyPoints, context: Context) -> Result<Value, Error> {
    let points = Watched::by(context).unless_cancelled(backup.lineage(message.tenant)).await?;
    Ok(json!({ "points": points }))
}

async fn restore(backup: &Backup, message: RestorePoint, context: Context) -> Result<Value, Error> {
    let slug: Slug = message.slug.parse().map_err(|error: domain::id::InvalidId| Error::Refused(error.to_string()))?;
    let (_, actor) = who(&message.trigger);
    let run = Watched::by(context);
    let watch = Stopwatch::telling(Box::new({
        let run = run.clone();
        move |done| tell_phase(&run, done)
    }));
    let options = RestoreOptions { slug, dry_run: false, actor };
    Ok(json!(backup.restore_watched(&message.point, &options, watch, &run).await?))
}

/// What is being done now, and how far that is.
fn tell_phase(run: &Watched, done: &[Phase]) {
    let at = done.last().and_then(|last| PHASES.iter().position(|(name, _)| *name == last.name)).map_or(0, |at| at + 1);
    let now = PHASES.get(at).map_or("noting it", |(_, what)| *what);
    run.tell(now, at as f64 / PHASES.len() as f64);
}

/// Names of an answer that are kept; all of them are counted.
const NAMED: usize = 20;

async fn part(backup: &Backup, message: &RestorePart, context: Context) -> Result<Value, Error> {
    let Some(tenant) = backup.store.registry().by_id(message.tenant).await? else {
        return Err(Error::Refused("the tenant of this point is not there any more".to_owned()));
    };
    let (_, actor) = who(&message.trigger);
    let report = backup.part_watched(message, tenant.slug.as_str(), &actor, &Watched::by(context)).await?;
    let few = |names: &[String]| names.iter().take(NAMED).cloned().collect::<Vec<_>>();
    Ok(json!({
        "tenant": report.tenant,
        "from": report.from,
        "dry_run": report.dry_run,
        "notes": report.notes.len(),
        "note_names": few(&report.notes),
        "comments": report.comments,
        "present": report.present.len(),
        "reactions": report.reactions,
        "shares": report.shares,
        "revoked": report.revoked,
        "attachments": report.attachments,
        "files": report.files,
        "warnings": few(&report.warnings),
        "warned": report.warnings.len(),
    }))
}

async fn compare(backup: &Backup, message: &CompareTenants, context: Context) -> Result<Value, Error> {
    let run = Watched::by(context);
    run.tell("reading every note of both", 0.0);
    Ok(json!(run.unless_cancelled(backup.outline_tenants(&message.slug, &message.other)).await?))
}

async fn swap(backup: &Backup, message: &SwapTenants, context: Context) -> Result<Value, Error> {
    let (_, actor) = who(&message.trigger);
    let (slug, other, days) = (message.slug.as_str(), message.other.as_str(), message.keep_days);
    let run = Watched::by(context);
    run.tell("making files ready, then changing places", 0.0);
    let Some(number) = message.undo else {
        return Ok(json!(backup.swap_watched((slug, other), days, &actor, &run).await?));
    };
    // asked for once, done once: never an older swap because this one was taken back already
    let newest = backup.store.newest_swap(message.tenant).await?;
    if newest.is_none_or(|swap| swap.seq != number) {
        return Err(Error::Refused(format!("that swap of {slug} has been taken back already")));
    }
    Ok(json!(backup.undo_watched(slug, days, &actor, &run).await?))
}
