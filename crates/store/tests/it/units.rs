//! Units of work, audit, loads and snapshots.

use std::sync::Arc;

use bytes::Bytes;
use domain::tenant::{Tenant, TenantState};
use futures_util::StreamExt;
use serde_json::json;
use store::control::jobs::NewJob;
use store::{AuditEvent, Error, Store, TenantScope, Type};
use testkit::pg::TestDatabase;

async fn tenant(store: &Store, slug: &str, state: TenantState) -> (Arc<Tenant>, TenantScope) {
    let tenant = store.build_tenant(&slug.parse().unwrap(), state).await.unwrap();
    let scope = TenantScope::for_request(Arc::clone(&tenant));
    (tenant, scope)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_have_a_time_limit_of_its_own() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (one, scope) = tenant(&store, "one", TenantState::Active).await;
    let mut limited = (*one).clone();
    limited.limits.statement_ms = Some(50);
    let limited = Arc::new(limited);
    let slow = "SELECT count(*) FROM pg_sleep(0.3)";
    let ended = store.begin(&TenantScope::for_request(Arc::clone(&limited))).read_once(slow, &[]).await;
    assert!(matches!(ended, Err(Error::TooBusy)), "{ended:?}");
    store.begin(&scope).read_once(slow, &[]).await.expect("others have the limit of the installation");
    store.begin(&TenantScope::for_job(limited, "backup")).read_once(slow, &[]).await.expect("and so have jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_of_work_stands_or_falls_as_a_whole() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (_, scope) = tenant(&store, "one", TenantState::Active).await;

    let mut tx = store.begin(&scope);
    tx.touch().await.unwrap();
    tx.execute("INSERT INTO setting (key, value) VALUES ('kept', '1')", &[]).await.unwrap();
    tx.commit().await.unwrap();

    let mut dropped = store.begin(&scope);
    dropped.touch().await.unwrap();
    dropped.execute("INSERT INTO setting (key, value) VALUES ('dropped', '1')", &[]).await.unwrap();
    drop(dropped);

    let mut failed = store.begin(&scope);
    let error = failed.execute("INSERT INTO setting (key, value) VALUES ('kept', '2')", &[]).await.unwrap_err();
    assert!(error.is_conflict("setting_pkey"), "{error}");
    assert!(failed.commit().await.is_err(), "a failed unit of work cannot be committed");

    let rows = store.begin(&scope).read_once("SELECT key FROM setting ORDER BY key", &[]).await.unwrap();
    let keys: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(keys, ["kept"]);
    assert!(store.oldest_unheld_change(&scope).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_is_given_once() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    tenant(&store, "twice", TenantState::Active).await;
    let error = store.build_tenant(&"twice".parse().unwrap(), TenantState::Active).await.unwrap_err();
    assert!(error.is_conflict("tenant_slug_key"), "{error}");
    store.prepare().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_events_chain_and_cannot_be_changed() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (first, scope) = tenant(&store, "audited", TenantState::Active).await;
    let event = AuditEvent { actor: "member:anna", event: "token.created", object: "phone", detail: json!({"a": 1}) };
    let mut tx = store.begin(&scope);
    tx.audit(&event).await.unwrap();
    tx.commit().await.unwrap();
    store
        .control()
        .audit(None, &AuditEvent { actor: "command", event: "key.created", object: "", detail: json!({}) })
        .await
        .unwrap();

    let client = database.superuser().await;
    let rows = client
        .query("SELECT tenant_id, previous_hash, hash FROM holdfast.audit_event ORDER BY seq", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get::<_, Option<uuid::Uuid>>(0), Some(first.id.0));
    assert_eq!(rows[1].get::<_, String>(1), rows[0].get::<_, String>(2));
    assert!(client.execute("DELETE FROM holdfast.audit_event", &[]).await.is_err());
    assert!(client.execute("UPDATE holdfast.audit_event SET actor = 'x'", &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_loaded_come_out_of_a_snapshot_in_order() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (_, scope) = tenant(&store, "loaded", TenantState::Closed).await;
    let mut load = store.load(&scope).await.unwrap();
    let mut sink = load.copy_in("reaction", &["id", "note_id", "creator_id", "reaction", "created_ts"]).await.unwrap();
    sink.send(Bytes::from_static(b"2\t7\t1\tb\t10\n1\t7\t1\ta")).await.unwrap();
    sink.send(Bytes::from_static(b"\t10\n")).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    let columns = ["id", "uid", "creator_id", "created_ts", "updated_ts", "visibility", "tags"];
    let mut sink = load.copy_in("note", &columns).await.unwrap();
    sink.send(Bytes::from_static(b"3\ta\t1\t5\t5\tPUBLIC\t{A,a,b}\n4\tb\t1\t6\t6\tPUBLIC\t{X/y/Z,x}\n")).await.unwrap();
    sink.send(Bytes::from_static(b"5\tc\t1\t7\t7\tPUBLIC\t{}\n")).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 3);
    load.finish(41).await.unwrap();
    assert_eq!(crate::filters::tags_in_step(&store, &scope).await, 5);

    let mut tx = store.begin(&scope);
    assert_eq!(tx.next_id().await.unwrap(), 42);
    tx.touch().await.unwrap();
    tx.query("UPDATE note SET tags = ARRAY['c'] WHERE id = 4", &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(crate::filters::tags_in_step(&store, &scope).await, 3, "in step again after a load");

    let mut snapshot = store.open_snapshot(&scope).await.unwrap();
    assert_eq!(snapshot.info().last_id, 42);
    let tables = snapshot.tables().await.unwrap();
    assert!(
        !tables.iter().any(|table| ["note_tag", "note_sketch"].contains(&table.name.as_str())),
        "they follow from the notes"
    );
    let reaction = tables.iter().find(|table| table.name == "reaction").unwrap().clone();
    assert_eq!(reaction.primary_key, ["id"]);
    assert_eq!(snapshot.id_bounds(&reaction).await.unwrap(), Some((1, 2)));
    let mut text = Vec::new();
    let mut rows = snapshot.copy_out(&reaction, None).await.unwrap();
    while let Some(piece) = rows.next().await {
        text.extend_from_slice(&piece.unwrap());
    }
    drop(rows);
    assert_eq!(text, b"1\t7\t1\ta\t10\n2\t7\t1\tb\t10\n");
    let generation = snapshot.info().generation;
    snapshot.finish().await.unwrap();
    store.clear_marks(&scope, generation).await.unwrap();
    assert_eq!(store.oldest_unheld_change(&scope).await.unwrap(), None);

    let indexes = database
        .superuser()
        .await
        .query(
            "SELECT 1 FROM pg_indexes WHERE schemaname = $1 AND indexname = 'note_feed_idx'",
            &[&scope.tenant().schema.as_str()],
        )
        .await
        .unwrap();
    assert_eq!(indexes.len(), 1, "indexes are made again after a load");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_tenant_is_never_loaded_into() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (_, scope) = tenant(&store, "open", TenantState::Active).await;
    assert!(matches!(store.load(&scope).await, Err(Error::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_waits_for_writers_and_sees_what_they_committed() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (_, scope) = tenant(&store, "busy", TenantState::Active).await;
    let mut writer = store.begin(&scope);
    writer.touch().await.unwrap();
    let key = "late";
    writer.execute("INSERT INTO setting (key, value) VALUES ($1, '1')", &[(&key, Type::TEXT)]).await.unwrap();
    let opening = tokio::spawn({
        let (store, scope) = (store.clone(), scope.clone());
        async move { store.open_snapshot(&scope).await }
    });
    tokio::task::yield_now().await;
    writer.commit().await.unwrap();
    let mut snapshot = opening.await.unwrap().unwrap();
    let tables = snapshot.tables().await.unwrap();
    let setting = tables.iter().find(|table| table.name == "setting").unwrap().clone();
    let rows: Vec<_> = snapshot.copy_out(&setting, None).await.unwrap().collect().await;
    assert_eq!(rows.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_its_workers_fails_in_the_end() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let control = store.control();
    let kinds = ["deadly".to_owned()];
    let new =
        NewJob { kind: "deadly", tenant: None, payload: json!({}), once_key: None, max_attempts: 2, not_before: None };
    let id = control.enqueue(&new).await.unwrap().unwrap();
    for attempt in 1..=2 {
        let job = control.claim_job(&kinds, "worker", 0).await.unwrap().unwrap();
        assert_eq!((job.id, job.attempts), (id, attempt));
    }
    assert!(control.claim_job(&kinds, "worker", 30).await.unwrap().is_none());
    assert_eq!(control.find_job(id).await.unwrap().unwrap().state, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_encoded_leaves_nothing_of_its_flight() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let (_, scope) = tenant(&store, "one", TenantState::Active).await;
    let first = store::Statement { sql: "INSERT INTO setting (key, value) VALUES ('half', '1')", params: &[] };
    // a text where a number is announced
    let wrong: [store::Param<'_>; 1] = [(&"text", Type::INT8)];
    let second = store::Statement { sql: "UPDATE setting SET key = key WHERE $1 = 1", params: &wrong };
    store.begin(&scope).write_once(&[first, second]).await.unwrap_err();
    let rows = store.begin(&scope).read_once("SELECT key FROM setting WHERE key = 'half'", &[]).await.unwrap();
    assert!(rows.is_empty(), "the first statement was committed without the second");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_fill_the_stock_together() {
    let database = TestDatabase::create().await;
    let (one, other) = (
        Store::connect(database.config.clone()).await.unwrap(),
        Store::connect(database.config.clone()).await.unwrap(),
    );
    let (first, second) = tokio::join!(one.prepare(), other.prepare());
    first.unwrap();
    second.unwrap();
    let roles = database.superuser().await;
    let shards = roles.query("SELECT role FROM holdfast.login_shard", &[]).await.unwrap();
    assert_eq!(shards.len(), 1);
    let role: String = shards[0].get(0);
    let verifier: String =
        roles.query_one("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&role]).await.unwrap().get(0);
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_feed_makes_two_audit_events_look_alike() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    for (event, object) in [("a", "b\nc"), ("a\nb", "c"), ("a", "b\\nc")] {
        store.control().audit(None, &AuditEvent { actor: "command", event, object, detail: json!({}) }).await.unwrap();
    }
    let rows = store.control().audit_newest(None, 3).await.unwrap();
    let told: std::collections::HashSet<String> =
        rows.iter().map(|row| format!("{}\n{}\n{}", row.actor, row.event, row.object)).collect();
    assert_eq!(told.len(), 3);
    assert!(rows.iter().all(|row| !row.object.contains('\n') && !row.event.contains('\n')), "{rows:?}");
}
