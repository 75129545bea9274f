//! `migrate run`: the source becomes a tenant by COPY into a fresh schema, and its files go to the file store.
//!
//! Reading and mapping run on a thread of their own and hand over batches through a short channel, so memory stays flat.
//! Whatever fails, nothing stays: the load's transaction is rolled back, the tenant discarded, its files deleted. Only a
//! process that was killed leaves its tenant half made (state *provisioning*); the next run takes it up again, and does
//! not send the files again that arrived.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use domain::id::{Slug, TenantId};
use domain::tenant::{Tenant, TenantState};
use objects::{FileKey, FileStore};
use serde_json::json;
use store::{AuditEvent, Store, TenantChange, TenantScope};
use tokio::sync::mpsc;

use crate::check::{Source, check_first};
use crate::error::Error;
use crate::pipeline;
use crate::reader::Reader;
use crate::report::{Findings, Report, Verified};
use crate::verify;
use crate::writer::{BATCHES, Batches, Parcel, Spool, Writer};

/// Numbers left free above the source's: what is written there after the import keeps its number when it is brought
/// later, although the tenant has given out numbers meanwhile.
const ROOM: i64 = 1_000_000;

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

/// How a tenant is reached from outside.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Host names that lead to it.
    pub hosts: Vec<String>,
    /// Its public URL; none is private mode.
    pub public_url: Option<String>,
}

/// What to import, as what.
#[derive(Clone, Debug)]
pub struct Run {
    /// The source.
    pub source: Source,
    /// The new tenant's slug.
    pub slug: Slug,
    /// Host names and public URL of the new tenant.
    pub reach: Reach,
    /// Open it for its members at once; otherwise it stays closed and quiet.
    pub open: bool,
    /// Who asks, for the audit: `operator:NAME`, `command`, …
    pub actor: String,
}

/// Imports a source. The report tells what a check found; with errors in it, nothing was written.
///
/// # Errors
/// `SlugTaken`, a failing database or file store, or `Differs` when what was read back is not what was sent. Nothing of
/// the tenant stays then.
pub async fn run(house: &House, run: &Run) -> Result<Report, Error> {
    let _turn = Turn::take(&run.source.staging, &run.slug)?;
    let half_made = half_made(house, run).await?;
    let source = run.source.clone();
    let checked = tokio::task::spawn_blocking(move || check_first(&source)).await;
    let (reader, mut report) = checked.map_err(|err| Error::Broken(err.to_string()))??;
    let Some(reader) = reader else { return Ok(report) };
    let tenant = match half_made {
        Some(tenant) => tenant,
        None => build(house, run).await?,
    };
    let guard = Discard { house: house.clone(), tenant: Some(tenant.clone()) };
    match complete(house, run, &tenant, reader, &report).await {
        Ok((verified, load, verify)) => {
            report.verified = Some(verified);
            (report.phases.load, report.phases.verify) = (load, verify);
        }
        Err(err) => {
            guard.now().await;
            return Err(err);
        }
    }
    guard.keep();
    report.tenant = Some(run.slug.to_string());
    report.opened = run.open;
    Ok(report)
}

/// A tenant of this slug that an earlier run of the same source left half made; any other is in the way.
async fn half_made(house: &House, run: &Run) -> Result<Option<Arc<Tenant>>, Error> {
    let Some(tenant) = house.store.registry().by_slug(run.slug.as_str()).await? else { return Ok(None) };
    let origin = house.store.origin(tenant.id).await?;
    if tenant.state != TenantState::Provisioning || origin.get("import").is_none() {
        return Err(Error::SlugTaken(run.slug.to_string()));
    }
    if origin["import"]["source"] == run.source.name() {
        tracing::info!(tenant = %tenant.slug, "an import that was broken off is taken up again");
        return Ok(Some(tenant));
    }
    discard(house, &tenant).await;
    Ok(None)
}

async fn build(house: &House, run: &Run) -> Result<Arc<Tenant>, Error> {
    let built = house.store.build_tenant(&run.slug, TenantState::Provisioning).await;
    let tenant = built.map_err(|err| match err {
        store::Error::Conflict { .. } => Error::SlugTaken(run.slug.to_string()),
        other => other.into(),
    })?;
    house.store.add_origin(tenant.id, &json!({ "import": { "source": run.source.name() } })).await?;
    Ok(tenant)
}

