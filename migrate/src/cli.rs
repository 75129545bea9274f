//! `holdfast migrate …`: arguments in, report out, exit code decided.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::{Args, Subcommand};
use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::Slug;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde::Serialize;
use serde_json::json;

use crate::catch_up::{CatchUp, catch_up};
use crate::check::{Options, Source, check};
use crate::error::Error;
use crate::export::{Exported, Form, export};
use crate::lifecycle::{open_tenant, rollback};
use crate::plan::{Outcome, Plan, run_plan};
use crate::policy::{Choice, Policies};
use crate::reader::bucket::BucketAccess;
use crate::report::Report;
use crate::sample::{Sample, write_sample};
use crate::watch::{Step, Watch};
use crate::write::{House, Reach, Run, run};

/// Who acts, for the audit.
pub(crate) const ACTOR: &str = "command";

/// What to do with a Memos installation.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Look at a Memos data folder or database and say what an import would do. Writes nothing.
    Check(Look),
    /// Import a Memos data folder or database as a new tenant, closed until it is opened.
    Run(Import),
    /// Bring what changed at the source since it was imported.
    CatchUp(Difference),
    /// Write a tenant as a Memos 0.30 data folder, or as a folder of Markdown files.
    Export(ExportTo),
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
    /// The Memos data folder, the .db file in it, or postgres://USER@HOST/DATABASE.
    pub source: PathBuf,
    #[command(flatten)]
    pub reading: Reading,
}

/// How to read a source.
#[derive(Clone, Debug, Default, Args)]
pub struct Reading {
    /// Take what a damaged database still shows.
    #[arg(long)]
    pub salvage: bool,
    /// What to do about odd rows: CASE=keep (the default: convert and report) or CASE=refuse. Cases: invalid-utf8, nul,
    /// wrong-type, time, duplicate-email (also =clear), duplicate-username, orphan, missing-file. May be repeated.
    #[arg(long = "on", value_name = "CASE=CHOICE")]
    pub choices: Vec<Choice>,
    /// Where a folder that the server called FROM is here: FROM=TO. May be repeated.
    #[arg(long = "path-map", value_name = "FROM=TO", value_parser = path_map)]
    pub path_maps: Vec<(String, PathBuf)>,
    /// File with the password of a PostgreSQL source.
    #[arg(long, value_name = "FILE")]
    pub source_password_file: Option<PathBuf>,
    /// Address of the bucket of S3 attachments, instead of the stored one.
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Its region.
    #[arg(long, value_name = "REGION")]
    pub s3_region: Option<String>,
    /// Its name.
    #[arg(long, value_name = "BUCKET")]
    pub s3_bucket: Option<String>,
    /// File with the name of the access key.
    #[arg(long, value_name = "FILE", requires = "s3_secret_key_file")]
    pub s3_access_key_file: Option<PathBuf>,
    /// File with the secret key.
    #[arg(long, value_name = "FILE", requires = "s3_access_key_file")]
    pub s3_secret_key_file: Option<PathBuf>,
    /// Leave S3 attachments where they are and keep their links.
    #[arg(long)]
    pub s3_leave: bool,
}

fn path_map(text: &str) -> Result<(String, PathBuf), String> {
    let (from, to) = text.split_once('=').ok_or("write FROM=TO")?;
    Ok((from.to_owned(), PathBuf::from(to)))
}

impl Reading {
    fn options(&self) -> Result<Options, CommandError> {
        let secret = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map(|text| text.trim().to_owned())
                .map_err(|err| CommandError::usage(format!("{}: {err}", path.display())))
        };
        let keys = match (&self.s3_access_key_file, &self.s3_secret_key_file) {
            (Some(access), Some(key)) => Some((secret(access)?, secret(key)?)),
            _ => None,
        };
        Ok(Options {
            policies: Policies::new(&self.choices),
            path_maps: self.path_maps.clone(),
            password_file: self.source_password_file.clone(),
            bucket: BucketAccess {
                endpoint: self.s3_endpoint.clone(),
                region: self.s3_region.clone(),
                bucket: self.s3_bucket.clone(),
                keys,
                leave: self.s3_leave,
            },
            patience: None,
        })
    }
}

impl Look {
    fn source(&self, data: &Path) -> Result<Source, CommandError> {
        let mut source = Source::new(&self.source, data, self.reading.salvage);
        source.options = self.reading.options()?;
        Ok(source)
    }
}

/// A source to import, or many.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// The Memos data folder, the .db file in it, or postgres://USER@HOST/DATABASE.
    #[arg(required_unless_present = "plan", conflicts_with = "plan")]
    pub source: Option<PathBuf>,
    /// Slug of the new tenant.
    #[arg(long, required_unless_present = "plan", conflicts_with = "plan")]
    pub tenant: Option<Slug>,
    /// A TOML file that names many sources and their tenants.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Open the tenant for its members at once.
    #[arg(long)]
    pub open: bool,
    #[command(flatten)]
    pub reading: Reading,
}

/// A source to bring the difference from.
#[derive(Clone, Debug, Args)]
pub struct Difference {
    #[command(flatten)]
    pub look: Look,
    /// Slug of the tenant that was imported from it.
    #[arg(long)]
    pub tenant: Slug,
}

