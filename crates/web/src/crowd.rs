//! How many requests of one tenant are answered at a time, so that one workspace in a hurry leaves room for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::id::TenantId;

/// Counts the requests under way, by tenant.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    under_way: Mutex<HashMap<TenantId, usize>>,
}

/// A request under way. Dropping it makes room.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    tenant: TenantId,
}

impl Crowd {
    /// With room for so many of each tenant.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), under_way: Mutex::default() }
    }

    /// Room for one more of this tenant; none when there is none.
    pub(crate) fn seat(self: &Arc<Self>, tenant: TenantId) -> Option<Seat> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let count = under_way.entry(tenant).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Seat { crowd: Arc::clone(self), tenant })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut under_way = self.crowd.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::chance::Chance;

    use super::*;

    #[test]
    fn one_tenant_fills_its_own_room_only() {
        let crowd = Arc::new(Crowd::new(2));
        let (one, other) = (TenantId(Chance::seeded(1).uuid()), TenantId(Chance::seeded(2).uuid()));
        let seats = (crowd.seat(one), crowd.seat(one));
        assert!(seats.0.is_some() && seats.1.is_some() && crowd.seat(one).is_none());
        assert!(crowd.seat(other).is_some());
        drop(seats);
        assert!(crowd.seat(one).is_some());
        assert!(crowd.under_way.lock().unwrap().is_empty());
    }
}
