//! What the database itself refuses, asked on raw connections.

use domain::tenant::TenantState;
use testkit::pg::{TestDatabase, server};
use tokio_postgres::NoTls;

async fn login(database: &TestDatabase) -> tokio_postgres::Client {
    let row = database
        .superuser()
        .await
        .query_one("SELECT role, password FROM holdfast.login_shard ORDER BY id LIMIT 1", &[])
        .await
        .unwrap();
    let (role, password): (String, String) = (row.get(0), row.get(1));
    let mut config = tokio_postgres::Config::new();
    config.host_path(&server().socket).port(server().port).user(&role).password(&password).dbname(&database.name);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_see_their_own_tenant_and_nothing_else() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let a = store.build_tenant(&"a".parse().unwrap(), TenantState::Active).await.unwrap();
    let b = store.build_tenant(&"b".parse().unwrap(), TenantState::Active).await.unwrap();
    let client = login(&database).await;
    for table in [
        format!("{}.note", a.schema),
        format!("{}.member", b.schema),
        "holdfast.tenant".to_owned(),
        "holdfast.login_shard".to_owned(),
    ] {
        assert!(client.query(&format!("SELECT * FROM {table}"), &[]).await.is_err(), "the login role reads {table}");
    }
    assert!(client.query("SELECT holdfast_audit.append(NULL, 'x', 'x', 'x', '{}')", &[]).await.is_err());
    client.batch_execute(&format!("SET ROLE {}", a.schema)).await.unwrap();
    assert!(client.query(&format!("SELECT * FROM {}.note", a.schema), &[]).await.is_ok());
    assert!(client.query(&format!("SELECT * FROM {}.note", b.schema), &[]).await.is_err());
    assert!(client.query("SELECT * FROM holdfast.audit_event", &[]).await.is_err());
    assert!(client.batch_execute(&format!("CREATE TABLE {}.mine ()", a.schema)).await.is_err());
    client.query("SELECT holdfast_audit.append($1, 'member:x', 'x', 'x', '{}')", &[&b.id.0]).await.unwrap();
    let told: Option<uuid::Uuid> =
        database.superuser().await.query_one("SELECT tenant_id FROM holdfast.audit_event", &[]).await.unwrap().get(0);
    assert_eq!(told, Some(a.id.0), "a tenant's role writes audit events as its own tenant only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_tenant_leaves_no_schema_and_no_role() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let tenant = store.build_tenant(&"gone".parse().unwrap(), TenantState::Closed).await.unwrap();
    store.discard_tenant(tenant.id).await.unwrap();
    let client = database.superuser().await;
    let left: i64 = client
        .query_one("SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1) + (SELECT count(*) FROM pg_roles WHERE rolname = $1)", &[&tenant.schema.as_str()])
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0);
    assert!(store.registry().by_id(tenant.id).await.unwrap().is_none());
}
