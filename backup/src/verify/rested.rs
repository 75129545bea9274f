//! What a new point may rest on without reading it again: objects that an older point sent, and that were read back and found
//! right not long ago.
//!
//! Each object has a moment of its own in every [`WITHIN`], drawn from its key. A verification reads the objects whose moment
//! has come since the verification of the point that it builds on began, besides everything that the new point sent. So nothing has to be
//! remembered of single objects, every point costs what has changed and its share of the rest, and no object of a tenant that
//! is backed up goes longer than that without being read. What is missing or has another length shows at once: the store's
//! listing is asked for that, a request for a thousand objects.

use std::collections::{HashMap, HashSet};

use objects::keys as layout;

use crate::error::Error;
use crate::format::hash::Hash;
use crate::format::manifest::Clear;
use crate::source::Source;

/// Seconds within which every object is read back at least once: seven days.
pub(crate) const WITHIN: i64 = 7 * 24 * 3600;

/// What a verification may rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rests {
    /// When the verification of the point whose objects are referred to began, in seconds since 1970.
    pub(crate) since: i64,
    /// When this one begins.
    pub(crate) now: i64,
}

impl Rests {
    /// Keys of objects that need not be read this time.
    pub(super) async fn of(self, source: &Source, clear: &Clear) -> Result<HashSet<String>, Error> {
        let mut resting: HashMap<&str, u64> = clear
            .objects
            .iter()
            .filter(|object| object.referenced && !self.is_due(&object.key))
            .map(|object| (object.key.as_str(), object.bytes_stored))
            .collect();
        let mut there = HashSet::with_capacity(resting.len());
        for prefix in [layout::chunks(clear.tenant), layout::files(clear.tenant)] {
            if !resting.keys().any(|key| key.starts_with(&prefix)) {
                continue;
            }
            for (key, size) in source.sizes(&prefix).await? {
                if resting.remove(key.as_str()) == Some(size) {
                    there.insert(key);
                }
            }
        }
        Ok(there)
    }

    /// Whether the moment of an object lies between the two, or the clock went back.
    fn is_due(self, key: &str) -> bool {
        let drawn = Hash::of(key.as_bytes()).0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let shift = (drawn % WITHIN.unsigned_abs()).cast_signed();
        let turn = |at: i64| (at + shift).div_euclid(WITHIN);
        self.now < self.since || turn(self.since) != turn(self.now)
    }
}

#[cfg(test)]
mod tests {
    use domain::chance::Chance;

    use super::*;

    /// A chain of verifications that take their time: each rests on the one before by the time that this one left.
    #[test]
    fn however_long_readings_take_none_passes_over_an_object_whose_turn_has_come() {
        let chance = Chance::seeded(35);
        // a minute apart and ten seconds long, then of any length
        for longest in [(60, 10), (4_000, 4_000), (100, 90_000)] {
            for key in (0..40).map(|number| format!("t/1/f/{number}")) {
                let mut noted = 1_800_000_000;
                // the point that sent it was read as a whole, until this moment at the latest
                let (mut now, mut last, end) = (noted, noted, noted + 4 * WITHIN);
                while now < end {
                    let took = i64::try_from(chance.below(longest.1 + 1)).unwrap();
                    now += i64::try_from(chance.below(longest.0 + 1)).unwrap();
                    let rests = Rests { since: noted, now };
                    if rests.is_due(&key) {
                        last = now;
                    }
                    assert!(now - last <= WITHIN, "{key} rests {} s unread ({longest:?})", now - last);
                    noted = rests.now;
                    now += took.max(1);
                }
            }
        }
    }

    #[test]
    fn whatever_the_times_of_points_nothing_rests_longer_than_that() {
        let chance = Chance::seeded(34);
        for key in (0..50).map(|number| format!("t/1/c/{number}")) {
            let (mut at, mut read, mut reads) = (1_800_000_000, 1_800_000_000, 0);
            for _ in 0..400 {
                let since = at;
                at += i64::try_from(chance.below(40_000)).unwrap();
                if (Rests { since, now: at }).is_due(&key) {
                    (read, reads) = (at, reads + 1);
                }
                assert!(at - read <= WITHIN, "{key} has not been read for {} s", at - read);
            }
            assert!((8..=20).contains(&reads), "{reads} reads of {key}");
        }
        assert!((Rests { since: 10, now: 9 }).is_due("any"));
        assert!((Rests { since: 0, now: WITHIN }).is_due("any"));
    }
}
