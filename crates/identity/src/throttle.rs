//! Slows down guessing: wrong passwords are counted per account and address, and per account.
//!
//! They are counted twice: here, from the beginning of an attempt, so that many at once are not free; and in the control
//! plane, once an attempt has failed, for all processes and across restarts. The count there is read in the flight that
//! reads the stored hash, so a sign-in costs no flight more. A wrong guess of a name that does not exist counts the same.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use domain::clock::Clock;
use domain::id::TenantId;
use sha2::{Digest as _, Sha256};
use store::TenantScope;
use store::tenant::throttle::{self, Counted};

use crate::{Error, Identity};

/// Wrong passwords from one address at one account before it must wait.
const PER_ADDRESS: u32 = 10;
/// Wrong passwords at one account from all addresses before everyone must wait.
const PER_ACCOUNT: u32 = 100;
/// The span over which they are counted, in seconds.
const SPAN: i64 = 5 * 60;
/// Counted pairs kept; beyond it the ones that are over are dropped, then those with the fewest wrong passwords: whoever
/// comes with very many names does not have his own count forgotten.
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
        for fewest in 1..=PER_ACCOUNT {
            if counts.len() < KEPT {
                break;
            }
            counts.retain(|_, count| count.wrong > fewest);
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

impl Attempt {
    /// Under which keys all processes count it.
    pub(crate) fn counted(&self, now: i64) -> Counted {
        let key = |key: &Key| {
            let address = key.address.map_or_else(String::new, |address| address.to_string());
            hex::encode(Sha256::digest(format!("{}\0{address}", key.account)))
        };
        let bounds = [PER_ADDRESS, PER_ACCOUNT].map(|bound| i32::try_from(bound).unwrap_or(i32::MAX));
        Counted { keys: self.keys.iter().map(key).collect(), bounds: bounds.to_vec(), now, span: SPAN }
    }
}

impl Identity {
    /// Begins an attempt that is counted by all processes; the count so far.
    pub(crate) async fn begin_attempt(
        &self,
        scope: &TenantScope,
        account: &str,
        address: Option<IpAddr>,
    ) -> Result<(Attempt, throttle::Count), Error> {
        let attempt = self.throttle.begin(scope.tenant().id, account, address);
        let attempt = attempt.map_err(|seconds| Error::Throttled { seconds })?;
        let count = throttle::read_count(self.store.begin(scope), &attempt.counted(self.clock.seconds())).await?;
        refuse(count)?;
        Ok((attempt, count))
    }

    /// Tells all processes what came of an attempt; other outcomes than right and wrong count for neither.
    pub(crate) async fn end_attempt<T>(
        &self,
        scope: &TenantScope,
        attempt: &Attempt,
        count: throttle::Count,
        outcome: &Result<T, Error>,
    ) -> Result<(), Error> {
        let counted = attempt.counted(self.clock.seconds());
        match outcome {
            Ok(_) | Err(Error::SecondFactorNeeded { .. }) => {
                self.throttle.succeeded(attempt);
                if count.wrong > 0 {
                    throttle::forget(self.store.begin(scope), counted.keys.first().map_or("", String::as_str)).await?;
                }
            }
            Err(Error::Unmatched | Error::PasswordSignInOff | Error::Archived { .. } | Error::Refused(_)) => {
                throttle::count_wrong(self.store.begin(scope), &counted).await?;
            }
            Err(_) => {}
        }
        Ok(())
    }
}

/// Refuses an attempt where there were too many.
pub(crate) fn refuse(count: throttle::Count) -> Result<(), Error> {
    match u32::try_from(count.seconds) {
        Ok(seconds) if seconds > 0 => Err(Error::Throttled { seconds }),
        _ => Ok(()),
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
    fn many_names_do_not_help() {
        let throttle = Throttle::new(Clock::fixed(1000));
        let tenant = TenantId(Chance::seeded(1).uuid());
        for _ in 0..PER_ADDRESS {
            throttle.begin(tenant, "ana", Some(address(1))).unwrap();
        }
        for name in 0..KEPT {
            throttle.begin(tenant, &name.to_string(), Some(address(1))).unwrap();
        }
        assert!(throttle.begin(tenant, "ana", Some(address(1))).is_err());
        assert!(throttle.counts.lock().unwrap().len() <= KEPT + 2);
    }

    #[test]
    fn many_addresses_do_not_help() {
        let throttle = Throttle::new(Clock::fixed(1000));
        let tenant = TenantId(Chance::seeded(1).uuid());
        let refused = (0..200).filter(|n| throttle.begin(tenant, "ana", Some(address(*n))).is_err()).count();
        assert_eq!(refused, 100);
    }
}
