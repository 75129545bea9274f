//! `holdfast backup dump`, and `holdfast backup verify` of a dump.

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use super::{Place, size};
use crate::context::Backup;
use crate::dump::{DumpProblem, DumpReport, DumpSeen, DumpVerified};

pub(super) async fn take(backup: &Backup, place: &Place, printer: Printer) -> Result<Code, CommandError> {
    let source = place.dump.as_ref().ok_or_else(|| CommandError::usage("it is not known where the database is"))?;
    let report = backup.dump(source, "command").await?;
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(&report, |report: &DumpReport| {
        format!("dumped {} to {} ({}, {:.1} s)", report.database, report.key, size(report.bytes), report.seconds)
    });
    Ok(if report.warnings.is_empty() { Code::Ok } else { Code::Warnings })
}

/// Tells what a dump was found to be.
pub(super) fn tell(verified: &DumpVerified, printer: Printer) -> Code {
    printer.result(verified, human);
    let good = verified.seen.problems.is_empty() && verified.copies.iter().all(|copy| copy.problems.is_empty());
    if good { Code::Ok } else { Code::Negative }
}

fn human(verified: &DumpVerified) -> String {
    let head = format!(
        "dump {} of {}: {}; {} read back",
        verified.dump,
        verified.database,
        verified.state,
        size(verified.seen.bytes)
    );
    let told =
        |problem: &DumpProblem| format!("  {}: {} — {}", problem.object, problem.problem.as_str(), problem.message);
    let mut lines = vec![head];
    lines.extend(verified.seen.problems.iter().map(told));
    for DumpSeen { store, bytes, problems } in &verified.copies {
        let word = if problems.is_empty() { "verified" } else { "damaged" };
        lines.push(format!("copy in {store}: {word}, {} read back", size(*bytes)));
        lines.extend(problems.iter().map(told));
    }
    lines.join("\n")
}
