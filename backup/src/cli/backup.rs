//! `holdfast backup …`

use domain::retention::FOREVER;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;
use store::TenantScope;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Place, dump, size};
use crate::context::Backup;
use crate::copies::CopyReport;
use crate::error::Error;
use crate::keep::KeepReport;
use crate::lineage::Lineage;
use crate::list::PointLine;
use crate::retention::PruneReport;
use crate::snapshot::{CONTROL_SLUG, PointOptions, PointReport};
use crate::verify::{Problem, VerifyReport};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Take a point now, read it back, and keep every note as Markdown with it.
    Run {
        /// Slug of the tenant.
        #[arg(long, required_unless_present_any = ["all", "control"], conflicts_with_all = ["all", "control"])]
        tenant: Option<String>,
        /// Every tenant that is in use, and then the control plane.
        #[arg(long)]
        all: bool,
        /// The control plane: registry, operators, schedules, ledger, audit, drills.
        #[arg(long, conflicts_with = "all")]
        control: bool,
    },
    /// Points, newest first.
    List {
        /// Only of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: u64,
        /// What each point of the tenant depends on: reads their manifests.
        #[arg(long, requires = "tenant")]
        lineage: bool,
    },
    /// One point with its objects.
    Show {
        /// The point, or latest.
        point: String,
        /// Whose latest.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Read every object of a point, or of a dump of the database, back and compare it. 4 when something is wrong.
    Verify {
        /// The point, or latest; or a dump.
        point: String,
        /// Whose latest.
        #[arg(long)]
        tenant: Option<String>,
        /// Read it back from every further store, too.
        #[arg(long)]
        copies: bool,
    },
    /// Tell which points and dumps may go and why the others stay; remove them with --yes.
    Prune {
        /// Only points of this tenant, and no dumps.
        #[arg(long)]
        tenant: Option<String>,
        /// Remove them.
        #[arg(long)]
        yes: bool,
        /// Say first that you have looked, and that our times of the points that there are now are right whatever the store
        /// says. That is noted without --yes, too.
        #[arg(long)]
        accept_times: bool,
    },
    /// Keep a point from being removed; where stores lock, lock all that it needs until then.
    Keep {
        /// The point.
        point: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// How long: days as `30d`, a date and time as in 2027-01-31T00:00:00Z, or `forever`.
        #[arg(long, default_value = "forever")]
        until: String,
    },
    /// Dump the whole database with pg_dump.
    Dump,
}

pub(super) async fn run(verb: Verb, backup: &Backup, place: &Place, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        Verb::Run { tenant: Some(slug), .. } => {
            let report = take(backup, &slug, printer).await?;
            printer.result(&report, human_point);
            Ok(if report.warnings.is_empty() { Code::Ok } else { Code::Warnings })
        }
        Verb::Run { control: true, .. } => {
            let report = take_control(backup, printer).await?;
            printer.result(&report, human_point);
            Ok(if report.warnings.is_empty() { Code::Ok } else { Code::Warnings })
        }
        Verb::Run { .. } => take_all(backup, printer).await,
        Verb::List { tenant: Some(slug), lineage: true, .. } => lineage(backup, &slug, printer).await,
        Verb::List { tenant, limit, .. } => list(backup, tenant.as_deref(), limit, printer).await,
        Verb::Show { point, tenant } => {
            let point = backup.resolve(&point, tenant.as_deref()).await?;
            printer.result(&backup.show_point(&point).await?, human_point);
            Ok(Code::Ok)
        }
        Verb::Verify { point, tenant, copies } => {
            if let Some(verified) = backup.verify_dump(&point, copies, "command").await? {
                return Ok(dump::tell(&verified, printer));
            }
            let point = resolve_any(backup, &point, tenant.as_deref()).await?;
            let report = backup.verify_point(&point, "command").await?;
            let copies = if copies { backup.verify_copies(&point).await? } else { Vec::new() };
            let good = report.problems.is_empty() && copies.iter().all(|copy| copy.problems.is_empty());
            let report = Verified { report, copies };
            printer.result(&report, human_verify);
            Ok(if good { Code::Ok } else { Code::Negative })
        }
        Verb::Prune { tenant, yes, accept_times } => {
            if accept_times {
                accept(backup, tenant.as_deref(), printer).await?;
            }
            prune(backup, tenant.as_deref(), yes, printer).await
        }
        Verb::Keep { point, reason, until } => keep(backup, &point, &reason, &until, printer).await,
        Verb::Dump => dump::take(backup, place, printer).await,
    }
}

