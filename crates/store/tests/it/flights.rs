//! How often the database is spoken to, and by how many connections: seen from outside, through a counting relay.

use std::sync::Arc;

use domain::id::MemberId;
use domain::note::{Derived, Visibility};
use domain::tenant::TenantState;
use store::tenant::notes::{NewNote, insert_note_once};
use store::{Hot, Statement, Store, TenantScope, Type};
use testkit::pg::{TestDatabase, server};
use testkit::proxy::CountingProxy;

const HOT: Hot = Hot { name: "test_settings", text: "SELECT key FROM {s}.setting", proof: None };

struct Watched {
    database: TestDatabase,
    proxy: CountingProxy,
    store: Store,
}

async fn watched(tenants_per_connection: usize) -> Watched {
    let database = TestDatabase::create().await;
    database.store().await;
    let proxy = CountingProxy::start(&server().socket, server().port);
    let mut config = database.config.clone();
    config.host = proxy.folder().display().to_string();
    config.limits.slots = 1;
    config.limits.per_slot = 1;
    config.limits.stock = 0;
    config.limits.tenants_per_connection = tenants_per_connection;
    let store = Store::connect(config).await.unwrap();
    store.attach().await.unwrap();
    Watched { database, proxy, store }
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
        async move {
            let new = NewNote {
                uid: &uid,
                creator_id: MemberId(1),
                parent_id: None,
                created_ts: 1,
                updated_ts: 1,
                visibility: Visibility::Private,
                content: "one of many",
                derived: &derived,
                location: None,
            };
            insert_note_once(&store, &scope, &new, 0).await
        }
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
