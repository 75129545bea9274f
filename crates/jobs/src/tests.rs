//! Schedules after a long absence, and jobs whose lease is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::chance::Chance;
use serde_json::json;
use store::Store;
use store::control::cancel::Cancelling;
use store::control::jobs::NewJob;
use testkit::pg::TestDatabase;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::{Context, Failure, Handler, JobRow, Outcome, Runner, enqueue_due, kind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_away_is_caught_up_in_a_moment() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let start = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    let row = store.control().set_schedule("dump", None, "*/5 * * * * *", start).await.unwrap();
    let now = start + time::Duration::days(30) + time::Duration::seconds(2);
    let began = std::time::Instant::now();
    assert_eq!(enqueue_due(&store, now).await.unwrap(), 1, "one job stands for all that was missed");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let runs = store.control().list_schedule_runs(row.id, 10_000).await.unwrap();
    assert!(runs.len() < 1_000, "{} records", runs.len());
    assert_eq!(runs[0].outcome, "caught_up");
    assert_eq!(runs[0].due_at, start + time::Duration::days(30));
    assert!(runs[1..].iter().all(|run| run.outcome == "missed"));
    assert_eq!(enqueue_due(&store, now).await.unwrap(), 0);
}

/// Works until it is dropped.
struct Endless {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct Told(Arc<AtomicUsize>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Handler for Endless {
    fn kind(&self) -> &'static str {
        "dump"
    }

    fn run(&self, _: JobRow, _: Context) -> Outcome {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let told = Told(Arc::clone(&self.dropped));
        Box::pin(async move {
            let _told = told;
            std::future::pending().await
        })
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen within 30 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_whose_lease_cannot_be_renewed_is_dropped() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (begun, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = Arc::new(Endless { begun: Arc::clone(&begun), dropped: Arc::clone(&dropped) });
    let runner = Runner::new(store.clone(), vec![handler], 1, &Chance::System).with_lease(2);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(runner.run_with(stopped, Duration::from_millis(200)));
    let new =
        NewJob { kind: "dump", tenant: None, payload: json!({}), once_key: None, max_attempts: 3, not_before: None };
    let id = store.control().enqueue(&new).await.unwrap().unwrap();
    until("the work", || begun.load(Ordering::SeqCst) == 1).await;
    // the database does not answer for longer than the lease
    let mut blocker = database.superuser().await;
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE holdfast.job IN ACCESS EXCLUSIVE MODE").await.unwrap();
    until("the end of the work", || dropped.load(Ordering::SeqCst) == 1).await;
    assert_eq!(begun.load(Ordering::SeqCst), 1, "nobody has begun it a second time before");
    lock.rollback().await.unwrap();
    until("the second try", || begun.load(Ordering::SeqCst) == 2).await;
    // told to end, it gives the job back without counting this try
    stop.send(true).unwrap();
    running.await.unwrap();
    until("the end of the second try", || dropped.load(Ordering::SeqCst) == 2).await;
    let row = store.control().find_job(id).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.attempts), ("queued", 1));
}

/// Works until it is cancelled; or passes its point of no return first and ends when it may.
struct Steered(watch::Receiver<bool>);

impl Handler for Steered {
    fn kind(&self) -> &'static str {
        kind::VERIFY
    }

    fn run(&self, job: JobRow, context: Context) -> Outcome {
        let mut may_end = self.0.clone();
        Box::pin(async move {
            if job.payload["settles"] == true {
                if !context.settle().await? {
                    return Err(Failure::Cancelled);
                }
                may_end.wait_for(|ends| *ends).await.ok();
                return Ok(json!({ "came": "through" }));
            }
            match context.unless_cancelled(std::future::pending::<()>()).await {
                Some(()) => Ok(json!({})),
                None => Err(Failure::Cancelled),
            }
        })
    }
}

