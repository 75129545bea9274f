//! How often the database is spoken to, and by how many connections: seen from outside, through a counting relay.

use std::sync::Arc;
use std::time::Duration;

use domain::chance::Chance;
use domain::id::MemberId;
use domain::note::{Derived, Visibility};
use domain::tenant::TenantState;
use store::tenant::feed::{FeedQuery, Order, Viewer, list_notes};
use store::tenant::filter_sql;
use store::tenant::notes::{NewNote, insert_note_once};
use store::{Hot, Statement, Store, TenantScope, Type};
use testkit::pg::{TestDatabase, server};
use testkit::proxy::CountingProxy;
use tokio::time::timeout;

const HOT: Hot = Hot { name: "test_settings", text: "SELECT key FROM {s}.setting", proof: None };

struct Watched {
    database: TestDatabase,
    proxy: CountingProxy,
    store: Store,
}

async fn watched(tenants_per_connection: usize) -> Watched {
    watched_over(1, tenants_per_connection).await
}

async fn watched_over(connections: usize, tenants_per_connection: usize) -> Watched {
    let database = TestDatabase::create().await;
    database.store().await;
    let proxy = CountingProxy::start(&server().socket, server().port);
    let mut config = database.config.clone();
    config.host = proxy.folder().display().to_string();
    config.limits.slots = 1;
    config.limits.per_slot = connections;
    config.limits.stock = 0;
    config.limits.tenants_per_connection = tenants_per_connection;
    let store = Store::connect(config).await.unwrap();
    store.attach().await.unwrap();
    Watched { database, proxy, store }
}

fn new_note<'a>(uid: &'a str, derived: &'a Derived) -> NewNote<'a> {
    NewNote {
        uid,
        creator_id: MemberId(1),
        parent_id: None,
        created_ts: 1,
        updated_ts: 1,
        visibility: Visibility::Private,
        content: "one of many",
        derived,
        location: None,
    }
}

