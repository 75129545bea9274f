//! `holdfast restore …`

use std::path::PathBuf;

use domain::id::Slug;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use super::with_identity;
use crate::context::Backup;
use crate::restore::{RestoreOptions, RestoreReport};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Restore a point as a new tenant: closed and quiet until `holdfast tenant open`.
    Run {
        /// The point, or latest.
        point: String,
        /// Whose latest.
        #[arg(long)]
        tenant: Option<String>,
        /// Slug of the new tenant.
        #[arg(long = "as", value_name = "NEW-SLUG")]
        slug: Slug,
        /// Read the point back and tell what would be restored; write nothing.
        #[arg(long)]
        dry_run: bool,
        /// An age identity instead of the drill identity, such as the escrow sheet.
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
}

pub(super) async fn run(verb: Verb, backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    let Verb::Run { point, tenant, slug, dry_run, identity } = verb;
    let backup = with_identity(backup, identity.as_deref())?;
    let point = backup.resolve(&point, tenant.as_deref()).await?;
    let options = RestoreOptions { slug, dry_run, actor: "command".to_owned() };
    let report = backup.restore_point(&point, &options).await?;
    printer.result(&report, human);
    Ok(Code::Ok)
}

fn human(report: &RestoreReport) -> String {
    let counts = format!("{} notes, {} attachments, {} files", report.notes, report.attachments, report.files);
    if report.dry_run {
        return format!("point {} of {} would be restored as {}: {counts}", report.from, report.of, report.tenant);
    }
    format!(
        "point {} of {} restored as {}: {counts}, every table equal, {:.1} s\nit is closed; open it with `holdfast tenant open {}`",
        report.from, report.of, report.tenant, report.seconds, report.tenant
    )
}
