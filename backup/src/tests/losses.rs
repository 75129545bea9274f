//! What is left after a loss in one place is never taken for rubbish in another.

use std::path::Path;
use std::time::{Duration, SystemTime};

use domain::chance::Chance;
use domain::clock::Clock;
use domain::tenant::TenantState;
use objects::ObjectStore;
use store::{AuditEvent, TenantChange, TenantScope};

use super::Lab;
use super::drills::options;
use crate::drill::Verdict;
use crate::keys::read_identity;
use crate::restore::RestoreOptions;
use crate::retention::{Policy, PruneReport};
use crate::verify::ProblemKind;

/// An appliance with a second store and `count` verified points in both, each with a note of its own time.
async fn doubled(count: u32) -> (Lab, Vec<String>) {
    let mut lab = Lab::new().await;
    lab.backup.copies.push(ObjectStore::directory(lab.folder.path().join("nas")).unwrap());
    lab.fill(8, &Chance::seeded(91)).await;
    let mut points = Vec::new();
    for round in 0..count {
        lab.sql(&format!("UPDATE note SET content = 'round {round}' WHERE id = 11")).await;
        let point = lab.point().await.point;
        assert!(lab.backup.verify_point(&point, "command").await.unwrap().problems.is_empty());
        points.push(point);
    }
    let (_, failures) = lab.backup.copy_due().await.unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    (lab, points)
}

/// Makes everything in a folder three days old.
fn grow_old(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            grow_old(&path);
        } else {
            let then = SystemTime::now() - Duration::from_secs(3 * 86_400);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}

async fn prune(lab: &Lab) -> PruneReport {
    for store in ["s3", "nas"] {
        grow_old(&lab.folder.path().join(store));
    }
    lab.backup.prune(None, false, "command").await.unwrap()
}

fn manifest(lab: &Lab, store: &str, point: &str) -> std::path::PathBuf {
    lab.folder.path().join(store).join(objects::keys::manifest(lab.tenant.id, point))
}

