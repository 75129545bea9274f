//! From a point to a tenant beside the live ones. Every object is read back first; after a problem no tenant is left.

mod fetch;
mod load;
mod part;

use std::sync::Arc;
use std::time::Instant;

use domain::id::Slug;
use domain::tenant::TenantState;
use serde::Serialize;
use serde_json::json;
use store::{AuditEvent, TenantChange, TenantScope};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) use self::fetch::Fetch;
pub(crate) use self::load::{Place, load_files, load_rows, rewritten, table_of};
pub use self::part::{Part, PartReport};
use crate::compare::{TableResult, compare};
use crate::context::Backup;
use crate::error::Error;
use crate::format::manifest::Clear;
use crate::format::sealed::Sealed;
use crate::run::Watched;
use crate::source::Source;
use crate::verify::{ReadBack, read_back};

/// How a point is to be restored.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Slug of the new tenant.
    pub slug: Slug,
    /// Only tell what would be restored.
    pub dry_run: bool,
    /// Who, for the audit.
    pub actor: String,
}

/// A phase and how long it took.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// Wall time.
    pub seconds: f64,
}

/// What `restore run` tells.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// Slug of the new tenant.
    pub tenant: String,
    /// Its id; none after a dry run.
    pub tenant_id: Option<String>,
    /// The point.
    pub from: String,
    /// The slug the tenant had then.
    pub of: String,
    /// The instant it shows.
    pub snapshot: String,
    /// The schema version of the point.
    pub point_version: i32,
    /// The schema version of the new tenant: the point's rows have taken the steps in between.
    pub schema_version: i32,
    /// Notes restored.
    pub notes: u64,
    /// Attachments restored.
    pub attachments: u64,
    /// Files restored.
    pub files: u64,
    /// Tables compared with the point after loading.
    pub tables: Vec<TableResult>,
    /// The whole time.
    pub seconds: f64,
    /// Its parts.
    #[serde(serialize_with = "as_map")]
    pub phases: Vec<Phase>,
    /// Nothing was written.
    pub dry_run: bool,
}

fn as_map<S: serde::Serializer>(phases: &[Phase], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(phases.iter().map(|phase| (phase.name, phase.seconds)))
}

/// Takes the time of phases.
pub(crate) struct Stopwatch {
    begun: Instant,
    last: Instant,
    pub(crate) phases: Vec<Phase>,
    tell: Option<Tell>,
}

/// Is told what is done whenever a phase ends.
pub(crate) type Tell = Box<dyn Fn(&[Phase]) + Send + Sync>;

