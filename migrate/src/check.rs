//! `migrate check`: everything an import does, up to writing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::pipeline::{self, Outlet};
use crate::reader::Reader;
use crate::reader::scratch::Attachment;
use crate::reader::stage::stage;
use crate::report::{Findings, Report};
use crate::table::{ATTACHMENT, Cell, Target};

/// What to look at, and where private copies may be put.
#[derive(Clone, Debug)]
pub struct Source {
    /// A Memos data folder or a database file; never written to.
    pub path: PathBuf,
    /// Folder below which a private copy (mode 0700, removed afterwards) is made; needs room for the database.
    pub staging: PathBuf,
    /// Take what a damaged database still shows.
    pub salvage: bool,
}

impl Source {
    /// A source with the staging folder of a data directory.
    pub fn new(path: impl Into<PathBuf>, data: &Path, salvage: bool) -> Self {
        Self { path: path.into(), staging: data.join("staging"), salvage }
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
        Error::Source { code, message } => Ok(Err(Box::new(Report::refused(code, message)))),
        other => Err(other),
    };
    let staged = match stage(&source.path, &source.staging) {
        Ok(staged) => staged,
        Err(err) => return refuse(err),
    };
    let mut findings = Findings::default();
    let reader = match Reader::open(staged, source.salvage, &mut findings) {
        Ok(reader) => reader,
        Err(err) => return refuse(err),
    };
    let mut report = Report::new(reader.info());
    report.tables = match reader.counts() {
        Ok(counts) => counts,
        Err(err) => return refuse(err),
    };
    Ok(Ok(Opened { reader, findings, report }))
}

/// Counts what a run would write.
#[derive(Debug, Default)]
struct Tally {
    mapped: BTreeMap<String, u64>,
}

impl Outlet for Tally {
    fn row(&mut self, target: &'static Target, _cells: Vec<Cell>) -> Result<(), Error> {
        *self.mapped.entry(target.name.to_owned()).or_default() += 1;
        Ok(())
    }

    fn file(&mut self, _reader: &Reader, _table: &'static str, _row: Attachment) -> Result<(), Error> {
        self.row(&ATTACHMENT, Vec::new())
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
    let Opened { reader, mut findings, mut report } = match open(source)? {
        Ok(opened) => opened,
        Err(refused) => return Ok((None, *refused)),
    };
    let mut tally = Tally::default();
    match pipeline::run(&reader, &mut findings, &mut tally) {
        Ok(_) => {}
        Err(Error::Source { code, message }) => findings.error(code, "", "", message),
        Err(other) => return Err(other),
    }
    report.mapped = tally.mapped;
    (report.errors, report.warnings) = findings.into_lists();
    let passed = report.passed();
    Ok((passed.then_some(reader), report))
}
