//! One Postgres server for a whole test run, and a database of its own for each test.
//!
//! The first test process starts the server (durability off) under the build directory; later ones find it. It runs until
//! `make test` ends it or the machine goes.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use store::{Config, Store};
use tokio_postgres::NoTls;

/// A running server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Directory of its socket.
    pub socket: PathBuf,
    /// Port in the socket's name.
    pub port: u16,
}

/// Role of the product in tests: no superuser, may make roles.
const ROLE: &str = "holdfast_test";
/// Name of the superuser made by initdb.
pub const SUPERUSER: &str = "postgres";

/// The shared server, started when need be.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let home = std::env::var_os("HOLDFAST_TEST_PG")
            .map_or_else(|| std::env::temp_dir().join("holdfast-test-pg"), PathBuf::from);
        std::fs::create_dir_all(&home).expect("a directory for the test server");
        std::os::unix::fs::chown(&home, owner().map(|o| o.0), owner().map(|o| o.1)).expect("the server's user owns it");
        let lock = File::create(home.join("lock")).expect("a lock file");
        let _held = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, e)| e).expect("the lock");
        let server = Server { socket: home.clone(), port: 54_329 };
        if !answers(&server) {
            start(&home, &server);
        }
        server
    })
}

/// Postgres refuses to run as root: then it runs as this user and group.
fn owner() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = nix::unistd::User::from_name("postgres")
        .ok()
        .flatten()
        .or_else(|| nix::unistd::User::from_name("nobody").ok().flatten())?;
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

fn tool(name: &str) -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name));
    let in_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|dir| dir.join(name))
        .collect::<Vec<_>>();
    installed
        .chain(in_path)
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} of PostgreSQL 15 to 18 is not installed"))
}

fn as_owner(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn answers(server: &Server) -> bool {
    std::os::unix::net::UnixStream::connect(server.socket.join(format!(".s.PGSQL.{}", server.port))).is_ok()
}

fn start(home: &Path, server: &Server) {
    let data = home.join("data");
    if !data.join("PG_VERSION").exists() {
        let made = as_owner(&tool("initdb"))
            .args(["-D"])
            .arg(&data)
            .args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-k"])
            .output()
            .expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }
    let options = format!(
        "-c listen_addresses='' -c unix_socket_directories='{}' -p {} -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
         -c max_connections=300 -c max_locks_per_transaction=256 -c jit=off -c log_min_messages=fatal -c autovacuum=off",
        server.socket.display(),
        server.port
    );
    let started = as_owner(&tool("pg_ctl"))
        .args(["-D"])
        .arg(&data)
        .args(["-l"])
        .arg(home.join("log"))
        .args(["-o", &options, "-w", "start"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("pg_ctl");
    assert!(started.success(), "the test server did not start; see {}", home.join("log").display());
    let until = Instant::now() + Duration::from_secs(20);
    while !answers(server) {
        assert!(Instant::now() < until, "the test server does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A database of a test's own.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    /// Its name.
    pub name: String,
    /// How the product reaches it.
    pub config: Config,
}

impl TestDatabase {
    /// A fresh, empty database owned by a role that is no superuser.
    pub async fn create() -> Self {
        let server = server();
        let name = format!("test_{:016x}", domain::chance::Chance::System.u64());
        let client = superuser("postgres").await;
        let role = format!(
            "DO $$ BEGIN CREATE ROLE {ROLE} LOGIN CREATEROLE CREATEDB; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        );
        client.batch_execute(&role).await.expect("the test role");
        client.batch_execute(&format!("CREATE DATABASE {name} OWNER {ROLE}")).await.expect("a database");
        let url = format!("postgres://{ROLE}@/{name}?host={}&port={}", server.socket.display(), server.port);
        let config = Config::from_url(&url, None, None).expect("a valid URL");
        Self { name, config }
    }

    /// The URL of the product's settings.
    pub fn url(&self) -> String {
        format!("postgres://{}@/{}?host={}&port={}", self.config.user, self.name, self.config.host, self.config.port)
    }

    /// A store on it, with the control plane in place.
    pub async fn store(&self) -> Store {
        let store = Store::connect(self.config.clone()).await.expect("a store");
        store.prepare().await.expect("a prepared store");
        store
    }

    /// A connection that may do anything, to break things and to look behind the curtain.
    pub async fn superuser(&self) -> tokio_postgres::Client {
        superuser(&self.name).await
    }
}

async fn superuser(database: &str) -> tokio_postgres::Client {
    let server = server();
    let mut config = tokio_postgres::Config::new();
    config.host_path(&server.socket).port(server.port).user(SUPERUSER).dbname(database);
    let (client, connection) = config.connect(NoTls).await.expect("the test server");
    tokio::spawn(async move {
        connection.await.ok();
    });
    client
}
