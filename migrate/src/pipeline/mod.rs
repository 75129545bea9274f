//! The order of an import: gather what must be known first (`gather`), then let every row pass (`emit`).
//!
//! A check and a run go the same way, so that a check predicts what a run reports; only the outlet differs.

mod emit;
mod gather;
mod hang;
mod known;
mod small;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::error::Error;
use crate::map::last_of;
use crate::map::members::Members;
use crate::map::notes::{ReadyNote, note_cells};
use crate::map::user_settings::{OldView, OldWebhook};
use crate::reader::Reader;
use crate::reader::rows::Record;
use crate::reader::scratch::{Attachment, Scratch};
use crate::report::Findings;
use crate::table::{Cell, Target};

/// Where mapped rows go.
pub(crate) trait Outlet {
    /// Whether cards matter; a check only counts rows.
    fn looks_inside(&self) -> bool {
        true
    }
    /// A note.
    fn note(&mut self, note: ReadyNote) -> Result<(), Error> {
        self.row(&crate::table::NOTE, note_cells(note))
    }
    /// A row of a table.
    fn row(&mut self, target: &'static Target, cells: Vec<Cell>) -> Result<(), Error>;
    /// Everything is known that must be before rows can pass; it took so long.
    fn gathered(&mut self, _took: Duration) {}
    /// A row of `attachment` whose bytes are still to be moved.
    fn file(&mut self, reader: &Reader, row: Attachment) -> Result<(), Error>;
}

/// One pass over a source.
pub(crate) struct Import<'a> {
    reader: &'a Reader,
    scratch: Scratch,
    findings: &'a mut Findings,
    members: Members,
    /// Numbers of all notes, sorted.
    notes: Vec<i64>,
    /// Uids that more than one note has.
    shared_uids: BTreeSet<String>,
    /// Notes pinned in `memo_organizer` (before 0.24), with who pinned them.
    pins: BTreeMap<i64, Vec<i64>>,
    /// Webhooks of the table that existed from 0.18 to 0.24.
    webhooks: BTreeMap<i64, Vec<OldWebhook>>,
    /// Tags registered up to 0.21.
    tags: BTreeMap<i64, Vec<String>>,
    /// Saved views up to 0.15.
    views: BTreeMap<i64, Vec<OldView>>,
    /// Numbers given in the tables whose rows may lack one or share one.
    given: BTreeMap<&'static str, BTreeSet<i64>>,
    /// Payloads of `activity` that inbox messages point to.
    activities: BTreeMap<i64, Json>,
    /// Secret of the source from which missing uids follow.
    seed: String,
    last_id: i64,
}

/// Runs the whole pass; returns the highest number used.
pub(crate) fn run(reader: &Reader, findings: &mut Findings, outlet: &mut dyn Outlet) -> Result<i64, Error> {
    let scratch = Scratch::create(reader.staged.dir.path())?;
    let mut import = Import {
        reader,
        scratch,
        findings,
        members: Members::default(),
        notes: Vec::new(),
        shared_uids: BTreeSet::new(),
        pins: BTreeMap::new(),
        webhooks: BTreeMap::new(),
        tags: BTreeMap::new(),
        views: BTreeMap::new(),
        given: BTreeMap::new(),
        activities: BTreeMap::new(),
        seed: String::new(),
        last_id: 0,
    };
    let began = Instant::now();
    import.gather(outlet.looks_inside())?;
    outlet.gathered(began.elapsed());
    import.emit(outlet)?;
    Ok(import.last_id)
}

impl Import<'_> {
    fn settle(&mut self, record: &Record) -> Result<(), Error> {
        settle(self.findings, &self.scratch, record)
    }

    fn set_aside(&mut self, record: &Record, code: &str, why: &str) -> Result<(), Error> {
        set_aside(self.findings, &self.scratch, record, code, why)
    }

    fn is_note(&self, id: i64) -> bool {
        self.notes.binary_search(&id).is_ok()
    }

    /// The row's own number, or a new one where it has none or shares it.
    fn number(&mut self, table: &'static str, id: Option<i64>) -> i64 {
        let given = self.given.entry(table).or_default();
        match id {
            Some(id) if given.insert(id) => self.used(id),
            other => {
                self.last_id += 1;
                let fresh = self.last_id;
                self.given.entry(table).or_default().insert(fresh);
                let was = other.map_or_else(String::new, |id| id.to_string());
                self.findings.warn(
                    "duplicate_id",
                    table,
                    was,
                    format!("the row has no number of its own; it is {fresh} now"),
                );
                fresh
            }
        }
    }

    fn used(&mut self, id: i64) -> i64 {
        self.last_id = self.last_id.max(last_of(&[id]));
        id
    }
}

/// Reports what was odd about a row and keeps the original values.
fn settle(findings: &mut Findings, scratch: &Scratch, record: &Record) -> Result<(), Error> {
    if record.odd.is_empty() {
        return Ok(());
    }
    let key = record.key();
    for odd in &record.odd {
        findings.warn(odd.code, &record.table, &key, odd.message.clone());
    }
    scratch.keep(&record.table, &key, &record.odd_values())
}

/// Keeps a row that has no place in the tenant, and says why.
fn set_aside(findings: &mut Findings, scratch: &Scratch, record: &Record, code: &str, why: &str) -> Result<(), Error> {
    let key = record.key();
    findings.warn(code, &record.table, &key, format!("{why}; the row was kept aside"));
    scratch.keep(&record.table, &key, &record.as_json())
}
