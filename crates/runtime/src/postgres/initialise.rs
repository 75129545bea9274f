//! Creating a data directory: whole or not at all, by working beside the final place and renaming.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::address::{DATABASE, SUPERUSER};
use super::binaries::Binaries;
use super::configuration::{ACCESS, TUNABLES};
use super::launch::Launch;
use super::{Error, keeper};

/// Role and database, run as superuser in the database `postgres`.
const ROLES: &str = include_str!("roles.sql");
/// Schema of the extensions, run as superuser in our own database.
const EXTENSIONS: &str = include_str!("extensions.sql");

/// The major version of an existing data directory; `None` when there is nothing yet.
pub(super) fn major_of(directory: &Path) -> Result<Option<String>, Error> {
    let file = directory.join("PG_VERSION");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let empty = directory.read_dir().map_or(true, |mut entries| entries.next().is_none());
            if empty { Ok(None) } else { Err(Error::NotCluster { path: directory.to_owned() }) }
        }
        Err(source) => Err(Error::File { what: "cannot read", path: file, source }),
    }
}

/// Makes the directory with its role, database and extensions.
pub(super) fn create(directory: &Path, binaries: &Binaries, launch: &Launch, durable: bool) -> Result<(), Error> {
    let staging = staging(directory);
    if staging.exists() {
        std::fs::remove_dir_all(&staging)
            .map_err(Error::file("cannot remove the remains of an earlier attempt", &staging))?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&staging).map_err(Error::file("cannot create", &staging))?;
    launch.account.give(&staging)?;
    initdb(&staging, binaries, launch)?;
    write(&staging.join("pg_hba.conf"), ACCESS, launch)?;
    let conf = staging.join("postgresql.conf");
    let made = std::fs::read_to_string(&conf).map_err(Error::file("cannot read", &conf))?;
    write(&conf, &format!("{made}\n{TUNABLES}"), launch)?;
    run_single(&staging, binaries, launch, SUPERUSER, ROLES)?;
    run_single(&staging, binaries, launch, DATABASE, EXTENSIONS)?;
    if durable {
        // Once for everything, instead of a thousand times by the steps above.
        let folder = std::fs::File::open(&staging).map_err(Error::file("cannot open", &staging))?;
        nix::unistd::syncfs(&folder).map_err(|error| Error::file("cannot sync", &staging)(error.into()))?;
    }
    std::fs::rename(&staging, directory).map_err(Error::file("cannot put the new database in place at", directory))?;
    let parent = directory.parent().unwrap_or_else(|| Path::new("."));
    std::fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(Error::file("cannot sync", parent))
}

fn staging(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    directory.with_file_name(name)
}

/// With Unicode-aware letters where the system has the locale, else plain C.
fn initdb(directory: &Path, binaries: &Binaries, launch: &Launch) -> Result<(), Error> {
    let Some(said) = initdb_with(directory, binaries, launch, "C.UTF-8")? else { return Ok(()) };
    if !said.contains("locale") {
        return Err(Error::Initialise { said });
    }
    initdb_with(directory, binaries, launch, "C")?.map_or(Ok(()), |said| Err(Error::Initialise { said }))
}

/// `None` when it worked, else what it said.
fn initdb_with(directory: &Path, binaries: &Binaries, launch: &Launch, locale: &str) -> Result<Option<String>, Error> {
    let program = binaries.program("initdb");
    let mut command = launch.command(&program, "KILL");
    command.arg("-D").arg(directory).args([
        "-U",
        SUPERUSER,
        "-E",
        "UTF8",
        "-A",
        "trust",
        "--data-checksums",
        "--no-instructions",
    ]);
    command.arg(format!("--locale={locale}")).arg("--lc-messages=C");
    let output = command.stdin(Stdio::null()).output().map_err(Error::file("cannot run", program))?;
    Ok((!output.status.success()).then(|| keeper::last_words(&String::from_utf8_lossy(&output.stderr))))
}

/// Runs statements, each ended by a semicolon and an empty line, without a server: nothing else can connect meanwhile.
fn run_single(
    directory: &Path,
    binaries: &Binaries,
    launch: &Launch,
    database: &str,
    statements: &str,
) -> Result<(), Error> {
    let program = binaries.program("postgres");
    let mut command = launch.command(&program, "KILL");
    command.args(["--single", "-j", "-c", "exit_on_error=on", "-c", "fsync=off", "-D"]).arg(directory).arg(database);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Error::file("cannot run", &program))?;
    if let Some(mut input) = child.stdin.take() {
        // A server that has given up closes its end; what it said is reported below.
        let _ = input.write_all(statements.as_bytes());
    }
    let output = child.wait_with_output().map_err(Error::file("cannot run", &program))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && !said.contains("ERROR:") {
        Ok(())
    } else {
        Err(Error::Initialise { said: keeper::last_words(&said) })
    }
}

fn write(path: &Path, text: &str, launch: &Launch) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::file("cannot write", path))?;
    launch.account.give(path)
}
