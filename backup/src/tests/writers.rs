//! Writers that are slow between their mark and their commit: a note is in this point or in the next, and until then it is
//! known that it is in none.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::chance::Chance;
use store::{Store, TenantScope, TenantTx};

use super::Lab;
use crate::snapshot::PointOptions;

fn options() -> PointOptions {
    PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false }
}

/// A note under way: its writer has marked the change and has not committed.
async fn note_under_way(store: &Store, scope: &TenantScope, uid: &str) -> TenantTx {
    let mut tx = store.begin(scope);
    tx.touch().await.unwrap();
    let sql = format!(
        "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
         VALUES (nextval('id_seq'), '{uid}', 1, 1, 1, 'PRIVATE', 'slow')"
    );
    tx.execute(&sql, &[]).await.unwrap();
    tx
}

/// Uids of the notes in a point.
async fn in_point(lab: &Lab, point: &str) -> BTreeSet<String> {
    let opened = lab.backup.open_point(&lab.backup.source(), point).await.unwrap();
    let mut uids = BTreeSet::new();
    for name in &opened.sealed.note_hashes {
        let text = opened.fetch.bytes(name).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        uids.extend(text.lines().filter_map(|line| Some(line.split_once('\t')?.0.to_owned())));
    }
    uids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_waits_for_a_writer_between_mark_and_commit() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(110)).await;
    let (store, scope) = (lab.backup.store.clone(), lab.scope());
    let superuser = lab.database.superuser().await;
    for commits in [true, false] {
        let paused = note_under_way(&store, &scope, &format!("paused-{commits}")).await;
        let taking = tokio::spawn({
            let (backup, scope) = (lab.backup.clone(), scope.clone());
            async move { backup.take_point(&scope, &options()).await.unwrap().point }
        });
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let begun = Instant::now();
        while superuser.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(
                begun.elapsed() < Duration::from_secs(8) && !taking.is_finished(),
                "the point waits for the writer"
            );
        }
        if commits {
            paused.commit().await.unwrap();
        } else {
            drop(paused);
        }
        let point = taking.await.unwrap();
        assert_eq!(in_point(&lab, &point).await.contains(&format!("paused-{commits}")), commits);
        lab.backup.verify_point(&point, "command").await.unwrap();
        assert!(store.oldest_unheld_change(&scope).await.unwrap().is_none(), "nothing is left over");
    }
}

/// Six writers that pause by chance, while points are taken and read back.
async fn steadily(rounds: u32, seed: u64) {
    println!("seed {seed}, {rounds} points");
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(seed)).await;
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::<String>::new())));
    let writers: Vec<_> = (0..6_u64)
        .map(|writer| {
            let (store, scope) = (lab.backup.store.clone(), lab.scope());
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let chance = Chance::seeded(seed ^ (writer << 32));
                for turn in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let uid = format!("w{writer}-{turn}");
                    let tx = note_under_way(&store, &scope, &uid).await;
                    tokio::time::sleep(Duration::from_millis(chance.below(40))).await;
                    tx.commit().await.unwrap();
                    acknowledged.lock().unwrap().insert(uid);
                }
            })
        })
        .collect();
    for _ in 0..rounds {
        let before = acknowledged.lock().unwrap().clone();
        let point = lab.backup.take_point(&lab.scope(), &options()).await.unwrap().point;
        let held = in_point(&lab, &point).await;
        assert!(before.is_subset(&held), "acknowledged before, not in it: {:?}", before.difference(&held).next());
        lab.backup.verify_point(&point, "command").await.unwrap();
        let now = acknowledged.lock().unwrap().clone();
        if !now.is_subset(&held) {
            let oldest = lab.backup.store.oldest_unheld_change(&lab.scope()).await.unwrap();
            assert!(oldest.is_some(), "{:?} is in no point, and nothing says so", now.difference(&held).next());
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let point = lab.backup.take_point(&lab.scope(), &options()).await.unwrap().point;
    let held = in_point(&lab, &point).await;
    let all = acknowledged.lock().unwrap().clone();
    assert!(all.len() > rounds as usize && all.is_subset(&held), "{} of {}", held.len(), all.len());
    lab.backup.verify_point(&point, "command").await.unwrap();
    assert!(lab.backup.store.oldest_unheld_change(&lab.scope()).await.unwrap().is_none());
    println!("{} notes, each in a point taken after it", all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_note_slips_between_the_counter_and_the_snapshot() {
    steadily(12, 20_261_123).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three hundred points: make soak"]
async fn soak_no_note_slips_between_the_counter_and_the_snapshot() {
    steadily(300, super::soak_seed(20_261_124)).await;
}
