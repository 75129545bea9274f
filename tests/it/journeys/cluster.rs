//! A Postgres cluster of a test's own, with stock programs: empty, on a socket or on loopback.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::{program, tool};
use super::reading::Superuser;

/// A server that ends with this value.
pub(super) struct Cluster {
    pub(super) superuser: Superuser,
    /// The certificate authority, of clusters that take nothing but TLS on loopback.
    pub(super) authority: Option<PathBuf>,
    data: PathBuf,
    programs: PathBuf,
    _folder: tempfile::TempDir,
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
        Self::start_with(programs, None)
    }

    /// One that also listens on loopback (its socket has the same port) and asks for passwords there. It takes only TLS
    /// where these programs know it.
    pub(super) fn start_on_loopback(programs: &Path) -> Self {
        Self::start_with(programs, Some(super::journey::free_port(20_000)))
    }

    fn start_with(programs: &Path, port: Option<u16>) -> Self {
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
        let socket_port = port.unwrap_or(5433);
        let mut options = format!(
            "-F -c unix_socket_directories={} -p {socket_port} -c max_locks_per_transaction=1024 -c max_connections=200",
            folder.path().display()
        );
        let configured = tool(Command::new(programs.join("pg_config")).arg("--configure"));
        let with_tls = String::from_utf8_lossy(&configured).contains("ssl");
        let authority = (port.is_some() && with_tls).then(|| certify(&data));
        if port.is_some() {
            let kind = if with_tls { "hostssl" } else { "host" };
            let access = format!("local all all trust\n{kind} all all 127.0.0.1/32 scram-sha-256\n");
            std::fs::write(data.join("pg_hba.conf"), access).unwrap();
            options.push_str(" -c listen_addresses=127.0.0.1");
        } else {
            options.push_str(" -c listen_addresses=");
        }
        if authority.is_some() {
            options.push_str(" -c ssl=on");
        }
        let mut start = as_postgres(&programs.join("pg_ctl"));
        start.arg("-D").arg(&data).arg("-l").arg(folder.path().join("log")).args(["-o", &options, "-w", "start"]);
        let started = start.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success();
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(started, "the cluster starts: {}", log());
        let host = folder.path().display().to_string();
        let superuser = Superuser { host, port: socket_port, database: "postgres".to_owned() };
        Self { superuser, authority, data, programs: programs.to_owned(), _folder: folder }
    }
}

/// A certificate for `localhost` in the data directory, and the file of the authority that signed it.
fn certify(data: &Path) -> PathBuf {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    std::fs::write(data.join("server.crt"), server.pem()).unwrap();
    let key_file = data.join("server.key");
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    if let Some((user, group)) = account() {
        std::os::unix::fs::chown(&key_file, Some(user), Some(group)).unwrap();
        std::os::unix::fs::chown(data.join("server.crt"), Some(user), Some(group)).unwrap();
    }
    let file = data.parent().unwrap().join("authority.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    file
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = as_postgres(&self.programs.join("pg_ctl"));
        stop.arg("-D").arg(&self.data).args(["-m", "immediate", "stop"]).output().ok();
    }
}
