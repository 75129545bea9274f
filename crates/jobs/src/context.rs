//! What a handler may tell and be told while it runs.

use std::sync::Arc;

use serde_json::Value;
use store::Store;
use store::control::jobs::JobRow;
use tokio::sync::watch;

/// What a handler may tell while it runs, and what it is told: that somebody wants the run cancelled.
#[derive(Clone)]
pub struct Context {
    progress: watch::Sender<Option<Value>>,
    cancel: watch::Receiver<bool>,
    held: Arc<Held>,
}

/// The job and who holds it.
pub(crate) struct Held {
    pub(crate) store: Store,
    pub(crate) worker: String,
    pub(crate) job: JobRow,
}

impl Context {
    pub(crate) const fn new(
        progress: watch::Sender<Option<Value>>,
        cancel: watch::Receiver<bool>,
        held: Arc<Held>,
    ) -> Self {
        Self { progress, cancel, held }
    }

    /// Shows progress to whoever watches the job; stored at most about once a second.
    pub fn progress(&self, value: Value) {
        self.progress.send_replace(Some(value));
    }

    /// Carries out work that may be dropped at any moment; none when the run was cancelled meanwhile.
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        let mut cancel = self.cancel.clone();
        let cancelled = async move {
            // an error means that nobody can ask any more
            if cancel.wait_for(|asked| *asked).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = cancelled => None,
            done = work => Some(done),
        }
    }

    /// The point of no return: from here on the run cannot be cancelled. False when it was cancelled before.
    ///
    /// # Errors
    /// When the control plane cannot be asked; then nothing may be changed either.
    pub async fn settle(&self) -> Result<bool, store::Error> {
        self.held.store.control().settle_job(&self.held.job, &self.held.worker).await
    }
}
