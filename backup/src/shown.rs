//! How far a command is, for whoever watches its terminal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::printer::{Printer, Progress};

/// A line at the end of a terminal; nothing where nobody watches. Cheap to clone, and all clones show the same line.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    printer: Option<Printer>,
    now: Arc<Mutex<Option<Progress>>>,
}

impl Shown {
    /// On the terminal of a command, if it has one.
    pub(crate) fn on(printer: Printer) -> Self {
        Self { printer: Some(printer), now: Arc::default() }
    }

    fn now(&self) -> MutexGuard<'_, Option<Progress>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is done now, of which there is so much in all where that is known. It takes the place of what was shown.
    pub(crate) fn begin(&self, what: &str, total: Option<u64>) {
        let Some(printer) = self.printer else { return };
        let mut now = self.now();
        // the old line goes before the new one is drawn
        *now = None;
        *now = Some(printer.progress(what, total));
    }

    /// So much more of it is done.
    pub(crate) fn advance(&self, count: u64) {
        if let Some(progress) = self.now().as_ref() {
            progress.advance(count);
        }
    }

    /// Nothing is done any more: the line goes.
    pub(crate) fn end(&self) {
        *self.now() = None;
    }
}
