//! What an earlier run may have left on a data directory: a server that still runs or is going down, or a stale pid file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Error;

/// Signals in rising force, each with the time it gets: fast shutdown, immediate shutdown, the end.
pub(super) const FORCE: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// The pid file of a data directory.
pub(super) fn pid_file(directory: &Path) -> PathBuf {
    directory.join("postmaster.pid")
}

/// Stops a server of an earlier run, whose owner was killed. The caller holds the data folder, so nobody needs it.
pub(super) fn stop(directory: &Path) -> Result<(), Error> {
    let file = pid_file(directory);
    let Some(process) = first_line(&file) else { return Ok(()) };
    if !is_alive(process) {
        // The server itself clears the file away, after it has seen that no child of the old one still has the memory.
        return Ok(());
    }
    if !is_server_on(process, directory) {
        return disown(&file);
    }
    tracing::info!(process, "stopping the database server of an earlier run");
    for (signal, patience) in FORCE {
        // Gone in the meantime is what we want.
        let _ = kill(Pid::from_raw(process), signal);
        if wait_gone(process, directory, patience) {
            return Ok(());
        }
    }
    Err(Error::Lingering { process, path: directory.to_owned() })
}

fn first_line(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok().filter(|process| *process > 1)
}

fn is_alive(process: i32) -> bool {
    Path::new("/proc").join(process.to_string()).join("stat").exists() && !is_zombie(process)
}

fn is_zombie(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the state follows the last one.
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// A process number is used again after a while; only a server with this directory on its command line is one of ours.
fn is_server_on(process: i32, directory: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    program.ends_with(b"postgres") && words.any(|word| word == directory.as_os_str().as_encoded_bytes())
}

fn wait_gone(process: i32, directory: &Path, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while is_alive(process) && is_server_on(process, directory) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The number belongs to a stranger by now, and Postgres would take that for a running server. It overlooks its parent,
/// so our own number goes in; the rest of the file stays, because from it Postgres sees children of the old server.
fn disown(file: &Path) -> Result<(), Error> {
    let text = std::fs::read_to_string(file).map_err(Error::file("cannot read", file))?;
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    std::fs::write(file, format!("{}\n{rest}", std::process::id())).map_err(Error::file("cannot write", file))
}
