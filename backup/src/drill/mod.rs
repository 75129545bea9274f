//! The rehearsal that makes proofs: a point is restored into a Postgres of its own, compared, served, read through the
//! API, and damaged copies of it must be refused.

mod client;
mod faults;
mod people;
mod rehearse;
mod report;
mod scratch;
mod server;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use domain::chance::Chance;
use domain::id::TenantId;
use domain::tenant::Tenant;
use futures_util::StreamExt;
use serde_json::json;
use store::control::drills::{Linked, NewDrill};
use store::{AuditEvent, Store, TenantScope};
use time::OffsetDateTime;

use self::client::Client;
#[cfg(test)]
pub(crate) use self::faults::try_fault;
pub use self::faults::{Fault, UnknownFault};
use self::rehearse::Wanted;
pub use self::report::{Check, DrillReport, FaultResult, Isolation, PhaseResult, Selection, Verdict};
use self::scratch::Scratch;
use self::server::Server;
use crate::compare::compare;
use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Tally;
use crate::format::name::PointName;
use crate::restore::{Opened, Place, Stopwatch, load_files, load_rows};
use crate::snapshot::rfc3339;
use crate::verify::Problem;

/// Done to the restored copy before it is compared; only a test that proves the comparison's worth has a use for it.
pub type Tamper = Arc<dyn Fn(Copy) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The restored copy, for [`Tamper`].
#[derive(Clone, Debug)]
pub struct Copy {
    /// Its database.
    pub store: Store,
    /// Its tenant.
    pub tenant: Arc<Tenant>,
    /// Its files, by storage key.
    pub files: PathBuf,
}

/// How a drill is to be carried out.
#[derive(Clone)]
pub struct DrillOptions {
    /// Our own executable, for the server of the copy and for isolation. Without it the copy is not served, and the
    /// drill is incomplete.
    pub program: Option<PathBuf>,
    /// Where the copy is built; removed afterwards.
    pub scratch: PathBuf,
    /// Where reports are kept.
    pub reports: PathBuf,
    /// Faults to try.
    pub faults: Vec<Fault>,
    /// What random choices follow from; drawn when none is given.
    pub seed: Option<u64>,
    /// Who, for the audit: `command`, `job:drill`, `operator:NAME`.
    pub actor: String,
    /// Whether the caller named the point.
    pub named: bool,
    /// For tests.
    pub tamper: Option<Tamper>,
}

impl DrillOptions {
    /// Everything compared, every fault tried, for a command. The copy is built beside the folder of reports.
    pub fn full(program: PathBuf, reports: PathBuf) -> Self {
        Self {
            program: Some(program),
            scratch: reports.parent().map_or_else(|| reports.join("scratch"), |folder| folder.join("scratch")),
            reports,
            faults: Fault::ALL.to_vec(),
            seed: None,
            actor: "command".to_owned(),
            named: false,
            tamper: None,
        }
    }
}

/// What a drill does after a phase.
fn next(done: &str) -> &'static str {
    match done {
        "verify" => "starting a database of its own",
        "database" => "bringing files",
        "files" => "loading rows",
        "rows" => "comparing every table with the point",
        "compare_tables" => "comparing files",
        "compare_files" => "taking the schema steps since",
        "steps" => "making a member to sign in as",
        "people" => "serving the copy",
        "serve" => "signing in",
        "sign_in" => "reading every note",
        "compare_notes" => "searching, writing and deleting",
        "use" => "stopping the copy",
        "stop" => "clearing away",
        _ => "damaging copies of the point",
    }
}

impl Backup {
    /// Takes the time of a drill's phases, and shows which it is in.
    fn stopwatch(&self) -> Stopwatch {
        let shown = self.shown.clone();
        Stopwatch::telling(Box::new(move |done| {
            if let Some(last) = done.last() {
                shown.begin(next(last.name), None);
            }
        }))
    }

    /// Drills a point. What went wrong is in the report; an error means that not even a report could be kept.
    pub async fn drill(&self, point: &str, options: &DrillOptions) -> Result<DrillReport, Error> {
        let reading = self.reading();
        let (_, row) = self.expected(point).await?;
        let started_at = self.clock.now();
        let seed = options.seed.unwrap_or_else(|| self.chance.u64());
        let mut run = Run {
            backup: &reading,
            options,
            chance: Chance::seeded(seed),
            watch: self.stopwatch(),
            report: blank(&row, PointName::draw(&self.clock, &self.chance).as_str(), seed, options, started_at),
        };
        run.report.rpo_seconds = self.rpo(TenantId(row.tenant_id), started_at).await;
        let outcome = run.carry_out(point).await;
        self.shown.end();
        let Run { watch, mut report, .. } = run;
        report.phases = watch
            .phases
            .iter()
            .map(|phase| PhaseResult { name: phase.name.to_owned(), seconds: phase.seconds })
            .collect();
        match outcome {
            Ok(()) => report.judge(!options.faults.is_empty()),
            Err(error @ (Error::Damaged { .. } | Error::Unequal { .. } | Error::Open { .. } | Error::Step { .. })) => {
                report.verdict = Verdict::Fail;
                report.differences.push(error.to_string());
                if let Error::Damaged { problems, .. } = &error
                    && !Problem::only_of_identity(problems)
                {
                    let found = Some(json!(problems));
                    self.store.control().mark_point_read(point, self.clock.now(), found).await?;
                    self.unsettle(&row).await?;
                }
            }
            Err(error) => {
                report.verdict = Verdict::Incomplete;
                report.differences.push(error.to_string());
            }
        }
        self.keep(report, TenantId(row.tenant_id), started_at, options).await
    }

