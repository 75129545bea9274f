//! Sources that are no folder: Memos on PostgreSQL, and attachments in a bucket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use common::{house, read_back, run_of};
use domain::chance::Chance;
use migrate::{BucketAccess, Run, Source, catch_up, check};
use objects::{ObjectStore, PutOptions, S3Config};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use testkit::pg::TestDatabase;

/// The tables that Memos 0.30 makes on PostgreSQL, with a row or two in each.
const POSTGRES: &str = "
CREATE TABLE system_setting (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, description TEXT NOT NULL);
CREATE TABLE \"user\" (id SERIAL PRIMARY KEY, created_ts BIGINT NOT NULL DEFAULT EXTRACT(EPOCH FROM NOW()), updated_ts BIGINT NOT NULL DEFAULT EXTRACT(EPOCH FROM NOW()),
  row_status TEXT NOT NULL DEFAULT 'NORMAL', username TEXT NOT NULL UNIQUE, role TEXT NOT NULL DEFAULT 'USER', email TEXT NOT NULL DEFAULT '', nickname TEXT NOT NULL DEFAULT '',
  password_hash TEXT NOT NULL, avatar_url TEXT NOT NULL, description TEXT NOT NULL DEFAULT '');
CREATE TABLE user_setting (user_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(user_id, key));
CREATE TABLE memo (id SERIAL PRIMARY KEY, uid TEXT NOT NULL UNIQUE, creator_id INTEGER NOT NULL, created_ts BIGINT NOT NULL, updated_ts BIGINT NOT NULL,
  row_status TEXT NOT NULL DEFAULT 'NORMAL', content TEXT NOT NULL, visibility TEXT NOT NULL DEFAULT 'PRIVATE', pinned BOOLEAN NOT NULL DEFAULT FALSE, payload JSONB NOT NULL DEFAULT '{}');
