//! Writers meet a swap: what is acknowledged is in the rows that somebody sees.

use std::sync::Arc;

use domain::id::MemberId;
use domain::note::{Derived, Visibility};
use domain::tenant::{Tenant, TenantState};
use store::tenant::notes::{NewNote, insert_note_once};
use store::{AuditEvent, Error, Store, SwapPlan, TenantScope};
use testkit::pg::TestDatabase;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;

struct Pair {
    database: TestDatabase,
    store: Store,
    live: Arc<Tenant>,
    copy: Arc<Tenant>,
}

impl Pair {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let store = database.store().await;
        let build = async |slug: &str, state| store.build_tenant(&slug.parse().unwrap(), state).await.unwrap();
        let live = build("team", TenantState::Active).await;
        let copy = build("copy", TenantState::Closed).await;
        Self { database, store, live, copy }
    }

    async fn swap(&self, undo: bool) -> Result<(), Error> {
        let (live, other) = (self.tenant("team").await, self.tenant("copy").await);
        let now = OffsetDateTime::now_utc();
        let plan = SwapPlan {
            live: &live,
            other: &other,
            files: [&[], &[]],
            since: now,
            keep_until: now + Duration::days(1),
            undo,
        };
        let event =
            AuditEvent { actor: "command", event: "tenant.swapped", object: "team", detail: serde_json::json!({}) };
        self.store.swap_tenants(&plan, &event).await.map(|_| ())
    }

    async fn tenant(&self, slug: &str) -> Arc<Tenant> {
        self.store.registry().by_slug(slug).await.unwrap().unwrap()
    }
}

async fn write(store: &Store, scope: &TenantScope, uid: &str) -> Result<(), Error> {
    let derived = Derived::default();
    let new = NewNote {
        uid,
        creator_id: MemberId(1),
        parent_id: None,
        created_ts: 1,
        updated_ts: 1,
        visibility: Visibility::Private,
        content: "written at a bad moment",
        derived: &derived,
        location: None,
    };
    insert_note_once(store, scope, &new, 0).await.map(|_| ())
}

async fn notes(client: &Client, schema: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {schema}.note"), &[]).await.unwrap().get(0)
}

async fn until(client: &Client, asked: &str) {
    while !client.query_one(asked, &[]).await.unwrap().get::<_, bool>(0) {
        tokio::task::yield_now().await;
    }
}

/// A swap that stands still with both locks in its hands, a writer who came after it, and then the swap goes on.
async fn write_into(pair: &Pair, uid: &str, undo: bool) -> Result<(), Error> {
    let holder = pair.database.superuser().await;
    holder.batch_execute("BEGIN; SELECT 1 FROM holdfast.tenant FOR UPDATE").await.unwrap();
    let watcher = pair.database.superuser().await;
    let here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let scope = TenantScope::for_request(pair.tenant("team").await);
    let swapping = async { pair.swap(undo).await.unwrap() };
    let writing = async {
        let held = format!(
            "SELECT count(*) >= 2 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND {here}"
        );
        until(&watcher, &held).await;
        write(&pair.store, &scope, uid).await
    };
    let letting = async {
        let client = pair.database.superuser().await;
        let waits = format!(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND NOT granted AND {here})"
        );
        until(&client, &waits).await;
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let ((), written, ()) = tokio::join!(swapping, writing, letting);
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_that_waited_for_a_swap_or_came_late_is_refused_and_never_lost() {
    let pair = Pair::new().await;
    let client = pair.database.superuser().await;
    let before = TenantScope::for_request(pair.tenant("team").await);
    write(&pair.store, &before, "first").await.unwrap();
    for (undo, at) in [(false, &pair.live.schema), (true, &pair.copy.schema)] {
        let stale = TenantScope::for_request(pair.tenant("team").await);
        assert_eq!(&stale.tenant().schema, at);
        let there = notes(&client, at.as_str()).await;
        let waited = write_into(&pair, "waited", undo).await;
        assert!(matches!(waited, Err(Error::Exchanged)), "{waited:?}");
        // led to the old rows by what it had read before
        let late = write(&pair.store, &stale, "late").await;
        assert!(matches!(late, Err(Error::Exchanged)), "{late:?}");
        assert_eq!(notes(&client, at.as_str()).await, there, "nothing went where nobody looks");
        let fresh = TenantScope::for_request(pair.tenant("team").await);
        assert_ne!(&fresh.tenant().schema, at);
        write(&pair.store, &fresh, &format!("after-{undo}")).await.unwrap();
    }
    // the first rows are in use again, with what was written in them before and after
    assert_eq!(notes(&client, pair.live.schema.as_str()).await, 2);
}
