//! What the console asks for, carried out by a worker: once, in words, and telling what points depend on.

use std::path::PathBuf;
use std::time::Duration;

use domain::chance::Chance;
use jobs::{JobRow, Kind, Part, RestorePart, RestorePoint, Runner, SurveyPoints, SwapTenants, Trigger, enqueue, kind};
use serde_json::json;
use store::AuditEvent;
use store::control::cancel::Cancelling;
use tokio::sync::watch;

use super::Lab;
use super::work::nowhere;

fn olga() -> Trigger {
    Trigger::Operator { name: "olga".to_owned() }
}

/// Asks, and waits for the answer.
async fn ask<K: Kind>(lab: &Lab, message: &K) -> JobRow {
    let store = &lab.backup.store;
    let id = enqueue(store, message).await.unwrap().expect("nothing like it is under way");
    let handlers =
        crate::handlers(&lab.backup, PathBuf::from("/nowhere"), lab.folder.path().join("reports"), nowhere());
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Runner::new(store.clone(), handlers, 1, &Chance::System).run(stopped));
    let mut row = store.control().find_job(id).await.unwrap().unwrap();
    for _ in 0..400 {
        if matches!(row.state.as_str(), "done" | "failed" | "cancelled") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        row = store.control().find_job(id).await.unwrap().unwrap();
    }
    stop.send(true).unwrap();
    running.await.unwrap();
    row
}

fn restore(lab: &Lab, point: &str, slug: &str) -> RestorePoint {
    RestorePoint { tenant: lab.tenant.id, point: point.to_owned(), slug: slug.to_owned(), trigger: olga() }
}

