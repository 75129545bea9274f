//! Keys: new identities for their holders, and the end of a deleted tenant's.

use domain::chance::Chance;
use domain::clock::Clock;
use domain::tenant::TenantState;
use store::{AuditEvent, Removal, TenantChange};

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
    let shown = lab.backup.show_point(&old).await.unwrap().objects;
    assert!(shown.iter().all(|object| object.bytes_plain.is_some()), "{shown:?}");
    let (old_sheet, old_drill) = (identity_of(&lab, "old", &lab.sheet), lab.backup.keys.drill_identity().unwrap());

    let (report, sheet) = lab.backup.rotate_keys(&[Holder::Drill, Holder::Escrow], "command").await.unwrap();
    assert_eq!((report.keys, report.removed, report.warnings.len()), (1, 2, 0), "{report:?}");
    let new_sheet = identity_of(&lab, "new", &sheet.unwrap().text());
    let now = anew(&lab);
    let verified = now.verify_point(&old, "command").await.unwrap();
    assert!(verified.problems.is_empty() && verified.seal_checked, "{:?}", verified.problems);
    let plain = |objects: &[crate::snapshot::ObjectReport]| -> Vec<Option<u64>> {
        objects.iter().map(|object| object.bytes_plain).collect()
    };
    assert_eq!(
        plain(&now.show_point(&old).await.unwrap().objects),
        plain(&shown),
        "the key is found where it lies now"
    );
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
    assert_eq!((said.state.as_str(), said.points, said.stores[0].objects), ("deleting", 1, 2), "{said:?}");
    assert_eq!((said.copies[0].tenant.as_str(), said.copies[0].state.as_str()), ("regretted", "closed"));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_names_every_copy_and_says_deleted_with_the_last_of_them() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(73)).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    for slug in ["kept", "used", "swapped"] {
        lab.backup.restore_point(&point, &as_slug(slug)).await.unwrap();
    }
    // one is in use and has a point of its own, of which there is a copy, too; another has what the tenant had before a swap
    let id = async |slug: &str| lab.backup.tenant(slug).await.unwrap().id;
    let event = AuditEvent { actor: "command", event: "tenant.opened", object: "used", detail: serde_json::json!({}) };
    let open = TenantChange::State(TenantState::Active);
    lab.backup.store.registry().change(id("used").await, &open, &event).await.unwrap();
    let own = lab.point_of("used").await;
    lab.backup.verify_point(&own, "command").await.unwrap();
    lab.backup.restore_point(&own, &as_slug("again")).await.unwrap();
    lab.backup.swap("team", "swapped", 30, "command").await.unwrap();
    let remove = async |slug: &str| {
        lab.backup.store.remove_tenant(id(slug).await, Removal::Ordered, None).await.unwrap();
    };
    let certificate = async || lab.backup.certificates(Some("team")).await.unwrap().remove(0);
    let copies = async || {
        let said = certificate().await.read().unwrap();
        let told: Vec<String> = said.copies.iter().map(|copy| format!("{} {}", copy.tenant, copy.state)).collect();
        (said.state, told.join(", "))
    };

    let file = objects::keys::live_file(lab.tenant.id, "left");
    lab.backup.files.objects().put(&file, "bytes", objects::PutOptions::default()).await.unwrap();
    remove("team").await;
    let report = lab.backup.purge_deleted(Some("team"), "command").await.unwrap();
    let all = "again closed, kept closed, swapped pending_deletion, used active";
    assert_eq!(copies().await, ("deleting".to_owned(), all.to_owned()));
    assert_eq!(report.next.len(), 4, "{report:?}");
    assert!(report.next[0].contains("`holdfast tenant delete again --yes --grace 0d`"), "{report:?}");
    let said = certificate().await.read().unwrap();
    assert!(said.files.is_some_and(|files| files.gone) && !lab.backup.files.exists(&file).await.unwrap());

    for slug in ["kept", "swapped", "used", "again"] {
        remove(slug).await;
    }
    // the books of the first one follow when anything is purged, or pruned
    lab.backup.purge_deleted(Some("kept"), "command").await.unwrap();
    assert_eq!(copies().await, ("deleting".to_owned(), "used points_open".to_owned()));
    lab.backup.purge_deleted(Some("used"), "command").await.unwrap();
    assert_eq!(copies().await, ("deleted".to_owned(), String::new()));
    let last = certificate().await;
    assert!(last.is_good() && last.read().unwrap().renewed_at.is_some(), "{last:?}");
}
