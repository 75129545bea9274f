//! Points, drills and dumps as jobs: decode the message, call the same function as the command, give back its report.

use std::path::PathBuf;
use std::sync::Arc;

use jobs::{BackupTenant, Context, DrillTenant, DumpDatabase, Failure, Handler, JobRow, Outcome, Trigger, kind};
use serde::Serialize;
use serde_json::{Value, json};
use store::TenantScope;

use crate::context::Backup;
use crate::drill::DrillOptions;
use crate::dump::{DumpSource, dump_database};
use crate::error::Error;
use crate::snapshot::PointOptions;

/// Every handler of this roof. `exe`: our own executable, which a drill serves with; `reports`: where drills' reports go.
pub fn handlers(backup: &Backup, exe: PathBuf, reports: PathBuf, dump: DumpSource) -> Vec<Arc<dyn Handler>> {
    vec![
        Arc::new(TakePoint { backup: backup.clone() }),
        Arc::new(Rehearse { backup: backup.clone(), exe, reports }),
        Arc::new(Dump { backup: backup.clone(), source: dump }),
    ]
}

fn actor(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Schedule { schedule, .. } => format!("schedule:{schedule}"),
        Trigger::Operator { name } => format!("operator:{name}"),
        Trigger::Command => "command".to_owned(),
    }
}

const fn word(trigger: &Trigger) -> &'static str {
    match trigger {
        Trigger::Schedule { .. } => "schedule",
        Trigger::Operator { .. } => "console",
        Trigger::Command => "command",
    }
}

fn again(error: Error) -> Failure {
    Failure::Again(Box::new(error))
}

fn told(report: &impl Serialize) -> Result<Value, Failure> {
    Ok(serde_json::to_value(report)?)
}

struct TakePoint {
    backup: Backup,
}

impl Handler for TakePoint {
    fn kind(&self) -> &'static str {
        kind::BACKUP
    }

    fn run(&self, job: JobRow, context: Context) -> Outcome {
        let backup = self.backup.clone();
        Box::pin(async move {
            let message: BackupTenant = serde_json::from_value(job.payload)?;
            let Some(tenant) = backup.store.registry().by_id(message.tenant).await? else {
                return Ok(json!({ "skipped": "the tenant is gone" }));
            };
            let scope = TenantScope::for_job(tenant, kind::BACKUP);
            let options =
                PointOptions { trigger: word(&message.trigger), actor: actor(&message.trigger), markdown: true };
            context.progress(json!({ "phase": "taking the point" }));
            let point = backup.take_point(&scope, &options).await.map_err(again)?;
            context.progress(json!({ "phase": "reading it back" }));
            let name = point.point.to_string();
            let read = backup.verify_point(&name, &options.actor).await.map_err(again)?;
            told(
                &json!({ "point": name, "state": read.state, "notes": point.notes, "bytes_sent": point.bytes_sent, "seconds": point.seconds }),
            )
        })
    }
}

struct Rehearse {
    backup: Backup,
    exe: PathBuf,
    reports: PathBuf,
}

impl Handler for Rehearse {
    fn kind(&self) -> &'static str {
        kind::DRILL
    }

    fn run(&self, job: JobRow, context: Context) -> Outcome {
        let (backup, exe, reports) = (self.backup.clone(), self.exe.clone(), self.reports.clone());
        Box::pin(async move {
            let message: DrillTenant = serde_json::from_value(job.payload)?;
            let newest = backup.store.control().newest_point(message.tenant, &["verified", "proven"]).await?;
            let Some(point) = newest else {
                return Ok(json!({ "skipped": "the tenant has no verified point yet" }));
            };
            let mut options = DrillOptions::full(exe, reports);
            options.actor = actor(&message.trigger);
            context.progress(json!({ "phase": "drilling", "point": point.point }));
            let report = backup.drill(&point.point, &options).await.map_err(again)?;
            told(
                &json!({ "drill": report.drill, "point": point.point, "verdict": report.verdict, "notes": report.notes_compared, "rto_seconds": report.rto_seconds }),
            )
        })
    }
}

struct Dump {
    backup: Backup,
    source: DumpSource,
}

impl Handler for Dump {
    fn kind(&self) -> &'static str {
        kind::DUMP
    }

    fn run(&self, job: JobRow, _: Context) -> Outcome {
        let (backup, source) = (self.backup.clone(), self.source.clone());
        Box::pin(async move {
            let message: DumpDatabase = serde_json::from_value(job.payload)?;
            let report = dump_database(&backup, &source, &actor(&message.trigger)).await.map_err(again)?;
            told(&report)
        })
    }
}