async fn complete(
    house: &House,
    run: &Run,
    tenant: &Arc<Tenant>,
    reader: Reader,
    report: &Report,
) -> Result<(Verified, f64, f64), Error> {
    let filled = fill(house, tenant, reader).await?;
    let registry = house.store.registry();
    let event = |event, detail| AuditEvent { actor: &run.actor, event, object: run.slug.as_str(), detail };
    if !run.reach.hosts.is_empty() {
        let change = TenantChange::Hosts(run.reach.hosts.clone());
        let detail = json!({ "hosts": run.reach.hosts });
        registry.change(tenant.id, &change, &event("tenant.changed", detail)).await.map_err(|err| match err {
            store::Error::Conflict { .. } => Error::HostTaken(run.reach.hosts.join(", ")),
            other => other.into(),
        })?;
    }
    if let Some(url) = &run.reach.public_url {
        let change = TenantChange::PublicUrl(Some(url.clone()));
        registry.change(tenant.id, &change, &event("tenant.changed", json!({ "public_url": url }))).await?;
    }
    let state = if run.open { TenantState::Active } else { TenantState::Closed };
    let detail = json!({
        "source": report.source.kind, "version": report.source.version, "fingerprint": report.source.fingerprint,
        "notes": report.mapped.get("note"), "warnings": report.warnings.len(), "state": state.as_str(),
    });
    registry.change(tenant.id, &TenantChange::State(state), &event("tenant.imported", detail)).await?;
    Ok(filled)
}

/// One run at a time for a slug; a process that ends, however it ends, gives it back.
struct Turn {
    _file: std::fs::File,
}

impl Turn {
    fn take(staging: &Path, slug: &Slug) -> Result<Self, Error> {
        std::fs::create_dir_all(staging).map_err(Error::file("create", staging))?;
        let path = staging.join(format!("{slug}.turn"));
        let file = std::fs::File::create(&path).map_err(Error::file("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::UnderWay(slug.to_string())),
            Err(std::fs::TryLockError::Error(err)) => Err(Error::file("lock", &path)(err)),
        }
    }
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

/// Loads and verifies; tells how many seconds each took.
async fn fill(house: &House, tenant: &Arc<Tenant>, reader: Reader) -> Result<(Verified, f64, f64), Error> {
    let started = std::time::Instant::now();
    let scope = TenantScope::for_command(tenant.clone(), "migrate run");
    let there = house.files.list(tenant.id).await.map_err(|err| Error::Files(Box::new(err)))?;
    let there: BTreeSet<String> = there.into_iter().map(|object| object.key).collect();
    let spool = Spool::create(reader.staged.dir.path())?;
    let (sender, receiver) = mpsc::channel(BATCHES);
    // The reader comes back with the answer: its private folder holds files that still wait to be stored.
    let reading = tokio::task::spawn_blocking(move || {
        let sent = send_all(&reader, sender);
        (reader, sent)
    });
    let load = house.store.load(&scope).await?;
    let mut writer = Writer::new(house, tenant.id, load, spool, there);
    let written = writer.take_all(receiver).await;
    let (reader, read) = reading.await.map_err(|err| Error::Broken(err.to_string()))?;
    drop(reader);
    // When the writer failed the reader only noticed a closed channel: the writer knows better.
    written?;
    let last_id = read?;
    let (load, sent) = writer.into_parts();
    load.finish(last_id + ROOM).await?;
    let load = started.elapsed().as_secs_f64();
    let verified = verify::verify(house, &scope, &sent).await?;
    Ok((verified, load, started.elapsed().as_secs_f64() - load))
}

fn send_all(reader: &Reader, sender: mpsc::Sender<Parcel>) -> Result<i64, Error> {
    let mut outlet = Batches::new(sender);
    let last_id = pipeline::run(reader, &mut Findings::default(), &mut outlet)?;
    outlet.flush()?;
    Ok(last_id)
}
