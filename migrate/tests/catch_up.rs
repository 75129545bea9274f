//! The source went on living: what changed there arrives, exactly; what was edited on both sides is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{house, read_back_as, run_of};
use domain::chance::Chance;
use migrate::{Error, House, Source, catch_up};
use rusqlite::{Connection, params};
use serde_json::Value as Json;
use testkit::pg::TestDatabase;

type Tables = BTreeMap<String, Vec<Json>>;

fn open(dir: &Path) -> Connection {
    Connection::open(dir.join("memos_prod.db")).unwrap()
}

/// One change as Memos makes it.
fn change(conn: &Connection, chance: &Chance, number: i64) {
    let note: i64 = conn
        .query_row(
            "SELECT id FROM memo ORDER BY id LIMIT 1 OFFSET abs(?1) % (SELECT count(*) FROM memo)",
            [chance.below(1_000_000) as i64],
            |row| row.get(0),
        )
        .unwrap();
    let now = 1_800_000_000 + number;
    let text = format!("change {number} #tag{} ü", chance.below(9));
    match chance.below(12) {
        0..=3 => {
            conn.execute("INSERT INTO memo (uid, creator_id, created_ts, updated_ts, content, visibility) VALUES (?1, ?2, ?3, ?3, ?4, 'PROTECTED')", params![chance.uid(), 1 + chance.below(3) as i64, now, text]).unwrap();
        }
        4..=5 => {
            conn.execute("UPDATE memo SET content = ?2, updated_ts = ?3 WHERE id = ?1", params![note, text, now])
                .unwrap();
        }
        6 => {
            let uid: String = conn.query_row("SELECT uid FROM memo WHERE id = ?1", [note], |row| row.get(0)).unwrap();
            conn.execute("DELETE FROM memo_relation WHERE memo_id = ?1 OR related_memo_id = ?1", [note]).unwrap();
            conn.execute("DELETE FROM reaction WHERE content_id = 'memos/' || ?1", [uid]).unwrap();
            conn.execute("UPDATE attachment SET memo_id = NULL WHERE memo_id = ?1", [note]).unwrap();
            conn.execute("DELETE FROM memo_share WHERE memo_id = ?1", [note]).unwrap();
            conn.execute("DELETE FROM inbox WHERE message LIKE '%' || ?1 || '%'", [note]).unwrap();
            conn.execute("DELETE FROM memo WHERE id = ?1", [note]).unwrap();
        }
        7 => {
            conn.execute("INSERT OR IGNORE INTO reaction (created_ts, creator_id, content_id, reaction_type) SELECT ?2, ?3, 'memos/' || uid, '🎉' FROM memo WHERE id = ?1", params![note, now, 1 + chance.below(3) as i64]).unwrap();
        }
        8 => {
            conn.execute(
                "DELETE FROM reaction WHERE id = (SELECT id FROM reaction ORDER BY id LIMIT 1 OFFSET ?1)",
                [chance.below(20) as i64],
            )
            .unwrap();
        }
        9 => {
            let bytes: Vec<u8> = (0..chance.below(2_000)).map(|_| chance.below(256) as u8).collect();
            conn.execute("INSERT INTO attachment (uid, creator_id, created_ts, updated_ts, filename, blob, type, size, memo_id) VALUES (?1, 1, ?2, ?2, 'new.bin', ?3, 'application/octet-stream', ?4, ?5)", params![chance.uid(), now, bytes, bytes.len() as i64, note]).unwrap();
        }
        10 => {
            conn.execute("INSERT OR IGNORE INTO memo_relation SELECT ?1, id, 'REFERENCE' FROM memo WHERE id <> ?1 ORDER BY id DESC LIMIT 1", [note]).unwrap();
        }
        _ => {
            conn.execute(
                "UPDATE user SET nickname = ?1, updated_ts = ?2 WHERE id = ?3",
                params![text, now, 1 + chance.below(4) as i64],
            )
            .unwrap();
        }
    }
}

/// Rows without what is told in other ways: the numbers of remainders, and the hashes themselves.
fn comparable(mut tables: Tables) -> Tables {
    for name in ["import_base", "change_mark", "point_state", "import_remainder"] {
        tables.remove(name);
    }
    for rows in tables.values_mut() {
        rows.sort_by_key(|row| (row["id"].as_i64(), row.to_string()));
    }
    tables
}

