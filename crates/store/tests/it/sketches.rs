//! Sketches of notes are what their texts say, or unknown, whoever writes and whenever; lists use them and show the same.

use bytes::Bytes;
use domain::filter;
use domain::id::{MemberId, SchemaId};
use domain::sketch;
use domain::tenant::TenantState;
use store::tenant::feed::{FeedQuery, Order, Viewer, list_notes};
use store::tenant::filter_sql;
use store::{Store, TenantScope};
use testkit::pg::TestDatabase;

/// Sketches that are known and that are not, of notes that are no comments. Each has a row, and none says something else
/// than the text.
pub(crate) async fn sketches_in_step(store: &Store, scope: &TenantScope) -> (usize, usize) {
    let sql = "SELECT n.content, k.note_id IS NOT NULL, k.sketch FROM note n
        LEFT JOIN note_sketch k ON k.created_ts = n.created_ts AND k.note_id = n.id WHERE n.parent_id IS NULL";
    let (mut known, mut unknown) = (0, 0);
    for row in store.begin(scope).read_once(sql, &[]).await.unwrap() {
        let (text, there): (String, bool) = (row.get(0), row.get(1));
        assert!(there, "no sketch of {text:?}");
        match row.get::<_, Option<Vec<u8>>>(2) {
            Some(stored) => {
                assert_eq!(stored, sketch::of_text(&text), "the sketch of {text:?}");
                known += 1;
            }
            None => unknown += 1,
        }
    }
    (known, unknown)
}

/// Makes what is missing, of tenants of any size; tells how many sketches.
pub(crate) async fn tend(store: &Store) -> u64 {
    let mut after = String::new();
    let made = store.tend_sketches(1.0, &mut after).await.unwrap();
    assert_eq!(after, "", "all tenants fit into one round");
    made
}

async fn listed(store: &Store, scope: &TenantScope, text: &str) -> Vec<i64> {
    let condition = filter_sql::compile_list(&filter::parse(text, 0).unwrap());
    let query = FeedQuery {
        viewer: Viewer::Member(MemberId(1)),
        archived: false,
        order: Order::default(),
        filter: Some(&condition),
        limit: 5,
        offset: 0,
    };
    list_notes(store, scope, &query).await.unwrap().iter().map(|note| note.id.0).collect()
}

async fn furnished(database: &TestDatabase) -> (Store, TenantScope, SchemaId) {
    let store = database.store().await;
    let tenant = store.build_tenant(&"sketched".parse().unwrap(), TenantState::Active).await.unwrap();
    let schema = tenant.schema.clone();
    let fill = format!(
        "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content, parent_id)
         SELECT i, 'n' || i, 1, 1000 + i / 2, 1, 'PUBLIC', 'note number' || i, CASE WHEN i % 10 = 0 THEN i - 1 END
         FROM generate_series(1, 1000) i; ANALYZE {schema}.note"
    );
    database.superuser().await.batch_execute(&fill).await.unwrap();
    (store, TenantScope::for_request(tenant), schema)
}

#[tokio::test(flavor = "multi_thread")]
async fn sketches_follow_every_change_and_lists_go_by_them() {
    let database = TestDatabase::create().await;
    let (store, scope, schema) = furnished(&database).await;
    let client = database.superuser().await;
    let run = async |sql: &str| client.batch_execute(&sql.replace("{s}", schema.as_str())).await.unwrap();
    assert_eq!(store.tend_sketches(5_000.0, &mut String::new()).await.unwrap(), 0, "too small");
    assert_eq!((tend(&store).await, tend(&store).await), (900, 0));
    assert_eq!(sketches_in_step(&store, &scope).await, (900, 0));
    // A sketch that says that the word is not there is believed, one that is not known is not.
    assert_eq!(listed(&store, &scope, "content.contains('NUMBER77')").await, [779, 778, 777, 776, 775]);
    run("UPDATE {s}.note_sketch SET sketch = decode(repeat('00', 128), 'hex') WHERE note_id IN (777, 778)").await;
    assert_eq!(listed(&store, &scope, "content.contains('NUMBER77')").await, [779, 776, 775, 774, 773]);
    run("UPDATE {s}.note_sketch SET sketch = NULL WHERE note_id IN (777, 778)").await;
    assert_eq!(listed(&store, &scope, "content.contains('NUMBER77')").await, [779, 778, 777, 776, 775]);
    assert_eq!(tend(&store).await, 2);

    run("UPDATE {s}.note SET content = 'another' WHERE id = 3; UPDATE {s}.note SET created_ts = 9 WHERE id = 4;
         UPDATE {s}.note SET id = 2005 WHERE id = 5; UPDATE {s}.note SET pinned = true WHERE id = 6;
         UPDATE {s}.note SET parent_id = NULL WHERE id = 20; DELETE FROM {s}.note WHERE id = 7;
         INSERT INTO {s}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content)
         VALUES (3000, 'new', 1, 5000, 1, 'PUBLIC', 'another one')")
    .await;
    assert_eq!(sketches_in_step(&store, &scope).await, (896, 5));
    assert_eq!(listed(&store, &scope, "content.contains('another')").await, [3000, 3]);
    // What a note that is gone has left is swept.
    run("INSERT INTO {s}.note_sketch VALUES (7, 7)").await;
    assert_eq!(tend(&store).await, 5);
    assert_eq!(sketches_in_step(&store, &scope).await, (901, 0));
    assert_eq!(listed(&store, &scope, "content.contains('another')").await, [3000, 3]);
    let rows = store.begin(&scope).read_once("SELECT count(*) FROM note_sketch", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i64>(0), 902, "one for each note, and one that says so");
}

