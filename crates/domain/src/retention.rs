//! Which points stay, and why: a pure function of what is known of them.

use std::collections::BTreeMap;
use std::str::FromStr;

use time::{Duration, OffsetDateTime};

/// What retention must know of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub point: String,
    /// Order in which it was completed; times can be wrong.
    pub seq: i64,
    /// When it was taken, by our own clock.
    pub at: OffsetDateTime,
    /// `complete`, `verified`, `proven` or `damaged`.
    pub state: String,
    /// Not to be removed before.
    pub kept_until: Option<OffsetDateTime>,
    /// Why.
    pub kept_reason: Option<String>,
    /// Damaged in the first store, and read back well from a further one: it can be restored from there.
    pub whole_elsewhere: bool,
}

impl Known {
    fn proven(&self) -> bool {
        self.state == "proven"
    }

    fn good(&self) -> bool {
        self.proven() || self.state == "verified"
    }
}

/// How long points stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Everything younger stays.
    pub within: Duration,
    /// So many hours, days, weeks, months and years keep their best point.
    pub buckets: [u32; 5],
}

impl Default for Policy {
    fn default() -> Self {
        Self { within: Duration::days(2), buckets: [48, 14, 8, 12, 5] }
    }
}

/// Until when a point is kept that is kept for ever.
pub const FOREVER: OffsetDateTime = time::macros::datetime!(9999-12-31 00:00 UTC);

const NAMES: [&str; 5] = ["hourly", "daily", "weekly", "monthly", "yearly"];

/// The text is not a policy.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no retention; write it as within=2d,hourly=48,daily=14,weekly=8,monthly=12,yearly=5")]
pub struct NoPolicy(String);

impl FromStr for Policy {
    type Err = NoPolicy;

    fn from_str(text: &str) -> Result<Self, NoPolicy> {
        let wrong = || NoPolicy(text.to_owned());
        let mut policy = Self { within: Duration::ZERO, buckets: [0; 5] };
        let mut parts = text.split(',').map(str::trim).filter(|part| !part.is_empty()).peekable();
        // to keep nothing but the newest proofs has to be said in words: `within=0d`
        if parts.peek().is_none() {
            return Err(wrong());
        }
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            if name == "within" {
                let at = value.len().saturating_sub(1);
                let (count, unit) = value.split_at_checked(at).ok_or_else(wrong)?;
                let count: u32 = count.parse().map_err(|_| wrong())?;
                policy.within = match unit {
                    "m" => Duration::minutes(i64::from(count)),
                    "h" => Duration::hours(i64::from(count)),
                    "d" => Duration::days(i64::from(count)),
                    _ => return Err(wrong()),
                };
            } else {
                let at = NAMES.iter().position(|known| *known == name).ok_or_else(wrong)?;
                if let Some(bucket) = policy.buckets.get_mut(at) {
                    *bucket = value.parse().map_err(|_| wrong())?;
                }
            }
        }
        Ok(policy)
    }
}

/// The points of one tenant with the reasons why each stays; without a reason it may go.
///
/// Rules that nothing overrides: the newest three proven points and the newest verified one stay; nothing goes while there
/// is no proven point, nor while the newest point is not verified yet.
pub fn plan(points: &[Known], policy: &Policy, now: OffsetDateTime) -> BTreeMap<String, Vec<String>> {
    let mut order: Vec<&Known> = points.iter().collect();
    order.sort_by_key(|point| std::cmp::Reverse(point.seq));
    let mut reasons: BTreeMap<String, Vec<String>> =
        points.iter().map(|point| (point.point.clone(), Vec::new())).collect();
    let mut keep = |point: &Known, why: String| {
        if let Some(all) = reasons.get_mut(&point.point) {
            all.push(why);
        }
    };
    if !order.iter().any(|point| point.proven()) {
        for point in &order {
            keep(point, "no point is proven yet".to_owned());
        }
    }
    if order.first().is_some_and(|newest| !newest.good()) {
        for point in &order {
            keep(point, "the newest point is not verified".to_owned());
        }
    }
    for point in order.iter().filter(|point| point.proven()).take(3) {
        keep(point, "one of the newest three proven".to_owned());
    }
    if let Some(point) = order.iter().find(|point| point.good()) {
        keep(point, "the newest verified".to_owned());
    }
    for point in &order {
        if let Some(until) = point.kept_until.filter(|until| *until > now) {
            let why = point.kept_reason.as_deref().unwrap_or("no reason given");
            keep(point, format!("kept until {}: {why}", day(until)));
        }
        // a point from the future is one whose time cannot be trusted: it is no reason to remove others, nor to go
        if point.at > now || now - point.at < policy.within {
            keep(point, "younger than the time within which all are kept".to_owned());
        }
    }
    for (at, (name, count)) in NAMES.iter().zip(policy.buckets).enumerate() {
        for (point, proven) in best_of_buckets(&order, at, count) {
            keep(point, if proven { (*name).to_owned() } else { format!("{name}, unproven") });
        }
    }
    reasons
}

/// The last day on which a point is kept, for people.
fn day(until: OffsetDateTime) -> String {
    if until.year() >= FOREVER.year() { "it is let go".to_owned() } else { until.date().to_string() }
}

/// The newest proven point of each of the newest `count` buckets, or its newest verified one; one that only a further store
/// has whole where there is no better.
fn best_of_buckets<'a>(order: &[&'a Known], kind: usize, count: u32) -> Vec<(&'a Known, bool)> {
    let mut buckets: BTreeMap<i64, &'a Known> = BTreeMap::new();
    let worth = |point: &Known| (point.proven(), point.good());
    for point in order.iter().filter(|point| point.good() || point.whole_elsewhere) {
        let slot = buckets.entry(bucket_of(point.at, kind)).or_insert(point);
        if worth(point) > worth(slot) {
            *slot = point;
        }
    }
    buckets.into_values().rev().take(count as usize).map(|point| (point, point.proven())).collect()
}

