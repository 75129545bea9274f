//! Who watches a piece of work, and may cancel it while nothing has come of it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jobs::Context;
use serde_json::json;

use crate::error::Error;

/// A piece of work as those see it who asked for it. Of a command nobody but its caller knows.
#[derive(Clone, Default)]
pub(crate) struct Watched(Option<Context>);

impl Watched {
    /// By whoever looks at the job.
    pub(crate) const fn by(context: Context) -> Self {
        Self(Some(context))
    }

    /// Tells what is being done, and how far that is: from 0 to 1.
    pub(crate) fn tell(&self, phase: &str, share: f64) {
        if let Some(context) = &self.0 {
            context.progress(json!({ "phase": phase, "share": share }));
        }
    }

    /// Carries out what may be dropped at any moment.
    ///
    /// # Errors
    /// `Cancelled` when somebody wanted the run to end.
    pub(crate) fn unless_cancelled<'a, T: Send + 'a>(
        &'a self,
        work: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        match &self.0 {
            Some(context) => {
                let work = work.boxed();
                async move { context.unless_cancelled(work).await.unwrap_or(Err(Error::Cancelled)) }.boxed()
            }
            None => work.boxed(),
        }
    }

    /// The point of no return.
    ///
    /// # Errors
    /// `Cancelled` when somebody wanted the run to end before.
    pub(crate) async fn settle(&self) -> Result<(), Error> {
        match &self.0 {
            Some(context) if !context.settle().await? => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }
}
