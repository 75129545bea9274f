//! Slows down guessing: wrong passwords are counted per account and address, and per account.
//!
//! The counts live in this process: with several servers behind a balancer each counts for itself, so the bounds are
//! multiplied by their number, and a restart forgets them. A wrong guess of a name that does not exist counts the same.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use domain::clock::Clock;
use domain::id::TenantId;

/// Wrong passwords from one address at one account before it must wait.
const PER_ADDRESS: u32 = 10;
/// Wrong passwords at one account from all addresses before everyone must wait.
const PER_ACCOUNT: u32 = 100;
/// The span over which they are counted, in seconds.
const SPAN: i64 = 5 * 60;
/// Counted pairs kept; beyond it the ones that are over are dropped, then all.
const KEPT: usize = 50_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    account: String,
    address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: i64,
    wrong: u32,
}

/// Counts wrong passwords. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Throttle {
    counts: Arc<Mutex<HashMap<Key, Count>>>,
    clock: Clock,
}

/// An attempt that is under way: counted as wrong until [`Throttle::succeeded`] takes it back.
#[derive(Clone, Debug)]
pub struct Attempt {
    keys: [Key; 2],
}

impl Throttle {
    /// With nothing counted.
    pub fn new(clock: Clock) -> Self {
        Self { counts: Arc::default(), clock }
    }

    /// Begins an attempt, which counts as wrong from now on, so that many at once are not free. When there were too many,
    /// the seconds to wait.
    pub fn begin(&self, tenant: TenantId, account: &str, address: Option<IpAddr>) -> Result<Attempt, u32> {
        let now = self.clock.seconds();
        let account: String = account.chars().take(64).flat_map(char::to_lowercase).collect();
        let keys = [Key { tenant, account: account.clone(), address }, Key { tenant, account, address: None }];
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, bound) in keys.iter().zip([PER_ADDRESS, PER_ACCOUNT]) {
            if let Some(count) = counts.get(key).filter(|count| count.since + SPAN > now && count.wrong >= bound) {
                return Err(u32::try_from(count.since + SPAN - now).unwrap_or(1).max(1));
            }
        }
        if counts.len() >= KEPT {
            counts.retain(|_, count| count.since + SPAN > now);
        }
        if counts.len() >= KEPT {
            counts.clear();
        }
        for key in &keys {
            let count = counts.entry(key.clone()).or_insert(Count { since: now, wrong: 0 });
            if count.since + SPAN <= now {
                *count = Count { since: now, wrong: 0 };
            }
            count.wrong += 1;
        }
        Ok(Attempt { keys })
    }

    /// The password was right: the pair of account and address begins anew, and the account's count loses this attempt.
    pub fn succeeded(&self, attempt: &Attempt) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let [pair, account] = &attempt.keys;
        counts.remove(pair);
        if let Some(count) = counts.get_mut(account) {
            count.wrong = count.wrong.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::chance::Chance;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_eleventh_wrong_password_waits() {
        let clock = Clock::fixed(1000);
        let throttle = Throttle::new(clock.clone());
        let tenant = TenantId(Chance::seeded(1).uuid());
        for _ in 0..PER_ADDRESS {
            throttle.begin(tenant, "ana", Some(address(1))).unwrap();
        }
        assert_eq!(throttle.begin(tenant, "Ana", Some(address(1))).unwrap_err(), 300);
        throttle.begin(tenant, "ana", Some(address(2))).unwrap();
        throttle.begin(tenant, "bo", Some(address(1))).unwrap();
        throttle.begin(TenantId(Chance::seeded(2).uuid()), "ana", Some(address(1))).unwrap();
        clock.advance(301);
        throttle.begin(tenant, "ana", Some(address(1))).unwrap();
    }

    #[test]
    fn a_right_password_begins_anew() {
        let throttle = Throttle::new(Clock::fixed(1000));
        let tenant = TenantId(Chance::seeded(1).uuid());
        for _ in 0..50 {
            let attempt = throttle.begin(tenant, "ana", Some(address(1))).unwrap();
            throttle.succeeded(&attempt);
        }
    }

    #[test]
    fn many_addresses_do_not_help() {
        let throttle = Throttle::new(Clock::fixed(1000));
        let tenant = TenantId(Chance::seeded(1).uuid());
        let refused = (0..200).filter(|n| throttle.begin(tenant, "ana", Some(address(*n))).is_err()).count();
        assert_eq!(refused, 100);
    }
}