async fn scope(store: &Store, slug: &str) -> TenantScope {
    let tenant = store.build_tenant(&slug.parse().unwrap(), TenantState::Active).await.unwrap();
    TenantScope::for_request(Arc::clone(&tenant))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_read_and_a_plain_write_are_one_flight_each() {
    let Watched { proxy, store, database: _database } = watched(500).await;
    let scope = scope(&store, "flights").await;
    let key = "k";
    for _ in 0..3 {
        store.read_hot(&scope, HOT, &[]).await.unwrap();
    }
    let before = proxy.flights();
    for _ in 0..10 {
        store.read_hot(&scope, HOT, &[]).await.unwrap();
    }
    assert_eq!(proxy.flights() - before, 10, "a hot read, once planned, is one flight");
    let before = proxy.flights();
    for _ in 0..10 {
        store.begin(&scope).read_once("SELECT key FROM setting", &[]).await.unwrap();
    }
    assert_eq!(proxy.flights() - before, 10, "a plain read is one flight");
    let sql = "INSERT INTO setting (key, value) VALUES ($1, '1') ON CONFLICT (key) DO UPDATE SET value = '2'";
    let before = proxy.flights();
    for _ in 0..10 {
        let statement = Statement { sql, params: &[(&key, Type::TEXT)] };
        store.begin(&scope).write_once(&[statement]).await.unwrap();
    }
    assert_eq!(proxy.flights() - before, 10, "a plain write with lock, mark and commit is one flight");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_retired_after_its_share_of_tenants() {
    let Watched { proxy, store, database: _database } = watched(2).await;
    let mut scopes = Vec::new();
    for slug in ["a", "b", "c", "d"] {
        scopes.push(scope(&store, slug).await);
    }
    let before = proxy.connections();
    for scope in &scopes {
        store.begin(scope).read_once("SELECT 1", &[]).await.unwrap();
    }
    assert_eq!(proxy.connections() - before, 2, "four tenants at two a connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_the_connection_that_has_its_plans() {
    let Watched { proxy, store, database: _database } = watched_over(2, 500).await;
    let (first, second) = (scope(&store, "first").await, scope(&store, "second").await);
    // While the first works on the one connection there is, the second must open another.
    let mut held = store.begin(&first);
    held.query("SELECT 1", &[]).await.unwrap();
    let before = proxy.connections();
    store.read_hot(&second, HOT, &[]).await.unwrap();
    assert_eq!(proxy.connections() - before, 1);
    held.commit().await.unwrap();
    store.read_hot(&first, HOT, &[]).await.unwrap();
    // Both are free now: each tenant finds its own again, in whatever order they come, and none plans anew.
    let (before, flights) = (proxy.connections(), proxy.flights());
    for _ in 0..10 {
        for scope in [&second, &first, &first, &second] {
            store.read_hot(scope, HOT, &[]).await.unwrap();
        }
    }
    assert_eq!((proxy.connections() - before, proxy.flights() - flights), (0, 40));
}

/// Of every process that serves this database: how nice it is.
async fn niceness(store: &Store, scope: &TenantScope) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename IS NOT NULL";
    let rows = store.begin(scope).read_once(sql, &[]).await.unwrap();
    let pids = rows.iter().map(|row| row.get::<_, i32>(0));
    let stats = pids.filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    // The nineteenth field; the second, a name in brackets, may hold spaces.
    stats.map(|stat| stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_has_a_connection_of_its_own_that_gives_way() {
    let Watched { store, proxy: _proxy, database: _database } = watched(500).await;
    let scope = scope(&store, "searched").await;
    let mut held = store.begin(&scope);
    held.query("SELECT 1", &[]).await.unwrap();
    let condition = filter_sql::compile_list(&domain::filter::parse("has_code", 0).unwrap());
    let query = FeedQuery {
        viewer: Viewer::Member(MemberId(1)),
        archived: false,
        order: Order::default(),
        filter: Some(&condition),
        limit: 10,
        offset: 0,
    };
    let found = timeout(Duration::from_secs(5), list_notes(&store, &scope, &query)).await;
    assert!(found.expect("the only connection for requests is taken").unwrap().is_empty());
    held.commit().await.unwrap();
    let niceness = niceness(&store, &scope).await;
    let least = *niceness.iter().min().unwrap();
    assert_eq!(niceness.iter().filter(|nice| **nice > least).count(), 1, "one serves searches: {niceness:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_comes_from_stock_without_any_ddl() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let client = database.superuser().await;
    let count = "SELECT (SELECT count(*) FROM holdfast.stock_schema), (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%')";
    let before = client.query_one(count, &[]).await.unwrap();
    let (stock, schemas): (i64, i64) = (before.get(0), before.get(1));
    assert!(stock > 0);
    store.build_tenant(&"claimed".parse().unwrap(), TenantState::Active).await.unwrap();
    let after = client.query_one(count, &[]).await.unwrap();
    assert_eq!((after.get::<_, i64>(0), after.get::<_, i64>(1)), (stock - 1, schemas));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_the_same_time_are_one_flight_each_and_do_not_suffer_from_each_other() {
    let Watched { proxy, store, database: _database } = watched(500).await;
    let scope = scope(&store, "crowd").await;
    let derived = Derived::default();
    let note = |uid: String| {
        let (store, scope, derived) = (store.clone(), scope.clone(), derived.clone());
        async move { insert_note_once(&store, &scope, &new_note(&uid, &derived), 0).await }
    };
    note("first".to_owned()).await.unwrap();
    let before = proxy.flights();
    let all = (0..40).map(|number| note(if number % 10 == 3 { "first".to_owned() } else { format!("n{number}") }));
    let made = futures_util::future::join_all(all).await;
    let flights = proxy.flights() - before;
    for (number, made) in made.iter().enumerate() {
        match made {
            Ok(_) => assert_ne!(number % 10, 3),
            Err(error) => assert!(number % 10 == 3 && error.is_conflict("note_uid_key"), "{number}: {error}"),
        }
    }
    let stored = store.begin(&scope).read_once("SELECT uid FROM note", &[]).await.unwrap().len();
    assert_eq!(stored, 37, "every acknowledged note is there, and no other");
    println!("40 notes at once: {flights} flights");
    let before = proxy.flights();
    let all = (40..240).map(|number| note(format!("n{number}")));
    assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
    let flights = proxy.flights() - before;
    assert!(flights <= 210, "200 notes at once took {flights} flights");
}

/// One connection for three tenants, asked in every order: plainly, in units of work, in vain, and given up in the middle.
/// Whatever the session's role was before, each is told its own rows and writes into its own schema.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_stays_on_a_connection_shows_nobody_anything() {
    const FAILS: Hot =
        Hot { name: "test_fails", text: "SELECT 1 / length(key) * 0 + 1 / 0 FROM {s}.setting", proof: None };
    let Watched { proxy, store, database: _database } = watched(500).await;
    let mut scopes = Vec::new();
    for slug in ["one", "two", "three"] {
        let scope = scope(&store, slug).await;
        let sql = "INSERT INTO setting (key, value) VALUES ($1, '1')";
        let statement = Statement { sql, params: &[(&slug, Type::TEXT)] };
        store.begin(&scope).write_once(&[statement]).await.unwrap();
        scopes.push((slug, scope));
    }
    let chance = Chance::seeded(20_261_123);
    for _ in 0..300 {
        let (slug, scope) = &scopes[chance.below(3) as usize];
        match chance.below(4) {
            0 => assert!(store.read_hot(scope, FAILS, &[]).await.is_err()),
            1 => drop(timeout(Duration::from_micros(chance.below(400)), store.read_hot(scope, HOT, &[])).await),
            2 => {
                let rows = store.begin(scope).read_once("SELECT key FROM setting", &[]).await.unwrap();
                assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), [*slug]);
            }
            _ => {
                let rows = store.read_hot(scope, HOT, &[]).await.unwrap();
                assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), [*slug]);
            }
        }
    }
    // What would be asked under another's role is refused.
    let (_, one) = &scopes[0];
    let foreign: String = format!("SELECT key FROM {}.setting", scopes[1].1.tenant().schema);
    let foreign = Hot { name: "test_foreign", text: Box::leak(foreign.into_boxed_str()), proof: None };
    assert!(store.read_hot(one, foreign, &[]).await.is_err());
    let before = proxy.flights();
    store.read_hot(one, HOT, &[]).await.unwrap();
    assert_eq!(proxy.flights() - before, 1);
}

/// A point bumps the generation and opens its snapshot while a note is being written: that note is not in the snapshot, so
/// it must be marked for the next point, although its statement began before the bump.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_waits_for_a_point_is_marked_for_the_next() {
    let Watched { store, database, proxy: _proxy } = watched(500).await;
    let scope = scope(&store, "marks").await;
    let schema = scope.tenant().schema.as_str().to_owned();
    let (high, low) = scope.tenant().id.0.as_u64_pair();
    let point = database.superuser().await;
    let bump = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({}); UPDATE {schema}.point_state SET generation = generation + 1",
        (high ^ low) as i64
    );
    point.batch_execute(&bump).await.unwrap();
    let derived = Derived::default();
    let new = new_note("late", &derived);
    let writing = async { insert_note_once(&store, &scope, &new, 0).await.unwrap() };
    let watching = async {
        let watcher = database.superuser().await;
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND NOT granted \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        while !watcher.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
        let seen: i64 = point.query_one(&format!("SELECT count(*) FROM {schema}.note"), &[]).await.unwrap().get(0);
        point.batch_execute("COMMIT").await.unwrap();
        seen
    };
    let (_, seen) = tokio::join!(writing, watching);
    assert_eq!(seen, 0, "the point does not see it");
    let marks = format!("SELECT m.generation = p.generation FROM {schema}.change_mark m, {schema}.point_state p");
    let current: Vec<bool> = point.query(&marks, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(current, [true], "so it is marked for the next");
}
