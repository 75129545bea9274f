//! `migrate check`: everything an import does, up to writing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::pipeline::{self, Outlet};
use crate::policy::Policies;
use crate::reader::Reader;
use crate::reader::bucket::BucketAccess;
use crate::reader::scratch::{Attachment, Place};
use crate::reader::stage::stage;
use crate::report::{Estimate, Findings, MemberPlan, Report};
use crate::table::{ATTACHMENT, Cell, Target};

/// Rows kept aside are listed up to so many per table.
const ASIDE_LISTED: usize = 1_000;

/// What to look at, and where private copies may be put.
#[derive(Clone, Debug)]
pub struct Source {
    /// A Memos data folder, a database file, or the address of a PostgreSQL database; never written to.
    pub path: PathBuf,
    /// Folder below which a private copy (mode 0700, removed afterwards) is made; needs room for the database.
    pub staging: PathBuf,
    /// Take what a damaged database still shows.
    pub salvage: bool,
    /// Everything else that flags say.
    pub options: Options,
}

/// How to read a source, where the usual way does not do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What stops an import.
    pub policies: Policies,
    /// Folders that the server called by another name: (as in the rows, as it is here).
    pub path_maps: Vec<(String, PathBuf)>,
    /// File with the password of a PostgreSQL source.
    pub password_file: Option<PathBuf>,
    /// Access to the bucket of S3 attachments, instead of what the rows hold.
    pub bucket: BucketAccess,
    /// How long a source is waited for that its server holds locked; ten seconds unless said otherwise.
    pub patience: Option<std::time::Duration>,
}

impl Source {
    /// A source with the staging folder of a data directory.
    pub fn new(path: impl Into<PathBuf>, data: &Path, salvage: bool) -> Self {
        Self { path: path.into(), staging: data.join("staging"), salvage, options: Options::default() }
    }

    /// The address of a PostgreSQL database, if it is one.
    pub fn postgres(&self) -> Option<&str> {
        let text = self.path.to_str()?;
        (text.starts_with("postgres://") || text.starts_with("postgresql://")).then_some(text)
    }

    /// What is wrong, without advice that was taken already.
    fn told(&self, message: String) -> String {
        match message.strip_suffix(crate::reader::SALVAGE) {
            Some(wrong) if self.salvage => format!("{wrong}; --salvage does not get past it"),
            _ => message,
        }
    }

    /// The same for the same source, however its path is written; holds no password.
    pub fn name(&self) -> String {
        match self.postgres() {
            Some(url) => url.rsplit_once('@').map_or(url, |(_, place)| place).to_owned(),
            None => self.path.canonicalize().unwrap_or_else(|_| self.path.clone()).display().to_string(),
        }
    }
}

/// An opened source with what is known before any row was mapped.
struct Opened {
    reader: Reader,
    findings: Findings,
    report: Report,
}

/// Copies, opens and counts. The outer error is ours; the inner report is the source's fault.
fn open(source: &Source) -> Result<Result<Opened, Box<Report>>, Error> {
    let refuse = |err: Error| match err {
        Error::Source { code, message } => Ok(Err(Box::new(Report::refused(code, source.told(message))))),
        other => Err(other),
    };
    let began = std::time::Instant::now();
    let staged = match stage(source) {
        Ok(staged) => staged,
        Err(err) => return refuse(err),
    };
    let took = began.elapsed();
    let mut findings = Findings::under(source.options.policies.clone());
    let reader = match Reader::open(staged, source, &mut findings) {
        Ok(reader) => reader,
        Err(err) => return refuse(err),
    };
    let mut report = Report::new(reader.info());
    report.phases.stage = took.as_secs_f64();
    report.tables = match reader.counts() {
        Ok(counts) => counts,
        Err(err) => return refuse(err),
    };
    Ok(Ok(Opened { reader, findings, report }))
}

/// Copies and opens a source; the inner report is the source's fault.
pub(crate) fn open_source(source: &Source) -> Result<Result<(Reader, Findings), Box<Report>>, Error> {
    Ok(open(source)?.map(|opened| (opened.reader, opened.findings)))
}

/// Counts what a run would write, and for whom.
#[derive(Debug, Default)]
struct Tally {
    mapped: BTreeMap<String, u64>,
    aside: BTreeMap<String, u64>,
    aside_rows: BTreeMap<String, Vec<String>>,
    members: BTreeMap<i64, MemberPlan>,
    file_bytes: u64,
}