CREATE TABLE memo_relation (memo_id INTEGER NOT NULL, related_memo_id INTEGER NOT NULL, type TEXT NOT NULL, UNIQUE(memo_id, related_memo_id, type));
CREATE TABLE attachment (id SERIAL PRIMARY KEY, uid TEXT NOT NULL UNIQUE, creator_id INTEGER NOT NULL, created_ts BIGINT NOT NULL DEFAULT 1, updated_ts BIGINT NOT NULL DEFAULT 1,
  filename TEXT NOT NULL, blob BYTEA, type TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0, memo_id INTEGER DEFAULT NULL, storage_type TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', payload TEXT NOT NULL DEFAULT '{}');
CREATE TABLE inbox (id SERIAL PRIMARY KEY, created_ts BIGINT NOT NULL DEFAULT 1, sender_id INTEGER NOT NULL, receiver_id INTEGER NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL);
CREATE TABLE reaction (id SERIAL PRIMARY KEY, created_ts BIGINT NOT NULL DEFAULT 1, creator_id INTEGER NOT NULL, content_id TEXT NOT NULL, reaction_type TEXT NOT NULL);
INSERT INTO system_setting VALUES ('BASIC', '{\"secretKey\":\"s\",\"schemaVersion\":\"0.30.1\"}', '');
INSERT INTO \"user\" (username, role, password_hash, avatar_url) VALUES ('maria', 'ADMIN', 'x', ''), ('bob', 'USER', 'y', '');
INSERT INTO user_setting VALUES (2, 'GENERAL', '{\"locale\":\"de\"}');
INSERT INTO memo (uid, creator_id, created_ts, updated_ts, content, visibility, pinned, payload) VALUES ('first', 1, 1600000000, 1600000001, 'hello #tag', 'PUBLIC', TRUE, '{\"location\":{\"placeholder\":\"Bern\",\"latitude\":46.9}}'), ('second', 2, 1, 2, 'über 🎉', 'PRIVATE', FALSE, '{}');
INSERT INTO memo_relation VALUES (2, 1, 'COMMENT');
INSERT INTO attachment (uid, creator_id, filename, blob, size, memo_id) VALUES ('file', 1, 'a.bin', '\\x00ff10', 3, 1);
INSERT INTO reaction (creator_id, content_id, reaction_type) VALUES (2, 'memos/first', '👍');";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memos_on_postgres_is_read_like_any_other() {
    let memos = TestDatabase::create().await;
    let client = memos.superuser().await;
    client.batch_execute(POSTGRES).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let house = house(data.path()).await;
    let source = Source::new(memos.url(), data.path(), false);
    client.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC").await.unwrap();
    let predicted = check(&source).await.unwrap();
    assert!(predicted.errors.is_empty(), "{:?}", predicted.errors);
    assert_eq!((predicted.source.kind.as_str(), predicted.source.version.as_str()), ("memos-postgres", "0.26"));
    let run = Run { source, ..run_of(data.path(), data.path()) };
    let report = migrate::run(&house, &run).await.unwrap();
    assert_eq!(common::promised(&predicted), common::promised(&report));
    let tables = read_back(&house).await;
    let first = tables["note"].iter().find(|row| row["uid"] == "first").unwrap();
    assert_eq!(
        (first["content"].as_str(), first["pinned"].as_bool(), first["created_ts"].as_i64()),
        (Some("hello #tag"), Some(true), Some(1_600_000_000))
    );
    assert_eq!(first["location"]["placeholder"], "Bern");
    assert_eq!(tables["note"].iter().find(|row| row["uid"] == "second").unwrap()["parent_id"], first["id"]);
    assert_eq!(tables["attachment"][0]["sha256"], hex::encode(Sha256::digest([0, 0xff, 0x10])));
    assert_eq!(tables["reaction"][0]["note_id"], first["id"]);
    let nobody = check(&Source::new("postgres://nobody@/nothing?host=/nowhere", data.path(), false)).await.unwrap();
    assert_eq!(nobody.errors[0].code, "source_unreachable");
    for (address, code) in [
        ("postgres://memos:secret@localhost/memos", "password_in_address"),
        ("mysql://memos@localhost/memos", "unknown_address"),
    ] {
        let report = check(&Source::new(address, data.path(), false)).await.unwrap();
        assert_eq!(report.errors[0].code, code, "{:?}", report.errors);
        assert!(!report.errors[0].message.contains("secret@"), "{:?}", report.errors);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_in_a_bucket_are_fetched_with_the_stored_or_the_given_keys() {
    let place = tempfile::tempdir().unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = runtime::s3::S3Server::start(place.path(), address, "ACCESSKEY", "the-secret-key").await.unwrap();
    let config = S3Config::new(server.url(), "notes".to_owned(), "ACCESSKEY", "the-secret-key");
    let bucket = ObjectStore::s3(config).unwrap();
    bucket.create().await.unwrap();
    bucket
        .put("memos/a.bin", b"from the bucket".to_vec(), PutOptions { if_none_match: false, sha256: None })
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    migrate::sample::write_sample(folder.path(), &Chance::seeded(8)).unwrap();
    let conn = Connection::open(folder.path().join("memos_prod.db")).unwrap();
    let stored = serde_json::json!({"s3Object": {"key": "memos/a.bin", "s3Config": {
        "accessKeyId": "ACCESSKEY", "accessKeySecret": "the-secret-key", "endpoint": server.url(), "region": "us-east-1", "bucket": "notes", "usePathStyle": true}}});
    let without = serde_json::json!({"s3Object": {"key": "memos/a.bin"}});
    let lost = serde_json::json!({"s3Object": {"key": "memos/gone.bin", "s3Config": stored["s3Object"]["s3Config"]}});
    for (id, payload) in [(1, &stored), (2, &without), (3, &lost)] {
        conn.execute("UPDATE attachment SET storage_type = 'S3', blob = NULL, size = 15, reference = 'https://signed.example/x', payload = ?2 WHERE id = ?1", params![id, payload.to_string()]).unwrap();
    }
    drop(conn);
    let sum = hex::encode(Sha256::digest(b"from the bucket"));
    let of = |tables: &std::collections::BTreeMap<String, Vec<serde_json::Value>>, id: i64| {
        let row = tables["attachment"].iter().find(|row| row["id"] == id).unwrap();
        (row["sha256"].as_str().unwrap().to_owned(), row["external_link"].as_str().unwrap().to_owned())
    };
    let data = tempfile::tempdir().unwrap();
    let plain = house(data.path()).await;
    let report = migrate::run(&plain, &run_of(folder.path(), data.path())).await.unwrap();
    let tables = read_back(&plain).await;
    assert_eq!(of(&tables, 1), (sum.clone(), String::new()));
    assert_eq!(of(&tables, 2).1, "https://signed.example/x");
    assert_eq!(of(&tables, 3).1, "https://signed.example/x");
    let named: Vec<&str> = report.warnings.iter().filter(|w| w.code == "s3_object").map(|w| w.row.as_str()).collect();
    assert_eq!(named, ["2", "3"], "{:?}", report.warnings);
    // Other bytes of the same length, under the same key.
    let other = PutOptions { if_none_match: false, sha256: None };
    bucket.put("memos/a.bin", b"FROM the bucket".to_vec(), other).await.unwrap();
    let slug = "acme".parse().unwrap();
    let caught = catch_up(&plain, &Source::new(folder.path(), data.path(), false), &slug, "test").await.unwrap();
    assert_eq!(caught.brought["attachment"].updated, 1, "{caught:?}");
    assert_eq!(of(&read_back(&plain).await, 1).0, hex::encode(Sha256::digest(b"FROM the bucket")));
    let before = PutOptions { if_none_match: false, sha256: None };
    bucket.put("memos/a.bin", b"from the bucket".to_vec(), before).await.unwrap();
    // With keys of the operator's.
    let other = tempfile::tempdir().unwrap();
    let given = house(other.path()).await;
    let mut run = run_of(folder.path(), other.path());
    run.source.options.bucket = BucketAccess {
        endpoint: Some(server.url()),
        bucket: Some("notes".to_owned()),
        keys: Some(("ACCESSKEY".to_owned(), "the-secret-key".to_owned())),
        ..BucketAccess::default()
    };
    migrate::run(&given, &run).await.unwrap();
    assert_eq!(of(&read_back(&given).await, 2), (sum, String::new()));
    server.stop().await;
}