async fn take(backup: &Backup, slug: &str, printer: Printer) -> Result<PointReport, Error> {
    let tenant = backup.tenant(slug).await?;
    let scope = TenantScope::for_command(tenant, "backup run");
    let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: true };
    let mut report = backup.take_point(&scope, &options).await?;
    let verified = backup.verify_point(&report.point, "command").await?;
    report.state = verified.state;
    if verified.problems.is_empty() {
        report.warnings.extend(backup.copy_now(&report.point).await?);
    }
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    if verified.problems.is_empty() {
        Ok(report)
    } else {
        Err(Error::ReadsBadly { point: report.point, problems: verified.problems })
    }
}

async fn take_control(backup: &Backup, printer: Printer) -> Result<PointReport, Error> {
    let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
    let mut report = backup.take_control_point(&options).await?;
    report.warnings.extend(backup.copy_now(&report.point).await?);
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    Ok(report)
}

async fn take_all(backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    use domain::tenant::TenantState::{Active, ReadOnly};
    let mut worst = Code::Ok;
    let mut failures = Vec::new();
    for tenant in backup.store.registry().list().await.map_err(Error::from)? {
        if !matches!(tenant.state, Active | ReadOnly) {
            continue;
        }
        match take(backup, tenant.slug.as_str(), printer).await {
            Ok(report) => {
                printer.result(&report, human_point);
                if !report.warnings.is_empty() && worst == Code::Ok {
                    worst = Code::Warnings;
                }
            }
            Err(error) => {
                failures.push(error.exit());
                printer.error(&CommandError::from(error).object(tenant.slug.as_str()));
            }
        }
    }
    match take_control(backup, printer).await {
        Ok(report) => printer.result(&report, human_point),
        Err(error) => {
            failures.push(error.exit());
            printer.error(&CommandError::from(error).object(CONTROL_SLUG));
        }
    }
    Ok(match failures.as_slice() {
        [] => worst,
        // one reason for all of them: the code says which
        [first, rest @ ..] if rest.iter().all(|code| code == first) => *first,
        _ => Code::Failed,
    })
}

async fn list(backup: &Backup, tenant: Option<&str>, limit: u64, printer: Printer) -> Result<Code, CommandError> {
    let id = match tenant {
        Some(slug) => Some(backup.tenant_id(slug).await?),
        None => None,
    };
    let points = backup.list_points(id, limit).await?;
    printer.result(&json!({ "points": points }), |_| points.iter().map(line).collect::<Vec<_>>().join("\n"));
    Ok(Code::Ok)
}

async fn lineage(backup: &Backup, slug: &str, printer: Printer) -> Result<Code, CommandError> {
    let points = backup.lineage(backup.tenant_id(slug).await?).await?;
    let line = |one: &Lineage| {
        let own = format!("{} objects of its own ({})", one.own.objects, size(one.own.bytes));
        let from = one.from.iter().map(|share| {
            let sender = share.point.as_deref().unwrap_or("points that are gone");
            format!("{} of {sender} ({})", share.objects, size(share.bytes))
        });
        let needed = format!("needed by {}", one.needed_by.len());
        let unread = one.unreadable.then(|| "its manifest cannot be read".to_owned());
        let told: Vec<String> = std::iter::once(own).chain(from).chain([needed]).chain(unread).collect();
        format!("{}  {}", one.point, told.join(", "))
    };
    printer.result(&json!({ "points": points }), |_| points.iter().map(line).collect::<Vec<_>>().join("\n"));
    Ok(Code::Ok)
}

fn line(point: &PointLine) -> String {
    let stored = size(point.bytes_stored.unsigned_abs());
    format!("{}  {:<24} {:<9} {:>8} notes  {stored:>10}", point.point, point.tenant, point.state, point.notes)
}

/// `latest` for verification is the newest of all, also a damaged one.
async fn resolve_any(backup: &Backup, point: &str, tenant: Option<&str>) -> Result<String, Error> {
    let (Some(slug), "latest") = (tenant, point) else { return backup.resolve(point, tenant).await };
    let id = backup.tenant_id(slug).await?;
    let newest = backup.store.control().newest_point(id, &[]).await?;
    newest.map(|row| row.point).ok_or_else(|| Error::NoUsablePoint(slug.to_owned(), "restore"))
}

async fn accept(backup: &Backup, tenant: Option<&str>, printer: Printer) -> Result<(), Error> {
    let id = match tenant {
        Some(slug) => Some(backup.tenant_id(slug).await?),
        None => None,
    };
    let accepted = backup.accept_times(id, "command").await?;
    for point in &accepted {
        printer.note(&format!("our time of {point} counts from now on"));
    }
    if accepted.is_empty() {
        printer.note("the store tells no other times than we know");
    }
    Ok(())
}

