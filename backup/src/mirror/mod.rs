//! A live mirror of a tenant as plain Markdown: one file a note, attachments beside, readable while no server runs.
//!
//! A mirror follows the change counter, as points do. A run reads one snapshot, compares the version of every row with the
//! one that its file shows, and writes, replaces and removes files; what it did is noted in `mirror_entry` as it goes. A run
//! that broke off, another schema in the tenant's place, and a day gone by make the next one compare the place itself, too.

mod place;
mod run;

use std::collections::HashMap;
use std::time::Duration;

use domain::id::TenantId;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use store::control::mirrors::{MIRROR_LEASE, MirrorRow};
use store::{AuditEvent, MirrorLag, TenantScope};
use time::OffsetDateTime;

pub use self::place::MirrorPlaces;
use crate::context::Backup;
use crate::error::Error;

/// How often it is looked which mirrors are behind.
const LOOK: Duration = Duration::from_secs(5);
/// Mirrors that one worker writes at a time.
const TOGETHER: usize = 2;
/// A mirror is not written again before this many times the time that the last run took.
const REST: f64 = 3.0;
/// After a failure a mirror is left alone for so long.
const PATIENCE: Duration = Duration::from_mins(1);
/// From this age on, a change that is not in a mirror is told as overdue, in seconds.
const OVERDUE: f64 = 60.0;
/// How often everything in a mirror is compared with what lies there.
const NIGHTLY: time::Duration = time::Duration::hours(24);

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MirrorReport {
    /// Slug of the tenant.
    pub tenant: String,
    /// Where the mirror is.
    pub place: String,
    /// Notes in it.
    pub notes: u64,
    /// Attached files in it.
    pub files: u64,
    /// Files that were written, notes and attachments.
    pub written: u64,
    /// Files that were removed.
    pub removed: u64,
    /// Bytes that were written.
    pub bytes_sent: u64,
    /// The place itself was compared, too.
    pub full: bool,
    /// How long it took.
    pub seconds: f64,
    /// Attachments whose bytes are not in the file store.
    pub missing: Vec<String>,
}

/// How a mirror stands.
#[derive(Clone, Debug, Serialize)]
pub struct MirrorLine {
    /// Slug of the tenant.
    pub tenant: String,
    /// Where it is.
    pub place: String,
    /// ok, running, overdue, failed, or unknown before the first run.
    pub status: &'static str,
    /// Age of the oldest change that is not in it; 0 when there is none, null when that is not known.
    pub lag_seconds: Option<f64>,
    /// The instant that it shows.
    pub mirrored_at: Option<String>,
    /// Notes in it.
    pub notes: i64,
    /// Attached files in it.
    pub files: i64,
    /// Why the last run failed.
    pub problem: Option<String>,
}

/// Keeps all mirrors up to date until the task is dropped.
pub async fn keep_mirrors(backup: Backup) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut resting: HashMap<TenantId, tokio::time::Instant> = HashMap::new();
    loop {
        ticks.tick().await;
        resting.retain(|_, until| *until > tokio::time::Instant::now());
        let due = match backup.mirrors_due().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "it cannot be seen which mirrors are behind");
                continue;
            }
        };
        let due = due.into_iter().filter(|tenant| !resting.contains_key(tenant)).collect::<Vec<_>>();
        let mut runs = futures_util::stream::iter(due)
            .map(|tenant| {
                let backup = &backup;
                async move { (tenant, backup.mirror(tenant, false).await) }
            })
            .buffer_unordered(TOGETHER);
        while let Some((tenant, outcome)) = runs.next().await {
            let rest = match outcome {
                Ok(done) => Duration::from_secs_f64(done.map_or(0.0, |report| report.seconds * REST)),
                Err(error) => {
                    tracing::warn!(%tenant, %error, "a mirror could not be brought up to date");
                    PATIENCE
                }
            };
            resting.insert(tenant, tokio::time::Instant::now() + rest);
        }
    }
}

