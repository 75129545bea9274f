//! Our own executable, serving the copy: as a child process on a Unix socket, where possible without any network.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::report::Check;
use super::scratch::Scratch;
use crate::error::Error;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of its log that are kept to tell why it failed.
const KEPT: usize = 20;

/// The running server; killed when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) socket: PathBuf,
}

impl Server {
    /// Starts `program serve` with these settings and waits until it says that it is ready.
    pub(super) async fn start(
        program: &Path,
        scratch: &Scratch,
        settings: Vec<(&'static str, String)>,
    ) -> Result<Self, Error> {
        let (socket, isolated) = (scratch.socket(), scratch.isolated);
        let failed = |said: String| Error::Process { what: "the server of the copy".to_owned(), said };
        let mut command = Command::new(program);
        command.arg("sandbox").args(["--parent-death", "KILL", "--parent", &std::process::id().to_string()]);
        if isolated {
            command.arg("--new-net");
        }
        command.arg("--").arg(program).args(["serve", "--no-worker", "--json", "--listen"]);
        command.arg(format!("unix:{}", socket.display()));
        command.args(["--grpc-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(settings).current_dir(scratch.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep_last_lines(stderr, Arc::clone(&said)));
        }
        let Some(stdout) = child.stdout.take() else { return Err(failed("it has no output".to_owned())) };
        let mut lines = BufReader::new(stdout).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                let event = serde_json::from_str::<serde_json::Value>(&line).ok();
                if event.is_some_and(|event| event.get("event").is_some_and(|event| event == "ready")) {
                    return true;
                }
            }
            false
        };
        if tokio::time::timeout(PATIENCE, ready).await != Ok(true) {
            let lines = said.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
            return Err(failed(format!("it did not become ready: {lines}")));
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, socket })
    }

    /// Asks it to end, as the system does, and tells whether it did so in order.
    pub(super) async fn stop(mut self) -> Check {
        let check = |passed, message: String| Check { name: "stop".to_owned(), passed, message };
        let asked = self.child.id().is_some_and(runtime::shutdown::ask_to_end);
        let ended = match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if asked && status.success() => return check(true, "ended in order".to_owned()),
            Ok(Ok(status)) => format!("it ended with {status}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it did not end within {} s", PATIENCE.as_secs()),
        };
        if let Err(error) = self.child.kill().await {
            tracing::debug!(%error, "the server of the copy had ended already");
        }
        check(false, ended)
    }
}

async fn keep_last_lines(stderr: tokio::process::ChildStderr, said: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = said.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(line);
    }
}
