//! The two ends of the channel through which an import's rows pass: batches of COPY text in, the load and the file store
//! out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::id::TenantId;
use objects::{FileStore, Stored};
use store::{CopySink, Load};
use tokio::sync::mpsc;

use crate::error::Error;
use crate::map::attachments::attachment_cells;
use crate::pipeline::Outlet;
use crate::reader::Reader;
use crate::reader::files::{copy_blob, sum_file};
use crate::reader::scratch::{Attachment, Place};
use crate::reader::stage::open_quietly;
use crate::row::{RowHash, Sum, hash_row, write_row};
use crate::table::{ALL, ATTACHMENT, Cell, Target};
use crate::write::House;

/// Rows are sent when this many bytes of them wait.
const BATCH_BYTES: usize = 256 * 1024;
/// Batches that may wait in the channel.
pub(crate) const BATCHES: usize = 8;
/// Hashes of so many rows make one part of `import_base`.
pub(crate) const ROWS_PER_PART: usize = 16 * 1024;

/// What was sent, to be compared with what is read back.
pub(crate) type Sent = BTreeMap<&'static str, Sum>;

/// One step of the reading thread.
pub(crate) enum Parcel {
    /// Whole rows of one table as COPY text, with their hashes.
    Rows(&'static Target, Vec<u8>, Vec<RowHash>),
    /// A file to move, and its row.
    File(Box<Attachment>, PathBuf, bool),
}

/// The reading end: rows gather into batches.
pub(crate) struct Batches {
    sender: mpsc::Sender<Parcel>,
    target: Option<&'static Target>,
    rows: Vec<u8>,
    hashes: Vec<RowHash>,
}

impl Batches {
    pub(crate) fn new(sender: mpsc::Sender<Parcel>) -> Self {
        Self { sender, target: None, rows: Vec::new(), hashes: Vec::new() }
    }

    fn send(&self, parcel: Parcel) -> Result<(), Error> {
        self.sender.blocking_send(parcel).map_err(|_| Error::Broken("the writer stopped".to_owned()))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        match self.target.take() {
            Some(target) if !self.hashes.is_empty() => {
                let rows = std::mem::take(&mut self.rows);
                let hashes = std::mem::take(&mut self.hashes);
                self.send(Parcel::Rows(target, rows, hashes))
            }
            _ => Ok(()),
        }
    }
}

impl Outlet for Batches {
    fn row(&mut self, target: &'static Target, cells: Vec<Cell>) -> Result<(), Error> {
        if self.rows.len() >= BATCH_BYTES || self.target.is_some_and(|open| open != target) {
            self.flush()?;
        }
        self.target = Some(target);
        write_row(&cells, &mut self.rows);
        self.hashes.push(hash_row(target, &cells));
        Ok(())
    }

    fn file(&mut self, reader: &Reader, row: Attachment) -> Result<(), Error> {
        self.flush()?;
        match row.place.clone() {
            Place::File(path) => self.send(Parcel::File(Box::new(row), PathBuf::from(path), false)),
            Place::Blob(table, rowid) => {
                let path = reader.staged.dir.path().join(format!("file-{}", row.id));
                copy_blob(reader, table, rowid, &path)?;
                self.send(Parcel::File(Box::new(row), path, true))
            }
            Place::Bucket(at, key) => {
                let path = reader.staged.dir.path().join(format!("file-{}", row.id));
                reader.buckets.fetch(at, &key, &path)?;
                self.send(Parcel::File(Box::new(row), path, true))
            }
            Place::Nowhere => self.row(&ATTACHMENT, attachment_cells(&row, row.size, "", "")),
        }
    }
}

/// The hashes of every row sent, on disk until the rows are in: 17 bytes each.
pub(crate) struct Spool {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Spool {
    pub(crate) fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("hashes");
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        Ok(Self { file: BufWriter::new(file.map_err(Error::file("create", &path))?), path })
    }

    fn add(&mut self, table: u8, row: &RowHash) -> Result<(), Error> {
        let mut record = [0_u8; 17];
        record[0] = table;
        record[1..9].copy_from_slice(&row.key.to_be_bytes());
        record[9..].copy_from_slice(&row.base.to_be_bytes());
        self.file.write_all(&record).map_err(Error::file("write", &self.path))
    }

