//! A Postgres cluster of a test's own, with stock programs: empty, on a socket or on loopback.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::tls::{Authority, PostgresDoor};

use super::process::{program, tool};
use super::reading::Superuser;

/// A server that ends with this value.
pub(super) struct Cluster {
    pub(super) superuser: Superuser,
    /// How it is reached from elsewhere, where it is.
    pub(super) abroad: Option<Abroad>,
    data: PathBuf,
    programs: PathBuf,
    _folder: tempfile::TempDir,
}

/// A way in over loopback: with a password, and through TLS alone.
pub(super) struct Abroad {
    pub(super) port: u16,
    pub(super) authority: Authority,
    /// Before programs that know no TLS, as providers do it.
    pub(super) door: Option<PostgresDoor>,
}

/// Whether these programs were built with TLS.
pub(super) fn know_tls(programs: &Path) -> bool {
    let configured = tool(Command::new(programs.join("pg_config")).arg("--configure"));
    String::from_utf8_lossy(&configured).contains("ssl")
}

/// Who may run Postgres: not root.
fn account() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = nix::unistd::User::from_name("postgres").ok().flatten();
    let user = user.or_else(|| nix::unistd::User::from_name("nobody").ok().flatten()).unwrap();
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((user, group)) = account() {
        std::os::unix::process::CommandExt::uid(&mut command, user);
        std::os::unix::process::CommandExt::gid(&mut command, group);
    }
    command
}

/// The folder with the programs of a major version: where Debian puts them, or beside the tools that the gate fetched.
pub(super) fn programs_of(major: u32) -> Option<PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fetched = std::env::split_paths(&path)
        .filter_map(|folder| Some(folder.parent()?.join(format!("postgresql-{major}/bin"))))
        .collect::<Vec<_>>();
    // Whoever runs Postgres must be able to enter the folder, too.
    let runs = |folder: &PathBuf| {
        let version = as_postgres(&folder.join("initdb")).arg("--version").output();
        version.is_ok_and(|done| done.status.success())
    };
    std::iter::once(debian).chain(fetched).find(runs)
}

/// The newest that is installed with all its programs.
pub(super) fn newest_programs() -> PathBuf {
    let debian = (15..=18).rev().map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")));
    debian
        .into_iter()
        .find(|folder| folder.join("initdb").exists())
        .unwrap_or_else(|| program("initdb").expect("PostgreSQL").parent().unwrap().to_owned())
}

impl Cluster {
    /// An empty one on a Unix socket.
    pub(super) fn start(programs: &Path) -> Self {
        Self::start_with(programs, false)
    }

    /// One that is reached over loopback, too, and takes nothing but TLS and passwords there.
    pub(super) fn start_on_loopback(programs: &Path) -> Self {
        Self::start_with(programs, true)
    }

    fn start_with(programs: &Path, abroad: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("hf-pg-").tempdir_in("/tmp").unwrap();
        let mode = |path: &Path, mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, mode).unwrap();
        };
        mode(folder.path(), 0o777);
        let data = folder.path().join("data");
        let mut initdb = as_postgres(&programs.join("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        tool(&mut initdb);
        let authority = abroad.then(Authority::new);
        let listens = abroad && know_tls(programs);
        let port = if listens { super::journey::free_port(20_000) } else { 5433 };
        let mut options = format!(
            "-F -c unix_socket_directories={} -p {port} -c max_locks_per_transaction=1024 -c max_connections=200",
            folder.path().display()
        );
        if abroad {
            // The superuser is the test's own; behind a door everybody else comes by the socket, too.
            let access =
                "local all postgres trust\nlocal all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
            std::fs::write(data.join("pg_hba.conf"), access).unwrap();
        }
        if let Some(authority) = authority.as_ref().filter(|_| listens) {
            certify(&data, authority);
            options.push_str(" -c listen_addresses=127.0.0.1 -c ssl=on");
        } else {
            options.push_str(" -c listen_addresses=");
        }
        let mut start = as_postgres(&programs.join("pg_ctl"));
        start.arg("-D").arg(&data).arg("-l").arg(folder.path().join("log")).args(["-o", &options, "-w", "start"]);
        let started = start.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success();
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(started, "the cluster starts: {}", log());
        let host = folder.path().display().to_string();
        let socket = folder.path().join(format!(".s.PGSQL.{port}"));
        let superuser = Superuser { host, port, database: "postgres".to_owned() };
        let abroad = authority.map(|authority| match listens {
            true => Abroad { port, authority, door: None },
            false => {
                let door = PostgresDoor::before(socket, &authority);
                Abroad { port: door.port, authority, door: Some(door) }
            }
        });
        Self { superuser, abroad, data, programs: programs.to_owned(), _folder: folder }
    }
}

/// The certificate for `localhost` in the data directory.
fn certify(data: &Path, authority: &Authority) {
    let (certificate, key) = authority.leaf();
    for (name, text) in [("server.crt", certificate), ("server.key", key)] {
        let file = data.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if let Some((user, group)) = account() {
            std::os::unix::fs::chown(&file, Some(user), Some(group)).unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = as_postgres(&self.programs.join("pg_ctl"));
        stop.arg("-D").arg(&self.data).args(["-m", "immediate", "stop"]).output().ok();
    }
}
