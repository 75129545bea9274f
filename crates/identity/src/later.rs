//! What is written down when the caller has his answer: he shall not be able to tell by the time that it was.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// As much may wait to be written; what comes beyond it is written before the answer.
const WAITING: u32 = 64;

/// Writes that nobody waits for, on the runtime that outlives the threads of the server.
#[derive(Clone, Debug)]
pub(crate) struct Later {
    places: Arc<Semaphore>,
    home: Option<Handle>,
}

impl Default for Later {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(WAITING as usize)), home: Handle::try_current().ok() }
    }
}

impl Later {
    /// Begins the work and comes back; where too much waits already, when it is done.
    pub(crate) async fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        match (&self.home, Arc::clone(&self.places).try_acquire_owned()) {
            (Some(home), Ok(place)) => {
                home.spawn(async move {
                    work.await;
                    drop(place);
                });
            }
            _ => work.await,
        }
    }

    /// Comes back when all that was begun is written.
    pub(crate) async fn settled(&self) {
        let _all = self.places.acquire_many(WAITING).await;
    }
}
