//! What the console asks for, carried out by a worker: once, in words, and telling what points depend on.

use std::path::PathBuf;
use std::time::Duration;

use domain::chance::Chance;
use jobs::{JobRow, Kind, RestorePoint, Runner, SurveyPoints, SwapTenants, Trigger, enqueue};
use serde_json::json;
use store::AuditEvent;
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
        if matches!(row.state.as_str(), "done" | "failed") {
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
    lab.backup.store.control().remove_point(lab.tenant.id, &points[0], &event).await.unwrap();
    let left = lab.backup.lineage(lab.tenant.id).await.unwrap();
    assert_eq!((left.len(), left[0].from.len(), &left[0].from[0].point), (2, 1, &None), "its sender is gone: {left:?}");
    let manifest = lab.file_of(&objects::keys::manifest(lab.tenant.id, &points[2]));
    std::fs::write(manifest, b"{}").unwrap();
    assert!(lab.backup.lineage(lab.tenant.id).await.unwrap()[0].unreadable);
}
