//! The end of a process: SIGTERM and SIGINT ask for it, everyone who holds the token hears of it.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::exit::Code;

/// Asked to end? Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    reloads: watch::Sender<u64>,
}

/// Asks another process of ours to end (SIGTERM); false when there is none of that number.
pub fn ask_to_end(pid: u32) -> bool {
    let pid = i32::try_from(pid).map(nix::unistd::Pid::from_raw);
    pid.is_ok_and(|pid| nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok())
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { token: CancellationToken::new(), reloads: watch::Sender::new(0) }
    }
}

impl Shutdown {
    /// Listens to SIGTERM, SIGINT and SIGHUP of this process. A second SIGINT or SIGTERM ends it at once (130).
    pub fn install() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let own = shutdown.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => own.asked("SIGTERM"),
                    _ = interrupt.recv() => own.asked("SIGINT"),
                    _ = hangup.recv() => own.reloads.send_modify(|count| *count += 1),
                }
            }
        });
        Ok(shutdown)
    }

    fn asked(&self, name: &str) {
        if self.token.is_cancelled() {
            tracing::warn!(signal = name, "asked twice, ending at once");
            std::process::exit(i32::from(Code::Cancelled.number()));
        }
        self.token.cancel();
        tracing::info!(signal = name, "asked to end");
    }

    /// Begins the end from within, such as after a failed listener.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Whether the end has begun.
    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for the end to begin.
    pub async fn asked_for(&self) {
        self.token.cancelled().await;
    }

    /// For code that takes a token.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Changes at every SIGHUP: certificates are read again.
    pub fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }
}
