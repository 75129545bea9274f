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
use crate::signers::SigningReport;
use crate::snapshot::PointOptions;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// For whom points can be opened. The escrow sheet itself was shown once, when the keys were made.
    Escrow,
    /// Give the holders of tenants' keys new identities, and the appliance a new signing key; the old identities open nothing
    /// any more. Points stay as they are.
    Rotate {
        /// Only this one.
        #[arg(long, value_enum)]
        only: Option<Who>,
        /// An identity that opens the present keys, instead of the drill identity.
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Strike a signing key that somebody else has, after it was rotated away: its signature counts only for points that the
    /// appliance knows. Takes a control point that says so.
    Distrust {
        /// The key in hex.
        key: String,
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

/// What can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Who {
    /// The sheet of paper.
    Escrow,
    /// The worker.
    Drill,
    /// What points are signed with.
    Sign,
}

pub(super) async fn run(verb: Verb, backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        Verb::Escrow => {
            escrow(backup, printer)?;
            Ok(Code::Ok)
        }
        Verb::Rotate { only, identity, yes } => {
            let backup = with_identity(backup, identity.as_deref())?;
            let holders = match only {
                None => vec![Holder::Drill, Holder::Escrow],
                Some(Who::Drill) => vec![Holder::Drill],
                Some(Who::Escrow) => vec![Holder::Escrow],
                Some(Who::Sign) => Vec::new(),
            };
            // before the sheet is printed, so that it names the new one
            let sign = matches!(only, None | Some(Who::Sign));
            rotate(&backup, &holders, sign, yes, printer).await
        }
        Verb::Distrust { key, yes } => distrust(backup, &key, yes, printer).await,
        Verb::Purge { tenant, yes } => {
            if let Some(slug) = &tenant {
                printer.confirm(&format!("Make every point of the deleted tenant {slug} unreadable for ever?"), yes)?;
            }
            let report = backup.purge_deleted(tenant.as_deref(), "command").await?;
            for next in &report.next {
                printer.note(&format!("warning: {next}"));
            }
            printer.result(&report, human_purge);
            Ok(match (report.problems.is_empty(), report.next.is_empty()) {
                (false, _) => Code::Failed,
                (true, false) => Code::Warnings,
                (true, true) => Code::Ok,
            })
        }
        Verb::Certificates { tenant } => certificates(backup, tenant.as_deref(), printer).await,
    }
}

async fn distrust(backup: &Backup, key: &str, yes: bool, printer: Printer) -> Result<Code, CommandError> {
    printer.confirm(&format!("Believe {key} no longer, save for points that the appliance knows?"), yes)?;
    let report = backup.distrust_signer(key, "command").await?;
    let warnings = control_point(backup).await;
    for warning in &warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(&report, |report| {
        format!("{} counts no longer, save for points that the appliance knows; {} signs", report.key, report.signs)
    });
    Ok(if warnings.is_empty() { Code::Ok } else { Code::Warnings })
}

fn escrow(backup: &Backup, printer: Printer) -> Result<(), Error> {
    let (escrow, drill) = (backup.keys.recipient(Holder::Escrow), backup.keys.recipient(Holder::Drill));
    let sign = backup.keys.signer().map(|signer| signer.public_key());
    let sign = sign.or_else(|error| backup.keys.signing_key()?.ok_or(error))?;
    let document = json!({ "escrow": escrow.to_string(), "drill": drill.to_string(), "sign": sign });
    printer.result(&document, |_| {
        format!(
            "escrow  {escrow}\ndrill   {drill}\nsign    {sign}\nthe escrow sheet was shown once and is stored nowhere; prove yours with \
             `holdfast drill run --tenant SLUG --identity FILE`"
        )
    });
    Ok(())
}

/// What was replaced.
#[derive(serde::Serialize)]
struct Rotated {
    #[serde(flatten)]
    report: Option<RotateReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing: Option<SigningReport>,
}

async fn rotate(
    backup: &Backup,
    holders: &[Holder],
    sign: bool,
    yes: bool,
    printer: Printer,
) -> Result<Code, CommandError> {
    let words: Vec<&str> = holders.iter().map(|holder| holder.as_str()).collect();
    let question = match words.as_slice() {
        [] => "Replace the key that points are signed with?".to_owned(),
        words => format!("Replace the identities of {}? The old ones will open nothing.", words.join(" and ")),
    };
    printer.confirm(&question, yes)?;
    let mut signing = if sign { Some(backup.rotate_signing_key("command").await?) } else { None };
    if holders.is_empty() {
        if let Some(signing) = &mut signing {
            signing.warnings.extend(control_point(backup).await);
        }
        return Ok(tell(&Rotated { report: None, signing }, printer));
    }
    let (report, sheet) = backup.rotate_keys(holders, "command").await?;
    if let Some(sheet) = sheet {
        printer.note(&sheet.text());
    }
    if let Some(signing) = &mut signing {
        // whatever identity was given opens nothing any more
        signing.warnings.extend(control_point(&backup.clone().with_identity(None)).await);
    }
    Ok(tell(&Rotated { report: Some(report), signing }, printer))
}

/// A control point signed with the new key: a sheet that names no other one must not find only older ones.
async fn control_point(backup: &Backup) -> Vec<String> {
    let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
    let taken = async {
        let taken = backup.take_control_point(&options).await?;
        let mut warnings = taken.warnings;
        warnings.extend(backup.copy_now(&taken.point).await?);
        Ok::<_, Error>(warnings)
    };
    taken.await.unwrap_or_else(|error| {
        vec![format!(
            "no control point signed with the new key could be taken, and the new sheet believes no other; take one with `holdfast backup run --control`: {error}"
        )]
    })
}

fn tell(rotated: &Rotated, printer: Printer) -> Code {
    let warnings = rotated.report.iter().flat_map(|report| &report.warnings);
    let warnings: Vec<&String> = warnings.chain(rotated.signing.iter().flat_map(|signing| &signing.warnings)).collect();
    for warning in &warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(rotated, human_rotate);
    if warnings.is_empty() { Code::Ok } else { Code::Warnings }
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
                count => format!(
                    "; {count} dumps of the database still hold its rows: {}, the last of them until {}{}",
                    said.dumps.join(", "),
                    said.dumps_expire_at.as_deref().unwrap_or("it is removed by hand"),
                    if said.newer_dump_needed { " and until there is a newer dump" } else { "" }
                ),
            };
            let next = said.next();
            let left = if next.is_empty() { String::new() } else { format!("; {}", next.join("; ")) };
            format!(
                "{}  {}: {} keys gone from {} stores at {}, {} points will not open again{left}{dumps} ({word})",
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

fn human_rotate(rotated: &Rotated) -> String {
    let mut lines = Vec::new();
    if let Some(signing) = &rotated.signing {
        lines.push(format!(
            "points are signed with {} from now on; what {} signed stays valid",
            signing.new, signing.old
        ));
    }
    lines.extend(rotated.report.as_ref().map(human_holders));
    lines.join("\n")
}

fn human_holders(report: &RotateReport) -> String {
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
