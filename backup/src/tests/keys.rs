//! Keys: new identities for their holders, and the end of a deleted tenant's.

use domain::chance::Chance;
use domain::clock::Clock;
use store::Removal;

use super::Lab;
use crate::keys::{Holder, KeyDirectory, read_identity};
use crate::restore::RestoreOptions;
use crate::snapshot::PointOptions;
use crate::{Backup, Error};

fn as_slug(slug: &str) -> RestoreOptions {
    RestoreOptions { slug: slug.parse().unwrap(), dry_run: false, actor: "command".to_owned() }
}

fn identity_of(lab: &Lab, name: &str, sheet: &str) -> age::x25519::Identity {
    let file = lab.folder.path().join(name);
    std::fs::write(&file, sheet).unwrap();
    read_identity(&file).unwrap()
}

/// As another process finds it: keys read anew, nothing remembered.
fn anew(lab: &Lab) -> Backup {
    let (keys, _) = KeyDirectory::open(&lab.folder.path().join("keys")).unwrap();
    Backup::new(lab.backup.store.clone(), lab.backup.objects.clone(), lab.backup.files.clone(), keys)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_the_old_identities_open_nothing_and_the_new_ones_everything() {
    let lab = Lab::new().await;
    lab.fill(6, &Chance::seeded(71)).await;
    let old = lab.point().await.point;
    lab.backup.verify_point(&old, "command").await.unwrap();
    let (old_sheet, old_drill) = (identity_of(&lab, "old", &lab.sheet), lab.backup.keys.drill_identity().unwrap());

    let (report, sheet) = lab.backup.rotate_keys(&[Holder::Drill, Holder::Escrow], "command").await.unwrap();
    assert_eq!((report.keys, report.removed, report.warnings.len()), (1, 2, 0), "{report:?}");
    let new_sheet = identity_of(&lab, "new", &sheet.unwrap().text());
    let now = anew(&lab);
    let verified = now.verify_point(&old, "command").await.unwrap();
    assert!(verified.problems.is_empty() && verified.seal_checked, "{:?}", verified.problems);
    let by_sheet = now.clone().with_identity(Some(new_sheet));
    assert_eq!(by_sheet.restore_point(&old, &as_slug("copy")).await.unwrap().notes, 6);
    for identity in [old_sheet, old_drill] {
        let held = now.clone().with_identity(Some(identity.clone()));
        assert!(held.restore_point(&old, &as_slug("never")).await.is_err());
        for object in now.objects.list("k/").await.unwrap() {
            let stored = now.objects.get(&object.key).await.unwrap();
            assert!(crate::keys::TenantKey::unwrap(&identity, &stored).is_err(), "{}", object.key);
        }
    }
    let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
    let next = now.take_point(&lab.scope(), &options).await.unwrap();
    assert!(now.verify_point(&next.point, "command").await.unwrap().problems.is_empty());
    let drill = now.drill(&next.point, &super::drills::options(&lab)).await.unwrap();
    // the copy is not served here, for want of an executable; every fault, the wrong key among them, is seen
    assert!(drill.faults.iter().all(|fault| fault.detected), "{:?}", drill.faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_tenant_is_gone_for_good_and_a_certificate_says_so() {
    let mut lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(72)).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    assert!(matches!(lab.backup.purge_deleted(Some("team"), "command").await, Err(Error::Refused(_))), "it is there");
    lab.backup.store.remove_tenant(lab.tenant.id, Removal::Ordered, None).await.unwrap();
    assert!(lab.backup.purge_deleted(None, "job").await.unwrap().certificates.is_empty(), "not yet");
    lab.backup.restore_point(&point, &as_slug("regretted")).await.unwrap();

    let report = lab.backup.purge_deleted(Some("team"), "command").await.unwrap();
    let said = report.certificates[0].read().unwrap();
    assert_eq!((said.state.as_str(), said.points, said.stores[0].objects), ("deleted", 1, 2), "{said:?}");
    let kept = lab.backup.certificates(Some("team")).await.unwrap();
    assert!(kept == report.certificates && kept[0].is_good());
    let forged = crate::purge::Certificate { statement: kept[0].statement.replace("team", "other"), ..kept[0].clone() };
    assert!(!forged.is_good());

    let sheet = identity_of(&lab, "sheet", &lab.sheet);
    for held in [anew(&lab), anew(&lab).with_identity(Some(sheet))] {
        let closed = held.restore_point(&point, &as_slug("never")).await.unwrap_err();
        assert!(matches!(closed, Error::Damaged { .. }), "{closed}");
    }
    // what nobody can read any more is no reason to keep anything
    let pruned = lab.backup.prune(Some(lab.tenant.id), false, "command").await.unwrap();
    assert_eq!((pruned.removed.len(), pruned.kept.len()), (1, 0), "{pruned:?}");
    let owned = objects::keys::owned(lab.tenant.id);
    assert!(!lab.backup.objects.list(&owned).await.unwrap().is_empty(), "what is young stays for a day");
    // no row speaks of the tenant's points any more, and still it is come back to until nothing is left
    lab.backup.clock = Clock::fixed(lab.backup.clock.seconds() + 2 * 24 * 3600);
    assert!(lab.backup.store.control().owners_of_points().await.unwrap().contains(&lab.tenant.id));
    lab.backup.prune(None, false, "job").await.unwrap();
    assert!(lab.backup.objects.list(&owned).await.unwrap().is_empty());
    assert!(
        !lab.backup.store.control().owners_of_points().await.unwrap().contains(&lab.tenant.id),
        "that was the last time"
    );
    assert!(lab.backup.purge_deleted(Some("team"), "command").await.unwrap().certificates.is_empty(), "once");
}