async fn cancel(store: &Store, id: i64) -> Cancelling {
    let tx = store.control().begin().await.unwrap();
    let outcome = tx.cancel_job(id, "olga", &kind::CANCELLABLE).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn reaches(store: &Store, id: i64, what: &str, holds: impl Fn(&JobRow) -> bool) -> JobRow {
    for _ in 0..600 {
        let row = store.control().find_job(id).await.unwrap().unwrap();
        if holds(&row) {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen within 30 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_can_be_cancelled_until_its_point_of_no_return() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let ask = async |kind: &str, settles: bool| {
        let payload = json!({ "settles": settles });
        let new = NewJob { kind, tenant: None, payload, once_key: None, max_attempts: 1, not_before: None };
        store.control().enqueue(&new).await.unwrap().unwrap()
    };
    let waiting = ask(kind::VERIFY, false).await;
    assert_eq!(cancel(&store, waiting).await, Cancelling::Cancelled);
    let row = store.control().find_job(waiting).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.cancel_by.as_deref()), ("cancelled", Some("olga")));
    let dump = ask(kind::DUMP, false).await;
    assert_eq!(cancel(&store, dump).await, Cancelling::TooLate, "nobody asked for it in the console");

    let (may_end, ends) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let runner = Runner::new(store.clone(), vec![Arc::new(Steered(ends))], 2, &Chance::System);
    let running = tokio::spawn(runner.run(stopped));
    let (endless, settled) = (ask(kind::VERIFY, false).await, ask(kind::VERIFY, true).await);
    reaches(&store, endless, "the work", |row| row.state == "running").await;
    assert_eq!(cancel(&store, endless).await, Cancelling::Asked);
    assert_eq!(cancel(&store, endless).await, Cancelling::TooLate, "once is enough");
    let row = reaches(&store, endless, "the end", |row| row.state != "running").await;
    assert_eq!((row.state.as_str(), row.attempts, row.error), ("cancelled", 1, None));

    reaches(&store, settled, "the point of no return", |row| row.settled).await;
    assert_eq!(cancel(&store, settled).await, Cancelling::TooLate);
    may_end.send(true).unwrap();
    assert_eq!(reaches(&store, settled, "its end", |row| row.state != "running").await.state, "done");
    stop.send(true).unwrap();
    running.await.unwrap();
}

/// What a schedule asks of all tenants: when each is to begin, by the tenants' slugs.
async fn asked_at(database: &TestDatabase) -> Vec<(String, i64)> {
    let sql = "SELECT t.slug, (extract(epoch FROM j.run_at) * 1000)::bigint FROM holdfast.job j \
               JOIN holdfast.tenant t ON t.id = j.tenant_id WHERE j.kind = 'backup' AND j.state = 'queued' ORDER BY t.slug";
    let rows = database.superuser().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_of_all_tenants_is_spread_and_what_is_caught_up_is_not() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    for number in 0..6 {
        let slug = format!("team-{number}").parse().unwrap();
        store.build_tenant(&slug, domain::tenant::TenantState::Active).await.unwrap();
    }
    // every hour: a tenth would be six minutes, five are the most. The next full hour, so that nobody begins before we have looked
    let hour = OffsetDateTime::now_utc().unix_timestamp() / 3600 + 1;
    let due = OffsetDateTime::from_unix_timestamp(hour * 3600).unwrap();
    let schedule = store.control().set_schedule("backup", None, "0 0 * * * *", due).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Runner::new(store.clone(), Vec::new(), 1, &Chance::System).run(stopped));
    let six = async || {
        for _ in 0..600 {
            let all = asked_at(&database).await;
            if all.len() == 6 {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not every tenant was asked");
    };
    let ask = async |due: OffsetDateTime| {
        let trigger = json!({ "by": "schedule", "schedule": schedule.id, "due": due.unix_timestamp() });
        let payload = json!({ "kind": "backup", "trigger": trigger, "span": 300_000 });
        let new = NewJob { kind: kind::EACH, tenant: None, payload, once_key: None, max_attempts: 3, not_before: None };
        store.control().enqueue(&new).await.unwrap().unwrap()
    };
    assert_eq!(enqueue_due(&store, due).await.unwrap(), 1);
    let first = six().await;
    let began = due.unix_timestamp() * 1000;
    assert!(first.iter().all(|(_, at)| (began..began + 300_000).contains(at)), "{began}: {first:?}");
    let apart: std::collections::BTreeSet<i64> = first.iter().map(|(_, at)| *at).collect();
    assert!(apart.len() == 6 && apart.last().unwrap() - apart.first().unwrap() > 30_000, "{first:?}");
    // asked once more, as after a crash: nobody twice, nobody moved
    let again = ask(due).await;
    reaches(&store, again, "the second asking", |row| row.state == "done").await;
    assert_eq!(six().await, first);

    // an operator who asks for one does not wait for its turn, and takes it
    let message = crate::BackupTenant {
        tenant: store.registry().by_slug("team-3").await.unwrap().unwrap().id,
        trigger: crate::Trigger::Operator { name: "olga".to_owned() },
    };
    let hers = crate::enqueue(&store, &message).await.unwrap().expect("asked for, and it is to come about now");
    let row = store.control().find_job(hers).await.unwrap().unwrap();
    assert_eq!(row.payload["trigger"]["by"], "operator");
    let now = OffsetDateTime::now_utc().unix_timestamp() * 1000 + 1000;
    let moved = six().await;
    assert!(
        moved[3].1 <= now && moved.iter().zip(&first).filter(|(one, other)| one != other).count() == 1,
        "{moved:?}"
    );
    assert_eq!(crate::enqueue(&store, &message).await.unwrap(), None, "once");

    // what was missed while nobody was there begins at once, whatever the span
    database.superuser().await.execute("DELETE FROM holdfast.job", &[]).await.unwrap();
    ask(due - time::Duration::hours(3)).await;
    let caught_up = six().await;
    assert!(caught_up.iter().all(|(_, at)| *at < now), "{now}: {caught_up:?}");
    stop.send(true).unwrap();
    running.await.unwrap();
}
