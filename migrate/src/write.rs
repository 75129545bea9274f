//! `migrate run`: the source becomes a tenant by COPY into a fresh schema, and its files go to the file store.
//!
//! Reading and mapping run on a thread of their own and hand over batches through a short channel, so memory stays flat.
//! Whatever fails, nothing stays: the load's transaction is rolled back, the tenant discarded, its files deleted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use domain::id::{Slug, TenantId};
use domain::tenant::{Tenant, TenantState};
use objects::{FileKey, FileStore};
use serde_json::json;
use store::{AuditEvent, CopySink, Load, Store, TenantChange, TenantScope};
use tokio::sync::mpsc;

use crate::check::{Source, check_first};
use crate::error::Error;
use crate::map::attachments::attachment_cells;
use crate::pipeline::{self, Outlet};
use crate::reader::Reader;
use crate::reader::files::copy_blob;
use crate::reader::scratch::{Attachment, Place};
use crate::reader::stage::open_quietly;
use crate::report::{Findings, Report, Verified};
use crate::row::{RowHash, hash_row, write_row};
use crate::table::{ATTACHMENT, Cell, Target};
use crate::verify;

/// Rows are sent when this many bytes of them wait.
const BATCH_BYTES: usize = 256 * 1024;
/// Batches that may wait in the channel.
const BATCHES: usize = 8;

/// Gives the key under which a tenant's files are named.
pub type FileKeys = Arc<dyn Fn(TenantId) -> FileKey + Send + Sync>;

/// Where tenants and their files live.
#[derive(Clone)]
pub struct House {
    /// The database.
    pub store: Store,
    /// The file store.
    pub files: FileStore,
    /// Names of files.
    pub file_keys: FileKeys,
}

/// What to import, as what.
#[derive(Clone, Debug)]
pub struct Run {
    /// The source.
    pub source: Source,
    /// The new tenant's slug.
    pub slug: Slug,
    /// Open it for its members at once; otherwise it stays closed and quiet.
    pub open: bool,
    /// Who asks, for the audit: `operator:NAME`, `command`, …
    pub actor: String,
}

/// What was sent, to be compared with what is read back.
pub(crate) type Sent = BTreeMap<&'static str, Vec<RowHash>>;

/// Imports a source. The report tells what a check found; with errors in it, nothing was written.
///
/// # Errors
/// `SlugTaken`, a failing database or file store, or `Differs` when what was read back is not what was sent. Nothing of
/// the tenant stays then.
pub async fn run(house: &House, run: &Run) -> Result<Report, Error> {
    if house.store.registry().by_slug(run.slug.as_str()).await?.is_some() {
        return Err(Error::SlugTaken(run.slug.to_string()));
    }
    let source = run.source.clone();
    let checked = tokio::task::spawn_blocking(move || check_first(&source)).await;
    let (reader, mut report) = checked.map_err(|err| Error::Broken(err.to_string()))??;
    let Some(reader) = reader else { return Ok(report) };
    let built = house.store.build_tenant(&run.slug, TenantState::Provisioning).await;
    let tenant = built.map_err(|err| match err {
        store::Error::Conflict { .. } => Error::SlugTaken(run.slug.to_string()),
        other => other.into(),
    })?;
    let guard = Discard { house: house.clone(), tenant: Some(tenant.clone()) };
    match fill(house, &tenant, reader).await {
        Ok(verified) => report.verified = Some(verified),
        Err(err) => {
            guard.now().await;
            return Err(err);
        }
    }
    let state = if run.open { TenantState::Active } else { TenantState::Closed };
    let event = AuditEvent {
        actor: &run.actor,
        event: "tenant.imported",
        object: run.slug.as_str(),
        detail: json!({
            "source": report.source.kind, "version": report.source.version, "fingerprint": report.source.fingerprint,
            "notes": report.mapped.get("note"), "warnings": report.warnings.len(), "state": state.as_str(),
        }),
    };
    if let Err(err) = house.store.registry().change(tenant.id, &TenantChange::State(state), &event).await {
        guard.now().await;
        return Err(err.into());
    }
    guard.keep();
    report.tenant = Some(run.slug.to_string());
    report.opened = run.open;
    Ok(report)
}

/// A tenant that goes away unless it is kept, also when the import is cancelled.
struct Discard {
    house: House,
    tenant: Option<Arc<Tenant>>,
}

impl Discard {
    fn keep(mut self) {
        self.tenant = None;
    }

    async fn now(mut self) {
        if let Some(tenant) = self.tenant.take() {
            discard(&self.house, &tenant).await;
        }
    }
}

impl Drop for Discard {
    fn drop(&mut self) {
        if let (Some(tenant), Ok(runtime)) = (self.tenant.take(), tokio::runtime::Handle::try_current()) {
            let house = self.house.clone();
            runtime.spawn(async move { discard(&house, &tenant).await });
        }
    }
}

/// Removes a tenant's files and rows; what cannot be removed is logged, and stays: nothing sweeps yet.
pub(crate) async fn discard(house: &House, tenant: &Tenant) {
    match house.files.list(tenant.id).await {
        Ok(found) => {
            for object in found {
                if let Err(err) = house.files.delete(&object.key).await {
                    tracing::warn!(key = object.key, error = %err, "a file of a discarded tenant stays behind");
                }
            }
        }
        Err(err) => {
            tracing::warn!(tenant = %tenant.slug, error = %err, "the files of a discarded tenant cannot be listed");
        }
    }
    if let Err(err) = house.store.discard_tenant(tenant.id).await {
        tracing::error!(tenant = %tenant.slug, error = %err, "a half-made tenant could not be removed");
    }
}