impl Backup {
    /// Switches a mirror on: at `to` (`/folder`, `file:///folder` or `s3://bucket/prefix`), or below the data folder.
    /// The worker fills it.
    pub async fn mirror_on(&self, slug: &str, to: Option<&str>, actor: &str) -> Result<MirrorLine, Error> {
        let tenant = self.tenant(slug).await?;
        let place = self.mirrors.place(to, slug)?;
        let control = self.store.control();
        for other in control.mirrors().await? {
            if other.tenant == tenant.id {
                return Err(Error::Refused(format!(
                    "tenant {slug} has a mirror at {}; switch it off first: `holdfast mirror off --tenant {slug}`",
                    other.place
                )));
            }
            if place::overlap(&place, &other.place) {
                return Err(Error::Refused(format!(
                    "{place} and the mirror of {} overlap; name another place",
                    other.slug
                )));
            }
        }
        let store = self.open_mirror(&place).await?;
        place::claim(&store, tenant.id).await?;
        let event = AuditEvent { actor, event: "mirror.on", object: slug, detail: json!({ "place": place }) };
        if !control.add_mirror(tenant.id, slug, &place, &event).await? {
            return Err(Error::Refused(format!("tenant {slug} has just been given a mirror")));
        }
        self.mirror_line(tenant.id).await
    }

    /// Switches a mirror off. What lies there is removed, unless it is to be kept.
    pub async fn mirror_off(&self, slug: &str, keep: bool, actor: &str) -> Result<MirrorReport, Error> {
        let row = self.mirror_of(slug).await?;
        let begun = std::time::Instant::now();
        let holder = self.hold(&row).await?.ok_or_else(|| busy(&row))?;
        let removed = async { if keep { Ok(0) } else { self.empty(&row).await } };
        let removed = tokio::select! {
            removed = removed => removed,
            lost = self.keep_hold(&row, &holder) => Err(lost),
        };
        let removed = self.settle_mirror(&row, &holder, removed).await?;
        let detail = json!({ "place": row.place, "removed": removed, "kept": keep });
        let event = AuditEvent { actor, event: "mirror.off", object: slug, detail };
        if !self.store.control().remove_mirror(row.tenant, &holder, &event).await? {
            return Err(busy(&row));
        }
        let seconds = begun.elapsed().as_secs_f64();
        Ok(MirrorReport { tenant: slug.to_owned(), place: row.place, removed, seconds, ..MirrorReport::default() })
    }

    /// Brings the mirror of a tenant up to date now. `full`: compares the place itself, too.
    pub async fn mirror_now(&self, slug: &str, full: bool) -> Result<MirrorReport, Error> {
        let row = self.mirror_of(slug).await?;
        self.mirror(row.tenant, full).await?.ok_or_else(|| busy(&row))
    }

    /// How mirrors stand: a tenant's, or all.
    pub async fn mirror_lines(&self, slug: Option<&str>) -> Result<Vec<MirrorLine>, Error> {
        let mut rows = match slug {
            Some(slug) => vec![self.mirror_of(slug).await?],
            None => self.store.control().mirrors().await?,
        };
        let lags = self.store.mirrors_behind(&rows).await?;
        for row in &mut rows {
            if let Some(tenant) = self.store.registry().by_id(row.tenant).await? {
                row.slug = tenant.slug.to_string();
            }
        }
        let now = self.clock.now();
        Ok(rows.into_iter().map(|row| line(&row, lags.get(&row.tenant), now)).collect())
    }

    /// Mirrors that do not show what they should. Tells the worst lag as a metric.
    pub(crate) async fn mirrors_due(&self) -> Result<Vec<TenantId>, Error> {
        let (rows, now) = (self.store.control().mirrors().await?, self.clock.now());
        let lags = self.store.mirrors_behind(&rows).await?;
        let lines = rows.iter().map(|row| line(row, lags.get(&row.tenant), now)).collect::<Vec<_>>();
        let worst = lines.iter().filter_map(|line| line.lag_seconds).fold(0.0, f64::max);
        metrics::gauge!("holdfast_mirror_lag_seconds").set(worst);
        let failing = lines.iter().filter(|line| line.problem.is_some()).count();
        metrics::gauge!("holdfast_mirrors_failing").set(failing as f64);
        let due = rows.iter().filter(|row| {
            let old = row.full_at.is_none_or(|at| now - at >= NIGHTLY);
            !row.held && (row.gone || lags.get(&row.tenant).is_some_and(|lag| lag.behind || old))
        });
        Ok(due.map(|row| row.tenant).collect())
    }

