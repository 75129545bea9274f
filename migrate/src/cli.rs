//! `holdfast migrate …`: arguments in, report out, exit code decided.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::Slug;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use crate::check::{Source, check};
use crate::error::Error;
use crate::lifecycle::{open_tenant, rollback};
use crate::report::Report;
use crate::sample::{Sample, write_sample};
use crate::write::{House, Run, run};

/// Who acts, for the audit.
const ACTOR: &str = "command";

/// What to do with a Memos installation.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Look at a Memos data folder or database and say what an import would do. Writes nothing.
    Check(Look),
    /// Import a Memos data folder or database as a new tenant, closed until it is opened.
    Run(Import),
    /// Open an imported tenant for its members.
    Open(Tenant),
    /// Remove an imported tenant that was not opened yet.
    Rollback(Tenant),
    /// Write a Memos data folder of invented people and notes, to try things with.
    Sample(SampleFolder),
}

/// A source to look at.
#[derive(Clone, Debug, Args)]
pub struct Look {
    /// The Memos data folder, or the .db file in it.
    pub source: PathBuf,
    /// Take what a damaged database still shows.
    #[arg(long)]
    pub salvage: bool,
}

/// A source to import.
#[derive(Clone, Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub look: Look,
    /// Slug of the new tenant.
    #[arg(long)]
    pub tenant: Slug,
    /// Open the tenant for its members at once.
    #[arg(long)]
    pub open: bool,
}

/// A tenant by its slug.
#[derive(Clone, Debug, Args)]
pub struct Tenant {
    /// Slug of the tenant.
    #[arg(long)]
    pub tenant: Slug,
}

/// Where a sample goes.
#[derive(Clone, Debug, Args)]
pub struct SampleFolder {
    /// A folder that is empty or does not exist yet.
    pub folder: PathBuf,
    /// The same seed writes the same sample, passwords included; without it every sample differs.
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Command {
    /// Whether the command needs the database and the file store.
    pub const fn needs_house(&self) -> bool {
        !matches!(self, Self::Check(_) | Self::Sample(_))
    }
}

/// Carries out a command; `house` is there when `needs_house` says so. `data` is the data directory, below which private
/// copies are made.
///
/// # Errors
/// Everything with its exit code.
pub async fn execute(
    command: &Command,
    data: &Path,
    house: Option<&House>,
    printer: Printer,
) -> Result<Code, CommandError> {
    let house = || house.ok_or_else(|| CommandError::of(Code::Failed, "this command needs a database"));
    match command {
        Command::Check(look) => {
            let source = Source::new(&look.source, data, look.salvage);
            let report = check(&source).await.map_err(told)?;
            printer.result(&report, Report::summary);
            Ok(verdict(&report))
        }
        Command::Run(import) => {
            let source = Source::new(&import.look.source, data, import.look.salvage);
            let wanted = Run { source, slug: import.tenant.clone(), open: import.open, actor: ACTOR.to_owned() };
            let report = run(house()?, &wanted).await.map_err(told)?;
            keep(&report, data, &import.tenant);
            printer.result(&report, Report::summary);
            Ok(verdict(&report))
        }
        Command::Open(Tenant { tenant }) => {
            open_tenant(house()?, tenant, ACTOR).await.map_err(told)?;
            printer.result(&json!({"tenant": tenant, "state": "active"}), |_| format!("tenant {tenant} is open"));
            Ok(Code::Ok)
        }
        Command::Rollback(Tenant { tenant }) => {
            rollback(house()?, tenant, ACTOR).await.map_err(told)?;
            printer.result(&json!({"tenant": tenant, "state": "removed"}), |_| format!("tenant {tenant} was removed"));
            Ok(Code::Ok)
        }
        Command::Sample(place) => {
            let chance = place.seed.map_or(Chance::System, Chance::seeded);
            let folder = place.folder.clone();
            let written = tokio::task::spawn_blocking(move || write_sample(&folder, &chance)).await;
            let sample = written.map_err(|err| told(Error::Broken(err.to_string())))?.map_err(told)?;
            printer.result(&sample, sample_text);
            Ok(Code::Ok)
        }
    }
}

/// The report stays below the data directory; a failure to write it does not undo the import.
fn keep(report: &Report, data: &Path, slug: &Slug) {
    let folder = data.join("reports");
    let path = folder.join(format!("import-{slug}-{}.json", Clock::System.seconds()));
    let text = serde_json::to_vec_pretty(report).unwrap_or_default();
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text)) {
        Ok(()) => tracing::info!(path = %path.display(), "the import's report was kept"),
        Err(err) => tracing::warn!(path = %path.display(), error = %err, "the import's report could not be kept"),
    }
}

/// 0 clean, 3 with warnings, 4 when the source was refused.
pub fn verdict(report: &Report) -> Code {
    match (report.errors.is_empty(), report.warnings.is_empty()) {
        (false, _) => Code::Negative,
        (true, false) => Code::Warnings,
        (true, true) => Code::Ok,
    }
}

fn sample_text(sample: &Sample) -> String {
    use std::fmt::Write as _;
    let mut out = format!("{} notes, {} comments, {} files\n", sample.notes, sample.comments, sample.files);
    for person in &sample.people {
        let _ = write!(out, "{}  password {}", person.username, person.password);
        if let Some(token) = &person.token {
            let _ = write!(out, "  token {token}");
        }
        out.push_str(if person.archived { "  (archived)\n" } else { "\n" });
    }
    out
}

/// The exit code and words of an error.
pub fn told(err: Error) -> CommandError {
    let (exit, code) = match &err {
        Error::SlugTaken(_) => (Code::Conflict, "slug_taken"),
        Error::NoTenant(_) => (Code::NotFound, "no_such_tenant"),
        Error::WrongState { .. } => (Code::Refused, "wrong_state"),
        Error::Source { code, .. } => (Code::Refused, *code),
        Error::Store(store::Error::Unavailable(_)) => (Code::Unreachable, "database_unreachable"),
        Error::Store(store::Error::TooBusy) => (Code::TimedOut, "database_busy"),
        Error::Files(_) => (Code::Unreachable, "file_store"),
        Error::Differs(_) => (Code::Negative, "differs"),
        _ => (Code::Failed, "failed"),
    };
    CommandError::new(exit, code, err.to_string()).caused_by(err)
}