fn same(left: &Tables, right: &Tables) {
    for (table, rows) in left {
        let other = &right[table];
        let ids = |rows: &[Json]| rows.iter().map(|row| row["id"].to_string()).collect::<BTreeSet<_>>();
        let (left, right) = (ids(rows), ids(other));
        assert_eq!(left.difference(&right).collect::<Vec<_>>(), Vec::<&String>::new(), "only here in {table}");
        assert_eq!(right.difference(&left).collect::<Vec<_>>(), Vec::<&String>::new(), "only there in {table}");
        for (a, b) in rows.iter().zip(other) {
            assert_eq!(a, b, "table {table}");
        }
        assert_eq!(rows.len(), other.len(), "table {table}");
    }
}

struct Story {
    source: tempfile::TempDir,
    data: tempfile::TempDir,
    house: House,
    /// The house's own database.
    database: TestDatabase,
}

async fn imported() -> Story {
    let (source, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    migrate::sample::write_sample(source.path(), &Chance::seeded(9)).unwrap();
    let database = TestDatabase::create().await;
    let house = common::house_over(&database, data.path()).await;
    migrate::run(&house, &run_of(source.path(), data.path())).await.unwrap();
    Story { source, data, house, database }
}

impl Story {
    fn from(&self) -> Source {
        Source::new(self.source.path(), self.data.path(), false)
    }

    async fn tenant_sql(&self, sql: &str) {
        let tenant = self.house.store.registry().by_slug("acme").await.unwrap().unwrap();
        let client = self.database.superuser().await;
        client.batch_execute(&format!("SET search_path TO {}; {sql}", tenant.schema)).await.unwrap();
    }

    async fn bring(&self) -> migrate::CatchUp {
        catch_up(&self.house, &self.from(), &"acme".parse().unwrap(), "test").await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_at_the_source_arrives_exactly_and_only_once() {
    let story = imported().await;
    let nothing = story.bring().await;
    assert!(nothing.brought.is_empty() && nothing.refused.is_empty(), "{nothing:?}");
    for round in 0..3_u64 {
        let chance = Chance::seeded(100 + round);
        let conn = open(story.source.path());
        for number in 0..170 {
            change(&conn, &chance, round as i64 * 1_000 + number);
        }
        drop(conn);
        let caught = story.bring().await;
        assert!(caught.errors.is_empty() && caught.refused.is_empty(), "{caught:?}");
        assert!(caught.brought["note"].inserted > 20 && caught.brought["note"].deleted > 3, "{caught:?}");
        let there = comparable(read_back_as(&story.house, "acme").await);
        // The same source imported anew says what must be there.
        let fresh = tempfile::tempdir().unwrap();
        let other = house(fresh.path()).await;
        let report = migrate::run(&other, &run_of(story.source.path(), fresh.path())).await.unwrap();
        assert_eq!(report.warnings, caught.warnings);
        let mut want = comparable(read_back_as(&other, "acme").await);
        // Files are named by the tenant.
        let mut there = there;
        for rows in [&mut there, &mut want] {
            for row in rows.get_mut("attachment").unwrap() {
                row.as_object_mut().unwrap().remove("storage_key");
            }
            for row in rows.get_mut("note").unwrap() {
                // A link that is not there may be said or left out.
                let card: domain::note::Card = serde_json::from_value(row["card"].take()).unwrap();
                row["card"] = serde_json::to_value(card).unwrap();
            }
        }
        same(&there, &want);
        let again = story.bring().await;
        assert!(again.brought.is_empty() && again.refused.is_empty(), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_edited_on_both_sides_are_refused_by_name_and_stay() {
    for seed in 0..4_u64 {
        let story = imported().await;
        let chance = Chance::seeded(seed);
        let notes: Vec<i64> = (1..=200).filter(|_| chance.below(4) == 0).collect();
        let (mut here, mut there, mut gone) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let conn = open(story.source.path());
        let mut sql = String::new();
        for note in notes {
            if chance.below(2) == 0 {
                sql.push_str(&format!(
                    "UPDATE note SET content = 'edited here {note}', updated_ts = updated_ts + 1 WHERE id = {note};"
                ));
                here.insert(note);
            }
            match chance.below(3) {
                0 => {
                    conn.execute("UPDATE memo SET content = 'edited there ' || id WHERE id = ?1", [note]).unwrap();
                    there.insert(note);
                }
                1 => {
                    conn.execute("DELETE FROM memo_relation WHERE memo_id = ?1 OR related_memo_id = ?1", [note])
                        .unwrap();
                    conn.execute(
                        "DELETE FROM reaction WHERE content_id = (SELECT 'memos/' || uid FROM memo WHERE id = ?1)",
                        [note],
                    )
                    .unwrap();
                    conn.execute("UPDATE attachment SET memo_id = NULL WHERE memo_id = ?1", [note]).unwrap();
                    conn.execute("DELETE FROM memo_share WHERE memo_id = ?1", [note]).unwrap();
                    conn.execute("DELETE FROM inbox WHERE json_extract(message, '$.memoComment.memoId') = ?1 OR json_extract(message, '$.memoComment.relatedMemoId') = ?1", [note]).unwrap();
                    conn.execute("DELETE FROM memo WHERE id = ?1", [note]).unwrap();
                    gone.insert(note);
                }
                _ => {}
            }
        }
        drop(conn);
        story.tenant_sql(&sql).await;
        migrate::open_tenant(&story.house, &"acme".parse().unwrap(), "test").await.unwrap();
        let caught = story.bring().await;
        assert!(caught.errors.is_empty(), "{caught:?}");
        assert_eq!(caught.verdict().number(), if caught.refused.is_empty() { 0 } else { 3 });
        let refused: BTreeSet<i64> =
            caught.refused.iter().filter(|row| row.table == "note").map(|row| row.row.parse().unwrap()).collect();
        let both: BTreeSet<i64> =
            here.iter().filter(|note| there.contains(note) || gone.contains(note)).copied().collect();
        assert_eq!(refused, both, "seed {seed}: {:?}", caught.refused);
        assert!(
            caught.refused.iter().all(|row| row.name.starts_with("memos/") && row.name.len() > 8),
            "{:?}",
            caught.refused
        );
        let rows = read_back_as(&story.house, "acme").await;
        let content = |note: i64| {
            rows["note"].iter().find(|row| row["id"] == note).map(|row| row["content"].as_str().unwrap().to_owned())
        };
        for note in 1..=200 {
            match (here.contains(&note), there.contains(&note), gone.contains(&note)) {
                (true, ..) => assert_eq!(content(note), Some(format!("edited here {note}"))),
                (false, true, _) => assert_eq!(content(note), Some(format!("edited there {note}"))),
                (false, false, true) => assert_eq!(content(note), None),
                (false, false, false) => assert!(!content(note).unwrap().starts_with("edited")),
            }
        }
        // What was refused is refused again, and nothing else is said.
        let again = story.bring().await;
        assert!(again.brought.is_empty(), "{again:?}");
        assert_eq!(again.refused.len(), caught.refused.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_made_here_are_never_in_the_way_and_never_lost() {
    let story = imported().await;
    // Written here after the import: a note, and a comment on a note that the source deletes.
    story
        .tenant_sql(
            "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) VALUES (nextval('id_seq'), 'made-here', 1, 1, 1, 'PRIVATE', 'mine');
             INSERT INTO note (id, uid, creator_id, parent_id, created_ts, updated_ts, visibility, content) VALUES (nextval('id_seq'), 'comment-here', 1, 50, 1, 1, 'PRIVATE', 'said');
             DELETE FROM note_relation WHERE 60 IN (note_id, related_id); DELETE FROM reaction WHERE note_id = 60; UPDATE attachment SET note_id = NULL WHERE note_id = 60;
             DELETE FROM note WHERE id = 60;",
        )
        .await;
    let conn = open(story.source.path());
    conn.execute_batch(
        "INSERT INTO memo (uid, creator_id, content) VALUES ('made-there', 1, 'theirs'), ('made-here', 2, 'same name');
         DELETE FROM memo_relation WHERE 50 IN (memo_id, related_memo_id); DELETE FROM reaction WHERE content_id = (SELECT 'memos/' || uid FROM memo WHERE id = 50);
         UPDATE attachment SET memo_id = NULL WHERE memo_id = 50; DELETE FROM memo WHERE id = 50;
         INSERT INTO reaction (creator_id, content_id, reaction_type) SELECT 2, 'memos/' || uid, '🆕' FROM memo WHERE id = 60;",
    )
    .unwrap();
    drop(conn);
    let caught = story.bring().await;
    let refused: Vec<(&str, &str)> =
        caught.refused.iter().map(|row| (row.table.as_str(), row.message.as_str())).collect();
    assert!(refused.iter().any(|(table, message)| *table == "note" && message.contains("hang on it")), "{refused:?}");
    assert!(refused.iter().any(|(table, message)| *table == "note" && message.contains("taken here")), "{refused:?}");
    assert!(
        refused.iter().any(|(table, message)| *table == "reaction" && message.contains("removed here")),
        "{refused:?}"
    );
    let rows = read_back_as(&story.house, "acme").await;
    let uids: BTreeSet<&str> = rows["note"].iter().map(|row| row["uid"].as_str().unwrap()).collect();
    assert!(["made-here", "comment-here", "made-there"].iter().all(|uid| uids.contains(uid)));
    assert!(rows["note"].iter().any(|row| row["id"] == 50), "a note that is commented here stays");
    let mine = rows["note"].iter().find(|row| row["uid"] == "made-here").unwrap();
    assert_eq!(mine["content"], "mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_bytes_of_a_file_and_rows_without_a_place_arrive() {
    let story = imported().await;
    let asset = std::fs::read_dir(story.source.path().join("assets")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&asset).unwrap();
    bytes[0] ^= 0xff;
    std::fs::write(&asset, &bytes).unwrap();
    let sql = "CREATE TABLE habit (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO habit VALUES (1, 'run')";
    open(story.source.path()).execute_batch(sql).unwrap();
    let caught = story.bring().await;
    assert!(caught.errors.is_empty() && caught.refused.is_empty(), "{caught:?}");
    assert_eq!(caught.brought["attachment"].updated, 1, "{caught:?}");
    assert!(caught.brought["import_remainder"].inserted >= 1, "{caught:?}");
    let rows = read_back_as(&story.house, "acme").await;
    let sum = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    let row = rows["attachment"].iter().find(|row| row["sha256"] == sum.as_str()).expect("the new bytes");
    let stored = story.house.files.read(row["storage_key"].as_str().unwrap(), None).await.unwrap();
    assert_eq!(stored.bytes().await.unwrap(), bytes);
    assert!(rows["import_remainder"].iter().any(|row| row["source"] == "habit"));
    let again = story.bring().await;
    assert!(again.brought.is_empty() && again.refused.is_empty(), "{again:?}");
}

#[tokio::test]
async fn a_tenant_that_was_not_imported_has_nothing_to_catch_up_with() {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path()).await;
    let slug = "acme".parse().unwrap();
    let source = Source::new(dir.path(), dir.path(), false);
    assert!(matches!(catch_up(&house, &source, &slug, "test").await, Err(Error::NoTenant(_))));
    house.store.build_tenant(&slug, domain::tenant::TenantState::Active).await.unwrap();
    assert!(matches!(catch_up(&house, &source, &slug, "test").await, Err(Error::NotImported(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_installation_is_refused_however_its_rows_are_numbered() {
    let story = imported().await;
    let before = comparable(read_back_as(&story.house, "acme").await);
    for seed in [10, 11] {
        let other = tempfile::tempdir().unwrap();
        migrate::sample::write_sample(other.path(), &Chance::seeded(seed)).unwrap();
        let source = Source::new(other.path(), story.data.path(), false);
        let refused = catch_up(&story.house, &source, &"acme".parse().unwrap(), "test").await;
        assert!(matches!(refused, Err(Error::OtherSource { others, .. }) if others > 10), "{refused:?}");
    }
    assert_eq!(comparable(read_back_as(&story.house, "acme").await), before, "nothing was brought");
    // the same one is known again though every note and member of it was edited
    let conn = open(story.source.path());
    conn.execute_batch("UPDATE memo SET content = content || ' more'; UPDATE user SET nickname = nickname || '!', updated_ts = updated_ts + 9")
        .unwrap();
    drop(conn);
    let caught = story.bring().await;
    assert!(caught.brought["note"].updated > 100 && caught.brought["member"].updated > 1, "{caught:?}");
}
