//! Which points have to stay, worked out from the words of the manual and not from the product's own code: one point at a time,
//! each rule by what it says.

use std::collections::{BTreeMap, BTreeSet};

use domain::chance::Chance;
use time::{Duration, OffsetDateTime};

/// A point as the books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    /// Order in which points were completed.
    pub(super) seq: i64,
    pub(super) state: String,
    pub(super) at: OffsetDateTime,
    pub(super) kept: Option<OffsetDateTime>,
}

/// All points of a tenant.
pub(super) type Points = BTreeMap<String, Point>;

/// How long points stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) minutes: i64,
    /// Hours, days, weeks, months, years.
    pub(super) counts: [u32; 5],
}

impl Rules {
    /// Rules of every kind: none at all, few, several.
    pub(super) fn draw(chance: &Chance) -> Self {
        let minutes = [0, 0, 1, 45, 200, 2 * 1440][chance.below(6) as usize];
        let counts = std::array::from_fn(|_| [0, 0, 0, 1, 2, 4][chance.below(6) as usize]);
        Self { minutes, counts }
    }

    /// As the setting is written.
    pub(super) fn text(&self) -> String {
        let [hours, days, weeks, months, years] = self.counts;
        format!("within={}m,hourly={hours},daily={days},weekly={weeks},monthly={months},yearly={years}", self.minutes)
    }

    /// The points that no prune may remove at this moment.
    pub(super) fn stay(&self, points: &Points, now: OffsetDateTime) -> BTreeSet<String> {
        let newest = points.values().max_by_key(|point| point.seq);
        let nothing_goes = newest.is_none_or(|newest| !good(newest)) || !points.values().any(proven);
        let stays = |point: &Point| {
            nothing_goes
                || point.kept.is_some_and(|until| until > now)
                || point.at > now - Duration::minutes(self.minutes)
                || (proven(point) && points.values().filter(|one| proven(one) && one.seq > point.seq).count() < 3)
                || (good(point) && !points.values().any(|one| good(one) && one.seq > point.seq))
                || (0..5).any(|kind| self.represents(points, point, kind))
        };
        points.iter().filter(|(_, point)| stays(point)).map(|(name, _)| name.clone()).collect()
    }

    /// Whether the point is the one that its hour, day, week, month or year keeps.
    fn represents(&self, points: &Points, point: &Point, kind: usize) -> bool {
        let own = period(point.at, kind);
        let later: BTreeSet<_> = points
            .values()
            .filter(|one| good(one) && period(one.at, kind) > own)
            .map(|one| period(one.at, kind))
            .collect();
        let beside = |better: &dyn Fn(&Point) -> bool| {
            points.values().any(|one| good(one) && period(one.at, kind) == own && better(one))
        };
        let surpassed = if proven(point) {
            beside(&|one| proven(one) && one.seq > point.seq)
        } else {
            beside(&|one| proven(one) || one.seq > point.seq)
        };
        good(point) && later.len() < self.counts[kind] as usize && !surpassed
    }
}

fn proven(point: &Point) -> bool {
    point.state == "proven"
}

fn good(point: &Point) -> bool {
    matches!(point.state.as_str(), "proven" | "verified")
}

/// Weeks begin on Mondays, as the calendar has them; all in UTC.
fn period(at: OffsetDateTime, kind: usize) -> (i32, i64) {
    let date = at.date();
    match kind {
        0 => (0, at.unix_timestamp() / 3600),
        1 => (date.year(), i64::from(date.ordinal())),
        2 => {
            let (year, week, _) = date.to_iso_week_date();
            (year, i64::from(week))
        }
        3 => (date.year(), i64::from(u8::from(date.month()))),
        _ => (date.year(), 0),
    }
}

/// What has gone between two looks must have been free to go, by what the books said then, or by what they said with points
/// that were completed meanwhile. `latest`: the latest moment that a prune can have thought it was.
pub(super) fn only_free_ones_went(rules: &Rules, before: &Points, after: &Points, latest: OffsetDateTime) -> usize {
    let gone: BTreeSet<&String> = before.keys().filter(|point| !after.contains_key(*point)).collect();
    let mut new: Vec<(&String, &Point)> = after.iter().filter(|(name, _)| !before.contains_key(*name)).collect();
    new.sort_by_key(|(_, point)| point.seq);
    let mut seen = before.clone();
    let mut free: BTreeSet<String> = free(rules, &seen, latest);
    for (name, point) in new {
        seen.insert(name.clone(), point.clone());
        free.extend(self::free(rules, &seen, latest));
    }
    let wrong: Vec<_> = gone.iter().filter(|point| !free.contains(**point)).collect();
    assert!(wrong.is_empty(), "{wrong:?} had to stay by {}: {before:#?}, then {after:#?}", rules.text());
    gone.len()
}

fn free(rules: &Rules, points: &Points, now: OffsetDateTime) -> BTreeSet<String> {
    let stay = rules.stay(points, now);
    points.keys().filter(|point| !stay.contains(*point)).cloned().collect()
}

/// After a prune that nobody disturbed, what was free to go when it began is gone, but for those in `held`.
pub(super) fn all_free_ones_went(
    rules: &Rules,
    before: &Points,
    after: &Points,
    began: OffsetDateTime,
    held: &BTreeSet<String>,
) {
    let left: Vec<String> = free(rules, before, began)
        .into_iter()
        .filter(|point| after.contains_key(point) && !held.contains(point))
        .collect();
    assert!(left.is_empty(), "{left:?} could have gone by {}: {before:#?}", rules.text());
}

/// The product's plan and ours, on books that no history would live to see.
#[test]
fn the_plan_keeps_what_the_manual_says() {
    let chance = Chance::seeded(20_261_123);
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let (mut stayed, mut went) = (0, 0);
    for _ in 0..600 {
        let rules = Rules::draw(&chance);
        let span = [3_600, 86_400, 40 * 86_400, 900 * 86_400][chance.below(4) as usize];
        let mut points = Points::new();
        let mut at = now - Duration::seconds((span + chance.below(span)).cast_signed());
        let count = 1 + chance.below(30);
        for seq in 0..count {
            at += Duration::seconds(chance.below(2 * span / count + 1).cast_signed());
            let state = ["complete", "verified", "verified", "proven", "proven", "damaged"][chance.below(6) as usize];
            let kept = (chance.below(8) == 0).then(|| now + Duration::days(chance.below(40).cast_signed() - 20));
            points.insert(format!("p{seq}"), Point { seq: seq.cast_signed(), state: state.to_owned(), at, kept });
        }
        // most books end with a good point; the others are about nothing going
        if chance.below(4) > 0 {
            points.values_mut().max_by_key(|point| point.seq).unwrap().state = "verified".to_owned();
        }
        let known: Vec<_> = points
            .iter()
            .map(|(name, point)| domain::retention::Known {
                point: name.clone(),
                seq: point.seq,
                at: point.at,
                state: point.state.clone(),
                kept_until: point.kept,
                kept_reason: None,
                whole_elsewhere: false,
            })
            .collect();
        let planned = domain::retention::plan(&known, &rules.text().parse().unwrap(), now);
        let stays: BTreeSet<String> =
            planned.into_iter().filter(|(_, why)| !why.is_empty()).map(|(name, _)| name).collect();
        assert_eq!(stays, rules.stay(&points, now), "{}: {points:#?}", rules.text());
        stayed += stays.len();
        went += points.len() - stays.len();
    }
    assert!(stayed > 1000 && went > 1000, "both happen: {stayed} stay, {went} go");
}
