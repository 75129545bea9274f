//! Where the time of a load goes, counted by all its threads at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::report::Phases;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Finding what must be known before rows can pass.
    Gather,
    /// Reading and mapping, without waiting for those behind.
    Read,
    /// What texts say about themselves.
    Markdown,
    /// Rows into bytes and hashes.
    Encode,
    /// Postgres taking rows.
    Copy,
    /// The file store taking files.
    Files,
    /// Postgres making keys and indexes.
    Keys,
}

/// Sums per kind of work.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    nanos: [AtomicU64; 7],
}

impl Stopwatch {
    pub(crate) fn add(&self, work: Work, time: Duration) {
        self.nanos[work as usize].fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Adds what has passed since.
    pub(crate) fn since(&self, work: Work, began: Instant) {
        self.add(work, began.elapsed());
    }

    pub(crate) fn tell(&self, phases: &mut Phases) {
        let seconds =
            |work: Work| Duration::from_nanos(self.nanos[work as usize].load(Ordering::Relaxed)).as_secs_f64();
        phases.gather = seconds(Work::Gather);
        phases.read = (seconds(Work::Read) - phases.gather).max(0.0);
        phases.markdown = seconds(Work::Markdown);
        phases.encode = seconds(Work::Encode);
        phases.copy = seconds(Work::Copy);
        phases.files = seconds(Work::Files);
        phases.keys = seconds(Work::Keys);
    }
}
