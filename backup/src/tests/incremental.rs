//! Points that read only what was written since the one before: equal to points that read everything, under any writer.

use std::collections::BTreeMap;

use domain::chance::Chance;
use store::TenantScope;

use super::Lab;
use crate::compare::total_of;
use crate::format::fingerprint::Fingerprint;
use crate::restore::RestoreOptions;
use crate::snapshot::{BOOKKEEPING, PointOptions, PointReport};

pub(super) fn options(trigger: &'static str) -> PointOptions {
    PointOptions { trigger, actor: "command".to_owned(), markdown: false }
}

/// A tenant with so many notes of so many words that do not compress well, numbered from 100 on.
async fn large(seed: u64, notes: u32, words: u32) -> Lab {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(seed)).await;
    lab.sql(&format!(
        "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
         SELECT g, 'b-' || g, 1 + g % 2, g, g, 'PRIVATE', (SELECT string_agg(md5(g::text || k), ' ') FROM generate_series(1, {words}) k) \
         FROM generate_series(100, {}) g; \
         INSERT INTO reaction (id, note_id, creator_id, reaction, created_ts) SELECT g + 1000000, g, 1, 'x', g FROM generate_series(100, {}) g; \
         SELECT setval('id_seq', 2000000)",
        99 + notes,
        99 + notes / 2
    ))
    .await;
    settled(&lab).await;
    lab
}

/// Waits until no transaction of this server is older than what was written by now: other tests have some open for a while,
/// and what was written since the oldest one began is read again, to be on the safe side.
async fn settled(lab: &Lab) {
    let client = lab.database.superuser().await;
    let number = async |sql: &str| client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    let written = number("SELECT pg_current_xact_id()::text::bigint").await;
    let begun = std::time::Instant::now();
    while number("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").await <= written {
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "a transaction stays open for two minutes");
    }
}

/// A verified point as a schedule takes it.
async fn scheduled(lab: &Lab) -> PointReport {
    let scope = TenantScope::for_command(lab.backup.tenant("team").await.unwrap(), "test");
    let point = lab.backup.take_point(&scope, &options("schedule")).await.unwrap();
    let verified = lab.backup.verify_point(&point.point, "command").await.unwrap();
    assert!(verified.problems.is_empty() && point.warnings.is_empty(), "{:?} {:?}", verified.problems, point.warnings);
    point
}

/// What the tables of the tenant add up to now, read without points.
async fn live(lab: &Lab) -> BTreeMap<String, (u64, Fingerprint)> {
    let scope = TenantScope::for_command(lab.backup.tenant("team").await.unwrap(), "test");
    let mut snapshot = lab.backup.store.open_snapshot(&scope).await.unwrap();
    let mut all = BTreeMap::new();
    for table in snapshot.tables().await.unwrap() {
        if BOOKKEEPING.contains(&table.name.as_str()) {
            continue;
        }
        let total = total_of(&mut snapshot, &table).await.unwrap();
        all.insert(table.name, (total.rows, total.fingerprint));
    }
    snapshot.finish().await.unwrap();
    all
}