fn swap(lab: &Lab, other: &str, undo: Option<i64>) -> SwapTenants {
    SwapTenants {
        tenant: lab.tenant.id,
        slug: "team".to_owned(),
        other: other.to_owned(),
        keep_days: 30,
        undo,
        trigger: olga(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_twice_is_done_once() {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(41)).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    let first = ask(&lab, &restore(&lab, &point, "one")).await;
    let result = first.result.unwrap();
    assert_eq!(
        (first.state.as_str(), result["tenant"].as_str(), result["notes"].as_u64()),
        ("done", Some("one"), Some(5))
    );
    let again = ask(&lab, &restore(&lab, &point, "one")).await;
    assert_eq!(again.error.as_deref(), Some("a tenant of that name is there already; choose another"));
    assert_eq!((again.state.as_str(), again.attempts), ("failed", 1), "it is not tried again");

    for slug in ["one", "two"] {
        if slug == "two" {
            assert_eq!(ask(&lab, &restore(&lab, &point, slug)).await.state, "done");
        }
        assert_eq!(ask(&lab, &swap(&lab, slug, None)).await.state, "done");
    }
    let newest = lab.backup.store.newest_swap(lab.tenant.id).await.unwrap().unwrap();
    assert_eq!(ask(&lab, &swap(&lab, "two", Some(newest.seq))).await.state, "done");
    let again = ask(&lab, &swap(&lab, "two", Some(newest.seq))).await;
    assert_eq!(again.error.as_deref(), Some("that swap of team has been taken back already"));
    let left = lab.backup.store.newest_swap(lab.tenant.id).await.unwrap().unwrap();
    assert!(left.seq < newest.seq, "the swap before it still stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survey_tells_who_sent_what_first() {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(42)).await;
    let mut points = Vec::new();
    for text in ["first", "second", "third"] {
        lab.sql(&format!("UPDATE note SET content = '{text}' WHERE id = 11")).await;
        let point = lab.point().await.point;
        lab.backup.verify_point(&point, "command").await.unwrap();
        points.push(point);
    }
    let survey = ask(&lab, &SurveyPoints { tenant: lab.tenant.id, trigger: olga() }).await;
    let told = survey.result.unwrap()["points"].clone();
    let names: Vec<&str> = told.as_array().unwrap().iter().map(|one| one["point"].as_str().unwrap()).collect();
    assert_eq!(names, [&points[2], &points[1], &points[0]], "newest first");
    // both files were sent with the first point
    assert_eq!(told[0]["from"][0]["point"], json!(points[0]));
    assert_eq!(told[0]["from"][0]["objects"], json!(2));
    assert_eq!(told[2]["from"], json!([]));
    assert_eq!(told[2]["needed_by"], json!([points[1], points[2]]));
    let event = AuditEvent { actor: "command", event: "point.removed", object: &points[0], detail: json!({}) };
    let control = lab.backup.store.control();
    let row = control.find_point(&points[0]).await.unwrap().unwrap();
    lab.backup
        .keep_point(&points[0], time::OffsetDateTime::now_utc() + time::Duration::DAY, "why", "command")
        .await
        .unwrap();
    assert!(!control.remove_point(lab.tenant.id, &row, &event).await.unwrap(), "kept since it was looked at");
    let row = control.find_point(&points[0]).await.unwrap().unwrap();
    assert!(control.remove_point(lab.tenant.id, &row, &event).await.unwrap());
    let left = lab.backup.lineage(lab.tenant.id).await.unwrap();
    assert_eq!((left.len(), left[0].from.len(), &left[0].from[0].point), (2, 1, &None), "its sender is gone: {left:?}");
    let manifest = lab.file_of(&objects::keys::manifest(lab.tenant.id, &points[2]));
    std::fs::write(manifest, b"{}").unwrap();
    assert!(lab.backup.lineage(lab.tenant.id).await.unwrap()[0].unreadable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_looked_at_first_and_comes_back_once() {
    let lab = Lab::new().await;
    lab.fill(6, &Chance::seeded(43)).await;
    lab.sql(
        "INSERT INTO note (id, uid, creator_id, parent_id, created_ts, updated_ts, visibility, content) \
         VALUES (70, 'c-70', 2, 10, 1, 1, 'PRIVATE', 'a comment'); \
         INSERT INTO note_relation VALUES (70, 10, 'COMMENT'); INSERT INTO reaction VALUES (71, 10, 2, '+', 1)",
    )
    .await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    lab.sql("DELETE FROM reaction; DELETE FROM note_relation; DELETE FROM attachment WHERE note_id = 10; DELETE FROM note WHERE id IN (10, 70)")
        .await;
    let part = |dry_run| RestorePart {
        tenant: lab.tenant.id,
        point: point.clone(),
        part: Part::Note("n-10".to_owned()),
        dry_run,
        trigger: olga(),
    };
    let notes = "SELECT count(*)::text FROM note WHERE uid IN ('n-10', 'c-70')";
    let counted = format!("SET search_path TO {}; ", lab.tenant.schema);
    let there = async || {
        let client = lab.database.superuser().await;
        client.batch_execute(&counted).await.unwrap();
        client.query_one(notes, &[]).await.unwrap().get::<_, String>(0)
    };
    let looked = ask(&lab, &part(true)).await.result.unwrap();
    for (key, count) in [("notes", 2), ("comments", 1), ("reactions", 1), ("attachments", 2), ("files", 0)] {
        assert_eq!(looked[key], json!(count), "{key}: {looked}");
    }
    assert_eq!((looked["dry_run"].as_bool(), there().await.as_str()), (Some(true), "0"), "nothing was written");
    let brought = ask(&lab, &part(false)).await.result.unwrap();
    assert_eq!((&brought["notes"], &brought["attachments"], there().await.as_str()), (&json!(2), &json!(2), "2"));
    let again = ask(&lab, &part(false)).await;
    assert_eq!(again.error.as_deref(), Some("it is there already, and was left as it is"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_restore_leaves_nothing() {
    let lab = Lab::new().await;
    lab.fill(6, &Chance::seeded(44)).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    // the last phase before the point of no return waits: what was revoked since cannot be read
    let lock = lab.database.superuser().await;
    lock.batch_execute("BEGIN; LOCK TABLE holdfast.ledger IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let store = lab.backup.store.clone();
    let cancelled = tokio::spawn(async move {
        let phase = |row: &JobRow| {
            row.progress.as_ref().is_some_and(|told| told["phase"].as_str().unwrap().contains("revoked"))
        };
        let row = loop {
            let rows = store.control().list_jobs(&[kind::RESTORE.to_owned()], None, 1).await.unwrap();
            if let Some(row) = rows.into_iter().find(phase) {
                break row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let tx = store.control().begin().await.unwrap();
        let outcome = tx.cancel_job(row.id, "olga", &kind::CANCELLABLE).await.unwrap();
        tx.commit().await.unwrap();
        // heard within a second or so; the database may hold on to what was begun until it can read
        for _ in 0..60 {
            if store.control().find_job(row.id).await.unwrap().unwrap().state == "cancelled" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        lock.batch_execute("ROLLBACK").await.unwrap();
        outcome
    });
    let row = ask(&lab, &restore(&lab, &point, "copy")).await;
    assert_eq!(cancelled.await.unwrap(), Cancelling::Asked);
    assert_eq!((row.state.as_str(), row.result, row.error), ("cancelled", None, None));
    let left = "SELECT count(*)::text FROM holdfast.tenant WHERE slug <> 'team'";
    assert_eq!(lab.sql_text(left).await, "0", "no tenant is left of it");
    assert!(lab.backup.store.abandoned_restores().await.unwrap().is_empty());
    let files = lab.backup.files.objects().list("").await.unwrap();
    assert!(files.iter().all(|file| file.key.contains(&lab.tenant.id.to_string())), "and no file: {files:?}");
    assert_eq!(ask(&lab, &restore(&lab, &point, "copy")).await.state, "done", "the name is free again");
}
