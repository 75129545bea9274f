//! `holdfast key …`

use std::path::PathBuf;

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use super::with_identity;
use crate::context::Backup;
use crate::error::Error;
use crate::keys::Holder;
use crate::purge::{Certificate, PurgeReport};
use crate::rotate::RotateReport;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// For whom points can be opened. The escrow sheet itself was shown once, when the keys were made.
    Escrow,
    /// Give the holders of tenants' keys new identities; the old ones open nothing any more. Points stay as they are.
    Rotate {
        /// Only this holder.
        #[arg(long, value_enum)]
        only: Option<Who>,
        /// An identity that opens the present keys, instead of the drill identity.
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Remove the keys of tenants whose deletion is old enough, in every version and store, as the worker does by itself.
    Purge {
        /// At once, of the deleted tenant that was called so. No point of it opens afterwards, with whatever key.
        #[arg(long)]
        tenant: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// What was signed when keys of deleted tenants went, with the signatures checked.
    Certificates {
        /// Only of the tenant that was called so.
        #[arg(long)]
        tenant: Option<String>,
    },
}

/// Who opens tenants' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Who {
    /// The sheet of paper.
    Escrow,
    /// The worker.
    Drill,
}

pub(super) async fn run(verb: Verb, backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        Verb::Escrow => {
            escrow(backup, printer);
            Ok(Code::Ok)
        }
        Verb::Rotate { only, identity, yes } => {
            let backup = with_identity(backup, identity.as_deref())?;
            let holders = match only {
                None => vec![Holder::Drill, Holder::Escrow],
                Some(Who::Drill) => vec![Holder::Drill],
                Some(Who::Escrow) => vec![Holder::Escrow],
            };
            rotate(&backup, &holders, yes, printer).await
        }
        Verb::Purge { tenant, yes } => {
            if let Some(slug) = &tenant {
                printer.confirm(&format!("Make every point of the deleted tenant {slug} unreadable for ever?"), yes)?;
            }
            let report = backup.purge_deleted(tenant.as_deref(), "command").await?;
            printer.result(&report, human_purge);
            Ok(if report.problems.is_empty() { Code::Ok } else { Code::Failed })
        }
        Verb::Certificates { tenant } => certificates(backup, tenant.as_deref(), printer).await,
    }
}

fn escrow(backup: &Backup, printer: Printer) {
    let (escrow, drill) = (backup.keys.recipient(Holder::Escrow), backup.keys.recipient(Holder::Drill));
    let document = json!({ "escrow": escrow.to_string(), "drill": drill.to_string() });
    printer.result(&document, |_| {
        format!(
            "escrow  {escrow}\ndrill   {drill}\nthe escrow sheet was shown once and is stored nowhere; prove yours with \
             `holdfast drill run --tenant SLUG --identity FILE`"
        )
    });
}

async fn rotate(backup: &Backup, holders: &[Holder], yes: bool, printer: Printer) -> Result<Code, CommandError> {
    let words: Vec<&str> = holders.iter().map(|holder| holder.as_str()).collect();
    printer
        .confirm(&format!("Replace the identities of {}? The old ones will open nothing.", words.join(" and ")), yes)?;
    let (report, sheet) = backup.rotate_keys(holders, "command").await?;
    if let Some(sheet) = sheet {
        printer.note(&sheet.text());
    }
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(&report, human_rotate);
    Ok(if report.warnings.is_empty() { Code::Ok } else { Code::Warnings })
}

async fn certificates(backup: &Backup, tenant: Option<&str>, printer: Printer) -> Result<Code, CommandError> {
    let found = backup.certificates(tenant).await?;
    if found.is_empty()
        && let Some(slug) = tenant
    {
        return Err(Error::Refused(format!(
            "no keys of a tenant called {slug} were purged; they go when it is deleted and its grace has ended"
        ))
        .into());
    }
    let good = found.iter().all(Certificate::is_good);
    let lines: Vec<_> = found
        .iter()
        .map(|one| {
            json!({ "statement": one.read(), "signed": one.statement, "public_key": one.signature.public_key,
                    "signature": one.signature.signature, "good": one.is_good() })
        })
        .collect();
    printer.result(&json!({ "certificates": lines }), |_| found.iter().map(human).collect::<Vec<_>>().join("\n"));
    Ok(if good { Code::Ok } else { Code::Negative })
}

fn human(one: &Certificate) -> String {
    let word = if one.is_good() { "signature good" } else { "SIGNATURE WRONG" };
    one.read().map_or_else(
        || format!("a certificate that cannot be read ({word})"),
        |said| {
            let dumps = match said.dumps.len() {
                0 => String::new(),
                count => format!("; {count} dumps of the database still hold its rows: {}", said.dumps.join(", ")),
            };
            format!(
                "{}  {}: {} keys gone from {} stores at {}, {} points will not open again{dumps} ({word})",
                said.tenant,
                said.state,
                said.keys.len(),
                said.stores.len(),
                said.purged_at,
                said.points
            )
        },
    )
}

fn human_purge(report: &PurgeReport) -> String {
    let mut lines: Vec<String> = report.certificates.iter().map(human).collect();
    lines.extend(report.problems.iter().cloned());
    if lines.is_empty() {
        lines.push("no deleted tenant has keys that are due to go".to_owned());
    }
    lines.join("\n")
}

fn human_rotate(report: &RotateReport) -> String {
    let mut line = format!(
        "{} keys are wrapped for a new {}; {} old wrappings were removed",
        report.keys,
        report.holders.join(" and a new "),
        report.removed
    );
    if !report.dumps.is_empty() {
        line.push_str(&format!("; {} dumps from before stay readable by the old identities", report.dumps.len()));
    }
    line
}
