//! What the escrow sheet needs beside the points: endorsements of signing keys, and the present key wrapped for the sheet.

use domain::chance::Chance;
use objects::{ObjectStore, PutOptions};

use super::Lab;
use super::instance::{empty_machine, options};
use crate::format::manifest::{Kind, Manifest};
use crate::verify::{Problem, ProblemKind};
use crate::{Error, missing_of_signers};

async fn lab(seed: u64) -> Lab {
    let lab = Lab::new().await;
    lab.fill(4, &Chance::seeded(seed)).await;
    let point = lab.point().await;
    lab.backup.verify_point(&point.point, "command").await.unwrap();
    lab
}

/// Objects about signing keys in a store whose keys hold `word`.
async fn lie(store: &ObjectStore, word: &str) -> Vec<String> {
    let listed = store.list("k/_control/sign-").await.unwrap();
    listed.into_iter().map(|object| object.key).filter(|key| key.contains(word)).collect()
}

async fn lose(store: &ObjectStore, word: &str) -> Vec<String> {
    let lost = lie(store, word).await;
    for key in &lost {
        store.delete(key).await.unwrap();
    }
    lost
}

fn named(problems: &[Problem], kind: ProblemKind) -> Vec<String> {
    assert!(problems.iter().all(|one| (one.kind, one.problem) == (Kind::Signer, kind)), "{problems:?}");
    let mut named: Vec<String> = problems.iter().map(|one| one.object.clone()).collect();
    named.sort();
    named
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sheet_needs_is_read_back_named_when_it_is_lost_and_put_again() {
    let mut lab = lab(111).await;
    let second = ObjectStore::directory(lab.folder.path().join("nas")).unwrap();
    lab.backup.copies.push(second.clone());
    let backup = &lab.backup;
    let before = backup.take_control_point(&options()).await.unwrap();
    backup.rotate_signing_key("command").await.unwrap();
    let point = backup.take_control_point(&options()).await.unwrap();
    assert!(
        backup.copy_now(&point.point).await.unwrap().is_empty() && point.warnings.is_empty(),
        "{:?}",
        point.warnings
    );
    let all = lie(&second, "sign-").await;
    assert_eq!((all.len(), &all), (2, &lie(&backup.objects, "sign-").await), "an endorsement and the present key");
    let verify = async |point: &str| backup.verify_point(point, "command").await.unwrap();
    let needed = verify(&point.point).await;
    assert_eq!(needed.problems, []);

    assert_eq!(lose(&backup.objects, "sign-").await, all);
    assert_eq!(named(&verify(&point.point).await.problems, ProblemKind::Missing), all);
    assert_eq!(named(&verify(&before.point).await.problems, ProblemKind::Missing), lie(&second, ".escrow-").await);
    assert_eq!(missing_of_signers(&backup.store, &backup.objects).await.unwrap(), all_by_books(&all));
    assert!(missing_of_signers(&backup.store, &second).await.unwrap().is_empty());
    // the next control point puts them again and says so; the key is wrapped anew
    let next = backup.take_control_point(&options()).await.unwrap();
    assert!(
        next.state == "verified" && all.iter().all(|key| next.warnings.iter().any(|told| told.contains(key))),
        "{next:?}"
    );
    assert_eq!(lie(&backup.objects, "sign-").await, all);
    assert_eq!(verify(&point.point).await.state, "verified", "the older one is whole again");
    assert!(backup.copy_now(&next.point).await.unwrap().is_empty());
    assert!(missing_of_signers(&backup.store, &second).await.unwrap().is_empty(), "as it is wrapped now");

    // of the right length, and lost in the further store alone
    let endorsement = lie(&backup.objects, ".follows-").await.remove(0);
    let sound = backup.objects.get(&endorsement).await.unwrap();
    let mut bytes = sound.to_vec();
    bytes[20] ^= 1;
    backup.objects.put(&endorsement, bytes, PutOptions::default()).await.unwrap();
    lose(&second, ".follows-").await;
    assert_eq!(named(&verify(&next.point).await.problems, ProblemKind::Altered), std::slice::from_ref(&endorsement));
    let copies = backup.verify_copies(&next.point).await.unwrap();
    assert_eq!(named(&copies[0].problems, ProblemKind::Missing), std::slice::from_ref(&endorsement));
    let last = backup.take_control_point(&options()).await.unwrap();
    assert!(last.warnings.len() == 1 && backup.copy_now(&last.point).await.unwrap().is_empty(), "{:?}", last.warnings);
    for store in [&backup.objects, &second] {
        assert_eq!(store.get(&endorsement).await.unwrap(), sound);
    }
    assert!(backup.take_control_point(&options()).await.unwrap().warnings.is_empty(), "once");
}

/// The books tell endorsements first.
fn all_by_books(all: &[String]) -> Vec<String> {
    let (mut first, rest): (Vec<String>, Vec<String>) = all.iter().cloned().partition(|key| key.contains(".follows-"));
    first.extend(rest);
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appliance_comes_back_by_an_old_sheet_when_the_store_has_lost_every_endorsement() {
    let lab = lab(112).await;
    lab.backup.take_control_point(&options()).await.unwrap();
    lab.backup.rotate_signing_key("command").await.unwrap();
    let twice = lab.backup.rotate_signing_key("command").await.unwrap();
    let newest = lab.backup.take_control_point(&options()).await.unwrap();
    let lost = lose(&lab.backup.objects, ".follows-").await;
    let place = empty_machine(&lab, "back").await;
    let report = place.restore_instance("command", |_| ()).await.unwrap();
    assert_eq!((report.control_point, report.warnings), (Some(newest.point), Vec::new()), "the point brings them");
    assert_eq!(place.keys.signer().unwrap().public_key(), twice.new, "it goes on with the newest");
    let at_home = place.with_identity(None);
    let next = at_home.take_control_point(&options()).await.unwrap();
    assert_eq!((next.state.as_str(), next.warnings.len(), lost.len()), ("verified", 2, 2), "{:?}", next.warnings);
    assert_eq!(lie(&lab.backup.objects, ".follows-").await, lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endorsement_that_is_missing_is_told_apart_from_a_point_that_somebody_forged() {
    let lab = lab(113).await;
    let before = lab.backup.take_control_point(&options()).await.unwrap();
    let rotated = lab.backup.rotate_signing_key("command").await.unwrap();
    // as versions did that knew endorsements as objects only
    lab.sql("DELETE FROM holdfast.setting WHERE key = 'signing_endorsements'").await;
    let endorsement = lie(&lab.backup.objects, ".follows-").await.remove(0);
    let bytes = lab.backup.objects.get(&endorsement).await.unwrap();
    lab.backup.objects.delete(&endorsement).await.unwrap();
    let orphan = lab.backup.take_control_point(&options()).await.unwrap();
    let forged = lab.backup.take_control_point(&options()).await.unwrap();
    super::forgery::forge(&lab, &forged).await;
    let read = Manifest::read(&std::fs::read(lab.file_of(&orphan.manifest)).unwrap()).unwrap();
    assert_eq!((read.clear.signed_by, read.clear.endorsements), (rotated.new.clone(), Vec::new()));

    let place = empty_machine(&lab, "told").await;
    let report = place.restore_instance("command", |_| ()).await.unwrap();
    assert_eq!(report.control_point, Some(before.point.clone()));
    let about = |point: &str| report.warnings.iter().find(|told| told.contains(point)).unwrap();
    let prefix = endorsement.split(".follows-").next().unwrap();
    let told = about(&orphan.point);
    assert!(told.contains("is missing") && told.contains(prefix) && !told.contains("forged"), "{told}");
    assert!(about(&forged.point).contains("forged") && !about(&forged.point).contains("missing"), "{report:?}");

    // once older control points are gone, that is what the command ends with
    lab.backup.objects.delete(&before.manifest).await.unwrap();
    lab.backup.objects.delete(&forged.manifest).await.unwrap();
    let place = empty_machine(&lab, "nothing").await;
    let refused = place.restore_instance("command", |_| ()).await.unwrap_err();
    let Error::NotEndorsed { point, object, .. } = &refused else { panic!("{refused}") };
    assert!(point == &orphan.point && object.starts_with(prefix), "{refused}");
    assert_eq!(refused.exit(), runtime::exit::Code::Refused);

    // found in another store and put there again; the books take it up with the next control point
    lab.backup.objects.put(&endorsement, bytes, PutOptions::default()).await.unwrap();
    let report = place.restore_instance("command", |_| ()).await.unwrap();
    assert_eq!(report.control_point.as_ref(), Some(&orphan.point), "{:?}", report.warnings);
    assert!(lab.backup.take_control_point(&options()).await.unwrap().warnings.is_empty());
    assert_eq!(lose(&lab.backup.objects, ".follows-").await, std::slice::from_ref(&endorsement));
    assert!(missing_of_signers(&lab.backup.store, &lab.backup.objects).await.unwrap().contains(&endorsement));
}
