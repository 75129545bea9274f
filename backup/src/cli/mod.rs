//! The nouns `backup`, `restore`, `drill`, `mirror` and `key`: arguments in, report out, exit code decided.

mod backup;
mod drill;
mod dump;
mod instance;
mod key;
mod mirror;
mod restore;
mod schema;

use std::path::{Path, PathBuf};

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use crate::context::Backup;
use crate::dump::DumpSource;
use crate::error::Error;
use crate::keys::{KeyDirectory, KeyError, read_identity, read_sheet};

/// What to do with points.
#[derive(Debug, clap::Subcommand)]
pub enum Noun {
    /// Take, look at, verify and keep restore points; dump the database.
    #[command(subcommand)]
    Backup(backup::Verb),
    /// Bring a point back beside what is live.
    #[command(subcommand)]
    Restore(restore::Verb),
    /// Rehearse a restore and prove that it works.
    #[command(subcommand)]
    Drill(drill::Verb),
    /// Tenants as plain Markdown files that follow every change.
    #[command(subcommand)]
    Mirror(mirror::Verb),
    /// The keys that open points.
    #[command(subcommand)]
    Key(key::Verb),
    /// Versions of tenants' tables.
    #[command(subcommand)]
    Schema(schema::Verb),
}

/// What commands need beside the library.
#[derive(Clone, Debug)]
pub struct Place {
    /// Our own executable.
    pub exe: PathBuf,
    /// Where reports are kept.
    pub reports: PathBuf,
    /// How `pg_dump` reaches the database.
    pub dump: Option<DumpSource>,
}

impl Noun {
    /// Before the folder of keys is opened, which makes what is missing: an appliance that comes back keeps its sheet.
    pub fn prepare(&self, keys: &Path) -> Result<(), CommandError> {
        let Self::Restore(restore::Verb::Instance { identity }) = self else { return Ok(()) };
        let sheet = read_identity(identity).map_err(unread)?;
        Ok(KeyDirectory::adopt_escrow(keys, &sheet).map_err(Error::from)?)
    }
}

/// Carries out a command.
pub async fn run(noun: Noun, backup: &Backup, place: &Place, printer: Printer) -> Result<Code, CommandError> {
    let backup = &backup.clone().shown_on(printer);
    match noun {
        Noun::Backup(verb) => backup::run(verb, backup, place, printer).await,
        Noun::Restore(verb) => restore::run(verb, backup, printer).await,
        Noun::Drill(verb) => drill::run(verb, backup, place, printer).await,
        Noun::Key(verb) => key::run(verb, backup, printer).await,
        Noun::Mirror(verb) => mirror::run(verb, backup, printer).await,
        Noun::Schema(verb) => schema::run(verb, backup, printer).await,
    }
}

/// A file of `--identity` that is not there or holds no identity: the command line is wrong.
fn unread(error: KeyError) -> CommandError {
    let absent = |source: &std::io::Error| source.kind() == std::io::ErrorKind::NotFound;
    match &error {
        KeyError::File { source, .. } if absent(source) => CommandError::usage(error.to_string()),
        KeyError::NoKey { .. } => CommandError::usage(error.to_string()),
        _ => Error::from(error).into(),
    }
}

/// With the identity of `--identity FILE`, where it was given.
fn with_identity(backup: &Backup, file: Option<&Path>) -> Result<Backup, CommandError> {
    let sheet = file.map(read_sheet).transpose().map_err(unread)?;
    Ok(match sheet {
        Some(sheet) => backup.clone().with_sheet(sheet),
        None => backup.clone(),
    })
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let unit = units.get(unit).copied().unwrap_or("B");
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}
