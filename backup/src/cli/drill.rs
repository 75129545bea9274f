//! `holdfast drill …`

use std::path::PathBuf;

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Place, with_identity};
use crate::context::Backup;
use crate::drill::{DrillOptions, DrillReport, Fault, Verdict};
use crate::error::Error;
use crate::snapshot::rfc3339;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Restore a point elsewhere, compare everything, serve it, and damage copies of it. 4 unless it passes.
    Run {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// The point; the newest one when left out.
        #[arg(long)]
        point: Option<String>,
        /// all, none, or a comma list of flip, truncate, remove, swap, stale, wrong_key.
        #[arg(long, default_value = "all")]
        faults: String,
        /// An age identity instead of the drill identity: proves the escrow sheet.
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        /// Repeat the choices of an earlier drill.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Drills, newest first.
    List {
        /// Only of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: u64,
    },
    /// A drill's whole report.
    Show {
        /// The drill.
        drill: String,
    },
}

/// A line of `drill list`.
#[derive(Serialize)]
struct Line {
    drill: String,
    tenant: String,
    point: String,
    verdict: String,
    started_at: String,
    finished_at: String,
    notes: i64,
    rpo_seconds: Option<f64>,
    rto_seconds: Option<f64>,
    hash: String,
}

pub(super) async fn run(verb: Verb, backup: &Backup, place: &Place, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        Verb::Run { tenant, point, faults, identity, seed } => {
            let backup = with_identity(backup, identity.as_deref())?;
            let faults = Fault::list(&faults).map_err(|error| CommandError::usage(error.to_string()))?;
            let name = backup.resolve(point.as_deref().unwrap_or("latest"), Some(&tenant)).await?;
            let full = DrillOptions::full(place.exe.clone(), place.reports.clone());
            let options = DrillOptions { faults, seed, named: point.is_some(), ..full };
            let report = backup.drill(&name, &options).await?;
            printer.result(&report, human);
            Ok(if report.verdict == Verdict::Pass { Code::Ok } else { Code::Negative })
        }
        Verb::List { tenant, limit } => list(backup, tenant.as_deref(), limit, printer).await,
        Verb::Show { drill } => show(backup, &drill, printer).await,
    }
}

async fn list(backup: &Backup, tenant: Option<&str>, limit: u64, printer: Printer) -> Result<Code, CommandError> {
    let id = match tenant {
        Some(slug) => Some(backup.tenant_id(slug).await?),
        None => None,
    };
    let rows = backup.store.control().list_drills(id, limit).await.map_err(Error::from)?;
    let lines: Vec<Line> = rows
        .into_iter()
        .map(|row| Line {
            drill: row.drill,
            tenant: row.slug,
            point: row.point,
            verdict: row.verdict,
            started_at: rfc3339(row.started_at),
            finished_at: rfc3339(row.finished_at),
            notes: row.notes,
            rpo_seconds: row.rpo_seconds,
            rto_seconds: row.rto_seconds,
            hash: row.hash,
        })
        .collect();
    printer.result(&json!({ "drills": lines }), |_| {
        let line = |line: &Line| {
            format!("{}  {:<24} {:<10} {:>8} notes  {}", line.drill, line.tenant, line.verdict, line.notes, line.point)
        };
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(Code::Ok)
}

async fn show(backup: &Backup, drill: &str, printer: Printer) -> Result<Code, CommandError> {
    let row = backup.store.control().find_drill(drill).await.map_err(Error::from)?;
    let missing = || {
        CommandError::not_found(format!("there is no drill {drill}; `holdfast drill list` names them")).object(drill)
    };
    let row = row.ok_or_else(missing)?;
    match serde_json::from_str::<DrillReport>(&row.report) {
        Ok(report) => {
            if report.own_hash() != row.hash {
                printer.note("warning: the report is not what was hashed when it was kept");
            }
            printer.result(&report, human);
        }
        // written by another version: shown as it is
        Err(_) => printer.result(&serde_json::from_str::<Value>(&row.report).unwrap_or_default(), ToString::to_string),
    }
    Ok(Code::Ok)
}

fn human(report: &DrillReport) -> String {
    let mut lines = vec![match report.verdict {
        Verdict::Pass => format!(
            "proven: point {} of {} came back in {:.1} s, {} notes matched byte for byte, {} files, {} tables equal",
            report.point,
            report.tenant,
            report.rto_seconds.unwrap_or_default(),
            report.notes_compared,
            report.files_compared,
            report.tables.len()
        ),
        Verdict::Fail => format!("NOT proven: the drill of point {} of {} failed", report.point, report.tenant),
        Verdict::Incomplete => {
            format!("NOT proven: the drill of point {} of {} could not be carried out", report.point, report.tenant)
        }
    }];
    lines.extend(report.differences.iter().map(|difference| format!("  {difference}")));
    lines.extend(report.faults.iter().map(|fault| {
        let word = if fault.detected { "refused" } else { "NOT REFUSED" };
        format!("  fault {:<10} {word:<12} {}", fault.fault, fault.object)
    }));
    lines.push(format!("  report {}", report.drill));
    lines.join("\n")
}
