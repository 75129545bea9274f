//! Turns: how many searches of one tenant run at a time.
//!
//! A search may have to look at every note of its tenant, and a member's scripts may send many. Those that wait for their
//! turn hold no connection and no core, so that the requests of other tenants find both free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use domain::id::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// Who may search now.
#[derive(Debug)]
pub(crate) struct Turns {
    each: usize,
    longest: Duration,
    waiting: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

/// A search under way. Dropping it lets the next one begin.
pub(crate) type Turn = OwnedSemaphorePermit;

/// Tenants that are remembered before those are forgotten of whom nobody searches.
const REMEMBERED: usize = 256;

impl Turns {
    /// So many at a time of each tenant; whoever waits longer than `longest` is refused.
    pub(crate) fn new(each: usize, longest: Duration) -> Self {
        Self { each: each.max(1), longest, waiting: Mutex::default() }
    }

    /// Waits until the tenant may search once more.
    ///
    /// # Errors
    /// `TooBusy` when its turn does not come.
    pub(crate) async fn take(&self, tenant: TenantId) -> Result<Turn, Error> {
        let places = self.places(tenant);
        match tokio::time::timeout(self.longest, places.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Error::TooBusy),
        }
    }

    fn places(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = waiting.get(&tenant).and_then(Weak::upgrade) {
            return places;
        }
        if waiting.len() >= REMEMBERED {
            waiting.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(self.each));
        waiting.insert(tenant, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use domain::id::TenantId;
    use uuid::Uuid;

    use super::Turns;

    #[tokio::test]
    async fn one_tenant_waits_for_itself_and_for_nobody_else() {
        let turns = Turns::new(1, Duration::from_millis(20));
        let (a, b) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        let first = turns.take(a).await.unwrap();
        assert!(turns.take(a).await.is_err(), "its own search is still under way");
        drop(turns.take(b).await.unwrap());
        drop(first);
        drop(turns.take(a).await.unwrap());
    }
}
