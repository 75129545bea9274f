//! Takes due jobs, holds them by a lease, runs their handlers.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::chance::Chance;
use serde_json::Value;
use store::Store;
use store::control::cancel::Hold;
use store::control::jobs::{JobRow, NewJob};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, watch};

use crate::context::{Context, Held};
use crate::message::{EachTenant, Kind, Trigger, kind};
use crate::spread::wait_of;

/// Seconds a job is held without a sign of life.
const LEASE: i64 = 30;
/// How often an idle worker looks.
const LOOK: Duration = Duration::from_millis(250);
/// How often a worker asks whether its run was cancelled.
const OFTEN: Duration = Duration::from_secs(1);

/// Why a job could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Trying again may help.
    #[error("{0}")]
    Again(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is not its turn yet: to be looked at again in so many seconds, which is no failure.
    #[error("to be looked at again in {0} seconds")]
    Later(u32),
    /// The message does not have the shape the handler expects.
    #[error("the message cannot be read: {0}")]
    Message(#[from] serde_json::Error),
    /// Somebody wanted the run to end, and nothing has come of it.
    #[error("cancelled")]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What a handler gives back.
pub type Outcome = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

/// Carries out one kind of job.
pub trait Handler: Send + Sync {
    /// Which kind.
    fn kind(&self) -> &'static str;

    /// Carries it out. Must be safe to run again after a crash.
    fn run(&self, job: JobRow, context: Context) -> Outcome;
}

/// A worker's loop.
pub struct Runner {
    store: Store,
    name: String,
    handlers: HashMap<&'static str, Arc<dyn Handler>>,
    parallel: usize,
    lease: i64,
}

impl Runner {
    /// A worker with these handlers; the kind [`kind::EACH`] it knows by itself. `parallel`: jobs at once.
    pub fn new(store: Store, handlers: Vec<Arc<dyn Handler>>, parallel: usize, chance: &Chance) -> Self {
        let mut by_kind: HashMap<&'static str, Arc<dyn Handler>> =
            handlers.into_iter().map(|handler| (handler.kind(), handler)).collect();
        by_kind.insert(kind::EACH, Arc::new(Each { store: store.clone() }));
        Self {
            store,
            name: format!("worker-{:012x}", chance.u64() >> 16),
            handlers: by_kind,
            parallel: parallel.max(1),
            lease: LEASE,
        }
    }

    /// The same with another lease, in seconds.
    #[must_use]
    pub const fn with_lease(mut self, seconds: i64) -> Self {
        self.lease = seconds;
        self
    }

    /// Runs until `stop` turns true, then lets the running jobs end; what has not ended after `patience` is given back to
    /// the queue as if this try had never been.
    pub async fn run_with(self, stop: watch::Receiver<bool>, patience: Duration) {
        let (give_up, given_up) = watch::channel(false);
        let mut asked = stop.clone();
        let wait = async move {
            // an error means that nobody can ask any more
            if asked.wait_for(|asked| *asked).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(patience).await;
            give_up.send_replace(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.work(stop, given_up) => {}
            () = wait => {}
        }
    }

    /// Runs until `stop` turns true, then lets the running jobs end.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let (_keep, never) = watch::channel(false);
        self.work(stop, never).await;
    }

    async fn work(self, mut stop: watch::Receiver<bool>, give_up: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.parallel));
        let kinds: Vec<String> = self.handlers.keys().map(|kind| (*kind).to_owned()).collect();
        while !*stop.borrow() {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            // told to stop while every place was taken
            if *stop.borrow() {
                break;
            }
            let claimed = match self.store.control().claim_job(&kinds, &self.name, self.lease).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for jobs");
                    None
                }
            };
            let Some(job) = claimed else {
                drop(place);
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _ = stop.changed() => {}
                }
                continue;
            };
            let Some(handler) = self.handlers.get(job.kind.as_str()).map(Arc::clone) else { continue };
            let held = Held { store: self.store.clone(), worker: self.name.clone(), job };
            let held = Holder { held: Arc::new(held), lease: self.lease };
            let given_up = give_up.clone();
            tokio::spawn(async move {
                held.carry_out(handler, given_up).await;
                drop(place);
            });
        }
        // Every place back means every job has ended.
        drop(places.acquire_many(u32::try_from(self.parallel).unwrap_or(u32::MAX)).await);
    }
}

/// A job that this worker holds.
struct Holder {
    held: Arc<Held>,
    lease: i64,
}

/// How work on a job came to its end.
enum End {
    /// The handler has ended.
    Done(Result<Value, Failure>),
    /// Another worker has it, or may have it: nothing is noted.
    Lost,
    /// The worker is told to end now.
    GivenUp,
}

type Holding<'a> = Pin<Box<dyn Future<Output = Result<Hold, store::Error>> + Send + 'a>>;