impl Tally {
    fn of(&mut self, cell: Option<&Cell>) -> Option<&mut MemberPlan> {
        let Some(Cell::Int(id)) = cell else { return None };
        self.members.get_mut(id)
    }

    fn member(&mut self, cells: &[Cell]) {
        let text = |at: usize| match cells.get(at) {
            Some(Cell::Text(text)) => text.clone(),
            _ => String::new(),
        };
        if let Some(Cell::Int(id)) = cells.first() {
            let archived = cells.get(3) == Some(&Cell::Bool(true));
            let plan = MemberPlan { id: *id, username: text(1), role: text(2), archived, ..MemberPlan::default() };
            self.members.insert(*id, plan);
        }
    }
}

impl Outlet for Tally {
    fn looks_inside(&self) -> bool {
        false
    }

    fn row(&mut self, target: &'static Target, cells: Vec<Cell>) -> Result<(), Error> {
        *self.mapped.entry(target.name.to_owned()).or_default() += 1;
        match target.name {
            "member" => self.member(&cells),
            "note" => {
                let comment = !matches!(cells.get(3), Some(Cell::Null) | None);
                if let Some(plan) = self.of(cells.get(2)) {
                    *(if comment { &mut plan.comments } else { &mut plan.notes }) += 1;
                }
            }
            "attachment" => {
                if let Some(plan) = self.of(cells.get(2)) {
                    plan.attachments += 1;
                }
            }
            "access_token" => {
                if let Some(plan) = self.of(cells.get(1)) {
                    plan.tokens += 1;
                }
            }
            "import_remainder" => {
                if let (Some(Cell::Text(source)), Some(Cell::Text(key))) = (cells.get(1), cells.get(2)) {
                    *self.aside.entry(source.clone()).or_default() += 1;
                    let rows = self.aside_rows.entry(source.clone()).or_default();
                    if rows.len() < ASIDE_LISTED {
                        rows.push(key.clone());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn file(&mut self, _reader: &Reader, row: Attachment) -> Result<(), Error> {
        *self.mapped.entry(ATTACHMENT.name.to_owned()).or_default() += 1;
        let bytes = if row.place == Place::Nowhere { 0 } else { row.size.max(0).unsigned_abs() };
        self.file_bytes += bytes;
        if let Some(plan) = self.members.get_mut(&row.creator_id) {
            plan.attachments += 1;
            plan.bytes += bytes;
        }
        Ok(())
    }
}

/// Reads and maps a whole source without writing anything but its private copy.
///
/// # Errors
/// Only what is ours (no room for the copy, …); what is wrong with the source is in the report.
pub async fn check(source: &Source) -> Result<Report, Error> {
    let source = source.clone();
    let work = tokio::task::spawn_blocking(move || check_now(&source));
    work.await.map_err(|err| Error::Broken(err.to_string()))?
}

fn check_now(source: &Source) -> Result<Report, Error> {
    check_first(source).map(|(_, report)| report)
}

/// A whole check; with the reader when nothing stops an import.
pub(crate) fn check_first(source: &Source) -> Result<(Option<Reader>, Report), Error> {
    let started = std::time::Instant::now();
    let Opened { reader, mut findings, mut report } = match open(source)? {
        Ok(opened) => opened,
        Err(refused) => return Ok((None, *refused)),
    };
    let mut tally = Tally::default();
    match pipeline::run(&reader, &mut findings, &mut tally) {
        Ok(_) => {}
        Err(Error::Source { code, message }) => findings.error(code, "", "", source.told(message)),
        Err(other) => return Err(other),
    }
    let rows: u64 = tally.mapped.values().sum();
    let staged = std::fs::metadata(&reader.staged.database).map_or(0, |meta| meta.len());
    let kept = staged.saturating_sub(reader.blob_bytes());
    report.estimate = Estimate {
        staging_bytes: staged * 2,
        // Rows grow by their cards and indexes.
        database_bytes: kept * 2 + rows * 100,
        file_bytes: tally.file_bytes,
        // Check, load and reading back of rows; files at the pace of a disk that must keep them.
        seconds: 1 + rows / 10_000 + tally.file_bytes / 50_000_000,
    };
    report.phases.check = started.elapsed().as_secs_f64();
    report.mapped = tally.mapped;
    report.aside = tally.aside;
    report.aside_rows = tally.aside_rows;
    report.members = tally.members.into_values().collect();
    report.unread = std::mem::take(&mut findings.unread);
    (report.errors, report.warnings) = findings.into_lists();
    let passed = report.passed();
    Ok((passed.then_some(reader), report))
}
