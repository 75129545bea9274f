//! Points without a schedule: of what has changed, every few seconds one question for all tenants together; and once a day of
//! every tenant, with everything in it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::clock::Clock;
use domain::id::TenantId;
use jobs::{BackupTenant, Failure, Trigger, enqueue};
use store::{Changed, Store};
use time::OffsetDateTime;

use crate::snapshot::CONTROL_POINT;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// Who was not written to since the look before is quiet; looks are [`LOOK`] apart, give or take.
const QUIET: Duration = Duration::from_secs(4);
/// A point is not taken again before this many times the time that the last one took: a large tenant written all the time
/// must not keep the worker and the store busy with itself alone.
const REST: f64 = 10.0;
/// The control plane gets a point after every change, and also when nothing but its audit has changed for this long.
const NIGHTLY: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked whose daily point is due.
const LOOK_NIGHTLY: Duration = Duration::from_secs(20);

/// Asks for daily points until the task is dropped.
pub async fn keep_nightly(store: Store, clock: Clock) {
    let mut ticks = tokio::time::interval(LOOK_NIGHTLY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = pick_up_nightly(&store, &clock).await {
            tracing::warn!(%error, "it cannot be found out whose daily point is due");
        }
    }
}

/// Asks for the daily points that are due, changed or not, with a schedule of its own or not: every row is read and every
/// object read back, and the notes go along as Markdown. Returns how many were asked for.
pub async fn pick_up_nightly(store: &Store, clock: &Clock) -> Result<usize, Failure> {
    let now = clock.now();
    let mut asked = 0;
    for tenant in store.control().due_nightly(now).await? {
        let trigger = Trigger::Nightly { due: now.unix_timestamp() };
        asked += usize::from(enqueue(store, &BackupTenant { tenant, trigger }).await?.is_some());
    }
    Ok(asked)
}

/// Looks until the task is dropped. `after`: how old the oldest change must be.
pub async fn pick_up_changed(store: Store, clock: Clock, after: Duration) {
    let mut ticks = tokio::time::interval(LOOK.min(after));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks = Looks::default();
    loop {
        ticks.tick().await;
        if let Err(error) = pick_up_once(&store, &clock, after, &mut looks).await {
            tracing::warn!(%error, "changed tenants cannot be found");
        }
        if let Err(error) = pick_up_control(&store, &clock).await {
            tracing::warn!(%error, "it cannot be seen whether the control plane has changed");
        }
    }
}

/// How often each changed tenant had been written to when it was looked, and since when it is so.
#[derive(Debug, Default)]
pub struct Looks(HashMap<TenantId, (i64, OffsetDateTime)>);

impl Looks {
    /// Takes a look; those that nobody has written to for a while.
    fn quiet(&mut self, all: &[Changed], now: OffsetDateTime) -> HashSet<TenantId> {
        let present: HashSet<TenantId> = all.iter().map(|changed| changed.tenant).collect();
        self.0.retain(|tenant, _| present.contains(tenant));
        let quiet = all.iter().filter(|changed| {
            let seen = self.0.entry(changed.tenant).or_insert((changed.written, now));
            if seen.0 != changed.written {
                *seen = (changed.written, now);
            }
            now - seen.1 >= QUIET
        });
        quiet.map(|changed| changed.tenant).collect()
    }
}

/// Asks for a point of each tenant whose oldest unheld change is older than `after`, or that has become quiet. Tenants with a
/// schedule of their own are left to it. Returns how many were asked for.
pub async fn pick_up_once(store: &Store, clock: &Clock, after: Duration, looks: &mut Looks) -> Result<usize, Failure> {
    let (now, control) = (clock.now(), store.control());
    let schedules = control.list_schedules().await?;
    let mut asked = 0;
    let all = store.changed_tenants().await?;
    let quiet = looks.quiet(&all, now);
    for changed in all {
        let scheduled = schedules.iter().any(|schedule| {
            schedule.kind == "backup" && !schedule.paused && schedule.tenant.is_none_or(|id| id == changed.tenant)
        });
        if scheduled || (now - changed.since < after && !quiet.contains(&changed.tenant)) {
            continue;
        }
        let newest = control.newest_point(changed.tenant, &[]).await?;
        let resting = newest.is_some_and(|point| (now - point.created_at).as_seconds_f64() < point.seconds * REST);
        if resting {
            continue;
        }
        let trigger = Trigger::Schedule { schedule: 0, due: now.unix_timestamp() };
        asked += usize::from(enqueue(store, &BackupTenant { tenant: changed.tenant, trigger }).await?.is_some());
    }
    Ok(asked)
}

/// Asks for a point of the control plane when it shows something else than its newest point, or that is a day old. Whether
/// it was asked for.
pub async fn pick_up_control(store: &Store, clock: &Clock) -> Result<bool, Failure> {
    let now = clock.now();
    let newest = store.control().setting(CONTROL_POINT).await?.unwrap_or_default();
    let same = newest["mark"].as_str() == Some(store.control_mark().await?.as_str());
    let at = newest["at"]
        .as_str()
        .and_then(|at| OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339).ok());
    if same && at.is_some_and(|at| now - at < NIGHTLY) {
        return Ok(false);
    }
    let trigger = Trigger::Schedule { schedule: 0, due: now.unix_timestamp() };
    Ok(enqueue(store, &BackupTenant { tenant: TenantId::CONTROL, trigger }).await?.is_some())
}
