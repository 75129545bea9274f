//! Several stores, each verified on its own; one of them is enough.

use domain::chance::Chance;
use objects::ObjectStore;

use super::Lab;
use crate::Backup;
use crate::keys::KeyDirectory;
use crate::restore::RestoreOptions;
use crate::retention::Policy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_store_has_every_point_and_each_is_judged_by_itself() {
    let mut lab = Lab::new().await;
    let second = ObjectStore::directory(lab.folder.path().join("nas")).unwrap();
    lab.backup.copies.push(second.clone());
    lab.fill(8, &Chance::seeded(81)).await;
    let mut points = Vec::new();
    for _ in 0..3 {
        let point = lab.point().await.point;
        lab.backup.verify_point(&point, "command").await.unwrap();
        points.push(point);
    }
    let (reports, failures) = lab.backup.copy_due().await.unwrap();
    assert!(failures.is_empty() && reports.len() == 3, "{failures:?} {reports:?}");
    assert!(reports.iter().all(|report| report.problems.is_empty()));
    assert_eq!(
        reports.iter().filter(|report| report.objects > 6).count(),
        1,
        "files and keys travel once: {reports:?}"
    );
    assert_eq!(lab.backup.copy_due().await.unwrap().0.len(), 0, "nothing is due any more");

    // damage in one store is damage of that store alone
    let victim = format!("t/{}/p/{}/pack", lab.tenant.id, points[2]);
    let path = lab.folder.path().join("nas").join(&victim);
    let sound = std::fs::read(&path).unwrap();
    std::fs::write(&path, &sound[..sound.len() - 1]).unwrap();
    assert!(lab.backup.verify_point(&points[2], "command").await.unwrap().problems.is_empty());
    let copies = lab.backup.verify_copies(&points[2]).await.unwrap();
    assert_eq!(copies[0].problems[0].object, victim);
    let (mended, _) = lab.backup.copy_due().await.unwrap();
    assert!(mended.len() == 1 && mended[0].objects == 1 && mended[0].problems.is_empty(), "{mended:?}");

    // the first store is lost: the second one alone brings everything back
    std::fs::remove_dir_all(lab.folder.path().join("s3")).unwrap();
    let (keys, _) = KeyDirectory::open(&lab.folder.path().join("keys")).unwrap();
    let mut alone = Backup::new(lab.backup.store.clone(), second.clone(), lab.backup.files.clone(), keys);
    let options = RestoreOptions { slug: "copy".parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    assert_eq!(alone.restore_point(&points[1], &options).await.unwrap().notes, 8);
    for point in &points {
        assert!(alone.verify_point(point, "command").await.unwrap().problems.is_empty());
        lab.backup.store.control().mark_point_proven(point, lab.backup.clock.now()).await.unwrap();
    }
    alone.policy = Policy { within: time::Duration::ZERO, buckets: [0; 5] };
    let report = alone.prune(Some(lab.tenant.id), false, "command").await.unwrap();
    assert_eq!(report.removed.len(), 0, "the newest three proven always stay");
}
