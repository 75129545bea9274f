//! Share links that somebody revoked stay so, whatever comes back; those that only went with their note may come with it.

use domain::chance::Chance;
use store::TenantScope;

use super::Lab;
use crate::restore::{Part, RestoreOptions};

/// Three links on note 10 and one on note 12, and a verified point of them.
async fn lab(seed: u64) -> (Lab, String) {
    let lab = Lab::new().await;
    lab.fill(6, &Chance::seeded(seed)).await;
    lab.sql(
        "INSERT INTO note_share (id, token, note_id, creator_id, created_ts) VALUES \
         (801, 'link-one', 10, 1, 1), (802, 'link-two', 10, 1, 1), (803, 'link-three', 10, 1, 1), (804, 'link-four', 12, 1, 1); \
         UPDATE member SET role = 'admin', password_hash = 'old' WHERE id = 2",
    )
    .await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    (lab, point)
}

/// As the API revokes one.
async fn revoke(lab: &Lab, slug: &str, note: i64, token: &str) {
    let scope = TenantScope::for_request(lab.backup.tenant(slug).await.unwrap());
    let mut tx = lab.backup.store.begin(&scope);
    tx.touch().await.unwrap();
    store::tenant::shares::delete_share(&mut tx, domain::id::NoteId(note), token).await.unwrap();
    tx.commit().await.unwrap();
}

/// As the API deletes one, with all that hangs on it.
async fn delete_note(lab: &Lab, note: i64) {
    let scope = TenantScope::for_request(lab.backup.tenant("team").await.unwrap());
    let mut tx = lab.backup.store.begin(&scope);
    tx.touch().await.unwrap();
    store::tenant::cards::lock_many(&mut tx).await.unwrap();
    store::tenant::notes::delete_notes(&mut tx, &[domain::id::NoteId(note)]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn links(lab: &Lab, slug: &str) -> String {
    let scope = TenantScope::for_command(lab.backup.tenant(slug).await.unwrap(), "test");
    let sql = "SELECT coalesce(string_agg(token, ' ' ORDER BY id), '') FROM note_share";
    lab.backup.store.begin(&scope).read_once(sql, &[]).await.unwrap()[0].get(0)
}

async fn restore(lab: &Lab, point: &str, slug: &str) {
    let options = RestoreOptions { slug: slug.parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    lab.backup.restore_point(point, &options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_share_link_stays_revoked_after_restore_swap_and_undo() {
    let (lab, point) = lab(301).await;
    revoke(&lab, "team", 10, "link-one").await;
    delete_note(&lab, 12).await;
    let kept = lab.sql_text("SELECT string_agg(kind || ' ' || ref, ',') FROM holdfast.ledger").await;
    assert!(kept.starts_with("share ") && !kept.contains(',') && !kept.contains("link"), "one, and no token: {kept}");
    restore(&lab, &point, "copy").await;
    assert_eq!(links(&lab, "copy").await, "link-two link-three link-four", "what went with its note is back with it");

    // revoked when the copy was there already
    revoke(&lab, "team", 10, "link-two").await;
    lab.sql("UPDATE member SET role = 'member', password_hash = 'new' WHERE id = 2").await;
    let swapped = lab.backup.swap("team", "copy", 30, "command").await.unwrap();
    assert_eq!(swapped.replayed.shares, 1, "{swapped:?}");
    assert_eq!(links(&lab, "team").await, "link-three link-four");
    let apart = swapped.gone_back.unwrap();
    assert_eq!((apart.roles, apart.passwords), (vec!["bob".to_owned()], vec!["bob".to_owned()]));

    // and what is revoked after the swap is so in the rows from before it
    revoke(&lab, "team", 10, "link-three").await;
    let undone = lab.backup.undo_swap("team", 30, "command").await.unwrap();
    assert_eq!((undone.replayed.shares, links(&lab, "team").await), (1, String::new()), "{undone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_comes_back_with_its_share_links_but_for_those_that_were_revoked() {
    let (lab, point) = lab(302).await;
    revoke(&lab, "team", 10, "link-one").await;
    delete_note(&lab, 10).await;
    delete_note(&lab, 12).await;
    assert_eq!(links(&lab, "team").await, "");
    let part = Part::Note("n-10".to_owned());
    let planned = lab.backup.plan_part(&point, "team", &part).await.unwrap();
    assert_eq!((planned.shares, planned.revoked), (2, 1), "{planned:?}");
    let report = lab.backup.restore_part(&point, "team", &part, "command").await.unwrap();
    assert_eq!((report.notes.len(), report.shares, report.revoked), (1, 2, 1), "{report:?}");
    assert_eq!(links(&lab, "team").await, "link-two link-three");
    // before anything was revoked there was nothing to withhold from a later point
    let later = lab.point().await.point;
    lab.backup.verify_point(&later, "command").await.unwrap();
    delete_note(&lab, 10).await;
    let again = lab.backup.restore_part(&later, "team", &part, "command").await.unwrap();
    assert_eq!((again.shares, again.revoked), (2, 0), "{again:?}");
    let member = Part::Member("ann".to_owned());
    let rest = lab.backup.restore_part(&point, "team", &member, "command").await.unwrap();
    assert_eq!((rest.shares, links(&lab, "team").await), (1, "link-two link-three link-four".to_owned()), "{rest:?}");
}
