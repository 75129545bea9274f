//! The thread that starts the server, waits for its end and starts it again.
//!
//! It is a thread of its own because the parent-death signal is tied to the thread that started the child, not to the
//! process: a worker thread of the async runtime may end long before.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::sync::watch;

use super::launch::Launch;
use super::{Error, leftover};

/// How often the server's state file is looked at while it starts.
const POLL: Duration = Duration::from_millis(10);
/// How long children of a killed server may hold its memory.
const ORPHANS: Duration = Duration::from_secs(30);
/// Deaths in a row, each soon after the start, before it is given up.
const DEATHS: u32 = 5;
/// A log that has grown beyond this is begun anew at the next start.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Stopped,
    Failed(String),
}

/// Keeps one server running.
#[derive(Debug)]
pub(super) struct Keeper {
    state: watch::Receiver<State>,
    shared: Arc<Shared>,
    directory: PathBuf,
    log: PathBuf,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    process: AtomicI32,
}

struct Worker {
    launch: Launch,
    program: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
    log: PathBuf,
    shared: Arc<Shared>,
    state: watch::Sender<State>,
}

impl Keeper {
    /// Starts the server and waits until it takes connections.
    pub(super) async fn start(
        launch: Launch,
        program: PathBuf,
        arguments: Vec<String>,
        directory: PathBuf,
        run: &Path,
    ) -> Result<Self, Error> {
        let (sender, state) = watch::channel(State::Starting);
        let log = run.join("postgres.log");
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            launch,
            program,
            arguments,
            directory: directory.clone(),
            log: log.clone(),
            shared: shared.clone(),
            state: sender,
        };
        let spawned = std::thread::Builder::new().name("postgres-keeper".to_owned()).spawn(move || worker.run());
        spawned.map_err(Error::file("cannot start a thread for", &directory))?;
        let mut keeper = Self { state, shared, directory, log };
        let reached = keeper.state.wait_for(|state| *state != State::Starting).await.map(|state| state.clone());
        match reached {
            Ok(State::Ready) => Ok(keeper),
            Ok(State::Failed(said)) => Err(Error::Start { said, log: keeper.log.clone() }),
            Ok(_) | Err(_) => Err(Error::Start { said: "it ended at once".to_owned(), log: keeper.log.clone() }),
        }
    }

    pub(super) fn process(&self) -> i32 {
        self.shared.process.load(Ordering::SeqCst)
    }

    pub(super) async fn failed(&self) -> String {
        let mut state = self.state.clone();
        if let Ok(state) = state.wait_for(|state| matches!(state, State::Failed(_))).await
            && let State::Failed(said) = &*state
        {
            return said.clone();
        }
        // Stopped on purpose: it will never fail.
        std::future::pending().await
    }

    /// Fast shutdown, then harder ones when that does not help.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for (signal, patience) in leftover::FORCE {
            self.shared.signal(signal);
            let ended = self.state.wait_for(|state| matches!(state, State::Stopped | State::Failed(_)));
            if tokio::time::timeout(patience, ended).await.is_ok() {
                return Ok(());
            }
            tracing::warn!(%signal, "the database server does not stop");
        }
        Err(Error::Lingering { process: self.process(), path: self.directory.clone() })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.signal(nix::sys::signal::Signal::SIGINT);
    }
}

impl Shared {
    fn signal(&self, signal: nix::sys::signal::Signal) {
        let process = self.process.load(Ordering::SeqCst);
        if process > 0 {
            // Gone in the meantime is what we want.
            let _ = kill(Pid::from_raw(process), signal);
        }
    }
}