impl Holder {
    async fn carry_out(&self, handler: Arc<dyn Handler>, give_up: watch::Receiver<bool>) {
        let (Held { store, worker, job }, began) = (&*self.held, Instant::now());
        let end = self.work(handler, give_up).await;
        metrics::histogram!("holdfast_job_duration_seconds", "kind" => job.kind.clone())
            .record(began.elapsed().as_secs_f64());
        let control = store.control();
        let ended = match end {
            End::Lost => return,
            End::GivenUp => control.release_job(job, worker).await,
            End::Done(Ok(result)) => {
                metrics::counter!("holdfast_jobs_total", "kind" => job.kind.clone(), "result" => "done").increment(1);
                control.finish_job(job, worker, &result).await
            }
            End::Done(Err(Failure::Later(seconds))) => control.defer_job(job, worker, i64::from(seconds)).await,
            End::Done(Err(Failure::Cancelled)) => {
                metrics::counter!("holdfast_jobs_total", "kind" => job.kind.clone(), "result" => "cancelled")
                    .increment(1);
                control.end_cancelled(job, worker).await
            }
            End::Done(Err(failure)) => {
                metrics::counter!("holdfast_jobs_total", "kind" => job.kind.clone(), "result" => "failed").increment(1);
                tracing::warn!(job = job.id, kind = job.kind, attempt = job.attempts, error = %failure, "a job failed");
                let delay = 2_i64.saturating_pow(job.attempts.clamp(0, 10).unsigned_abs()).min(600);
                control.fail_job(job, worker, &failure.to_string(), delay).await
            }
        };
        if let Err(error) = ended {
            tracing::warn!(job = job.id, %error, "cannot note the end of a job; its lease will run out");
        }
    }

    /// Runs the handler and renews the lease beside it. Work whose lease may have run out is dropped: another worker may
    /// have begun the same job.
    async fn work(&self, handler: Arc<dyn Handler>, mut give_up: watch::Receiver<bool>) -> End {
        let Held { store, worker, job } = &*self.held;
        let (sender, mut receiver) = watch::channel(None);
        let (cancel, cancelled) = watch::channel(false);
        let mut work = handler.run(job.clone(), Context::new(sender, cancelled, Arc::clone(&self.held)));
        let mut beat = tokio::time::interval(Duration::from_millis(500));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let lease = Duration::from_secs(self.lease.unsigned_abs());
        // somebody may wait for a run to hear that it is cancelled
        let often = if kind::CANCELLABLE.contains(&job.kind.as_str()) { OFTEN.min(lease / 3) } else { lease / 3 };
        let (mut asked, mut good) = (Instant::now(), Instant::now());
        let mut holding: Option<Holding<'_>> = None;
        loop {
            let held = async {
                match holding.as_mut() {
                    Some(holding) => holding.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                outcome = &mut work => return End::Done(outcome),
                _ = give_up.wait_for(|given_up| *given_up) => return End::GivenUp,
                held = held => {
                    holding = None;
                    match held {
                        Ok(Hold::Kept) => good = asked,
                        Ok(Hold::Cancelled) => {
                            good = asked;
                            cancel.send_replace(true);
                        }
                        Ok(Hold::Lost) => {
                            tracing::warn!(job = job.id, kind = job.kind, "another worker has taken the job over");
                            return End::Lost;
                        }
                        Err(error) => tracing::warn!(job = job.id, %error, "cannot renew the lease"),
                    }
                }
                _ = beat.tick() => {
                    if good.elapsed() >= lease {
                        tracing::warn!(job = job.id, kind = job.kind, "the lease could not be renewed in time; the work is dropped");
                        return End::Lost;
                    }
                    let told = receiver.has_changed().unwrap_or(false) && asked.elapsed() >= Duration::from_secs(1);
                    if holding.is_none() && (told || asked.elapsed() >= often) {
                        let progress = if told { receiver.borrow_and_update().clone() } else { None };
                        asked = Instant::now();
                        holding = Some(Box::pin(store.control().hold_job(job, worker, self.lease, progress)));
                    }
                }
            }
        }
    }
}

/// Asks for work on every tenant.
struct Each {
    store: Store,
}

impl Handler for Each {
    fn kind(&self) -> &'static str {
        kind::EACH
    }

    fn run(&self, job: JobRow, _: Context) -> Outcome {
        let store = self.store.clone();
        Box::pin(async move {
            let message: EachTenant = serde_json::from_value(job.payload)?;
            let mut asked = 0;
            for tenant in store.registry().list().await? {
                if !matches!(tenant.state, domain::tenant::TenantState::Active | domain::tenant::TenantState::ReadOnly)
                {
                    continue;
                }
                let payload = serde_json::json!({ "tenant": tenant.id, "trigger": message.trigger });
                // by when it was due: a run that is caught up waits for nothing
                let not_before = match message.trigger {
                    Trigger::Schedule { schedule, due } => OffsetDateTime::from_unix_timestamp(due)
                        .ok()
                        .map(|due| due + wait_of(schedule, tenant.id, time::Duration::milliseconds(message.span))),
                    _ => None,
                };
                let once = format!("{}:{}", message.kind, tenant.id);
                let new = NewJob {
                    kind: &message.kind,
                    tenant: Some(tenant.id),
                    payload,
                    once_key: Some(&once),
                    max_attempts: 3,
                    not_before,
                };
                asked += i64::from(store.control().enqueue(&new).await?.is_some());
            }
            Ok(serde_json::json!({ "asked": asked }))
        })
    }
}

/// Asks for work. None when the same work already waits or runs.
pub async fn enqueue<K: Kind>(store: &Store, message: &K) -> Result<Option<i64>, Failure> {
    let once = message.once_key();
    let payload = serde_json::to_value(message)?;
    let (tenant, once_key) = (message.tenant(), once.as_deref());
    let new = NewJob { kind: K::NAME, tenant, payload, once_key, max_attempts: K::TRIES, not_before: None };
    Ok(store.control().enqueue(&new).await?)
}
