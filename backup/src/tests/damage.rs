//! Damage done to stored objects by code that knows nothing of the reader.

use std::path::Path;

use domain::chance::Chance;

use super::Lab;
use crate::Error;
use crate::format::hash::HashCheck;
use crate::restore::RestoreOptions;
use crate::verify::ProblemKind;

fn all_files(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all_files(&path, out) } else { out.push(path) }
    }
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    Flip,
    Truncate,
    Remove,
}

fn strike(path: &Path, blow: Blow, chance: &Chance) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = chance.below(bytes.len() as u64) as usize;
    match blow {
        Blow::Flip => {
            bytes[at] ^= 1 << chance.below(8);
            std::fs::write(path, bytes).unwrap();
        }
        Blow::Truncate => std::fs::write(path, &bytes[..at]).unwrap(),
        Blow::Remove => std::fs::remove_file(path).unwrap(),
    }
}

async fn undetected(lab: &Lab, point: &str, check: HashCheck) -> Vec<String> {
    let mut backup = lab.backup.clone();
    backup.check = check;
    let root = lab.folder.path().join("s3");
    let mut files = Vec::new();
    all_files(&root, &mut files);
    // what is known of signing keys is no point's
    files.retain(|path| {
        !path.to_string_lossy().contains(".holdfast") && !path.to_string_lossy().contains("k/_control/")
    });
    assert!(files.len() >= 7, "pack, manifest, two files, Markdown, two keys, log: {files:?}");
    let chance = Chance::seeded(11);
    let mut missed = Vec::new();
    for path in files {
        let key = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let whole = std::fs::read(&path).unwrap();
        for (blow, kind) in [
            (Blow::Flip, ProblemKind::Altered),
            (Blow::Truncate, ProblemKind::Truncated),
            (Blow::Remove, ProblemKind::Missing),
        ] {
            strike(&path, blow, &chance);
            let report = backup.verify_point(point, "command").await.unwrap();
            let named = report.problems.iter().any(|problem| problem.object == key && problem.problem == kind);
            let slug = "never".parse().unwrap();
            let options = RestoreOptions { slug, dry_run: false, actor: "command".to_owned() };
            let refused = matches!(backup.restore_point(point, &options).await, Err(Error::Damaged { .. }));
            if let Ok(Some(left)) = backup.store.registry().by_slug("never").await {
                backup.store.discard_tenant(left.id).await.unwrap();
            }
            if !(named && refused) {
                missed.push(format!("{blow:?} of {key}: {:?}, refused: {refused}", report.problems));
            }
            std::fs::write(&path, &whole).unwrap();
        }
    }
    missed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_is_named_and_refused_and_none_is_without_hashes() {
    let lab = Lab::new().await;
    lab.fill(15, &Chance::seeded(7)).await;
    let point = lab.point().await;
    let point = point.point.as_str();
    assert!(lab.backup.verify_point(point, "command").await.unwrap().problems.is_empty());
    let missed = undetected(&lab, point, HashCheck::Real).await;
    assert!(missed.is_empty(), "{missed:#?}");
    let control = lab.backup.verify_point(point, "command").await.unwrap();
    assert!(control.problems.is_empty(), "{:?}", control.problems);
    let missed = undetected(&lab, point, HashCheck::PassThrough).await;
    assert!(missed.len() > 5, "with hash checking taken away the faults must go unseen: {missed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_and_stale_objects_are_named() {
    let lab = Lab::new().await;
    lab.fill(4, &Chance::seeded(8)).await;
    let first = lab.point().await;
    lab.backup.verify_point(&first.point, "command").await.unwrap();
    lab.sql("UPDATE note SET content = 'newer' WHERE id = 10").await;
    let second = lab.point().await;

    let (mine, other) = (lab.file_of(&second.manifest), lab.file_of(&first.manifest));
    let whole = std::fs::read(&mine).unwrap();
    std::fs::copy(&other, &mine).unwrap();
    let report = lab.backup.verify_point(&second.point, "command").await.unwrap();
    assert_eq!(
        (report.problems[0].object.as_str(), report.problems[0].problem),
        (second.manifest.as_str(), ProblemKind::Stale)
    );
    std::fs::write(&mine, whole).unwrap();

    let files: Vec<_> =
        second.objects.iter().filter(|object| object.key.contains("/f/")).map(|o| o.key.clone()).collect();
    let (a, b) = (lab.file_of(&files[0]), lab.file_of(&files[1]));
    let (in_a, in_b) = (std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    std::fs::write(&a, &in_b).unwrap();
    std::fs::write(&b, &in_a).unwrap();
    let report = lab.backup.verify_point(&second.point, "command").await.unwrap();
    assert_eq!(report.state, "damaged");
    let named: Vec<_> = report.problems.iter().map(|problem| problem.object.clone()).collect();
    assert_eq!(named.len(), 2, "{:?}", report.problems);
    assert!(report.problems.iter().all(|problem| problem.problem == ProblemKind::Altered), "{:?}", report.problems);
    assert!(files.iter().all(|file| named.contains(file)));
    // what only the damaged point held is in no good point
    assert!(lab.backup.store.oldest_unheld_change(&lab.scope()).await.unwrap().is_some());
}

/// A byte of the signature that is another is damage; a content that is another under a signature of before is forgery, which
/// `forgery.rs` tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_signature_is_called_altered() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(8)).await;
    let point = lab.point().await.point;
    assert!(lab.backup.verify_point(&point, "command").await.unwrap().problems.is_empty());
    let path = lab.file_of(&objects::keys::manifest(lab.tenant.id, &point));
    let whole = std::fs::read(&path).unwrap();
    for (back, mask) in [(5, 1), (20, 0x11), (60, 3), (100, 5), (170, 1)] {
        let mut bytes = whole.clone();
        let at = bytes.len() - back;
        bytes[at] ^= mask;
        std::fs::write(&path, &bytes).unwrap();
        let report = lab.backup.verify_point(&point, "command").await.unwrap();
        assert_eq!(report.problems[0].problem, ProblemKind::Altered, "{back} from the end: {:?}", report.problems);
    }
}