impl Worker {
    fn run(self) {
        let mut deaths = 0;
        let mut first = true;
        let end = loop {
            let started = Instant::now();
            match self.run_once(&mut first) {
                Ok(()) if self.is_stopping() => break State::Stopped,
                Err(said) if self.is_stopping() => {
                    tracing::debug!(said, "the database server ended while stopping");
                    break State::Stopped;
                }
                Err(said) if first => break State::Failed(said),
                Ok(()) => tracing::warn!("the database server ended; starting it again"),
                Err(said) => tracing::warn!(said, "the database server does not start; trying again"),
            }
            deaths = if started.elapsed() > Duration::from_secs(30) { 1 } else { deaths + 1 };
            if deaths > DEATHS {
                break State::Failed(self.said_since(0));
            }
            self.state.send_replace(State::Starting);
            std::thread::sleep(Duration::from_millis(100) * deaths * deaths);
        };
        if let State::Failed(said) = &end {
            tracing::error!(said, "the database server has failed");
        }
        self.state.send_replace(end);
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// From start to end. An error: it never became ready, and this is what it said.
    fn run_once(&self, first: &mut bool) -> Result<(), String> {
        let deadline = Instant::now() + ORPHANS;
        loop {
            let (mut child, offset) = self.spawn()?;
            if self.wait_ready(&mut child) {
                *first = false;
                self.state.send_replace(State::Ready);
                tracing::info!(process = child.id(), "the database server is ready");
                self.reap(&mut child);
                return Ok(());
            }
            self.reap(&mut child);
            let said = self.said_since(offset);
            let orphans = said.contains("shared memory") || said.contains("lock file");
            if self.is_stopping() || !orphans || Instant::now() > deadline {
                return Err(said);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn reap(&self, child: &mut Child) {
        if let Err(error) = child.wait() {
            tracing::error!(%error, "cannot wait for the database server");
        }
        self.shared.process.store(0, Ordering::SeqCst);
    }

    fn spawn(&self) -> Result<(Child, u64), String> {
        let (log, offset) =
            open_log(&self.log).map_err(|error| format!("cannot write {}: {error}", self.log.display()))?;
        let copy = log.try_clone().map_err(|error| error.to_string())?;
        let mut command = self.launch.command(&self.program, "INT");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(copy).stderr(log);
        // A group of its own: a Ctrl-C at the terminal is for us, and we stop the server when its time has come.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child =
            command.spawn().map_err(|error| format!("cannot run {}: {error}", command.get_program().display()))?;
        self.shared.process.store(child.id().cast_signed(), Ordering::SeqCst);
        if self.is_stopping() {
            self.shared.signal(nix::sys::signal::Signal::SIGINT);
        }
        Ok((child, offset))
    }

    /// True when it takes connections; false when it ended first.
    fn wait_ready(&self, child: &mut Child) -> bool {
        let file = leftover::pid_file(&self.directory);
        let process = child.id().to_string();
        let mut next_remark = Instant::now() + Duration::from_secs(10);
        loop {
            if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                return false;
            }
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let mut lines = text.lines();
            // Line 1 is the process, line 8 its state.
            if lines.next() == Some(process.as_str()) && lines.nth(6).is_some_and(|state| state.trim() == "ready") {
                return true;
            }
            if Instant::now() > next_remark {
                tracing::info!("the database is recovering, still waiting");
                next_remark += Duration::from_secs(10);
            }
            std::thread::sleep(POLL);
        }
    }

    fn said_since(&self, offset: u64) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(offset).unwrap_or(0).min(bytes.len());
        last_words(&String::from_utf8_lossy(&bytes[start..]))
    }
}

/// Opens the log for appending and tells where it ends now.
fn open_log(path: &Path) -> std::io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.len() > LOG_LIMIT {
        file.set_len(0)?;
    }
    let end = file.metadata()?.len();
    Ok((file, end))
}

/// The lines that tell why: errors and hints, else the last three.
pub(super) fn last_words(text: &str) -> String {
    let marks = ["FATAL:", "PANIC:", "ERROR:", "error:", "HINT:", "DETAIL:", "sandbox:"];
    let mut lines: Vec<&str> = text.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).collect();
    if lines.is_empty() {
        lines = text.lines().filter(|line| !line.trim().is_empty()).collect();
    }
    let from = lines.len().saturating_sub(3);
    let said = lines[from..].iter().map(|line| line.trim()).collect::<Vec<_>>().join("; ");
    if said.is_empty() { "it said nothing".to_owned() } else { said }
}
