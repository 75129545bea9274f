//! How much of requests' bodies may be in memory at once, over all of them.
//!
//! A body that has to be taken whole (Connect, gRPC, gRPC-Web) reserves its room here before it is read, and what it is
//! unpacked before that is unpacked. What is small needs none. Uploads over REST do not pass here: they go to the file store while they are read.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::ApiError;

/// Bodies up to this many bytes are not counted.
const FREE: usize = 256 * 1024;
/// Everything that may be held at once, in bytes.
const TOTAL: usize = 512 * 1024 * 1024;
/// The unit of counting, in bytes.
const UNIT: usize = 64 * 1024;
/// How long a body waits for room.
const PATIENCE: Duration = Duration::from_secs(10);

static ROOM: Semaphore = Semaphore::const_new(TOTAL / UNIT);

/// Room held by one body; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Room {
    held: Option<SemaphorePermit<'static>>,
}

impl Room {
    /// Bytes that it holds.
    #[cfg(test)]
    pub(crate) fn holds(&self) -> usize {
        self.held.as_ref().map_or(0, SemaphorePermit::num_permits) * UNIT
    }

    /// Makes sure that `bytes` may be held. Waits a little when others hold too much.
    ///
    /// # Errors
    /// 503 when there is no room for some seconds.
    pub(crate) async fn reserve(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= FREE {
            return Ok(());
        }
        let wanted = bytes.div_ceil(UNIT).min(TOTAL / UNIT);
        let more = wanted.saturating_sub(self.held.as_ref().map_or(0, SemaphorePermit::num_permits));
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let busy = || ApiError::unavailable("too many large requests at once; try again in a moment");
        let got = tokio::time::timeout(PATIENCE, ROOM.acquire_many(more)).await;
        let got = got.map_err(|_| busy())?.map_err(ApiError::internal)?;
        match &mut self.held {
            Some(held) => held.merge(got),
            None => self.held = Some(got),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_bodies_are_free_and_large_ones_give_back() {
        let mut small = Room::default();
        small.reserve(FREE).await.expect("free");
        assert!(small.held.is_none());
        let before = ROOM.available_permits();
        let mut large = Room::default();
        large.reserve(10 * UNIT).await.expect("room");
        large.reserve(12 * UNIT).await.expect("room");
        assert!(ROOM.available_permits() <= before - 12);
        drop(large);
        assert!(ROOM.available_permits() >= before - 12);
    }
}
