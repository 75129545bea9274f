//! `holdfast mirror …`

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use super::size;
use crate::context::Backup;
use crate::mirror::{MirrorLine, MirrorReport};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Keep every note of a tenant as a plain .md file, attachments beside; the worker follows every change.
    On {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// A folder, or s3://bucket/prefix with the address and keys of the backup store; it has to be empty. Default: a
        /// folder below --data.
        #[arg(long, value_name = "PLACE")]
        to: Option<String>,
    },
    /// Stop, and remove the files.
    Off {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// Leave the files where they are.
        #[arg(long)]
        keep: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Where mirrors are and how far behind.
    Show {
        /// Only of this tenant.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Bring a mirror up to date now.
    Run {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// Compare every file that lies there, too.
        #[arg(long)]
        full: bool,
    },
}

pub(super) async fn run(verb: Verb, backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        Verb::On { tenant, to } => {
            let line = backup.mirror_on(&tenant, to.as_deref(), "command").await?;
            printer.result(&line, |line| {
                format!("{} is mirrored to {} from now on, private notes included", line.tenant, line.place)
            });
            Ok(Code::Ok)
        }
        Verb::Off { tenant, keep, yes } => {
            if !keep {
                printer.confirm(&format!("Remove every file of the mirror of {tenant}?"), yes)?;
            }
            let report = backup.mirror_off(&tenant, keep, "command").await?;
            printer.result(&report, |report| {
                format!("{} is not mirrored any more; {} files removed", report.tenant, report.removed)
            });
            Ok(Code::Ok)
        }
        Verb::Show { tenant } => {
            let lines = backup.mirror_lines(tenant.as_deref()).await?;
            printer.result(&json!({ "mirrors": lines }), |_| lines.iter().map(human).collect::<Vec<_>>().join("\n"));
            Ok(Code::Ok)
        }
        Verb::Run { tenant, full } => {
            let report = backup.mirror_now(&tenant, full).await?;
            for uid in &report.missing {
                printer.note(&format!("warning: the bytes of attachment {uid} are not in the file store"));
            }
            printer.result(&report, human_run);
            Ok(if report.missing.is_empty() { Code::Ok } else { Code::Warnings })
        }
    }
}

fn human(line: &MirrorLine) -> String {
    let lag = line.lag_seconds.map_or_else(|| "unknown".to_owned(), |lag| format!("{lag:.0} s"));
    let problem = line.problem.as_ref().map(|problem| format!("\n  {problem}")).unwrap_or_default();
    format!(
        "{:<24} {:<8} {:>8} notes {:>6} files  behind {lag:<8} {}{problem}",
        line.tenant, line.status, line.notes, line.files, line.place
    )
}

fn human_run(report: &MirrorReport) -> String {
    format!(
        "{}: {} notes and {} files in {}; {} written ({}), {} removed, {:.2} s",
        report.tenant,
        report.notes,
        report.files,
        report.place,
        report.written,
        size(report.bytes_sent),
        report.removed,
        report.seconds
    )
}