fn bucket_of(at: OffsetDateTime, kind: usize) -> i64 {
    let date = at.date();
    match kind {
        0 => at.unix_timestamp().div_euclid(3_600),
        1 => i64::from(date.to_julian_day()),
        2 => i64::from(date.to_julian_day()).div_euclid(7),
        3 => i64::from(date.year()) * 12 + i64::from(u8::from(date.month())),
        _ => i64::from(date.year()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn known(seq: i64, age_hours: i64, state: &str) -> Known {
        Known {
            point: format!("p{seq}"),
            seq,
            at: OffsetDateTime::from_unix_timestamp(NOW - age_hours * 3_600).unwrap(),
            state: state.to_owned(),
            kept_until: None,
            kept_reason: None,
            whole_elsewhere: false,
        }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(NOW).unwrap()
    }

    #[test]
    fn a_damaged_point_stays_where_it_is_the_only_one_that_a_further_store_has_whole() {
        let hourly = Policy { within: Duration::ZERO, buckets: [48, 0, 0, 0, 0] };
        let mut points: Vec<Known> = (1..=6).map(|seq| known(seq, 20 - seq, "proven")).collect();
        points[0].state = "damaged".to_owned();
        assert_eq!(plan(&points, &hourly, now())["p1"], Vec::<String>::new());
        points[0].whole_elsewhere = true;
        assert_eq!(plan(&points, &hourly, now())["p1"], ["hourly, unproven"]);
        // beside a good one of the same hour it is not needed
        points.push(Known { point: "good".to_owned(), state: "verified".to_owned(), ..points[0].clone() });
        let planned = plan(&points, &hourly, now());
        assert_eq!((planned["p1"].len(), planned["good"].len()), (0, 1));
    }

    #[test]
    fn nothing_goes_without_a_proof_or_before_the_newest_is_verified() {
        let strict = Policy { within: Duration::ZERO, buckets: [0; 5] };
        let unproven: Vec<Known> = (0..9).map(|n| known(n, 100 - n, "verified")).collect();
        assert!(plan(&unproven, &strict, now()).values().all(|why| !why.is_empty()));
        let mut newest_unread: Vec<Known> = (0..9).map(|n| known(n, 100 - n, "proven")).collect();
        newest_unread.push(known(9, 0, "complete"));
        assert!(plan(&newest_unread, &strict, now()).values().all(|why| !why.is_empty()));
        newest_unread.last_mut().unwrap().state = "verified".to_owned();
        let planned = plan(&newest_unread, &strict, now());
        let stay: Vec<&String> = planned.iter().filter(|(_, why)| !why.is_empty()).map(|(name, _)| name).collect();
        assert_eq!(stay, ["p6", "p7", "p8", "p9"]);
    }

    #[test]
    fn a_bucket_prefers_what_is_proven_and_says_when_it_has_none() {
        let policy = Policy { within: Duration::ZERO, buckets: [0, 3, 0, 0, 0] };
        let points = [
            known(1, 50, "proven"),
            known(2, 49, "verified"),
            known(3, 26, "verified"),
            known(4, 2, "proven"),
            known(5, 1, "verified"),
            known(6, 0, "verified"),
        ];
        let planned = plan(&points, &policy, now());
        assert!(planned["p1"].contains(&"daily".to_owned()), "{planned:?}");
        assert!(planned["p3"].contains(&"daily, unproven".to_owned()), "{planned:?}");
        assert!(planned["p2"].is_empty() && planned["p5"].is_empty(), "{planned:?}");
    }

    #[test]
    fn a_policy_is_read_and_nonsense_refused() {
        let read: Policy = "within=36h, daily=7".parse().unwrap();
        assert_eq!(read, Policy { within: Duration::hours(36), buckets: [0, 7, 0, 0, 0] });
        for text in ["daily", "daily=x", "within=2", "fortnightly=1", "within=2y", "", " ", ",", " , ,"] {
            assert!(text.parse::<Policy>().is_err(), "{text:?}");
        }
        let least: Policy = "within=0d,".parse().unwrap();
        assert_eq!(least, Policy { within: Duration::ZERO, buckets: [0; 5] });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_newest_proofs_always_stay(
            states in prop::collection::vec((0_u8..4, 0_i64..20_000), 1..60),
            within in 0_i64..100,
            buckets in prop::array::uniform5(0_u32..5),
        ) {
            let words = ["complete", "verified", "proven", "damaged"];
            let points: Vec<Known> = states
                .iter()
                .enumerate()
                .map(|(seq, (state, age))| known(seq as i64, *age, words[*state as usize]))
                .collect();
            let planned = plan(&points, &Policy { within: Duration::hours(within), buckets }, now());
            let goes = |point: &Known| planned[&point.point].is_empty();
            let mut newest: Vec<&Known> = points.iter().collect();
            newest.reverse();
            prop_assert!(!newest.iter().filter(|point| point.proven()).take(3).any(|point| goes(point)));
            prop_assert!(!newest.iter().find(|point| point.good()).is_some_and(|point| goes(point)));
            if points.iter().any(goes) {
                prop_assert!(newest[0].good());
                prop_assert!(points.iter().any(Known::proven));
            }
            for point in &points {
                prop_assert!(!(goes(point) && now() - point.at < Duration::hours(within)));
            }
        }
    }
}
