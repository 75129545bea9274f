//! What the tests share: a folder as nasty as a user's, psql, and an owner in a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use runtime::data_dir::DataDir;
use runtime::postgres::{Address, Binaries, Cluster, Spec};

pub(crate) fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").unwrap();
}

pub(crate) fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A folder that nobody but us may enter, with a data folder below it.
pub(crate) fn private() -> (tempfile::TempDir, DataDir) {
    let outer = tempfile::tempdir().unwrap();
    std::fs::set_permissions(outer.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let data = DataDir::open(&outer.path().join("data")).unwrap();
    (outer, data)
}

pub(crate) fn spec(data: &DataDir) -> Spec {
    Spec::embedded(data, None, Some(own()))
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(future)
}

/// One statement by psql as the product's role; the answer's text.
pub(crate) fn psql(address: &Address, statement: &str) -> Result<String, String> {
    psql_as(address, &address.user, statement)
}

pub(crate) fn psql_as(address: &Address, user: &str, statement: &str) -> Result<String, String> {
    let output = Command::new(Binaries::find(None).unwrap().program("psql"))
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h"])
        .arg(&address.socket_dir)
        .args(["-p", &address.port.to_string(), "-U", user, "-d", &address.database, "-c", statement])
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// `main hold DIR`: opens the cluster, says where it is, and waits to be killed.
pub(crate) fn hold(folder: &OsStr) -> ExitCode {
    block_on(async {
        let data = DataDir::open(Path::new(folder)).unwrap();
        let _owner = data.own().await.unwrap();
        let cluster = Cluster::open(spec(&data)).await.unwrap();
        say(&format!("{} {}", cluster.process(), serde_json::to_string(cluster.address()).unwrap()));
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

/// An owner in a process of its own.
pub(crate) struct Holder {
    pub(crate) child: Child,
    pub(crate) server: i32,
    pub(crate) address: Address,
}

impl Holder {
    pub(crate) fn start(data: &DataDir) -> Self {
        let mut child = Command::new(own()).arg("hold").arg(data.root()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (server, address) = line.split_once(' ').unwrap_or_else(|| panic!("the holder said {line:?}"));
        Self { server: server.parse().unwrap(), address: serde_json::from_str(address).unwrap(), child }
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn is_alive(process: i32) -> bool {
    Path::new(&format!("/proc/{process}/exe")).read_link().is_ok()
}
