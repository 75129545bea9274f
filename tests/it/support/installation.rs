//! The executable as its users run it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use testkit::pg::TestDatabase;

use super::Http;

/// An external database, a folder as backup store, a folder for files, and settings by the environment.
pub(crate) struct Installation {
    pub(crate) database: TestDatabase,
    pub(crate) folder: TempDir,
    settings: Vec<(String, String)>,
}

impl Installation {
    /// Everything empty.
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create().await;
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "store", "files"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let settings = [
            ("HOLDFAST_DATABASE_URL", database.url().replacen("@/", "@localhost/", 1)),
            ("HOLDFAST_DATA", at("data")),
            ("HOLDFAST_STORE_DIRECTORY", at("store")),
            ("HOLDFAST_FILES_URL", format!("file://{}", at("files"))),
            ("HOLDFAST_LOG_FILTER", "warn".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { database, folder, settings }
    }

    /// From now on the database is reached through a socket in this folder.
    pub(crate) fn reach_database_by(&mut self, folder: &Path) {
        let mut config = self.database.config.clone();
        config.host = folder.display().to_string();
        let through = TestDatabase { name: self.database.name.clone(), config };
        for (name, value) in &mut self.settings {
            if name == "HOLDFAST_DATABASE_URL" {
                *value = through.url().replacen("@/", "@localhost/", 1);
            }
        }
    }

    /// One more setting for every command from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts a worker for these kinds of jobs, and waits until it is ready.
    pub(crate) fn work(&self, kinds: &str) -> Worker {
        let words = ["worker", "--only", kinds, "--ops-listen", "127.0.0.1:0", "--json"];
        let mut child = self.command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let ready = ready(&mut child);
        Worker { child, ops: address_of(ready["ops_url"].as_str().unwrap()) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOLDFAST_")) {
            command.env_remove(name);
        }
        command.args(arguments).envs(self.settings.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Runs a command with `--json`: its exit code and the last document of its output.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.command(arguments).arg("--json").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let document = serde_json::from_str(&text)
            .ok()
            .or_else(|| text.lines().rev().find_map(|line| serde_json::from_str(line).ok()))
            .unwrap_or(Value::Null);
        let code = output.status.code().unwrap_or(-1);
        if code != 0 && code != 3 {
            eprintln!("{arguments:?} ended with {code}: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
        (code, document)
    }

    /// Runs a command with `--json`: its exit code and every document of its output.
    pub(crate) fn lines(&self, arguments: &[&str]) -> (i32, Vec<Value>) {
        let output = self.command(arguments).arg("--json").output().unwrap();
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let documents = lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        (output.status.code().unwrap_or(-1), documents)
    }

    /// Runs a command that must succeed, warnings allowed.
    pub(crate) fn must(&self, arguments: &[&str]) -> Value {
        let (code, document) = self.run(arguments);
        assert!(code == 0 || code == 3, "holdfast {arguments:?} ended with {code}: {document}");
        document
    }

    /// Imports a private copy of a Memos data folder as an open tenant.
    pub(crate) fn import(&self, source: &Path, slug: &str) -> Value {
        let copy = testkit::fixtures::copy_of(source);
        self.must(&["migrate", "run", copy.path().to_str().unwrap(), "--tenant", slug, "--open"])
    }

    /// Starts the server on free ports, without a worker, and waits until it is ready.
    pub(crate) fn serve(&self) -> Server {
        let mut child = self
            .command(&[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--grpc-listen",
                "127.0.0.1:0",
                "--ops-listen",
                "127.0.0.1:0",
                "--no-worker",
                "--json",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ready = ready(&mut child);
        let url = ready["url"].as_str().unwrap();
        let address = address_of(url);
        let grpc = ready["grpc_url"].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
        Server { child, address, grpc, ops: address_of(ready["ops_url"].as_str().unwrap()) }
    }
}

/// The line in which a process says that it is ready.
fn ready(child: &mut Child) -> Value {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().expect("it ended before it was ready").unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line: {line}"));
    assert_eq!(ready["event"], "ready", "{ready}");
    ready
}

fn address_of(url: &str) -> SocketAddr {
    url.split("//").nth(1).unwrap().trim_end_matches('/').parse().unwrap()
}

/// A running worker; it is killed with this value.
pub(crate) struct Worker {
    child: Child,
    /// Its metrics and health.
    pub(crate) ops: SocketAddr,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A running server; it ends with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where native gRPC is.
    pub(crate) grpc: String,
    /// Its metrics and health.
    pub(crate) ops: SocketAddr,
}

impl Server {
    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of native gRPC.
    pub(crate) fn grpc_address(&self) -> SocketAddr {
        address_of(&self.grpc)
    }

    /// A client that calls it by this host name.
    pub(crate) fn by_host(&self, host: &str) -> Http {
        Http { address: self.address, host: host.to_owned(), base: String::new() }
    }

    /// A client of the tenant below `/t/{slug}`.
    pub(crate) fn by_path(&self, slug: &str) -> Http {
        Http { address: self.address, host: self.address.to_string(), base: format!("/t/{slug}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
