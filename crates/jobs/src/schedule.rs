//! Schedules: the scheduler only asks, every second, what is due; the database decides once for all workers.

use std::time::Duration;

use domain::clock::Clock;
use serde_json::json;
use store::Store;
use store::control::ControlTx;
use store::control::jobs::NewJob;
use store::control::schedules::ScheduleRow;
use time::OffsetDateTime;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::cron::Cron;
use crate::message::kind;
use crate::spread::span_of;

/// Later than this after its due time, a run is a catch-up.
const LATE: Duration = Duration::from_secs(5);

/// Missed due times recorded one by one; what goes beyond is one record.
const RECORDED: usize = 500;

/// Asks every second what is due, until dropped or stopped.
pub struct Scheduler {
    inner: JobScheduler,
}

impl Scheduler {
    /// Begins.
    pub async fn start(store: Store, clock: Clock) -> Result<Self, JobSchedulerError> {
        let inner = JobScheduler::new().await?;
        let tick = Job::new_async("* * * * * *", move |_, _| {
            let (store, clock) = (store.clone(), clock.clone());
            Box::pin(async move {
                if let Err(error) = enqueue_due(&store, clock.now()).await {
                    tracing::warn!(%error, "cannot look for due schedules");
                }
            })
        })?;
        inner.add(tick).await?;
        inner.start().await?;
        Ok(Self { inner })
    }

    /// Ends.
    pub async fn stop(mut self) {
        if let Err(error) = self.inner.shutdown().await {
            tracing::debug!(%error, "the scheduler did not stop in order");
        }
    }
}

/// Enqueues what is due at `now`, once whatever the number of workers, and returns how many jobs were added.
///
/// Of several due times that passed while no worker ran, the last becomes one job (a catch-up) and the others are
/// recorded as missed.
pub async fn enqueue_due(store: &Store, now: OffsetDateTime) -> Result<usize, store::Error> {
    let tx = store.control().begin().await?;
    let mut added = 0;
    for schedule in tx.due_schedules(now).await? {
        match schedule.cron.parse::<Cron>() {
            Ok(cron) => added += usize::from(run_due(&tx, &schedule, &cron, now).await?),
            Err(error) => {
                tracing::error!(schedule = schedule.id, %error, "a stored schedule cannot be read; set it again");
            }
        }
    }
    tx.commit().await?;
    Ok(added)
}

async fn run_due(
    tx: &ControlTx,
    schedule: &ScheduleRow,
    cron: &Cron,
    now: OffsetDateTime,
) -> Result<bool, store::Error> {
    let mut due = schedule.next_at;
    let mut next = cron.after(due);
    let mut missed = Vec::new();
    while let Some(later) = next.filter(|later| *later <= now && missed.len() < RECORDED) {
        missed.push(due);
        due = later;
        next = cron.after(due);
    }
    let mut until = None;
    if next.is_some_and(|later| later <= now)
        && let Some(last) = cron.last_before(due, now)
    {
        // more than are recorded one by one: the last record stands for all up to the one that is caught up
        missed.push(due);
        until = Some(last);
        due = last;
        next = cron.after(due);
    }
    if !missed.is_empty() {
        tx.note_missed(schedule.id, &missed, until).await?;
    }
    let outcome = if now - due > LATE || due != schedule.next_at { "caught_up" } else { "enqueued" };
    let next = next.unwrap_or(due + Duration::from_secs(366 * 24 * 3600));
    let job = enqueue(tx, schedule, due, span_of(next - due)).await?;
    tx.note_run(schedule.id, due, outcome, job).await?;
    tx.set_next(schedule.id, next).await?;
    Ok(job.is_some())
}

async fn enqueue(
    tx: &ControlTx,
    schedule: &ScheduleRow,
    due: OffsetDateTime,
    span: time::Duration,
) -> Result<Option<i64>, store::Error> {
    let trigger = json!({ "by": "schedule", "schedule": schedule.id, "due": due.unix_timestamp() });
    let once = format!("schedule:{}:{}", schedule.id, due.unix_timestamp());
    let (kind, payload) = match (schedule.kind.as_str(), schedule.tenant) {
        ("dump", _) => (kind::DUMP, json!({ "trigger": trigger })),
        ("prune", _) => (kind::PRUNE, json!({ "trigger": trigger })),
        (kind, Some(tenant)) => (kind, json!({ "tenant": tenant, "trigger": trigger })),
        (kind, None) => {
            let span = i64::try_from(span.whole_milliseconds()).unwrap_or_default();
            (kind::EACH, json!({ "kind": kind, "trigger": trigger, "span": span }))
        }
    };
    let (tenant, once_key) = (schedule.tenant, Some(once.as_str()));
    tx.enqueue(&NewJob { kind, tenant, payload, once_key, max_attempts: 3, not_before: None }).await
}