async fn are_whole_in_the_second_store(lab: &Lab, points: &[String]) {
    for point in points {
        let copies = lab.backup.verify_copies(point).await.unwrap();
        assert!(copies[0].problems.is_empty(), "{point}: {:?}", copies[0].problems);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_store_that_has_lost_points_takes_nothing_from_the_second() {
    let (lab, points) = doubled(3).await;
    // two manifests, as by a hand that slipped: what they need stays in both
    for point in &points[..2] {
        std::fs::remove_file(manifest(&lab, "s3", point)).unwrap();
    }
    let report = prune(&lab).await;
    assert_eq!((report.swept, report.removed.len()), (0, 0), "{report:?}");
    are_whole_in_the_second_store(&lab, &points).await;
    std::fs::copy(manifest(&lab, "nas", &points[0]), manifest(&lab, "s3", &points[0])).unwrap();
    assert!(
        lab.backup.verify_point(&points[0], "command").await.unwrap().problems.is_empty(),
        "its pack is there still"
    );

    // a bucket that somebody emptied
    std::fs::remove_dir_all(lab.folder.path().join("s3/t")).unwrap();
    let report = prune(&lab).await;
    assert_eq!((report.swept, report.removed.len()), (0, 0), "{report:?}");
    are_whole_in_the_second_store(&lab, &points).await;

    // where no store has a manifest, nobody can say what its point needs
    std::fs::remove_file(manifest(&lab, "nas", &points[1])).unwrap();
    let report = prune(&lab).await;
    assert_eq!(report.swept, 0, "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains(&points[1])), "{report:?}");
    are_whole_in_the_second_store(&lab, &[points[0].clone(), points[2].clone()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_the_books_have_lost_keep_what_they_need() {
    let (lab, points) = doubled(2).await;
    // a file that only the newest point has, and a database that came back from before that point
    let bytes = b"only in the newest".to_vec();
    let hash = crate::format::hash::Hash::of(&bytes).to_string();
    let key = objects::keys::live_file(lab.tenant.id, &hash);
    let size = bytes.len();
    lab.backup.files.objects().put(&key, bytes, objects::PutOptions::default()).await.unwrap();
    lab.sql(&format!(
        "INSERT INTO attachment (id, uid, creator_id, note_id, created_ts, updated_ts, filename, size, sha256, storage_key) \
         VALUES (7, 'a-7', 1, 10, 1, 1, 'f7.bin', {size}, '{hash}', '{key}')"
    ))
    .await;
    let lost = lab.point().await.point;
    lab.backup.verify_point(&lost, "command").await.unwrap();
    let books = lab.backup.clone();
    let row = books.store.control().find_point(&lost).await.unwrap().unwrap();
    lab.sql("DELETE FROM attachment WHERE id = 7").await;
    lab.sql(&format!("DELETE FROM holdfast.point WHERE point = '{lost}'")).await;
    let report = prune(&lab).await;
    assert_eq!(report.swept, 0, "{report:?}");
    let told = report.warnings.iter().find(|warning| warning.contains(&lost));
    assert!(told.is_some_and(|told| told.contains("not in the books")), "{report:?}");
    let stored = lab.backup.objects.get(&objects::keys::manifest(lab.tenant.id, &lost)).await.unwrap();
    assert_eq!(crate::format::hash::Hash::of(&stored).to_string(), row.manifest_sha256);
    for object in crate::format::manifest::Manifest::read(&stored).unwrap().clear.objects {
        assert!(lab.backup.objects.exists(&object.key).await.unwrap(), "{}", object.key);
    }
    assert_eq!(points.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_opens_nothing_says_nothing_of_a_point() {
    let lab = Lab::new().await;
    lab.fill(6, &Chance::seeded(92)).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    lab.backup.store.control().mark_point_proven(&point, Clock::System.now()).await.unwrap();
    // the sheet of another appliance
    let other = Lab::new().await;
    let sheet = lab.folder.path().join("wrong");
    std::fs::write(&sheet, &other.sheet).unwrap();
    let wrong = lab.backup.clone().with_identity(Some(read_identity(&sheet).unwrap()));
    let state = async || lab.backup.store.control().find_point(&point).await.unwrap().unwrap().state;
    let report = wrong.verify_point(&point, "command").await.unwrap();
    assert!(report.problems.iter().all(|one| one.problem == ProblemKind::WrongKey), "{:?}", report.problems);
    assert_eq!((report.problems.len(), report.state.as_str(), state().await.as_str()), (1, "proven", "proven"));
    let drill = wrong.drill(&point, &options(&lab)).await.unwrap();
    assert_eq!((drill.verdict, state().await.as_str()), (Verdict::Fail, "proven"), "{:?}", drill.differences);
    // and what is damaged is called that, whoever reads it
    let pack = lab.file_of(&format!("t/{}/p/{point}/pack", lab.tenant.id));
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    assert!(wrong.verify_point(&point, "command").await.unwrap().problems.len() > 1);
    assert_eq!(state().await, "damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_that_only_the_second_store_has_whole_stays_while_its_hour_has_no_better() {
    let (mut lab, points) = doubled(5).await;
    let control = lab.backup.store.control().clone();
    for (hours, point) in points.iter().rev().enumerate() {
        control.mark_point_proven(point, Clock::System.now()).await.unwrap();
        lab.sql(&format!(
            "UPDATE holdfast.point SET created_at = created_at - interval '{hours} hours' WHERE point = '{point}'"
        ))
        .await;
    }
    lab.backup.policy = Policy { within: time::Duration::ZERO, buckets: [48, 0, 0, 0, 0] };
    let pack = lab.file_of(&format!("t/{}/p/{}/pack", lab.tenant.id, points[0]));
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    assert_eq!(lab.backup.verify_point(&points[0], "command").await.unwrap().state, "damaged");
    let report = lab.backup.prune(None, false, "command").await.unwrap();
    assert_eq!(report.removed.len(), 0, "{report:?}");
    are_whole_in_the_second_store(&lab, &points).await;
    // damaged there, too, it holds no hour
    let copy = lab.folder.path().join(format!("nas/t/{}/p/{}/pack", lab.tenant.id, points[0]));
    std::fs::write(&copy, b"nothing").unwrap();
    assert!(!lab.backup.verify_copies(&points[0]).await.unwrap()[0].problems.is_empty());
    let report = lab.backup.prune(None, false, "command").await.unwrap();
    assert_eq!(report.removed.len(), 1, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_of_a_suspended_tenant_and_of_rows_that_leave_are_in_a_point() {
    let lab = Lab::new().await;
    lab.fill(4, &Chance::seeded(93)).await;
    let store = &lab.backup.store;
    let first = lab.point().await.point;
    lab.backup.verify_point(&first, "command").await.unwrap();
    let copy = RestoreOptions { slug: "copy".parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    lab.backup.restore_point(&first, &copy).await.unwrap();
    let write = async || {
        let mut tx = store.begin(&TenantScope::for_request(lab.backup.tenant("team").await.unwrap()));
        tx.touch().await.unwrap();
        tx.commit().await.unwrap();
    };
    write().await;
    let swapped = lab.backup.swap("team", "copy", 30, "command").await.unwrap();
    let before = swapped.point_before.expect("the last changes are in a point");
    assert_eq!(store.control().find_point(&before).await.unwrap().unwrap().state, "verified");
    let newest = lab.point_of("team").await;
    lab.backup.verify_point(&newest, "command").await.unwrap();
    assert_eq!(lab.backup.undo_swap("team", 30, "command").await.unwrap().point_before, None, "nothing was written");

    let newest = lab.point_of("team").await;
    lab.backup.verify_point(&newest, "command").await.unwrap();
    write().await;
    let event = AuditEvent { actor: "command", event: "tenant.state", object: "team", detail: serde_json::json!({}) };
    let change = TenantChange::State(TenantState::Suspended);
    store.registry().change(lab.tenant.id, &change, &event).await.unwrap();
    // a point is not followed by the next one at once
    let (mut looks, clock) = (crate::Looks::default(), Clock::fixed(Clock::System.seconds() + 3600));
    assert_eq!(crate::pick_up_once(store, &clock, Duration::ZERO, &mut looks).await.unwrap(), 1);
}
