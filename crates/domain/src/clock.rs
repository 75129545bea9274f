//! Time is passed in, so that a test can hold it still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use time::OffsetDateTime;

/// Where "now" comes from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands where it was put, in nanoseconds since 1970; for tests.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock standing at `seconds` since 1970.
    pub fn fixed(seconds: i64) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(seconds.saturating_mul(1_000_000_000))))
    }

    /// Moves a fixed clock forward; the system clock ignores it.
    pub fn advance(&self, seconds: i64) {
        if let Self::Fixed(at) = self {
            at.fetch_add(seconds.saturating_mul(1_000_000_000), Ordering::SeqCst);
        }
    }

    /// The present moment in UTC.
    pub fn now(&self) -> OffsetDateTime {
        match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Fixed(at) => OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.load(Ordering::SeqCst)))
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }

    /// Whole seconds since 1970: the unit in which notes carry their times.
    pub fn seconds(&self) -> i64 {
        self.now().unix_timestamp()
    }

    /// Nanoseconds since 1970: the unit in which tokens and sessions carry their times.
    pub fn nanos(&self) -> i64 {
        i64::try_from(self.now().unix_timestamp_nanos()).unwrap_or(i64::MAX)
    }
}
