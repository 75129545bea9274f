//! Jobs: points, drills and dumps that a schedule, a command or the console asked for.

use std::path::PathBuf;
use std::sync::Arc;

use jobs::{
    BackupTenant, Context, DrillTenant, DumpDatabase, Failure, Handler, JobRow, Outcome, PrunePoints, Trigger, kind,
};
use serde_json::{Value, json};
use store::TenantScope;

use crate::context::Backup;
use crate::drill::{DrillOptions, Fault};
use crate::dump::DumpSource;
use crate::error::Error;
use crate::snapshot::PointOptions;

/// The handlers of this roof. `program`: our own executable; `reports`: where reports are kept.
pub fn handlers(backup: &Backup, program: PathBuf, reports: PathBuf, dump: DumpSource) -> Vec<Arc<dyn Handler>> {
    let mut all: Vec<Arc<dyn Handler>> = vec![
        Arc::new(Points { backup: backup.clone() }),
        Arc::new(Drills { backup: backup.clone(), program, reports }),
        Arc::new(Dumps { backup: backup.clone(), source: dump }),
        Arc::new(Prunes { backup: backup.clone() }),
    ];
    all.extend(crate::asked::handlers(backup));
    all
}

pub(crate) fn again(error: Error) -> Failure {
    Failure::Again(Box::new(error))
}

/// Who asked, in the words of points and of the audit.
pub(crate) fn who(trigger: &Trigger) -> (&'static str, String) {
    match trigger {
        Trigger::Schedule { .. } => ("schedule", "job:schedule".to_owned()),
        Trigger::Nightly { .. } => ("nightly", "job:nightly".to_owned()),
        Trigger::Operator { name } => ("console", format!("operator:{name}")),
        Trigger::Command => ("command", "command".to_owned()),
    }
}

struct Points {
    backup: Backup,
}

impl Handler for Points {
    fn kind(&self) -> &'static str {
        kind::BACKUP
    }

    fn run(&self, job: JobRow, context: Context) -> Outcome {
        let backup = self.backup.clone();
        Box::pin(async move {
            let message: BackupTenant = serde_json::from_value(job.payload)?;
            take(&backup, &message, &context).await.map_err(again)
        })
    }
}

async fn take(backup: &Backup, message: &BackupTenant, context: &Context) -> Result<Value, Error> {
    if message.tenant.is_control() {
        let (trigger, actor) = who(&message.trigger);
        let point = backup.take_control_point(&PointOptions { trigger, actor, markdown: false }).await?;
        return Ok(json!({ "point": point.point, "state": point.state, "bytes_sent": point.bytes_sent }));
    }
    let found = backup.store.registry().by_id(message.tenant).await?;
    // deleted since it was asked for
    let Some(tenant) = found else { return Ok(json!({ "skipped": "the tenant is gone" })) };
    let (trigger, actor) = who(&message.trigger);
    context.progress(json!({ "phase": "copying" }));
    // the Markdown goes along once a day and where someone asked for the point by hand; schedules of minutes do without
    let options = PointOptions { trigger, actor: actor.clone(), markdown: trigger != "schedule" };
    let point = backup.take_point(&TenantScope::for_job(tenant, "backup"), &options).await?;
    context.progress(json!({ "phase": "verifying", "point": point.point }));
    // once a day and by hand everything is read, as all rows are
    let verified = if trigger == "schedule" {
        backup.verify_taken(&point, &actor).await?
    } else {
        backup.verify_point(&point.point, &actor).await?
    };
    if !verified.problems.is_empty() {
        return Err(Error::ReadsBadly { point: point.point, problems: verified.problems });
    }
    Ok(json!({
        "point": point.point,
        "state": verified.state,
        "notes": point.notes,
        "bytes_sent": point.bytes_sent,
        "warnings": point.warnings,
    }))
}

struct Drills {
    backup: Backup,
    program: PathBuf,
    reports: PathBuf,
}

impl Handler for Drills {
    fn kind(&self) -> &'static str {
        kind::DRILL
    }

    fn run(&self, job: JobRow, context: Context) -> Outcome {
        let backup = self.backup.clone();
        let options = DrillOptions::full(self.program.clone(), self.reports.clone());
        Box::pin(async move {
            let message: DrillTenant = serde_json::from_value(job.payload)?;
            rehearse(&backup, options, &message, &context).await.map_err(again)
        })
    }
}

async fn rehearse(
    backup: &Backup,
    options: DrillOptions,
    message: &DrillTenant,
    context: &Context,
) -> Result<Value, Error> {
    let Some(tenant) = backup.store.registry().by_id(message.tenant).await? else {
        return Ok(json!({ "skipped": "the tenant is gone" }));
    };
    let point = backup.resolve("latest", Some(tenant.slug.as_str())).await?;
    context.progress(json!({ "phase": "rehearsing", "point": point }));
    let (_, actor) = who(&message.trigger);
    let report = backup.drill(&point, &DrillOptions { actor, faults: Fault::ALL.to_vec(), ..options }).await?;
    Ok(json!({
        "drill": report.drill,
        "point": report.point,
        "verdict": report.verdict,
        "notes": report.notes_compared,
        "rto_seconds": report.rto_seconds,
    }))
}

struct Dumps {
    backup: Backup,
    source: DumpSource,
}

impl Handler for Dumps {
    fn kind(&self) -> &'static str {
        kind::DUMP
    }

    fn run(&self, job: JobRow, _: Context) -> Outcome {
        let (backup, source) = (self.backup.clone(), self.source.clone());
        Box::pin(async move {
            let message: DumpDatabase = serde_json::from_value(job.payload)?;
            let (_, actor) = who(&message.trigger);
            let report = backup.dump(&source, &actor).await.map_err(again)?;
            Ok(json!({
                "dump": report.dump,
                "key": report.key,
                "bytes": report.bytes,
                "warnings": report.warnings,
            }))
        })
    }
}

struct Prunes {
    backup: Backup,
}

impl Handler for Prunes {
    fn kind(&self) -> &'static str {
        kind::PRUNE
    }

    fn run(&self, job: JobRow, _: Context) -> Outcome {
        let backup = self.backup.clone();
        Box::pin(async move {
            let message: PrunePoints = serde_json::from_value(job.payload)?;
            let (_, actor) = who(&message.trigger);
            let report = backup.prune(None, false, &actor).await.map_err(again)?;
            Ok(json!({
                "removed": report.removed.len(),
                "kept": report.kept.len(),
                "dumps_removed": report.dumps_removed.len(),
                "dumps_found": report.dumps_found.len(),
                "dumps_kept": report.dumps_kept.len(),
                "swept": report.swept,
                "warnings": report.warnings,
            }))
        })
    }
}
