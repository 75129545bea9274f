//! The writing end of the channel through which an import's rows pass: into the load, and files into the file store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use domain::id::TenantId;
use objects::{FileStore, Stored};
use store::{CopySink, Load};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::batches::{Encoded, Parcel, Waiting};
use crate::error::Error;
use crate::map::attachments::attachment_cells;
use crate::reader::files::sum_file;
use crate::reader::scratch::Attachment;
use crate::reader::stage::open_quietly;
use crate::row::Sum;
use crate::spool::Spool;
use crate::stopwatch::{Stopwatch, Work};
use crate::table::{ALL, ATTACHMENT, Cell, NOTE, Target};
use crate::watch::{Step, Watch};
use crate::write::House;

/// Files that are stored at once.
const FILES_AT_ONCE: usize = 8;
/// A table that gets so many rows gets its keys afterwards.
const MANY: u64 = 20_000;

/// What was sent, to be compared with what is read back.
pub(crate) type Sent = BTreeMap<&'static str, Sum>;

/// Everything is in the load, which is still open.
pub(crate) struct Taken {
    pub(crate) load: Load,
    pub(crate) sent: Sent,
    /// Cells of a few notes.
    pub(crate) samples: Vec<Vec<Cell>>,
}

/// What came of a file.
type Moved = Result<(Attachment, Stored), Error>;

/// The writing end.
pub(crate) struct Writer {
    house: House,
    tenant: TenantId,
    load: Load,
    open: Option<(&'static Target, CopySink)>,
    sent: Sent,
    spool: Spool,
    /// Files that an earlier run brought.
    there: Arc<BTreeSet<String>>,
    moving: JoinSet<Moved>,
    samples: Vec<Vec<Cell>>,
    watch: Arc<Stopwatch>,
    told: Watch,
}

impl Writer {
    pub(crate) fn new(
        house: &House,
        tenant: TenantId,
        load: Load,
        spool: Spool,
        there: BTreeSet<String>,
        (watch, told): (Arc<Stopwatch>, Watch),
    ) -> Self {
        let (house, there, moving) = (house.clone(), Arc::new(there), JoinSet::new());
        let (sent, samples) = (Sent::new(), Vec::new());
        Self { house, tenant, load, open: None, sent, spool, there, moving, samples, watch, told }
    }

    /// Empties the tables; those of which `expected` says that they get many rows lose their keys for the time.
    pub(crate) async fn prepare(&mut self, expected: &BTreeMap<String, u64>) -> Result<(), Error> {
        for table in ALL.iter().map(|target| target.name).chain(["import_base", "change_mark"]) {
            if expected.get(table).is_some_and(|rows| *rows >= MANY) {
                self.load.empty_for_many(table).await?;
            } else {
                self.load.empty(table).await?;
            }
        }
        Ok(())
    }

    /// Takes everything.
    pub(crate) async fn take_all(mut self, mut parcels: mpsc::Receiver<Parcel>) -> Result<Taken, Error> {
        while let Some(parcel) = parcels.recv().await {
            match parcel {
                Parcel::Notes(mapping) => {
                    let notes = mapping.await.map_err(|err| Error::Broken(err.to_string()))?;
                    self.put(&NOTE, notes).await?;
                }
                Parcel::Rows(target, rows) => {
                    if target != &ATTACHMENT {
                        self.await_files(0).await?;
                    }
                    self.put(target, rows).await?;
                }
                Parcel::File(waiting) => {
                    self.await_files(FILES_AT_ONCE - 1).await?;
                    let (house, tenant, there) = (self.house.clone(), self.tenant, self.there.clone());
                    self.moving.spawn(async move { move_file(&house, tenant, &there, *waiting).await });
                }
            }
        }
        self.await_files(0).await?;
        self.close().await?;
        let Self { mut load, sent, spool, samples, .. } = self;
        spool.write_base(&mut load).await?;
        // The whole tenant is one change that is in no point yet.
        let mut marks = load.copy_in("change_mark", &["generation"]).await?;
        marks.send(Bytes::from_static(b"1\n")).await?;
        marks.finish().await?;
        Ok(Taken { load, sent, samples })
    }

    /// Waits until no more than so many files are under way, and sends the rows of those that arrived.
    async fn await_files(&mut self, left: usize) -> Result<(), Error> {
        let began = Instant::now();
        let mut arrived = Encoded::default();
        while self.moving.len() > left {
            let Some(moved) = self.moving.join_next().await else { break };
            let (row, stored) = moved.map_err(|err| Error::Broken(err.to_string()))??;
            self.told.tell(Step::Arrived { rows: 0, bytes: stored.size });
            let cells = attachment_cells(&row, stored.size as i64, &stored.sha256, &stored.storage_key);
            arrived.add(&ATTACHMENT, &cells);
        }
        self.watch.since(Work::Files, began);
        if arrived.hashes.is_empty() { Ok(()) } else { self.put(&ATTACHMENT, arrived).await }
    }

    async fn put(&mut self, target: &'static Target, encoded: Encoded) -> Result<(), Error> {
        let Encoded { rows, hashes, samples } = encoded;
        self.told.tell(Step::Arrived { rows: hashes.len() as u64, bytes: rows.len() as u64 });
        self.samples.extend(samples);
        let began = Instant::now();
        if self.open.as_ref().is_none_or(|(open, _)| *open != target) {
            self.close().await?;
            self.open = Some((target, self.load.copy_binary(target.name, &target.names()).await?));
        }
        if let Some((_, sink)) = &mut self.open {
            sink.send(Bytes::from(rows)).await?;
        }
        self.watch.since(Work::Copy, began);
        let sum = self.sent.entry(target.name).or_default();
        for hash in &hashes {
            sum.add(hash);
        }
        self.spool.add(target, &hashes)
    }

    async fn close(&mut self) -> Result<(), Error> {
        if let Some((target, sink)) = self.open.take() {
            let taken = sink.finish().await?;
            let sent = self.sent.get(target.name).map_or(0, |sum| sum.rows);
            if taken != sent {
                return Err(Error::Differs(format!("table {}: {sent} rows sent, {taken} taken", target.name)));
            }
        }
        Ok(())
    }
}

async fn move_file(house: &House, tenant: TenantId, there: &BTreeSet<String>, waiting: Waiting) -> Moved {
    let stored = store_file(house, tenant, there, &waiting.path).await;
    if waiting.temporary {
        let _ = tokio::fs::remove_file(&waiting.path).await;
    }
    Ok((waiting.row, stored?))
}

async fn store_file(house: &House, tenant: TenantId, there: &BTreeSet<String>, path: &Path) -> Result<Stored, Error> {
    let key = (house.file_keys)(tenant);
    if !there.is_empty() {
        let from = path.to_path_buf();
        let sum = tokio::task::spawn_blocking(move || sum_file(&from)).await;
        let sum = sum.map_err(|err| Error::Broken(err.to_string()))??;
        let mut digest = [0_u8; 32];
        hex::decode_to_slice(&sum.sha256, &mut digest).map_err(|err| Error::Broken(err.to_string()))?;
        let storage_key = FileStore::key_for(tenant, &key, &digest).map_err(|err| Error::Files(Box::new(err)))?;
        if there.contains(&storage_key) {
            return Ok(Stored { storage_key, sha256: sum.sha256, size: sum.size.unsigned_abs() });
        }
    }
    let opened = open_quietly(path).map_err(Error::file("read", path))?;
    let stored = house.files.put_file(tenant, &key, tokio::fs::File::from_std(opened)).await;
    stored.map_err(|err| Error::Files(Box::new(err)))
}
