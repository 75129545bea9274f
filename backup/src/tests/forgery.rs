//! What someone who opens points could write himself: the signature tells it from ours, also where nothing else is left to
//! tell it by.

use std::collections::HashMap;

use domain::chance::Chance;

use super::Lab;
use super::instance::{empty_machine, machine_with};
use crate::Error;
use crate::format::hash::Measure;
use crate::format::manifest::{Kind, Manifest};
use crate::keys::{Holder, Signer};
use crate::restore::RestoreOptions;
use crate::snapshot::{PointOptions, PointReport};
use crate::verify::{Expected, ProblemKind, read_back};

fn options() -> PointOptions {
    PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false }
}

async fn lab(seed: u64) -> (Lab, PointReport) {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(seed)).await;
    let point = lab.point().await;
    lab.backup.verify_point(&point.point, "command").await.unwrap();
    (lab, point)
}

/// Rewrites a point's manifest as who holds the drill identity can, with the log of the store to match.
pub(super) async fn forge(lab: &Lab, point: &PointReport) {
    let key = lab.backup.tenant_key(point.tenant_id).await.unwrap().key;
    let file = lab.file_of(&point.manifest);
    let mut read = Manifest::read(&std::fs::read(&file).unwrap()).unwrap();
    let mut sealed = read.unseal(&key).unwrap();
    sealed.last_id += 1;
    read.clear.created_at = "2030-01-01T00:00:00Z".to_owned();
    let bytes = Manifest::write(&read.clear, &sealed, &key, &Signer::generate()).unwrap();
    let log = lab.file_of(&objects::keys::log_entry(point.tenant_id, &point.point));
    let mut entry: serde_json::Value = serde_json::from_slice(&std::fs::read(&log).unwrap()).unwrap();
    let measure = Measure::of(&bytes);
    entry["manifest_sha256"] = measure.sha256.to_string().into();
    entry["manifest_bytes"] = measure.bytes.into();
    std::fs::write(&log, serde_json::to_vec(&entry).unwrap()).unwrap();
    std::fs::write(&file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_manifest_is_told_without_any_memory_of_the_point() {
    let (lab, point) = lab(101).await;
    let signers = Some(lab.backup.signers().await.unwrap());
    let forgotten = Expected {
        tenant: point.tenant_id,
        point: point.point.clone(),
        manifest: None,
        log: None,
        keys: HashMap::new(),
        signers: signers.clone(),
        signing: crate::Signing::default(),
        rests: None,
    };
    let read = async |known| {
        let expected = Expected { signers: known, ..forgotten.clone() };
        read_back(&lab.backup.source(), &expected, Some(lab.backup.holder().unwrap()), lab.backup.check).await.unwrap()
    };
    assert!(read(signers.clone()).await.problems.is_empty());
    forge(&lab, &point).await;
    assert!(read(None).await.problems.is_empty(), "consistent in itself: who knows no signer is deceived");
    let told = read(signers).await.problems;
    assert_eq!((told.len(), &told[0].object, told[0].kind), (1, &point.manifest, Kind::Manifest), "{told:?}");
    assert_eq!(told[0].problem, ProblemKind::Forged);
    // and by the appliance that remembers it, which uses nothing of it
    let told = lab.backup.verify_point(&point.point, "command").await.unwrap().problems;
    assert!(told.iter().any(|one| one.object == point.manifest && one.problem == ProblemKind::Forged), "{told:?}");
    let slug = RestoreOptions { slug: "never".parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    let refused = lab.backup.restore_point(&point.point, &slug).await.unwrap_err();
    let Error::Damaged { problems, .. } = refused else { panic!("{refused}") };
    assert!(problems.iter().any(|one| one.problem == ProblemKind::Forged), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appliance_that_comes_back_believes_its_own_signature_only() {
    let (lab, first) = lab(102).await;
    let good = lab.backup.take_control_point(&options()).await.unwrap();
    let forged = lab.backup.take_control_point(&options()).await.unwrap();
    forge(&lab, &forged).await;
    // a point of the tenant that no control point knows, written by someone else
    let younger = lab.point().await;
    lab.backup.verify_point(&younger.point, "command").await.unwrap();
    forge(&lab, &younger).await;
    let place = empty_machine(&lab, "home").await;
    let report = place.restore_instance("command", |_| ()).await.unwrap();
    assert_eq!(report.control_point, Some(good.point), "{:?}", report.warnings);
    assert!(report.warnings.iter().any(|one| one.contains(&forged.point) && one.contains("forged")), "{report:?}");
    assert!(report.warnings.iter().any(|one| one.contains(&younger.point) && one.contains("signed")), "{report:?}");
    assert_eq!(report.tenants[0].point, Some(first.point), "the newest that is ours");
    let (there, here) = (place.keys.signer().unwrap(), lab.backup.keys.signer().unwrap());
    assert_eq!(there.public_key(), here.public_key(), "the same appliance goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_of_another_appliance_is_refused() {
    let (lab, point) = lab(103).await;
    lab.backup.take_control_point(&options()).await.unwrap();
    // another appliance whose points the same sheet opens
    let (stranger, _) = self::lab(104).await;
    let other = stranger.backup.keys.signer().unwrap().public_key();
    let sheet: String = lab
        .sheet
        .lines()
        .map(|line| {
            if line.starts_with("# signing key: ") { format!("# signing key: {other}\n") } else { format!("{line}\n") }
        })
        .collect();
    let place = machine_with(&lab, "elsewhere", &sheet).await;
    let refused = place.restore_instance("command", |_| ()).await.unwrap_err();
    assert!(refused.to_string().contains("none of this appliance's"), "{refused}");
    // and a single point of its store that was laid into ours
    let mut at_home = lab.backup.clone();
    at_home.keys = stranger.backup.keys.clone();
    lab.backup.store.control().set_setting("signing_keys", &serde_json::json!([other])).await.unwrap();
    let told = at_home.with_identity(Some(lab.backup.keys.drill_identity().unwrap()));
    let told = told.verify_point(&point.point, "command").await.unwrap().problems;
    assert_eq!((told.len(), told[0].problem), (1, ProblemKind::Forged), "{told:?}");
    assert!(told[0].message.contains("none of this appliance's"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_old_and_new_signatures_count_by_the_sheet_of_before() {
    let (lab, old) = lab(105).await;
    let rotated = lab.backup.rotate_signing_key("command").await.unwrap();
    assert!(lab.sheet.contains(&rotated.old) && rotated.warnings.is_empty(), "{rotated:?}");
    lab.sql("UPDATE note SET content = 'younger' WHERE id = 10").await;
    let new = lab.point().await;
    for (point, key) in [(&old, &rotated.old), (&new, &rotated.new)] {
        let read = Manifest::read(&std::fs::read(lab.file_of(&point.manifest)).unwrap()).unwrap();
        assert_eq!(&read.clear.signed_by, key);
        assert!(lab.backup.verify_point(&point.point, "command").await.unwrap().problems.is_empty());
    }
    let twice = lab.backup.rotate_signing_key("command").await.unwrap();
    lab.backup.take_control_point(&options()).await.unwrap();
    let place = empty_machine(&lab, "back").await;
    let report = place.restore_instance("command", |_| ()).await.unwrap();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(report.tenants[0].point.as_ref(), Some(&new.point));
    assert_eq!(place.keys.signer().unwrap().public_key(), twice.new, "it goes on with the newest");
    let at_home = place.with_identity(None);
    assert!(at_home.verify_point(&old.point, "command").await.unwrap().problems.is_empty());

    // a new sheet: the key lies wrapped for it and for no other
    let (_, sheet) = lab.backup.rotate_keys(&[Holder::Escrow], "command").await.unwrap();
    let sheet = sheet.unwrap().text();
    assert!(sheet.contains(&twice.new), "{sheet}");
    lab.backup.take_control_point(&options()).await.unwrap();
    let place = machine_with(&lab, "again", &sheet).await;
    place.restore_instance("command", |_| ()).await.unwrap();
    assert_eq!(place.keys.signer().unwrap().public_key(), twice.new);
    let wrapped = lab.backup.objects.list("k/_control/sign-").await.unwrap();
    assert_eq!(wrapped.iter().filter(|one| one.key.contains(".escrow-")).count(), 1, "{wrapped:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_key_that_was_struck_vouches_only_for_points_that_are_known() {
    let (lab, old) = lab(106).await;
    let stolen = lab.backup.keys.signer().unwrap();
    let present = lab.backup.distrust_signer(&stolen.public_key(), "command").await.unwrap_err();
    assert!(present.to_string().contains("key rotate --only sign"), "{present}");
    let unknown = lab.backup.distrust_signer(&Signer::generate().public_key(), "command").await.unwrap_err();
    assert!(unknown.to_string().contains("no key that this appliance signed with"), "{unknown}");
    let rotated = lab.backup.rotate_signing_key("command").await.unwrap();
    // a point that the thief writes and no control plane knows
    let forged = async || {
        let signers = Some(lab.backup.signers().await.unwrap());
        let key = lab.backup.tenant_key(old.tenant_id).await.unwrap().key;
        let read = Manifest::read(&std::fs::read(lab.file_of(&old.manifest)).unwrap()).unwrap();
        let bytes = Manifest::write(&read.clear, &read.unseal(&key).unwrap(), &key, &stolen).unwrap();
        Manifest::read(&bytes).unwrap().signed(signers.as_ref(), lab.backup.check).is_ok()
    };
    assert!(forged().await, "believed until it is struck");
    let struck = lab.backup.distrust_signer(&rotated.old, "command").await.unwrap();
    assert_eq!((struck.distrusted, struck.signs), (vec![rotated.old.clone()], rotated.new));
    assert!(!forged().await);
    assert!(lab.backup.verify_point(&old.point, "command").await.unwrap().problems.is_empty(), "its hash is known");
    lab.backup.take_control_point(&options()).await.unwrap();
    let place = empty_machine(&lab, "back").await;
    place.restore_instance("command", |_| ()).await.unwrap();
    assert!(!place.signers().await.unwrap().contains(&rotated.old), "the appliance that comes back remembers");
}