    /// One run; none when somebody else is at it, or the mirror is gone.
    pub(crate) async fn mirror(&self, tenant: TenantId, full: bool) -> Result<Option<MirrorReport>, Error> {
        let Some(row) = self.store.control().find_mirror(tenant).await? else { return Ok(None) };
        let Some(holder) = self.hold(&row).await? else { return Ok(None) };
        // read again under the hold: another run may have ended in between
        let Some(row) = self.store.control().find_mirror(tenant).await? else { return Ok(None) };
        if row.gone {
            let emptied = tokio::select! {
                emptied = self.empty(&row) => emptied,
                lost = self.keep_hold(&row, &holder) => Err(lost),
            };
            let removed = self.settle_mirror(&row, &holder, emptied).await?;
            let detail = json!({ "place": row.place, "removed": removed });
            let event = AuditEvent { actor: "job:deletion", event: "mirror.emptied", object: &row.slug, detail };
            self.store.control().remove_mirror(tenant, &holder, &event).await?;
            return Ok(Some(MirrorReport { tenant: row.slug, place: row.place, removed, ..MirrorReport::default() }));
        }
        let Some(tenant) = self.store.registry().by_id(tenant).await? else {
            return self.settle_mirror(&row, &holder, Err(Error::NoTenant(row.slug.clone()))).await;
        };
        let scope = TenantScope::for_job(tenant, "mirror");
        let now = self.clock.now();
        let full = full || !row.clean || row.full_at.is_none_or(|at| now - at >= NIGHTLY);
        let done = tokio::select! {
            done = run::run(self, &row, &holder, &scope, full) => done,
            lost = self.keep_hold(&row, &holder) => Err(lost),
        };
        self.settle_mirror(&row, &holder, done).await.map(Some)
    }

    /// Takes a mirror for oneself, by a name that is told again later.
    async fn hold(&self, row: &MirrorRow) -> Result<Option<String>, Error> {
        let holder = self.chance.uid();
        Ok(self.store.control().take_mirror(row.tenant, &holder).await?.then_some(holder))
    }

    /// Says again and again that the run is still there; ends only when it is not any more.
    async fn keep_hold(&self, row: &MirrorRow, holder: &str) -> Error {
        loop {
            tokio::time::sleep(Duration::from_secs_f64(MIRROR_LEASE / 3.0)).await;
            match self.store.control().hold_mirror(row.tenant, holder).await {
                Ok(true) => {}
                Ok(false) => return busy(row),
                Err(error) => return error.into(),
            }
        }
    }

    /// What went wrong is kept with the mirror, and somebody else may take it.
    async fn settle_mirror<T>(&self, row: &MirrorRow, holder: &str, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome {
            self.store.control().fail_mirror(row.tenant, holder, &error.to_string()).await?;
        }
        outcome
    }

    /// Removes everything that a mirror has written, with every version where the store keeps such.
    async fn empty(&self, row: &MirrorRow) -> Result<u64, Error> {
        let store = self.open_mirror(&row.place).await?;
        place::empty(&store, row.tenant).await
    }

    async fn mirror_of(&self, slug: &str) -> Result<MirrorRow, Error> {
        let id = self.tenant(slug).await?.id;
        self.store.control().find_mirror(id).await?.ok_or_else(|| Error::NoMirror(slug.to_owned()))
    }

    async fn mirror_line(&self, tenant: TenantId) -> Result<MirrorLine, Error> {
        let row = self.store.control().find_mirror(tenant).await?;
        row.map(|row| line(&row, None, self.clock.now())).ok_or_else(|| Error::NoMirror(tenant.to_string()))
    }
}

fn busy(row: &MirrorRow) -> Error {
    Error::MirrorBusy(row.slug.clone())
}

fn line(row: &MirrorRow, lag: Option<&MirrorLag>, now: OffsetDateTime) -> MirrorLine {
    let age = |since: OffsetDateTime| (now - since).as_seconds_f64().max(0.0);
    let lag_seconds = lag.and_then(|lag| if lag.behind { lag.since.map(age) } else { Some(0.0) });
    let status = match lag_seconds {
        _ if row.problem.is_some() => "failed",
        _ if row.held => "running",
        _ if row.mirrored_at.is_none() => "unknown",
        Some(lag) if lag < OVERDUE => "ok",
        Some(_) => "overdue",
        None => "unknown",
    };
    MirrorLine {
        tenant: row.slug.clone(),
        place: row.place.clone(),
        status,
        lag_seconds,
        mirrored_at: row.mirrored_at.map(crate::snapshot::rfc3339),
        notes: row.notes,
        files: row.files,
        problem: row.problem.clone(),
    }
}