async fn fill(house: &House, tenant: &Arc<Tenant>, reader: Reader) -> Result<Verified, Error> {
    let scope = TenantScope::for_command(tenant.clone(), "migrate run");
    let (sender, receiver) = mpsc::channel(BATCHES);
    // The reader comes back with the answer: its private folder holds files that still wait to be stored.
    let reading = tokio::task::spawn_blocking(move || {
        let sent = send_all(&reader, sender);
        (reader, sent)
    });
    let load = house.store.load(&scope).await?;
    let mut writer = Writer { house, tenant: tenant.id, load, open: None, sent: Sent::new() };
    let written = writer.take_all(receiver).await;
    let (reader, read) = reading.await.map_err(|err| Error::Broken(err.to_string()))?;
    drop(reader);
    // When the writer failed the reader only noticed a closed channel: the writer knows better.
    written?;
    let last_id = read?;
    let Writer { load, sent, .. } = writer;
    load.finish(last_id).await?;
    verify::verify(house, &scope, sent).await
}

/// One step of the reading thread.
enum Parcel {
    /// Whole rows of one table as COPY text, with their hashes.
    Rows(&'static Target, Vec<u8>, Vec<RowHash>),
    /// A file to move, and its row.
    File(Box<Attachment>, PathBuf, bool),
}

fn send_all(reader: &Reader, sender: mpsc::Sender<Parcel>) -> Result<i64, Error> {
    let mut outlet = Batches { sender, target: None, rows: Vec::new(), hashes: Vec::new() };
    let last_id = pipeline::run(reader, &mut Findings::default(), &mut outlet)?;
    outlet.flush()?;
    Ok(last_id)
}

struct Batches {
    sender: mpsc::Sender<Parcel>,
    target: Option<&'static Target>,
    rows: Vec<u8>,
    hashes: Vec<RowHash>,
}

impl Batches {
    fn send(&self, parcel: Parcel) -> Result<(), Error> {
        self.sender.blocking_send(parcel).map_err(|_| Error::Broken("the writer stopped".to_owned()))
    }

    fn flush(&mut self) -> Result<(), Error> {
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

    fn file(&mut self, reader: &Reader, table: &'static str, row: Attachment) -> Result<(), Error> {
        self.flush()?;
        match row.place.clone() {
            Place::File(path) => self.send(Parcel::File(Box::new(row), PathBuf::from(path), false)),
            Place::Blob(rowid) => {
                let path = reader.staged.dir.path().join(format!("file-{}", row.id));
                copy_blob(reader, table, rowid, &path)?;
                self.send(Parcel::File(Box::new(row), path, true))
            }
            Place::Nowhere => self.row(&ATTACHMENT, attachment_cells(&row, row.size, "", "")),
        }
    }
}

struct Writer<'a> {
    house: &'a House,
    tenant: TenantId,
    load: Load,
    open: Option<(&'static Target, CopySink)>,
    sent: Sent,
}

impl Writer<'_> {
    async fn take_all(&mut self, mut parcels: mpsc::Receiver<Parcel>) -> Result<(), Error> {
        while let Some(parcel) = parcels.recv().await {
            match parcel {
                Parcel::Rows(target, rows, hashes) => self.put(target, rows, hashes).await?,
                Parcel::File(row, path, temporary) => {
                    let stored = self.store_file(&path).await;
                    if temporary {
                        let _ = tokio::fs::remove_file(&path).await;
                    }
                    let stored = stored?;
                    let cells = attachment_cells(&row, stored.size as i64, &stored.sha256, &stored.storage_key);
                    let mut line = Vec::new();
                    write_row(&cells, &mut line);
                    self.put(&ATTACHMENT, line, vec![hash_row(&ATTACHMENT, &cells)]).await?;
                }
            }
        }
        self.close().await?;
        // The whole tenant is one change that is in no point yet.
        let mut marks = self.load.copy_in("change_mark", &["generation"]).await?;
        marks.send(Bytes::from_static(b"1\n")).await?;
        marks.finish().await?;
        Ok(())
    }

    async fn store_file(&self, path: &PathBuf) -> Result<objects::Stored, Error> {
        let opened = open_quietly(path).map_err(Error::file("read", path))?;
        let key = (self.house.file_keys)(self.tenant);
        let stored = self.house.files.put_file(self.tenant, &key, tokio::fs::File::from_std(opened)).await;
        stored.map_err(|err| Error::Files(Box::new(err)))
    }

    async fn put(&mut self, target: &'static Target, rows: Vec<u8>, hashes: Vec<RowHash>) -> Result<(), Error> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != target) {
            self.close().await?;
            let columns: Vec<&str> = target.columns.iter().map(|(name, _)| *name).collect();
            self.open = Some((target, self.load.copy_in(target.name, &columns).await?));
        }
        if let Some((_, sink)) = &mut self.open {
            sink.send(Bytes::from(rows)).await?;
        }
        self.sent.entry(target.name).or_default().extend(hashes);
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        if let Some((target, sink)) = self.open.take() {
            let taken = sink.finish().await?;
            let sent = self.sent.get(target.name).map_or(0, Vec::len) as u64;
            if taken != sent {
                return Err(Error::Differs(format!("table {}: {sent} rows sent, {taken} taken", target.name)));
            }
        }
        Ok(())
    }
}