/// The phases of a restore in their order, and what they do.
pub(crate) const PHASES: [(&str, &str); 7] = [
    ("verify", "reading every object back"),
    ("build", "making an empty tenant"),
    ("files", "bringing files"),
    ("rows", "loading rows"),
    ("compare", "comparing every table with the point"),
    ("steps", "taking the schema steps since"),
    ("ledger", "doing again what was revoked since"),
];

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { begun: now, last: now, phases: Vec::new(), tell: None }
    }

    /// The same, telling each end of a phase.
    pub(crate) fn telling(tell: Tell) -> Self {
        tell(&[]);
        Self { tell: Some(tell), ..Self::start() }
    }

    /// Ends the phase that began at the end of the one before.
    pub(crate) fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        self.phases.push(Phase { name, seconds: (now - self.last).as_secs_f64() });
        self.last = now;
        if let Some(tell) = &self.tell {
            tell(&self.phases);
        }
    }

    pub(crate) fn total(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

/// A point that was read back without a problem and is open.
pub(crate) struct Opened {
    pub(crate) clear: Clear,
    pub(crate) sealed: Sealed,
    pub(crate) fetch: Arc<Fetch>,
}

impl Opened {
    /// Points of the control plane are no tenant's.
    pub(crate) fn must_be_of_a_tenant(&self) -> Result<(), Error> {
        if !self.clear.tenant.is_control() {
            return Ok(());
        }
        Err(Error::Refused(format!(
            "point {} is of the control plane; `holdfast restore instance --identity FILE` brings it back on an empty machine",
            self.clear.point
        )))
    }

    /// The instant it shows.
    pub(crate) fn shown(&self) -> Result<OffsetDateTime, Error> {
        OffsetDateTime::parse(&self.clear.snapshot.at, &Rfc3339)
            .map_err(|_| Error::Refused(format!("the time in point {} cannot be read", self.clear.point)))
    }

    /// The schema version of its rows.
    pub(crate) fn version(&self) -> i32 {
        self.clear.snapshot.schema_version
    }

    /// A point of a schema version that this executable does not know yet is not guessed at.
    pub(crate) fn must_be_known(&self, newest: i32) -> Result<(), Error> {
        let version = self.version();
        if version <= newest {
            return Ok(());
        }
        let point = &self.clear.point;
        Err(Error::Refused(format!(
            "point {point} has schema version {version}, and this version knows up to {newest}; use a newer holdfast"
        )))
    }
}

impl Backup {
    /// Reads a point back from `source` and opens it.
    ///
    /// # Errors
    /// `Damaged`, naming every object, when anything is wrong.
    pub(crate) async fn open_point(&self, source: &Source, point: &str) -> Result<Opened, Error> {
        let (expected, _) = self.expected(point).await?;
        let holder = self.holder()?;
        let ReadBack { problems, clear, sealed, key, .. } =
            read_back(source, &expected, Some(holder), self.check).await?;
        if !problems.is_empty() {
            return Err(Error::Damaged { point: point.to_owned(), problems });
        }
        match (clear, sealed, key) {
            (Some(clear), Some(sealed), Some(key)) => {
                let fetch = Fetch::new(source.clone(), &clear, &sealed, key.identity().clone(), self.check);
                Ok(Opened { clear, sealed, fetch: Arc::new(fetch) })
            }
            _ => Err(Error::Refused(format!(
                "point {point} cannot be opened: no wrapped key is for the identity at hand; give --identity FILE"
            ))),
        }
    }

    /// Restores a point as a new, closed and quiet tenant.
    pub async fn restore_point(&self, point: &str, options: &RestoreOptions) -> Result<RestoreReport, Error> {
        let shown = self.shown.clone();
        let watch = Stopwatch::telling(Box::new(move |done| {
            // how much of the point has been read back is shown where that is done
            match PHASES.get(done.len()).filter(|_| !done.is_empty()) {
                Some((_, now)) => shown.begin(now, None),
                None => shown.end(),
            }
        }));
        let restored = self.restore_watched(point, options, watch, &Watched::default()).await;
        self.shown.end();
        restored
    }

    /// The same, by a clock of the caller's, for somebody who looks on and may cancel it.
    pub(crate) async fn restore_watched(
        &self,
        point: &str,
        options: &RestoreOptions,
        mut watch: Stopwatch,
        run: &Watched,
    ) -> Result<RestoreReport, Error> {
        for left in self.store.abandoned_restores().await? {
            tracing::warn!(tenant = %left, "what a killed restore left is removed");
            self.store.discard_tenant(left).await?;
        }
        if self.store.registry().by_slug(options.slug.as_str()).await?.is_some() {
            return Err(Error::Store(store::Error::Conflict { constraint: "tenant_slug_key".to_owned() }));
        }
        let opened = run.unless_cancelled(self.open_point(&self.source(), point)).await?;
        watch.lap("verify");
        opened.must_be_of_a_tenant()?;
        opened.must_be_known(self.newest_version())?;
        let mut report = report_of(&opened, options, self.newest_version());
        if options.dry_run {
            report.seconds = watch.total();
            report.phases = watch.phases;
            return Ok(report);
        }
        let (tenant, _held) = self.store.build_restoring(&options.slug, &self.steps_to(opened.version())).await?;
        watch.lap("build");
        let place = Place::beside(tenant.id);
        let mut written = Vec::new();
        let scope = TenantScope::for_command(tenant.clone(), "restore");
        let filled = run.unless_cancelled(self.fill(&opened, &place, scope, &mut written, &mut watch)).await;
        let settled = match filled {
            Ok(tables) => {
                report.tables = tables;
                run.settle().await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            self.undo(tenant.id, &written).await;
            return Err(error);
        }
        let detail = json!({
            "point": point, "notes": report.notes, "files": report.files, "schema_version": report.schema_version,
        });
        let event = AuditEvent { actor: &options.actor, event: "tenant.restored", object: &report.tenant, detail };
        let change = TenantChange::State(TenantState::Closed);
        if let Err(error) = self.store.registry().change(tenant.id, &change, &event).await {
            self.undo(tenant.id, &written).await;
            return Err(error.into());
        }
        report.tenant_id = Some(tenant.id.to_string());
        report.seconds = watch.total();
        report.phases = watch.phases;
        Ok(report)
    }

    /// Files and rows of a point into an empty tenant of the point's version, which is compared and only then stepped on.
    pub(crate) async fn fill(
        &self,
        opened: &Opened,
        place: &Place,
        scope: TenantScope,
        written: &mut Vec<String>,
        watch: &mut Stopwatch,
    ) -> Result<Vec<TableResult>, Error> {
        load_files(&opened.fetch, &opened.sealed, self.files.objects(), place, written).await?;
        watch.lap("files");
        load_rows(&self.store, &scope, &opened.fetch, &opened.sealed, place).await?;
        watch.lap("rows");
        let tables = compare(&self.store, &scope, &opened.sealed, place).await?;
        watch.lap("compare");
        if let Some(table) = tables.iter().find(|table| !table.equal) {
            return Err(Error::Unequal { table: table.name.clone() });
        }
        self.step_copy(&self.store, scope.tenant().id, opened.version()).await?;
        watch.lap("steps");
        let shown = opened.shown()?;
        // what was revoked, erased or archived since must not come back
        self.store.replay_ledger(scope.tenant(), opened.clear.tenant, shown).await?;
        if scope.tenant().id != opened.clear.tenant {
            self.store.note_restored(scope.tenant().id, opened.clear.tenant, shown).await?;
        }
        watch.lap("ledger");
        // no point holds the new tenant yet
        let mut tx = self.store.begin(&scope);
        tx.touch().await?;
        tx.commit().await?;
        Ok(tables)
    }

    /// Leaves nothing of a restore that failed. What cannot be removed now is told in the log, and stays.
    async fn undo(&self, tenant: domain::id::TenantId, written: &[String]) {
        if let Err(error) = self.store.discard_tenant(tenant).await {
            tracing::error!(%tenant, %error, "the tenant of a failed restore could not be removed");
        }
        if let Err(error) = self.files.objects().delete_many(written).await {
            tracing::warn!(%tenant, %error, "files of a failed restore could not be removed");
        }
    }
}

fn report_of(opened: &Opened, options: &RestoreOptions, newest: i32) -> RestoreReport {
    let rows = |name: &str| opened.sealed.tables.iter().find(|table| table.name == name).map_or(0, |table| table.rows);
    RestoreReport {
        tenant: options.slug.to_string(),
        tenant_id: None,
        from: opened.clear.point.to_string(),
        of: opened.clear.slug.clone(),
        snapshot: opened.clear.snapshot.at.clone(),
        point_version: opened.version(),
        schema_version: newest,
        notes: opened.sealed.notes,
        attachments: rows("attachment"),
        files: opened.sealed.files.len() as u64,
        tables: Vec::new(),
        seconds: 0.0,
        phases: Vec::new(),
        dry_run: options.dry_run,
    }
}
