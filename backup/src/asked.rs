//! What operators ask for in the console: points read back, what they depend on, restores, comparisons, swaps.
//!
//! The rules are those of the commands; a job only carries the question there and the answer back. Answers are kept with
//! their jobs, so they hold names and counts and no content.

use std::sync::Arc;

use domain::id::Slug;
use jobs::{
    CompareTenants, Context, Failure, Handler, JobRow, Outcome, RestorePoint, SurveyPoints, SwapTenants, VerifyPoint,
    kind,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::context::Backup;
use crate::error::Error;
use crate::restore::{PHASES, Phase, RestoreOptions, Stopwatch};
use crate::work::{again, who};

/// A handler for each of them.
pub(crate) fn handlers(backup: &Backup) -> Vec<Arc<dyn Handler>> {
    let one = |kind| Arc::new(Asked { backup: backup.clone(), kind }) as Arc<dyn Handler>;
    [kind::VERIFY, kind::SURVEY, kind::RESTORE, kind::COMPARE, kind::SWAP].map(one).into()
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
                kind::VERIFY => verify(&backup, &read(job)?, &context).await,
                kind::SURVEY => survey(&backup, &read(job)?).await,
                kind::RESTORE => restore(&backup, read(job)?, &context).await,
                kind::COMPARE => compare(&backup, &read(job)?, &context).await,
                _ => swap(&backup, &read(job)?, &context).await,
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
        Error::Store(inner) if inner.is_conflict("tenant_slug_key") => {
            Error::Refused("a tenant of that name is there already; choose another".to_owned())
        }
        other => other,
    })
}

async fn verify(backup: &Backup, message: &VerifyPoint, context: &Context) -> Result<Value, Error> {
    let (_, actor) = who(&message.trigger);
    context.progress(json!({ "phase": "reading every object back" }));
    let report = backup.verify_point(&message.point, &actor).await?;
    let mut copies = Vec::new();
    if report.problems.is_empty() {
        context.progress(json!({ "phase": "reading the copies back" }));
        copies = backup.verify_copies(&message.point).await?;
    }
    Ok(json!({ "point": report.point, "state": report.state, "report": report, "copies": copies }))
}

async fn survey(backup: &Backup, message: &SurveyPoints) -> Result<Value, Error> {
    Ok(json!({ "points": backup.lineage(message.tenant).await? }))
}

async fn restore(backup: &Backup, message: RestorePoint, context: &Context) -> Result<Value, Error> {
    let slug: Slug = message.slug.parse().map_err(|error: domain::id::InvalidId| Error::Refused(error.to_string()))?;
    let (_, actor) = who(&message.trigger);
    let context = context.clone();
    let watch = Stopwatch::telling(Box::new(move |done| context.progress(progress(done))));
    let options = RestoreOptions { slug, dry_run: false, actor };
    Ok(json!(backup.restore_watched(&message.point, &options, watch).await?))
}

/// What is being done now, and how far that is.
fn progress(done: &[Phase]) -> Value {
    let at = done.last().and_then(|last| PHASES.iter().position(|(name, _)| *name == last.name)).map_or(0, |at| at + 1);
    let now = PHASES.get(at).map_or("noting it", |(_, what)| *what);
    json!({ "phase": now, "share": at as f64 / PHASES.len() as f64 })
}

async fn compare(backup: &Backup, message: &CompareTenants, context: &Context) -> Result<Value, Error> {
    context.progress(json!({ "phase": "reading every note of both" }));
    Ok(json!(backup.outline_tenants(&message.slug, &message.other).await?))
}

async fn swap(backup: &Backup, message: &SwapTenants, context: &Context) -> Result<Value, Error> {
    let (_, actor) = who(&message.trigger);
    let (slug, other, days) = (message.slug.as_str(), message.other.as_str(), message.keep_days);
    context.progress(json!({ "phase": "making files ready, then changing places" }));
    let Some(number) = message.undo else {
        return Ok(json!(backup.swap(slug, other, days, &actor).await?));
    };
    // asked for once, done once: never an older swap because this one was taken back already
    let newest = backup.store.newest_swap(message.tenant).await?;
    if newest.is_none_or(|swap| swap.seq != number) {
        return Err(Error::Refused(format!("that swap of {slug} has been taken back already")));
    }
    Ok(json!(backup.undo_swap(slug, days, &actor).await?))
}
