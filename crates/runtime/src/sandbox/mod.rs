//! `holdfast sandbox … -- PROGRAM ARGUMENTS`: the hidden command that gives up rights and then becomes another program.
//!
//! Setting a user, a capability, a namespace or a parent-death signal between fork and exec needs `unsafe` code in the
//! parent. A process of its own does the same with safe calls, and keeps its process id when it becomes the program.

mod arguments;
mod loopback;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use caps::{CapSet, Capability};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::setrlimit;
use nix::unistd::{Gid, Uid, getegid, geteuid, getppid, setgid, setgroups, setuid};

use arguments::Arguments;

/// Exit status when the program was never reached.
pub const NOT_REACHED: u8 = 125;

/// Something that the system refused.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        #[source]
        source: nix::Error,
    },
    #[error("cannot {what}: {source}")]
    Capability {
        what: &'static str,
        #[source]
        source: caps::errors::CapsError,
    },
    #[error("cannot {what}: {source}")]
    File {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("the parent process has ended")]
    Orphan,
    #[error("cannot run {program}: {source}")]
    Exec {
        program: String,
        #[source]
        source: std::io::Error,
    },
}

/// Does what the arguments after `sandbox` say and becomes the program; returns only when that failed.
///
/// Call it before any thread is started: a user namespace can only be made by a process with a single thread.
///
/// Arguments: `--uid N`, `--gid N`, `--ambient CAPABILITY`, `--parent-death SIGNAL`, `--parent PID`, `--new-net`,
/// `--rlimit NAME=VALUE`, `--check` (set everything up and exit 0 instead of running a program).
pub fn exec(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "sandbox: {error}");
            ExitCode::from(NOT_REACHED)
        }
    }
}

/// Whether a process started by `own` (our executable) can get a network of its own here.
pub fn can_isolate(own: &Path) -> bool {
    let mut command = Command::new(own);
    command.args(["sandbox", "--new-net", "--check"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let arguments = Arguments::parse(arguments).map_err(Error::Usage)?;
    for (resource, value) in &arguments.limits {
        setrlimit(*resource, *value, *value).map_err(system("set a limit"))?;
    }
    let outer_network = arguments.new_net && !separate_network_as_root()?;
    change_user(&arguments)?;
    if outer_network {
        separate_network_as_user()?;
    }
    if let Some(signal) = arguments.parent_death {
        prctl::set_pdeathsig(signal).map_err(system("set the parent-death signal"))?;
        // The parent may have ended before that; then nobody will tell us.
        if arguments.parent.is_some_and(|parent| getppid().as_raw() != parent) {
            return Err(Error::Orphan);
        }
    }
    prctl::set_no_new_privs().map_err(system("forbid new privileges"))?;
    if arguments.check {
        return Ok(());
    }
    let Some((program, rest)) = arguments.program.split_first() else {
        return Err(Error::Usage("no program given after --".to_owned()));
    };
    let source = Command::new(program).args(rest).exec();
    Err(Error::Exec { program: program.to_string_lossy().into_owned(), source })
}

fn system(what: &'static str) -> impl FnOnce(nix::Error) -> Error {
    move |source| Error::System { what, source }
}

fn capability(what: &'static str) -> impl FnOnce(caps::errors::CapsError) -> Error {
    move |source| Error::Capability { what, source }
}

/// Becomes the wanted user with no other groups, keeping the wanted capabilities through the change and the exec.
fn change_user(arguments: &Arguments) -> Result<(), Error> {
    let keep = !arguments.ambient.is_empty();
    if keep {
        prctl::set_keepcaps(true).map_err(system("keep capabilities"))?;
    }
    if let Some(group) = arguments.group {
        setgroups(&[]).map_err(system("drop the supplementary groups"))?;
        setgid(Gid::from_raw(group)).map_err(system("change the group"))?;
    }
    if let Some(user) = arguments.user {
        setuid(Uid::from_raw(user)).map_err(system("change the user"))?;
    }
    for wanted in &arguments.ambient {
        raise(*wanted)?;
    }
    Ok(())
}

/// Ambient capabilities must be permitted and inheritable first.
fn raise(wanted: Capability) -> Result<(), Error> {
    caps::raise(None, CapSet::Inheritable, wanted).map_err(capability("make a capability inheritable"))?;
    caps::raise(None, CapSet::Ambient, wanted).map_err(capability("make a capability ambient"))
}

/// True when we are root and the system let us; false when a user namespace has to be tried.
fn separate_network_as_root() -> Result<bool, Error> {
    if !geteuid().is_root() || unshare(CloneFlags::CLONE_NEWNET).is_err() {
        return Ok(false);
    }
    loopback::bring_up().map_err(|source| Error::File { what: "bring up the loopback interface", source })?;
    Ok(true)
}

/// A network inside a user namespace in which we are still ourselves.
fn separate_network_as_user() -> Result<(), Error> {
    let (user, group) = (geteuid(), getegid());
    // After a change of user our own files below /proc belong to root until we say that they need not.
    prctl::set_dumpable(true).map_err(system("become visible below /proc"))?;
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(system("make a user and network namespace"))?;
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{user} {user} 1")),
        ("/proc/self/gid_map", format!("{group} {group} 1")),
    ] {
        std::fs::write(file, text).map_err(|source| Error::File { what: "map our user into the namespace", source })?;
    }
    loopback::bring_up().map_err(|source| Error::File { what: "bring up the loopback interface", source })
}
