//! `holdfast restore instance`

use std::path::Path;

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use super::with_identity;
use crate::context::Backup;
use crate::instance::{InstanceReport, TenantBack};

pub(super) async fn run(backup: &Backup, identity: &Path, printer: Printer) -> Result<Code, CommandError> {
    let backup = with_identity(backup, Some(identity))?;
    let report = backup.restore_instance("command", |tenant| printer.note(&line(tenant))).await?;
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(&report, human);
    let missing = report.tenants.iter().any(|tenant| tenant.problem.is_some());
    Ok(match (missing, report.warnings.is_empty()) {
        (true, _) => Code::Negative,
        (false, false) => Code::Warnings,
        (false, true) => Code::Ok,
    })
}

fn line(tenant: &TenantBack) -> String {
    match &tenant.problem {
        Some(problem) => format!("{:<24} NOT BACK: {problem}", tenant.tenant),
        None => format!(
            "{:<24} {:>8} notes, {:>6} files, {:>7.2} s, as of {}",
            tenant.tenant,
            tenant.notes,
            tenant.files,
            tenant.seconds,
            tenant.shows.as_deref().unwrap_or("?")
        ),
    }
}

fn human(report: &InstanceReport) -> String {
    let back = report.tenants.iter().filter(|tenant| tenant.problem.is_none()).count();
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let control = match (&report.control_point, &report.shows) {
        (Some(point), Some(shows)) => {
            format!("control plane as of {shows} from {point}: {rows} rows, {:.1} s", report.control_seconds)
        }
        _ => format!("control plane: {:.1} s", report.control_seconds),
    };
    format!(
        "{control}\n{back} of {} tenants are back\nRTO of this appliance: {:.1} s\nset what was configured beside the data \
         (`--json` shows the settings that were in force), then `holdfast serve`; operators and members sign in as before",
        report.tenants.len(),
        report.rto_seconds
    )
}