/// What a point says its tables add up to, and the hash of each note's file.
async fn told(lab: &Lab, point: &str) -> (BTreeMap<String, (u64, Fingerprint)>, BTreeMap<String, String>) {
    let opened = lab.backup.open_point(&lab.backup.source(), point).await.unwrap();
    let tables = opened.sealed.tables.iter().map(|one| (one.name.clone(), (one.rows, one.fingerprint))).collect();
    let mut hashes = BTreeMap::new();
    for name in &opened.sealed.note_hashes {
        let text = String::from_utf8(opened.fetch.bytes(name).await.unwrap().to_vec()).unwrap();
        hashes.extend(text.lines().filter_map(|line| line.split_once('\t')).map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
    assert_eq!(hashes.len() as u64, opened.sealed.notes);
    (tables, hashes)
}

/// Ten edits between two points.
async fn ten_edits(notes: u32, words: u32) {
    let lab = large(601, notes, words).await;
    let first = scheduled(&lab).await;
    assert_eq!(first.rows_read, first.rows);
    lab.sql(
        "UPDATE note SET content = 'edited ' || id WHERE id IN (700, 701, 702, 5000, 5001, 5002); DELETE FROM note WHERE id = 5003; \
         INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
         SELECT nextval('id_seq'), 'new-' || g, 1, 1, 1, 'PUBLIC', 'new' FROM generate_series(1, 3) g",
    )
    .await;
    let second = scheduled(&lab).await;
    // and the same again by reading everything
    settled(&lab).await;
    let whole = lab.backup.take_point(&lab.scope(), &options("command")).await.unwrap();
    println!(
        "{notes} notes, 10 edits: {} of {} rows read, {} bytes sent, {:.2} s; everything read: {} rows, {} bytes, {:.2} s; first: {} bytes, {:.2} s",
        second.rows_read,
        second.rows,
        second.bytes_sent,
        second.seconds,
        whole.rows_read,
        whole.bytes_sent,
        whole.seconds,
        first.bytes_sent,
        first.seconds
    );
    assert!(second.rows_read < second.rows * 2 / 5, "{} of {}", second.rows_read, second.rows);
    assert!(second.bytes_sent < first.bytes_sent * 3 / 5, "{} of {}", second.bytes_sent, first.bytes_sent);
    assert_eq!((whole.rows_read, whole.warnings.len()), (whole.rows, 0));
    let (partly, wholly) = (told(&lab, &second.point).await, told(&lab, &whole.point).await);
    assert!(partly == wholly && partly.0 == live(&lab).await);
    let as_copy = RestoreOptions { slug: "copy".parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    assert_eq!(lab.backup.restore_point(&second.point, &as_copy).await.unwrap().notes, second.notes);
    // nothing written: nothing of the large tables is read
    lab.backup.verify_point(&whole.point, "command").await.unwrap();
    let idle = scheduled(&lab).await;
    assert!(idle.rows_read < 100, "{}", idle.rows_read);
    Box::pin(super::rested::what_older_points_sent_is_read_in_turn(lab)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_point_reads_and_sends_only_what_was_written_since() {
    Box::pin(ten_edits(7_000, 40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "25,000 notes, to see the figures: make soak"]
async fn soak_a_second_point_of_a_larger_tenant() {
    Box::pin(ten_edits(25_000, 24)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_under_way_during_a_point_is_in_the_next() {
    let lab = large(602, 4_000, 4).await;
    let mut slow = lab.database.superuser().await;
    slow.batch_execute(&format!("SET search_path TO {}", lab.tenant.schema)).await.unwrap();
    let under_way = slow.transaction().await.unwrap();
    under_way.batch_execute("SAVEPOINT one; UPDATE note SET content = 'slow' WHERE id = 150; RELEASE one; DELETE FROM note WHERE id = 151").await.unwrap();
    // later transactions commit before it
    lab.sql("UPDATE note SET content = 'quick' WHERE id = 2000").await;
    let first = scheduled(&lab).await;
    lab.sql("UPDATE note SET content = 'quick' WHERE id = 2001").await;
    under_way.commit().await.unwrap();
    let second = scheduled(&lab).await;
    assert!(second.rows_read < second.rows, "{} of {}", second.rows_read, second.rows);
    assert_eq!((first.notes, second.notes), (4_003, 4_002));
    assert_eq!(told(&lab, &second.point).await.0, live(&lab).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_a_tenant_the_next_point_is_what_a_full_one_would_be() {
    let lab = large(603, 4_000, 4).await;
    let chance = Chance::seeded(603);
    scheduled(&lab).await;
    let deeds = [
        "DELETE FROM note WHERE id BETWEEN 1500 AND 1503; INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility) \
         SELECT g, 'again-' || g, 1, 1, 1, 'PUBLIC' FROM generate_series(1500, 1503) g",
        "UPDATE note SET id = id + 500000 WHERE id = 300; UPDATE note SET id = 300 WHERE id = 301",
        "UPDATE member SET username = 'renamed' WHERE id = 2",
        "DELETE FROM note WHERE id BETWEEN 1020 AND 2060",
        "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility) VALUES (-5, 'minus', 1, 1, 1, 'PUBLIC'), \
         (9223372036854775807, 'last', 1, 1, 1, 'PUBLIC')",
        "VACUUM FULL note",
        "VACUUM FREEZE note",
        "ALTER TABLE note ADD COLUMN extra text NOT NULL DEFAULT 'there'",
        "ALTER TABLE note DROP COLUMN extra; ALTER TABLE note ADD COLUMN extra text NOT NULL DEFAULT 'other'",
        "ALTER TABLE note ALTER COLUMN extra TYPE varchar(40)",
        "TRUNCATE reaction",
        "INSERT INTO reaction (id, note_id, creator_id, reaction, created_ts) SELECT g + 1000000, g, 2, 'y', g FROM generate_series(100, 2600) g",
    ];
    for deed in deeds {
        for part in deed.split("; ") {
            lab.sql_alone(part).await;
        }
        let edits = 1 + chance.u64() % 3;
        lab.sql(&format!("UPDATE note SET content = content || 'x' WHERE id % 997 < {edits}")).await;
        settled(&lab).await;
        let point = scheduled(&lab).await;
        let (tables, hashes) = told(&lab, &point.point).await;
        assert_eq!(tables, live(&lab).await, "after {deed}");
        assert_eq!(hashes.len() as u64, point.notes, "after {deed}");
    }
    let last = scheduled(&lab).await;
    assert!(last.rows_read < last.rows / 4, "{} of {}", last.rows_read, last.rows);
    // other rows in the tenant's place
    let as_copy = RestoreOptions { slug: "copy".parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    lab.backup.restore_point(&last.point, &as_copy).await.unwrap();
    lab.backup.swap("team", "copy", 30, "command").await.unwrap();
    settled(&lab).await;
    let swapped = scheduled(&lab).await;
    assert_eq!(swapped.rows_read, swapped.rows);
    assert_eq!(told(&lab, &swapped.point).await, told(&lab, &last.point).await);
    assert!(scheduled(&lab).await.rows_read < swapped.rows / 4);
}
