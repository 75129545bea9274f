//! The reading end of the channel through which an import's rows pass. One thread reads and maps; what a note's text says,
//! its bytes and its hash are found by others meanwhile, and the writer takes the batches in the order in which they were read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::map::attachments::attachment_cells;
use crate::map::notes::{ReadyNote, note_cells, tell_of_text};
use crate::pipeline::Outlet;
use crate::reader::Reader;
use crate::reader::files::copy_blob;
use crate::reader::scratch::{Attachment, Place};
use crate::row::{RowHash, hash_row, write_row};
use crate::stopwatch::{Stopwatch, Work};
use crate::table::{ATTACHMENT, Cell, NOTE, Target};

/// Rows are sent when this many bytes of them wait.
const BATCH_BYTES: usize = 256 * 1024;
/// Batches that may wait in the channel.
pub(crate) const BATCHES: usize = 4;
/// About how many notes are looked for through the API afterwards.
const SAMPLES: u64 = 24;
/// What a note weighs beside its text.
const NOTE_BYTES: usize = 512;
/// KiB of files that may be under way at once. A large one counts as half of it: two of them pass at a time.
const FILE_ROOM: u32 = 32 * 1024;

/// Whole rows of one table in COPY's binary format, with their hashes.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) rows: Vec<u8>,
    pub(crate) hashes: Vec<RowHash>,
    /// A few of the notes, to be looked for through the API.
    pub(crate) samples: Vec<Vec<Cell>>,
}

impl Encoded {
    pub(crate) fn add(&mut self, target: &Target, cells: &[Cell]) {
        write_row(target, cells, &mut self.rows);
        self.hashes.push(hash_row(target, cells));
    }
}

/// A file to move, and its row.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) row: Attachment,
    pub(crate) path: PathBuf,
    /// It is a copy of ours.
    pub(crate) temporary: bool,
    /// Given back when the file is stored.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// One step of the reading thread.
pub(crate) enum Parcel {
    /// Rows of one table.
    Rows(&'static Target, Encoded),
    /// Notes that are being mapped.
    Notes(JoinHandle<Encoded>),
    /// A file.
    File(Box<Waiting>),
}

/// The reading end: rows gather into batches.
pub(crate) struct Batches {
    sender: mpsc::Sender<Parcel>,
    runtime: Handle,
    watch: Arc<Stopwatch>,
    room: Arc<Semaphore>,
    target: Option<&'static Target>,
    open: Encoded,
    notes: Vec<ReadyNote>,
    note_bytes: usize,
    /// Notes sent before, and after how many one is a sample.
    passed: u64,
    every: u64,
    /// How long those behind let us wait.
    waited: Duration,
}

impl Batches {
    /// `expected` is the number of notes that a check counted.
    pub(crate) fn new(sender: mpsc::Sender<Parcel>, runtime: Handle, watch: Arc<Stopwatch>, expected: u64) -> Self {
        Self {
            sender,
            runtime,
            watch,
            room: Arc::new(Semaphore::new(FILE_ROOM as usize)),
            target: None,
            open: Encoded::default(),
            notes: Vec::new(),
            note_bytes: 0,
            passed: 0,
            every: (expected / SAMPLES).max(1),
            waited: Duration::ZERO,
        }
    }

    fn send(&mut self, parcel: Parcel) -> Result<(), Error> {
        let began = Instant::now();
        let sent = self.sender.blocking_send(parcel).map_err(|_| Error::Broken("the writer stopped".to_owned()));
        self.waited += began.elapsed();
        sent
    }

    /// Sends what is left; tells how long was waited for others.
    pub(crate) fn finish(mut self) -> Result<Duration, Error> {
        self.flush()?;
        Ok(self.waited)
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.notes.is_empty() {
            let notes = std::mem::take(&mut self.notes);
            self.note_bytes = 0;
            let (watch, first, every) = (self.watch.clone(), self.passed, self.every);
            self.passed += notes.len() as u64;
            let mapping = self.runtime.spawn_blocking(move || map_notes(notes, first, every, &watch));
            self.send(Parcel::Notes(mapping))?;
        }
        match self.target.take() {
            Some(target) if !self.open.hashes.is_empty() => {
                let open = std::mem::take(&mut self.open);
                self.send(Parcel::Rows(target, open))
            }
            _ => Ok(()),
        }
    }

    /// Room for a file of so many bytes among those that are under way.
    fn room_for(&mut self, bytes: i64) -> Result<OwnedSemaphorePermit, Error> {
        let wanted = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).clamp(1, FILE_ROOM / 2);
        let began = Instant::now();
        let room = self.runtime.block_on(self.room.clone().acquire_many_owned(wanted));
        self.waited += began.elapsed();
        room.map_err(|err| Error::Broken(err.to_string()))
    }
}

/// `first` is the place of the first among all notes; each `every`th of all is a sample.
fn map_notes(notes: Vec<ReadyNote>, first: u64, every: u64, watch: &Stopwatch) -> Encoded {
    let began = Instant::now();
    let mut mapped: Vec<Vec<Cell>> = notes.into_iter().map(note_cells).collect();
    for cells in &mut mapped {
        tell_of_text(cells);
    }
    watch.since(Work::Markdown, began);
    let began = Instant::now();
    let mut encoded = Encoded::default();
    encoded.rows.reserve(BATCH_BYTES * 2);
    for cells in &mapped {
        encoded.add(&NOTE, cells);
    }
    watch.since(Work::Encode, began);
    let places = first..;
    encoded.samples = places.zip(mapped).filter(|(place, _)| place % every == 0).map(|(_, cells)| cells).collect();
    encoded
}

impl Outlet for Batches {
    fn note(&mut self, note: ReadyNote) -> Result<(), Error> {
        if self.target.is_some() || self.note_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        self.note_bytes += note.memo.content.len() + NOTE_BYTES;
        self.notes.push(note);
        Ok(())
    }

    fn row(&mut self, target: &'static Target, cells: Vec<Cell>) -> Result<(), Error> {
        let full = self.open.rows.len() >= BATCH_BYTES;
        if full || !self.notes.is_empty() || self.target.is_some_and(|open| open != target) {
            self.flush()?;
        }
        self.target = Some(target);
        self.open.add(target, &cells);
        Ok(())
    }

    fn file(&mut self, reader: &Reader, row: Attachment) -> Result<(), Error> {
        if row.place == Place::Nowhere {
            return self.row(&ATTACHMENT, attachment_cells(&row, row.size, "", ""));
        }
        if !self.notes.is_empty() || self.target.is_some_and(|open| open != &ATTACHMENT) {
            self.flush()?;
        }
        let room = self.room_for(row.size)?;
        let mut path = reader.staged.dir.path().join(format!("file-{}", row.id));
        let mut temporary = true;
        match &row.place {
            Place::File(found) => (path, temporary) = (PathBuf::from(found), false),
            Place::Blob(table, rowid) => drop(copy_blob(reader, table, *rowid, &path)?),
            Place::Bucket(at, key) => drop(reader.buckets.fetch(*at, key, &path)?),
            Place::Nowhere => {}
        }
        self.send(Parcel::File(Box::new(Waiting { row, path, temporary, _room: room })))
    }

    fn gathered(&mut self, took: Duration) {
        self.watch.add(Work::Gather, took);
    }
}
