//! `migrate run`: the source becomes a tenant by COPY into a fresh schema, and its files go to the file store.
//!
//! Reading and mapping run on a thread of their own and hand over batches through a short channel, so memory stays flat.
//! Whatever fails, nothing stays: the load's transaction is rolled back, the tenant discarded, its files deleted. Only a
//! process that was killed leaves its tenant half made (state *provisioning*); the next run takes it up again, and does
//! not send the files again that arrived.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use domain::clock::Clock;
use domain::id::{MemberId, Slug, TenantId};
use domain::tenant::{Tenant, TenantState};
use futures_util::future::BoxFuture;
use objects::{FileKey, FileStore};
use serde_json::{Value as Json, json};
use store::{AuditEvent, Store, TenantChange, TenantScope};
use tokio::sync::mpsc;

use crate::batches::{BATCHES, Batches};
use crate::check::{Source, check_first};
use crate::error::Error;
use crate::pipeline;
use crate::reader::Reader;
use crate::report::{Findings, Phases, Report, Verified};
use crate::spool::Spool;
use crate::stopwatch::{Stopwatch, Work};
use crate::watch::{Step, Watch};
use crate::writer::{Taken, Writer};
use crate::{sampled, verify};

/// Numbers left free above the source's: what is written there after the import keeps its number when it is brought
/// later, although the tenant has given out numbers meanwhile.
const ROOM: i64 = 1_000_000;

/// Gives the key under which a tenant's files are named.
pub type FileKeys = Arc<dyn Fn(TenantId) -> FileKey + Send + Sync>;

/// Shows a note (by its uid) as the API shows it to a member: the answer's JSON, or why there is none.
pub type ReadBack =
    Arc<dyn Fn(TenantScope, MemberId, String) -> BoxFuture<'static, Result<Json, String>> + Send + Sync>;

/// Where tenants and their files live.
#[derive(Clone)]
pub struct House {
    /// The database.
    pub store: Store,
    /// The file store.
    pub files: FileStore,
    /// Names of files.
    pub file_keys: FileKeys,
    /// The API, where it is at hand: a sample of the notes is read through it before an import counts as verified.
    pub read_back: Option<ReadBack>,
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
    /// Who is told how far it is.
    pub watch: Watch,
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
        Ok((verified, phases)) => {
            report.verified = Some(verified);
            report.phases = phases;
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
    let origin = json!({ "import": { "source": run.source.name(), "at": Clock::System.seconds() } });
    house.store.add_origin(tenant.id, &origin).await?;
    Ok(tenant)
}

async fn complete(
    house: &House,
    run: &Run,
    tenant: &Arc<Tenant>,
    reader: Reader,
    report: &Report,
) -> Result<(Verified, Phases), Error> {
    let filled = fill(house, run, tenant, reader, report).await?;
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

/// Loads and verifies; tells how long each part took.
async fn fill(
    house: &House,
    run: &Run,
    tenant: &Arc<Tenant>,
    reader: Reader,
    report: &Report,
) -> Result<(Verified, Phases), Error> {
    let started = Instant::now();
    let told = &run.watch;
    told.tell(Step::Loading { rows: report.mapped.values().sum() });
    let mut phases = report.phases;
    let scope = TenantScope::for_command(tenant.clone(), "migrate run");
    let there = house.files.list(tenant.id).await.map_err(|err| Error::Files(Box::new(err)))?;
    let there: BTreeSet<String> = there.into_iter().map(|object| object.key).collect();
    let spool = Spool::create(reader.staged.dir.path())?;
    let watch = Arc::new(Stopwatch::default());
    let (sender, receiver) = mpsc::channel(BATCHES);
    // The reader comes back with the answer: its private folder holds files that still wait to be stored.
    let notes = report.mapped.get("note").copied().unwrap_or_default();
    let batches = Batches::new(sender, tokio::runtime::Handle::current(), watch.clone(), notes);
    let reading = tokio::task::spawn_blocking({
        let (watch, policies) = (watch.clone(), run.source.options.policies.clone());
        // What opening the source told is not told again.
        let opening = |code: &str| ["damaged", "other_database", "wal_ignored"].contains(&code);
        let predicted: Vec<_> = report.warnings.iter().filter(|found| !opening(&found.code)).cloned().collect();
        move || {
            let mut findings = Findings::under(policies);
            let sent = send_all(&reader, batches, &watch, &mut findings);
            let same = findings.into_lists().1 == predicted;
            (reader, sent.and_then(|last_id| if same { Ok(last_id) } else { Err(changed()) }))
        }
    });
    let load = house.store.load(&scope).await?;
    let mut writer = Writer::new(house, tenant.id, load, spool, there, (watch.clone(), told.clone()));
    let written = match writer.prepare(&report.mapped).await {
        Ok(()) => writer.take_all(receiver).await,
        Err(err) => {
            drop(receiver);
            Err(err)
        }
    };
    let (reader, read) = reading.await.map_err(|err| Error::Broken(err.to_string()))?;
    drop(reader);
    // When the writer failed the reader only noticed a closed channel: the writer knows better.
    let Taken { load, sent, samples } = written?;
    let last_id = read?;
    let finishing = Instant::now();
    load.finish(last_id + ROOM).await?;
    watch.since(Work::Keys, finishing);
    watch.tell(&mut phases);
    phases.load = started.elapsed().as_secs_f64();
    told.tell(Step::Verifying);
    let mut verified = verify::verify(house, &scope, &sent).await?;
    let read = Instant::now();
    verified.sampled = sampled::read_back(house, &scope, &samples, &report.members).await?;
    phases.sample = read.elapsed().as_secs_f64();
    phases.verify = started.elapsed().as_secs_f64() - phases.load;
    Ok((verified, phases))
}

/// Files are read where they are, so the run may find other ones than the check did.
fn changed() -> Error {
    Error::source("source_changed", "the source's files changed while it was imported; nothing was kept, try again")
}

fn send_all(reader: &Reader, mut batches: Batches, watch: &Stopwatch, findings: &mut Findings) -> Result<i64, Error> {
    let began = Instant::now();
    let last_id = pipeline::run(reader, findings, &mut batches)?;
    let waited = batches.finish()?;
    watch.add(Work::Read, began.elapsed().saturating_sub(waited));
    Ok(last_id)
}