    fn into_reader(self) -> Result<BufReader<File>, Error> {
        let failed = |err: std::io::Error| Error::file("write", &self.path)(err);
        let mut file = self.file.into_inner().map_err(|err| failed(err.into_error()))?;
        file.rewind().map_err(Error::file("read", &self.path))?;
        Ok(BufReader::new(file))
    }
}

/// The writing end.
pub(crate) struct Writer<'a> {
    house: &'a House,
    tenant: TenantId,
    load: Load,
    open: Option<(&'static Target, CopySink)>,
    sent: Sent,
    spool: Option<Spool>,
    /// Files that an earlier run brought.
    there: BTreeSet<String>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(house: &'a House, tenant: TenantId, load: Load, spool: Spool, there: BTreeSet<String>) -> Self {
        Self { house, tenant, load, open: None, sent: Sent::new(), spool: Some(spool), there }
    }

    pub(crate) fn into_parts(self) -> (Load, Sent) {
        (self.load, self.sent)
    }

    pub(crate) async fn take_all(&mut self, mut parcels: mpsc::Receiver<Parcel>) -> Result<(), Error> {
        for table in ALL.iter().map(|target| target.name).chain(["import_base", "change_mark"]) {
            self.load.empty(table).await?;
        }
        while let Some(parcel) = parcels.recv().await {
            match parcel {
                Parcel::Rows(target, rows, hashes) => self.put(target, rows, &hashes).await?,
                Parcel::File(row, path, temporary) => {
                    let stored = self.store_file(&path).await;
                    if temporary {
                        let _ = tokio::fs::remove_file(&path).await;
                    }
                    let stored = stored?;
                    let cells = attachment_cells(&row, stored.size as i64, &stored.sha256, &stored.storage_key);
                    let mut line = Vec::new();
                    write_row(&cells, &mut line);
                    self.put(&ATTACHMENT, line, &[hash_row(&ATTACHMENT, &cells)]).await?;
                }
            }
        }
        self.close().await?;
        self.write_base().await?;
        // The whole tenant is one change that is in no point yet.
        let mut marks = self.load.copy_in("change_mark", &["generation"]).await?;
        marks.send(Bytes::from_static(b"1\n")).await?;
        marks.finish().await?;
        Ok(())
    }

    async fn store_file(&self, path: &Path) -> Result<Stored, Error> {
        let key = (self.house.file_keys)(self.tenant);
        if !self.there.is_empty() {
            let from = path.to_path_buf();
            let sum = tokio::task::spawn_blocking(move || sum_file(&from)).await;
            let sum = sum.map_err(|err| Error::Broken(err.to_string()))??;
            let mut digest = [0_u8; 32];
            hex::decode_to_slice(&sum.sha256, &mut digest).map_err(|err| Error::Broken(err.to_string()))?;
            let storage_key =
                FileStore::key_for(self.tenant, &key, &digest).map_err(|err| Error::Files(Box::new(err)))?;
            if self.there.contains(&storage_key) {
                return Ok(Stored { storage_key, sha256: sum.sha256, size: sum.size.unsigned_abs() });
            }
        }
        let opened = open_quietly(path).map_err(Error::file("read", path))?;
        let stored = self.house.files.put_file(self.tenant, &key, tokio::fs::File::from_std(opened)).await;
        stored.map_err(|err| Error::Files(Box::new(err)))
    }

    async fn put(&mut self, target: &'static Target, rows: Vec<u8>, hashes: &[RowHash]) -> Result<(), Error> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != target) {
            self.close().await?;
            self.open = Some((target, self.load.copy_in(target.name, &target.names()).await?));
        }
        if let Some((_, sink)) = &mut self.open {
            sink.send(Bytes::from(rows)).await?;
        }
        let table = ALL.iter().position(|known| *known == target).unwrap_or_default() as u8;
        let sum = self.sent.entry(target.name).or_default();
        for hash in hashes {
            sum.add(hash);
            if let Some(spool) = &mut self.spool {
                spool.add(table, hash)?;
            }
        }
        Ok(())
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

    /// What catching up compares with: the hashes of every row, packed.
    async fn write_base(&mut self) -> Result<(), Error> {
        let Some(spool) = self.spool.take() else { return Ok(()) };
        let mut records = spool.into_reader()?;
        let mut sink = self.load.copy_in("import_base", &["name", "part", "hashes"]).await?;
        let mut part = 0_u32;
        let mut line = Vec::new();
        let mut held: Option<(u8, usize)> = None;
        let mut record = [0_u8; 17];
        loop {
            let more = records.read_exact(&mut record).is_ok();
            let full = held.is_some_and(|(table, rows)| !more || table != record[0] || rows == ROWS_PER_PART);
            if full {
                line.push(b'\n');
                sink.send(Bytes::from(std::mem::take(&mut line))).await?;
                held = None;
            }
            if !more {
                break;
            }
            let rows = if let Some((_, rows)) = held {
                rows
            } else {
                part += 1;
                let name = ALL.get(usize::from(record[0])).map_or("", |target| target.name);
                line.extend_from_slice(format!("{name}\t{part}\t\\\\x").as_bytes());
                0
            };
            line.extend_from_slice(hex::encode(&record[1..]).as_bytes());
            held = Some((record[0], rows + 1));
        }
        sink.finish().await?;
        Ok(())
    }
}
