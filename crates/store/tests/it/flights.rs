//! How often the database is spoken to, and by how many connections: seen from outside, through a counting relay.

use std::sync::Arc;

use domain::tenant::TenantState;
use store::{Hot, Statement, Store, TenantScope, Type};
use testkit::pg::{TestDatabase, server};
use testkit::proxy::CountingProxy;

const HOT: Hot = Hot { name: "test_settings", text: "SELECT key FROM {s}.setting" };

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
