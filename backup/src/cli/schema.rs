//! `holdfast schema …`

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use crate::context::Backup;
use crate::error::Error;
use crate::upgrade::{ApplyReport, RollbackReport};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// The version of this executable, and which tenants are behind it.
    Status,
    /// Bring every tenant to the version of this executable: a verified point of each first, one tenant alone, then the rest.
    Apply,
    /// Put a tenant back to the point from before its newest step. What was written since is listed and kept beside.
    Rollback {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(verb: Verb, backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        Verb::Status => {
            let version = backup.newest_version();
            let behind = backup.store.tenants_behind(version).await.map_err(Error::from)?;
            let lines: Vec<_> =
                behind.iter().map(|one| json!({ "tenant": one.slug, "version": one.version })).collect();
            printer.result(&json!({ "version": version, "behind": lines }), |_| {
                let all = behind.iter().map(|one| format!("{:<24} version {}", one.slug, one.version));
                let head = format!("version {version}; {} tenants are behind", behind.len());
                std::iter::once(head).chain(all).collect::<Vec<_>>().join("\n")
            });
            Ok(Code::Ok)
        }
        Verb::Apply => {
            let report = backup.apply_steps("command").await?;
            printer.result(&report, human_apply);
            let failed = report.tenants.iter().any(|one| one.problem.is_some());
            Ok(if failed { Code::Failed } else { Code::Ok })
        }
        Verb::Rollback { tenant, yes } => {
            backup.tenant(&tenant).await?;
            printer.confirm(&format!("Put {tenant} back to where it was before its newest schema step?"), yes)?;
            printer.result(&backup.roll_back(&tenant, "command").await?, human_rollback);
            Ok(Code::Ok)
        }
    }
}

fn human_apply(report: &ApplyReport) -> String {
    if report.tenants.is_empty() {
        return format!("every tenant is at version {}", report.version);
    }
    let mut lines: Vec<String> = report
        .tenants
        .iter()
        .map(|one| match &one.problem {
            None => format!("{:<24} {} → {}", one.tenant, one.from, one.to),
            Some(problem) => format!("{:<24} stays at {}: {problem}", one.tenant, one.to),
        })
        .collect();
    if report.stopped {
        lines.push("the first tenant failed, so the others were left alone".to_owned());
    }
    lines.join("\n")
}

fn human_rollback(report: &RollbackReport) -> String {
    let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    format!(
        "{} is as it was in point {}\nwritten since and kept in {}: {}\ndeleted since and back: {}",
        report.swap.tenant,
        report.point,
        report.swap.other,
        list(&report.written_since),
        list(&report.deleted_since)
    )
}