/// A text is changed while its sketch is made: by someone who has written the row already, and is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_sketch_is_never_of_a_text_that_was_changed_meanwhile() {
    let database = TestDatabase::create().await;
    let (store, scope, schema) = furnished(&database).await;
    let (writer, watcher) = (database.superuser().await, database.superuser().await);
    let run = async |sql: &str| writer.batch_execute(&sql.replace("{s}", schema.as_str())).await.unwrap();
    assert_eq!(tend(&store).await, 900);
    let anew = "TRUNCATE {s}.note_sketch";
    let unknown = "UPDATE {s}.note_sketch SET sketch = NULL WHERE note_id > 0";
    for (round, before) in [anew, unknown].into_iter().enumerate() {
        run(before).await;
        run(&format!("BEGIN; UPDATE {{s}}.note SET content = 'changed {round}' WHERE id = 11;
                      UPDATE {{s}}.note SET created_ts = created_ts + 7 WHERE id = 13; DELETE FROM {{s}}.note WHERE id = {}", 15 + round))
            .await;
        let tending = tokio::spawn({
            let store = store.clone();
            async move { tend(&store).await }
        });
        let waits = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'transactionid' AND NOT l.granted AND a.datname = current_database())";
        while !watcher.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
            assert!(!tending.is_finished(), "nobody was waited for");
            tokio::task::yield_now().await;
        }
        run("COMMIT").await;
        tending.await.unwrap();
        sketches_in_step(&store, &scope).await;
        assert_eq!(listed(&store, &scope, "content.contains('changed')").await, [11]);
        tend(&store).await;
        assert_eq!(sketches_in_step(&store, &scope).await, (899 - round, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_leaves_no_sketches_of_what_was_there() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let tenant = store.build_tenant(&"loaded".parse().unwrap(), TenantState::Closed).await.unwrap();
    let schema = tenant.schema.clone();
    let scope = TenantScope::for_request(tenant);
    let client = database.superuser().await;
    let state = async |state: &str| {
        client
            .execute("UPDATE holdfast.tenant SET state = $1 WHERE schema_id = $2", &[&state, &schema.as_str()])
            .await
            .unwrap();
    };
    let row = |id: i64, text: &str| Bytes::from(format!("{id}\tu{id}\t1\t5\t5\tPUBLIC\t{text}\n"));
    let load = async |text: &str, ids: std::ops::Range<i64>| {
        let mut load = store.load(&scope).await.unwrap();
        load.empty_for_many("note").await.unwrap();
        let columns = ["id", "uid", "creator_id", "created_ts", "updated_ts", "visibility", "content"];
        let mut sink = load.copy_in("note", &columns).await.unwrap();
        for id in ids {
            sink.send(row(id, text)).await.unwrap();
        }
        sink.finish().await.unwrap();
        load.finish(100).await.unwrap();
    };
    load("the first", 1..5).await;
    state("active").await;
    assert_eq!(tend(&store).await, 4);
    state("closed").await;
    load("the second", 1..9).await;
    let rows = store.begin(&scope).read_once("SELECT count(*) FROM note_sketch", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i64>(0), 0);
    assert_eq!(listed(&store, &scope, "content.contains('second')").await, [8, 7, 6, 5, 4]);
    state("active").await;
    assert_eq!(tend(&store).await, 8);
    assert_eq!(sketches_in_step(&store, &scope).await, (8, 0));
    assert_eq!(listed(&store, &scope, "content.contains('second')").await, [8, 7, 6, 5, 4]);
}