async fn prune(backup: &Backup, tenant: Option<&str>, yes: bool, printer: Printer) -> Result<Code, CommandError> {
    let id = match tenant {
        Some(slug) => Some(backup.tenant_id(slug).await?),
        None => None,
    };
    let report = backup.prune(id, !yes, "command").await?;
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(&report, human_prune);
    Ok(if report.warnings.is_empty() { Code::Ok } else { Code::Warnings })
}

fn human_prune(report: &PruneReport) -> String {
    let verb = if report.dry_run { "would be removed" } else { "removed" };
    let kept =
        report.kept.iter().map(|kept| format!("keep {}  {}: {}", kept.point, kept.tenant, kept.reasons.join(", ")));
    let gone = report.removed.iter().map(|gone| format!("{verb} {}  {}", gone.point, gone.tenant));
    let dumps = report
        .dumps_kept
        .iter()
        .map(|kept| format!("keep dump {} of {}: {}", kept.dump, kept.database, kept.reasons.join(", ")));
    let dumps_gone = report.dumps_removed.iter().map(|gone| format!("{verb} dump {} of {}", gone.dump, gone.database));
    let again = if report.dry_run { "would be in the books again" } else { "is in the books again" };
    let found = report.dumps_found.iter().map(|found| format!("dump {} of {} {again}", found.dump, found.database));
    let mut lines: Vec<String> = kept.chain(gone).chain(found).chain(dumps).chain(dumps_gone).collect();
    lines.push(format!("{} points stay, {} {verb}", report.kept.len(), report.removed.len()));
    if report.dumps_kept.len() + report.dumps_removed.len() > 0 {
        lines.push(format!("{} dumps stay, {} {verb}", report.dumps_kept.len(), report.dumps_removed.len()));
    }
    if report.dry_run {
        lines.push("nothing was removed; add --yes to remove them".to_owned());
    } else {
        lines.push(format!("{} objects that no point needs were removed, {}", report.swept, size(report.swept_bytes)));
    }
    lines.join("\n")
}

async fn keep(backup: &Backup, point: &str, reason: &str, until: &str, printer: Printer) -> Result<Code, CommandError> {
    let now = backup.clock.now();
    let until = moment(until, now)?;
    let report = backup.keep_point(point, until, reason, "command").await?;
    for warning in &report.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.result(&report, |report: &KeepReport| {
        let kept = if until > now {
            format!("{} is kept until {}", report.point, report.kept_until)
        } else {
            format!(
                "{} is let go: it was kept until {}, and the rules decide from now on",
                report.point, report.kept_until
            )
        };
        let locks = report.locked.iter().map(|at| format!("locked in {} until {}", at.store, at.until));
        std::iter::once(kept).chain(locks).collect::<Vec<_>>().join("\n")
    });
    Ok(if report.warnings.is_empty() { Code::Ok } else { Code::Warnings })
}

/// `30d`, a date and time, or `forever`.
fn moment(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, CommandError> {
    if text == "forever" {
        return Ok(FOREVER);
    }
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(now.checked_add(Duration::days(i64::from(days))).unwrap_or(FOREVER));
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| CommandError::usage(format!("{text:?} is no time; write 30d, 2027-01-31T00:00:00Z or forever")))
}

fn human_point(report: &PointReport) -> String {
    let referenced = report.objects.iter().filter(|object| object.referenced).count();
    format!(
        "point {} of {}: {}, {} notes, {} rows, {} files, {} in {} objects ({referenced} of older points), {} sent in {} requests, {:.2} s",
        report.point,
        report.tenant,
        report.state,
        report.notes,
        report.rows,
        report.files,
        size(report.bytes_stored),
        report.objects.len() + 1,
        size(report.bytes_sent),
        report.requests,
        report.seconds
    )
}

/// A point in the first store, and in further ones where that was asked for.
#[derive(serde::Serialize)]
struct Verified {
    #[serde(flatten)]
    report: VerifyReport,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    copies: Vec<CopyReport>,
}

fn human_verify(verified: &Verified) -> String {
    let report = &verified.report;
    let head = format!(
        "point {} of {}: {}; {} objects, {} read back",
        report.point,
        report.tenant,
        report.state,
        report.objects,
        size(report.bytes)
    );
    let told = |problem: &Problem| {
        format!("  {} ({:?}): {} — {}", problem.object, problem.kind, problem.problem.as_str(), problem.message)
    };
    let mut lines = vec![head];
    lines.extend(report.problems.iter().map(told));
    for copy in &verified.copies {
        let word = if copy.problems.is_empty() { "verified" } else { "damaged" };
        lines.push(format!("copy in {}: {word}, {} read back", copy.store, size(copy.bytes)));
        lines.extend(copy.problems.iter().map(told));
    }
    lines.join("\n")
}
