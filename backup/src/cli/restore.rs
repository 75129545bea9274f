//! `holdfast restore …`

use std::path::PathBuf;

use domain::id::Slug;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use super::with_identity;
use crate::context::Backup;
use crate::diff::{CompareReport, Difference};
use crate::restore::{Part, PartReport, RestoreOptions, RestoreReport};
use crate::swap::SwapReport;

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
    /// One note with its comments, reactions and files, back into the live tenant.
    Note {
        /// Its uid; `memos/UID` will do.
        note: String,
        #[command(flatten)]
        from: From,
    },
    /// Every note of one member that is not there any more.
    Member {
        /// The username; `users/NAME` will do.
        name: String,
        #[command(flatten)]
        from: From,
    },
    /// One attachment, back into the live tenant.
    Attachment {
        /// Its uid; `attachments/UID` will do.
        id: String,
        #[command(flatten)]
        from: From,
    },
    /// What the second tenant has that the first has not, and the other way round.
    Compare {
        /// The first tenant.
        slug: String,
        /// The second one.
        other: String,
    },
    /// Put a restored tenant in the place of the live one. The old rows are kept beside for a while.
    Swap {
        /// The live tenant.
        slug: String,
        /// The restored one, closed and never opened.
        other: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// How long the old rows are kept, as 30d.
        #[arg(long, default_value = "30d", value_parser = days)]
        keep: u32,
    },
    /// The whole appliance on an empty machine, from the backup store and the escrow sheet alone.
    Instance {
        /// The escrow sheet as a file.
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
    },
    /// Take the newest swap of a tenant back.
    Undo {
        /// The live tenant.
        slug: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// How long the rows that are live now are kept, as 30d.
        #[arg(long, default_value = "30d", value_parser = days)]
        keep: u32,
    },
}

/// From where a part comes.
#[derive(Debug, clap::Args)]
pub struct From {
    /// The point, or latest.
    #[arg(long)]
    point: String,
    /// Slug of the live tenant.
    #[arg(long)]
    tenant: String,
    /// Tell what would come back; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// An age identity instead of the drill identity, such as the escrow sheet.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

fn days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').and_then(|number| number.parse().ok()).filter(|days| *days <= 36_500);
    days.ok_or_else(|| "give days, as 30d, at most 36500d".to_owned())
}

pub(super) async fn run(verb: Verb, backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    let bare = |text: String, before: &str| text.strip_prefix(before).map_or(text.clone(), str::to_owned);
    match verb {
        Verb::Run { point, tenant, slug, dry_run, identity } => {
            let backup = with_identity(backup, identity.as_deref())?;
            let point = backup.resolve(&point, tenant.as_deref()).await?;
            let options = RestoreOptions { slug, dry_run, actor: "command".to_owned() };
            printer.result(&backup.restore_point(&point, &options).await?, human);
            Ok(Code::Ok)
        }
        Verb::Note { note, from } => part(backup, Part::Note(bare(note, "memos/")), &from, printer).await,
        Verb::Member { name, from } => part(backup, Part::Member(bare(name, "users/")), &from, printer).await,
        Verb::Attachment { id, from } => part(backup, Part::Attachment(bare(id, "attachments/")), &from, printer).await,
        Verb::Compare { slug, other } => {
            printer.result(&backup.compare_tenants(&slug, &other).await?, human_compare);
            Ok(Code::Ok)
        }
        Verb::Swap { slug, other, yes, keep } => {
            backup.tenant(&slug).await?;
            backup.tenant(&other).await?;
            printer.confirm(&format!("Put the rows of {other} in the place of those of {slug}?"), yes)?;
            printer.result(&backup.swap(&slug, &other, keep, "command").await?, human_swap);
            Ok(Code::Ok)
        }
        Verb::Instance { identity } => super::instance::run(backup, &identity, printer).await,
        Verb::Undo { slug, yes, keep } => {
            backup.tenant(&slug).await?;
            printer.confirm(&format!("Give {slug} back the rows it had before the swap?"), yes)?;
            printer.result(&backup.undo_swap(&slug, keep, "command").await?, human_swap);
            Ok(Code::Ok)
        }
    }
}

async fn part(backup: &Backup, part: Part, from: &From, printer: Printer) -> Result<Code, CommandError> {
    let backup = with_identity(backup, from.identity.as_deref())?;
    let point = backup.resolve(&from.point, Some(&from.tenant)).await?;
    let report = if from.dry_run {
        backup.plan_part(&point, &from.tenant, &part).await?
    } else {
        backup.restore_part(&point, &from.tenant, &part, "command").await?
    };
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(&report, human_part);
    Ok(if report.warnings.is_empty() { Code::Ok } else { Code::Warnings })
}

fn human(report: &RestoreReport) -> String {
    let counts = format!("{} notes, {} attachments, {} files", report.notes, report.attachments, report.files);
    if report.dry_run {
        return format!("point {} of {} would be restored as {}: {counts}", report.from, report.of, report.tenant);
    }
    let steps = match (report.point_version, report.schema_version) {
        (then, now) if then == now => String::new(),
        (then, now) => format!(", schema version {then} brought to {now}"),
    };
    format!(
        "point {} of {} restored as {}: {counts}, every table equal{steps}, {:.1} s\nit is closed; open it with `holdfast tenant open {}`",
        report.from, report.of, report.tenant, report.seconds, report.tenant
    )
}

fn human_part(report: &PartReport) -> String {
    format!(
        "from point {} into {}: {} notes ({} of them comments), {} reactions, {} share links, {} attachments {}; \
         {} notes were there already; {} share links were revoked since and stay so",
        report.from,
        report.tenant,
        report.notes.len(),
        report.comments,
        report.reactions,
        report.shares,
        report.attachments,
        if report.dry_run { "would come back" } else { "came back" },
        report.present.len(),
        report.revoked
    )
}

fn human_swap(report: &SwapReport) -> String {
    let mut lines = vec![format!(
        "{} has the rows that {} had; what it had before is kept there until {}; `holdfast restore undo {}` takes it back",
        report.tenant, report.other, report.kept_until, report.tenant
    )];
    let again = &report.replayed;
    lines.push(format!(
        "done again: {} tokens and {} share links revoked, {} members erased, {} archived or not any more",
        again.tokens, again.shares, again.erased, again.archived
    ));
    match &report.gone_back {
        None => lines.push("whose role or password has changed could not be seen; look at the members".to_owned()),
        Some(apart) => {
            let whose = [("role", &apart.roles), ("password", &apart.passwords)];
            let told = whose.iter().filter(|(_, names)| !names.is_empty());
            lines.extend(told.map(|(what, names)| format!("another {what} than before: {}", names.join(", "))));
        }
    }
    if let Some(point) = &report.point_before {
        lines.push(format!("point {point} holds what was changed right before"));
    }
    lines.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

fn human_compare(report: &CompareReport) -> String {
    let part = |name: &str, difference: &Difference| {
        let mut lines = vec![format!(
            "{name}: {} added, {} changed, {} deleted, {} the same",
            difference.added.len(),
            difference.changed.len(),
            difference.deleted.len(),
            difference.same
        )];
        lines.extend(difference.added.iter().map(|one| format!("  + {one}")));
        lines.extend(difference.changed.iter().map(|one| format!("  ~ {}: {}", one.name, one.diff)));
        lines.extend(difference.deleted.iter().map(|one| format!("  - {one}")));
        lines.join("\n")
    };
    let head = format!("{} against {}", report.other, report.tenant);
    [head, part("notes", &report.notes), part("members", &report.members), part("settings", &report.settings)]
        .join("\n")
}