    /// Now minus the oldest change that no verified point holds; 0 when there is none, nothing when it cannot be read.
    async fn rpo(&self, tenant: TenantId, now: OffsetDateTime) -> Option<f64> {
        let tenant = self.store.registry().by_id(tenant).await.ok()??;
        let scope = TenantScope::for_job(tenant, "drill");
        let oldest = self.store.oldest_unheld_change(&scope).await.ok()?;
        Some(oldest.map_or(0.0, |at| (now - at).as_seconds_f64().max(0.0)))
    }

    async fn keep(
        &self,
        mut report: DrillReport,
        tenant: TenantId,
        started_at: OffsetDateTime,
        options: &DrillOptions,
    ) -> Result<DrillReport, Error> {
        let finished_at = self.clock.now();
        report.finished_at = rfc3339(finished_at);
        let control = self.store.control();
        let new = NewDrill {
            drill: report.drill.clone(),
            tenant,
            slug: report.tenant.clone(),
            point: report.point.clone(),
            started_at,
            finished_at,
            verdict: report.verdict.as_str().to_owned(),
            notes: report.notes_compared as i64,
            rpo_seconds: report.rpo_seconds,
            rto_seconds: report.rto_seconds,
        };
        let detail =
            json!({ "point": report.point, "verdict": report.verdict.as_str(), "notes": report.notes_compared });
        let event = AuditEvent { actor: &options.actor, event: "drill.run", object: &new.drill, detail };
        let mut text = String::new();
        control
            .append_drill(&new, &event, |previous| {
                text = report.seal(previous);
                Linked { report: text.clone(), hash: report.hash.clone() }
            })
            .await?;
        // only now: a proof without its report would be none
        if report.verdict == Verdict::Pass {
            // everything was read, from then on: what comes due while a drill is under way is for the next reading
            control.mark_point_read(&report.point, started_at, None).await?;
            control.mark_point_proven(&report.point, finished_at).await?;
        }
        report::save(&options.reports, &report.drill, &text)
            .map_err(|source| Error::File { path: options.reports.display().to_string(), source })?;
        measure(&report);
        Ok(report)
    }
}

fn measure(report: &DrillReport) {
    metrics::counter!("holdfast_restore_drill_runs_total", "result" => report.verdict.as_str()).increment(1);
    for phase in &report.phases {
        metrics::gauge!("holdfast_restore_drill_phase_duration_seconds", "phase" => phase.name.clone())
            .set(phase.seconds);
    }
    if let Some(rto) = report.rto_seconds {
        metrics::gauge!("holdfast_restore_rto_seconds").set(rto);
    }
    let unseen = report.faults.iter().filter(|fault| !fault.detected).count();
    metrics::gauge!("holdfast_restore_drill_chaos_undetected").set(unseen as f64);
}

/// A drill under way.
struct Run<'a> {
    backup: &'a Backup,
    options: &'a DrillOptions,
    chance: Chance,
    watch: Stopwatch,
    report: DrillReport,
}

