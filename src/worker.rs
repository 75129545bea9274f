//! `holdfast worker`: jobs, schedules, what is looked after beside them, its operations listener, and their orderly end.

use std::time::Duration;

use domain::chance::Chance;
use domain::clock::Clock;
use jobs::{Runner, Scheduler};
use runtime::exit::{Code, CommandError};
use runtime::metrics::Metrics;
use runtime::printer::Printer;
use runtime::settings::Settings;
use runtime::shutdown::Shutdown;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use web::ops::OpsRunning;

use crate::errors::failed;
use crate::installation::{Installation, Share};

/// How long jobs under way may take when the worker is told to stop; after that they go back to the queue. Below the
/// TimeoutStopSec of the units.
const PATIENCE: Duration = Duration::from_secs(30);
/// Points, drills and dumps that a worker does at once.
const PARALLEL: usize = 2;
/// Outgoing messages that a worker sends at once, beside them.
const SENDING: usize = 8;
/// Kinds of work that a worker may be kept to.
const ONLY: [&str; 13] = [
    "backup", "drill", "dump", "prune", "verify", "survey", "restore", "part", "compare", "swap", "webhook", "mail",
    "mirror",
];

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArguments {
    /// Only these kinds of work.
    #[arg(long, value_delimiter = ',', value_parser = ONLY)]
    only: Vec<String>,
    /// Address and port of metrics and health; none without it or `worker_ops_listen`.
    #[arg(long, alias = "worker-ops-listen")]
    ops_listen: Option<String>,
}

impl WorkerArguments {
    pub(crate) fn flags(&self, flags: &mut Vec<(String, String)>) {
        // The units of server and worker share a settings file: the same key would be the same port.
        flags.extend(self.ops_listen.clone().map(|value| ("worker_ops_listen".to_owned(), value)));
    }
}

/// The line that says where its metrics are.
#[derive(Debug, Serialize)]
struct Ready {
    event: &'static str,
    ops_url: Option<String>,
    pid: u32,
}

/// A worker that runs.
pub(crate) struct Working {
    stop: watch::Sender<bool>,
    runners: Vec<JoinHandle<()>>,
    scheduler: Scheduler,
}

impl Working {
    /// Takes no new job, lets those under way end.
    pub(crate) async fn stop(self) {
        self.scheduler.stop().await;
        self.stop.send_replace(true);
        for runner in self.runners {
            runner.await.ok();
        }
    }
}

/// Starts a worker: the queue's runner and the scheduler.
pub(crate) async fn work(installation: &Installation, only: &[String]) -> Result<Working, CommandError> {
    let (stop, stopped) = watch::channel(false);
    let mut runners = Vec::new();
    // A drill takes a minute: messages do not wait behind it.
    for (handlers, parallel) in
        [(crate::work::handlers(installation, only)?, PARALLEL), (crate::work::senders(installation, only)?, SENDING)]
    {
        if !handlers.is_empty() {
            let runner = Runner::new(installation.store.clone(), handlers, parallel, &Chance::System);
            runners.push(tokio::spawn(runner.run_with(stopped.clone(), PATIENCE)));
        }
    }
    tokio::spawn(crate::tend::tend(installation.admin(), installation.backup(Printer::new(true))?));
    tokio::spawn(crate::tend::index(installation.store.clone()));
    tokio::spawn(crate::tend::sketch(installation.store.clone()));
    tokio::spawn(crate::tend::vacuum(installation.store.clone()));
    let copying = installation.backup(Printer::new(true))?;
    if !copying.copies.is_empty() && (only.is_empty() || only.iter().any(|kind| kind == "backup")) {
        tokio::spawn(backup::keep_copies(copying));
    }
    if only.is_empty() || only.iter().any(|kind| kind == "backup") {
        tokio::spawn(backup::keep_reading(installation.backup(Printer::new(true))?));
        tokio::spawn(backup::keep_locked(installation.backup(Printer::new(true))?));
        tokio::spawn(backup::keep_nightly(installation.store.clone(), Clock::System));
    }
    if only.is_empty() || only.iter().any(|kind| kind == "mirror") {
        tokio::spawn(backup::keep_mirrors(installation.backup(Printer::new(true))?));
    }
    let after = installation.settings.backup_changed_after;
    if after > 0 && (only.is_empty() || only.iter().any(|kind| kind == "backup")) {
        let store = installation.store.clone();
        tokio::spawn(backup::pick_up_changed(store, Clock::System, Duration::from_secs(u64::from(after))));
    }
    let scheduler = Scheduler::start(installation.store.clone(), Clock::System).await.map_err(failed)?;
    Ok(Working { stop, runners, scheduler })
}

/// `holdfast worker`
pub(crate) async fn run(
    arguments: WorkerArguments,
    settings: Settings,
    printer: Printer,
) -> Result<Code, CommandError> {
    let shutdown = Shutdown::install().map_err(failed)?;
    let installation = Installation::open(settings, Share::Allowed).await?;
    let outcome = stay(&arguments.only, &installation, &shutdown, printer).await;
    installation.close().await;
    outcome.map(|()| Code::Ok)
}

async fn stay(
    only: &[String],
    installation: &Installation,
    shutdown: &Shutdown,
    printer: Printer,
) -> Result<(), CommandError> {
    // Before the first job: what is counted without a recorder is counted nowhere.
    let ops = match &installation.settings.worker_ops_listen {
        None => None,
        Some(listen) => {
            let metrics = Metrics::install(env!("CARGO_PKG_VERSION")).map_err(failed)?;
            crate::serve::operations(installation, listen, metrics).await?
        }
    };
    let working = work(installation, only).await?;
    let ready = Ready { event: "ready", ops_url: ops.as_ref().map(OpsRunning::url), pid: std::process::id() };
    printer.result(&ready, |ready| match &ready.ops_url {
        Some(url) => format!("working; metrics and health at {url}"),
        None => "working".to_owned(),
    });
    runtime::notify::ready();
    let store = installation.store.clone();
    let watchdog =
        tokio::spawn(runtime::notify::watch(shutdown.token(), async move || store.control().ping().await.is_ok()));
    shutdown.asked_for().await;
    runtime::notify::stopping();
    working.stop().await;
    if let Some(ops) = ops {
        ops.stop().await.ok();
    }
    watchdog.abort();
    Ok(())
}