/// Where an export goes.
#[derive(Clone, Debug, Args)]
pub struct ExportTo {
    /// Slug of the tenant.
    #[arg(long)]
    pub tenant: Slug,
    /// In which form.
    #[arg(long, value_enum)]
    pub to: Form,
    /// A folder that is empty or does not exist yet.
    pub folder: PathBuf,
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
            let report = check(&look.source(data)?).await.map_err(told)?;
            printer.result(&report, Report::summary);
            Ok(verdict(&report))
        }
        Command::Run(import) => match &import.plan {
            Some(plan) => many(plan, import, data, house()?, printer).await,
            None => single(import, data, house()?, printer).await,
        },
        Command::CatchUp(difference) => {
            let source = difference.look.source(data)?;
            let report = catch_up(house()?, &source, &difference.tenant, ACTOR).await.map_err(told)?;
            keep(&report, "catch-up", data, &difference.tenant);
            printer.result(&report, CatchUp::summary);
            Ok(report.verdict())
        }
        Command::Export(wanted) => {
            let report = export(house()?, &wanted.tenant, wanted.to, &wanted.folder, ACTOR).await.map_err(told)?;
            printer.result(&report, Exported::summary);
            Ok(if report.left_out.is_empty() { Code::Ok } else { Code::Warnings })
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

async fn single(import: &Import, data: &Path, house: &House, printer: Printer) -> Result<Code, CommandError> {
    let (Some(path), Some(slug)) = (&import.source, &import.tenant) else {
        return Err(CommandError::usage("name a source and --tenant, or --plan"));
    };
    let mut source = Source::new(path, data, import.reading.salvage);
    source.options = import.reading.options()?;
    let wanted = Run {
        source,
        slug: slug.clone(),
        reach: Reach::default(),
        open: import.open,
        actor: ACTOR.to_owned(),
        watch: bar(printer),
    };
    let report = Box::pin(run(house, &wanted)).await.map_err(told);
    drop(wanted);
    let report = report?;
    keep(&report, "import", data, slug);
    printer.result(&report, Report::summary);
    Ok(verdict(&report))
}

/// A bar on the terminal: rows with an estimate of the time left, and bytes.
fn bar(printer: Printer) -> Watch {
    let shown = Mutex::new((printer.progress("checking", None), 0_u64));
    Watch::new(move |step| {
        let Ok(mut shown) = shown.lock() else { return };
        match step {
            Step::Loading { rows } => *shown = (printer.progress("loading", Some(rows)), 0),
            Step::Arrived { rows, bytes } => {
                shown.1 += bytes;
                shown.0.advance(rows);
                shown.0.describe(&format!("loading, {} MiB", shown.1 >> 20));
            }
            Step::Verifying => *shown = (printer.progress("reading everything back", None), 0),
        }
    })
}

async fn many(
    plan: &Path,
    import: &Import,
    data: &Path,
    house: &House,
    printer: Printer,
) -> Result<Code, CommandError> {
    let mut plan = Plan::read(plan).map_err(told)?;
    for entry in &mut plan.tenant {
        entry.open |= import.open;
        entry.salvage |= import.reading.salvage;
    }
    let options = import.reading.options()?;
    let mut tell = |outcome: &Outcome| printer.result(outcome, Outcome::line);
    let outcomes = run_plan(house, plan, data, &options, &mut tell).await;
    for outcome in outcomes.iter().filter(|outcome| outcome.outcome == "imported") {
        if let Ok(slug) = outcome.slug.parse() {
            keep(&outcome.report, "import", data, &slug);
        }
    }
    let clean = outcomes.iter().all(|outcome| !outcome.is_refused() && outcome.report.warnings.is_empty());
    Ok(if clean { Code::Ok } else { Code::Warnings })
}

/// The report stays below the data directory; a failure to write it does not undo the import.
fn keep<T: Serialize>(report: &T, what: &str, data: &Path, slug: &Slug) {
    let folder = data.join("reports");
    let path = folder.join(format!("{what}-{slug}-{}.json", Clock::System.seconds()));
    let text = serde_json::to_vec_pretty(report).unwrap_or_default();
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text)) {
        Ok(()) => tracing::info!(path = %path.display(), "the report was kept"),
        Err(err) => tracing::warn!(path = %path.display(), error = %err, "the report could not be kept"),
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
        Error::HostTaken(_) => (Code::Conflict, "host_taken"),
        Error::UnderWay(_) => (Code::Conflict, "under_way"),
        Error::NotImported(_) | Error::NoImport(_) => (Code::Refused, "not_imported"),
        Error::OtherSource { .. } => (Code::Refused, "other_source"),
        Error::Plan(_) => (Code::Usage, "plan"),
        Error::NoTenant(_) => (Code::NotFound, "no_such_tenant"),
        Error::WrongState { .. } => (Code::Refused, "wrong_state"),
        Error::Source { code, .. } => (Code::Refused, *code),
        Error::Store(store::Error::Unavailable(_)) => (Code::Unreachable, "database_unreachable"),
        Error::Store(store::Error::TooBusy | store::Error::Exchanged) => (Code::TimedOut, "database_busy"),
        Error::Files(_) => (Code::Unreachable, "file_store"),
        Error::Differs(_) => (Code::Negative, "differs"),
        _ => (Code::Failed, "failed"),
    };
    let told = CommandError::new(exit, code, err.to_string());
    let told = match &err {
        Error::NoTenant(slug) => told.object(slug).next("holdfast tenant list"),
        Error::NotImported(slug) => told.object(slug).next("holdfast migrate run SOURCE --tenant SLUG"),
        Error::UnderWay(slug) => told.object(slug),
        Error::SlugTaken(slug) | Error::WrongState { slug, .. } => {
            told.object(slug).next(format!("holdfast tenant show {slug}"))
        }
        Error::HostTaken(hosts) => told.object(hosts).next("holdfast tenant list"),
        Error::File { path, .. } => told.object(path.display().to_string()),
        _ => told,
    };
    told.caused_by(err)
}