impl Run<'_> {
    async fn carry_out(&mut self, point: &str) -> Result<(), Error> {
        let (holder, _) = self.backup.holder()?;
        self.report.isolation.store_read_only = self.backup.cannot_write().await;
        holder.as_str().clone_into(&mut self.report.identity);
        let opened = self.backup.open_point(&self.backup.source(), point).await?;
        opened.must_be_of_a_tenant()?;
        opened.must_be_known(self.backup.newest_version())?;
        self.report.notes_expected = opened.sealed.notes;
        self.report.files_expected = opened.sealed.files.len() as u64;
        let missing = &opened.sealed.missing;
        let told = missing.iter().map(|key| format!("file {key} was already missing when the point was taken"));
        self.report.differences.extend(told);
        let altered = opened.sealed.altered.iter();
        let told = altered.map(|key| format!("file {key} was not what its attachment says when the point was taken"));
        self.report.differences.extend(told);
        self.watch.lap("verify");
        let scratch = Scratch::open(self.options).await?;
        "a server of its own: own data directory, own socket".clone_into(&mut self.report.isolation.database);
        if scratch.isolated {
            "namespace".clone_into(&mut self.report.isolation.network);
        }
        self.watch.lap("database");
        let outcome = self.rehearse(&opened, &scratch).await;
        scratch.close().await?;
        self.watch.lap("clean_up");
        outcome?;
        if !self.options.faults.is_empty() {
            for fault in &self.options.faults {
                self.report.faults.push(faults::try_fault(self.backup, &opened, *fault, &self.chance).await?);
            }
            self.report.control_accepted = Some(self.backup.open_point(&self.backup.source(), point).await.is_ok());
            self.watch.lap("faults");
        }
        Ok(())
    }

    /// Restores, compares, serves and uses the copy.
    async fn rehearse(&mut self, opened: &Opened, scratch: &Scratch) -> Result<(), Error> {
        let scope = scratch.tenant(&opened.clear.slug, &self.backup.steps_to(opened.version())).await?;
        let place = Place::Exact;
        load_files(&opened.fetch, &opened.sealed, &scratch.files, &place, &mut Vec::new()).await?;
        self.watch.lap("files");
        load_rows(&scratch.store, &scope, &opened.fetch, &opened.sealed, &place).await?;
        self.watch.lap("rows");
        if let Some(tamper) = &self.options.tamper {
            let files = scratch.path().join("files");
            tamper(Copy { store: scratch.store.clone(), tenant: scope.tenant().clone(), files }).await;
        }
        self.report.tables = compare(&scratch.store, &scope, &opened.sealed, &place).await?;
        self.watch.lap("compare_tables");
        self.compare_files(opened, scratch).await?;
        self.watch.lap("compare_files");
        // only what was compared: the point's fingerprints are of its own version, and what is served is of ours
        self.backup.step_copy(&scratch.store, scope.tenant().id, opened.version()).await?;
        self.watch.lap("steps");

        let wanted = Wanted::read(&opened.fetch, &opened.sealed).await?;
        let backup = self.backup;
        let people = people::mint(&scratch.store, &scope, &wanted.writers(), &backup.clock, &backup.chance).await?;
        let tenant = scratch.open_tenant(scope.tenant()).await?;
        self.watch.lap("people");
        let Some(program) = &self.options.program else {
            return Err(Error::Refused("the copy cannot be served: no executable was given".to_owned()));
        };
        let server = Server::start(program, scratch, scratch.settings(&tenant)).await?;
        "a child process on a Unix socket, without worker".clone_into(&mut self.report.isolation.server);
        self.watch.lap("serve");
        let client = Client::new(&server.socket).map_err(scratch::failed("the client of the copy"))?;
        self.report.checks.push(rehearse::sign_in(&client, &people).await);
        self.watch.lap("sign_in");
        let (compared, wrong) = rehearse::compare_notes(&client, &people, &wanted).await;
        self.report.notes_compared = compared;
        self.report.differences.extend(wrong);
        self.watch.lap("compare_notes");
        let equal = self.report.tables.iter().all(|table| table.equal);
        if equal && self.report.differences.is_empty() && self.report.checks.iter().all(|check| check.passed) {
            self.report.rto_seconds = Some(self.watch.total());
        }
        self.report.checks.extend(rehearse::use_it(&client, &people, &wanted).await);
        self.watch.lap("use");
        let ended = server.stop().await;
        self.report.checks.push(ended);
        self.watch.lap("stop");
        Ok(())
    }

    /// Reads every file of the copy back.
    async fn compare_files(&mut self, opened: &Opened, scratch: &Scratch) -> Result<(), Error> {
        for file in &opened.sealed.files {
            let expected = opened.sealed.plain.get(&file.name);
            let found = match scratch.files.get_stream(&file.storage_key).await {
                Ok(download) => {
                    let mut tally = Tally::default();
                    let mut portions = std::pin::pin!(download.into_stream());
                    while let Some(portion) = portions.next().await {
                        tally.update(&portion.map_err(scratch::failed("a file of the copy"))?);
                    }
                    Some(tally.finish())
                }
                Err(objects::Error::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            self.report.files_compared += 1;
            if found.as_ref() != expected {
                self.report.differences.push(format!("file {} is not what it was", file.storage_key));
            }
        }
        Ok(())
    }
}

fn blank(
    row: &store::control::points::point::Model,
    drill: &str,
    seed: u64,
    options: &DrillOptions,
    started_at: OffsetDateTime,
) -> DrillReport {
    DrillReport {
        drill: drill.to_owned(),
        tenant: row.slug.clone(),
        point: row.point.clone(),
        verdict: Verdict::Incomplete,
        differences: Vec::new(),
        trigger: options.actor.clone(),
        started_at: rfc3339(started_at),
        finished_at: String::new(),
        snapshot: rfc3339(row.snapshot_at),
        selection: Selection { rule: if options.named { "named" } else { "newest" }.to_owned(), seed },
        product: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        notes_compared: 0,
        notes_expected: row.notes.unsigned_abs(),
        tables: Vec::new(),
        files_compared: 0,
        files_expected: row.files.unsigned_abs(),
        checks: Vec::new(),
        phases: Vec::new(),
        rpo_seconds: None,
        rto_seconds: None,
        identity: String::new(),
        isolation: Isolation {
            database: "none: the drill ended before one was started".to_owned(),
            network: "host".to_owned(),
            server: "none: the drill ended before one was started".to_owned(),
            store_read_only: false,
        },
        faults: Vec::new(),
        control_accepted: None,
        previous_hash: String::new(),
        hash: String::new(),
    }
}
