//! Parts brought back, tenants compared and put in each other's place, points removed, changes picked up.

use std::time::Duration;

use domain::chance::Chance;
use domain::clock::Clock;
use domain::tenant::TenantState;
use objects::PutOptions;
use store::TenantScope;

use super::Lab;
use crate::restore::{Part, RestoreOptions};
use crate::{Error, Policy};

async fn lab(notes: u32) -> (Lab, String) {
    let lab = Lab::new().await;
    lab.fill(notes, &Chance::seeded(40)).await;
    lab.sql(
        "INSERT INTO note (id, uid, creator_id, parent_id, created_ts, updated_ts, visibility, content) \
         VALUES (900, 'c-1', 2, 10, 5, 5, 'PRIVATE', 'a comment'), (901, 'c-2', 1, 900, 6, 6, 'PRIVATE', 'an answer'); \
         INSERT INTO note_relation VALUES (900, 10, 'COMMENT'), (901, 900, 'COMMENT'); \
         INSERT INTO reaction VALUES (902, 10, 2, '👍', 7); \
         INSERT INTO access_token VALUES ('tok', 1, 'hash', '', 1, NULL, NULL), ('tok2', 2, 'hash2', '', 1, NULL, NULL)",
    )
    .await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    (lab, point)
}

async fn count(lab: &Lab, slug: &str, sql: &str) -> i64 {
    let tenant = lab.backup.tenant(slug).await.unwrap();
    let scope = TenantScope::for_command(tenant, "test");
    lab.backup.store.begin(&scope).read_once(sql, &[]).await.unwrap()[0].get(0)
}

async fn restore(lab: &Lab, point: &str, slug: &str) {
    let options = RestoreOptions { slug: slug.parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    lab.backup.restore_point(point, &options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_note_comes_back_with_all_that_hung_on_it() {
    let (lab, point) = lab(12).await;
    let note = Part::Note("n-10".to_owned());
    let there = lab.backup.restore_part(&point, "team", &note, "command").await.unwrap_err();
    assert_eq!(there.exit(), runtime::exit::Code::Conflict, "{there}");
    lab.sql(
        "DELETE FROM attachment WHERE note_id = 10; DELETE FROM reaction WHERE note_id = 10; \
         DELETE FROM note_relation WHERE related_id IN (10, 900); DELETE FROM note WHERE id IN (10, 900, 901)",
    )
    .await;
    for file in lab.backup.files.list(lab.tenant.id).await.unwrap() {
        lab.backup.files.delete(&file.key).await.unwrap();
    }
    let report = lab.backup.restore_part(&point, "team", &note, "command").await.unwrap();
    assert_eq!((report.notes.len(), report.reactions, report.attachments), (3, 1, 2), "{report:?}");
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let mut tx = lab.backup.store.begin(&lab.scope());
    let back = store::tenant::notes::find_note(&mut tx, "n-10").await.unwrap().unwrap();
    assert_eq!((back.card.attachments.len(), back.card.reactions.len(), back.card.relations.len()), (2, 1, 1));
    for key in lab.backup.store.referenced_files(&lab.scope()).await.unwrap() {
        assert!(lab.backup.files.exists(&key).await.unwrap(), "{key}");
    }
    let nothing =
        lab.backup.restore_part(&point, "team", &Part::Note("never".to_owned()), "command").await.unwrap_err();
    assert!(matches!(nothing, Error::NotInPoint(..)), "{nothing}");

    lab.sql("DELETE FROM note WHERE creator_id = 2 AND parent_id IS NULL; DELETE FROM attachment WHERE uid = 'a-6'")
        .await;
    let member = lab.backup.restore_part(&point, "team", &Part::Member("bob".to_owned()), "command").await.unwrap();
    assert_eq!(member.notes.len(), 6, "{member:?}");
    let file = Part::Attachment("a-6".to_owned());
    let one = lab.backup.restore_part(&point, "team", &file, "command").await.unwrap();
    assert_eq!(one.attachments, 1);
    let mut tx = lab.backup.store.begin(&lab.scope());
    let back = store::tenant::notes::find_note(&mut tx, "n-10").await.unwrap().unwrap();
    assert_eq!(back.card.attachments.len(), 2, "its card shows the file again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_compared_word_by_word() {
    let (lab, point) = lab(12).await;
    restore(&lab, &point, "copy").await;
    let same = lab.backup.compare_tenants("team", "copy").await.unwrap();
    assert!(same.notes.added.is_empty() && same.notes.changed.is_empty() && same.notes.deleted.is_empty());
    assert_eq!((same.notes.same, same.members.same), (14, 2));
    lab.sql(
        "UPDATE note SET content = 'one two four' WHERE id = 11; UPDATE note SET pinned = true WHERE id = 12; \
         DELETE FROM note WHERE id = 13; UPDATE member SET display_name = 'Ann' WHERE id = 1; \
         INSERT INTO setting VALUES ('TAGS', '{}'); \
         INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) VALUES (950, 'new', 1, 1, 1, 'PRIVATE', 'x')",
    )
    .await;
    let other = lab.backup.compare_tenants("copy", "team").await.unwrap();
    assert_eq!((other.notes.added, other.notes.deleted), (vec!["new".to_owned()], vec!["n-13".to_owned()]));
    let changed: Vec<&str> = other.notes.changed.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(changed, ["n-11", "n-12"]);
    assert!(other.notes.changed[0].diff.contains("{+one two four+}"), "{}", other.notes.changed[0].diff);
    assert!(other.notes.changed[1].diff.contains("same text"));
    assert_eq!((other.members.changed.len(), other.settings.added.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_keeps_identity_and_revocations_and_can_be_undone() {
    let (lab, point) = lab(12).await;
    restore(&lab, &point, "copy").await;
    // after the point: a note, a file, a revoked token, an erased member
    let key = objects::keys::live_file(lab.tenant.id, "ffffffff");
    lab.backup.files.objects().put(&key, "new bytes", PutOptions::default()).await.unwrap();
    lab.sql(&format!(
        "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) VALUES (950, 'later', 1, 1, 1, 'PRIVATE', 'x'); \
         INSERT INTO attachment (id, uid, creator_id, note_id, created_ts, updated_ts, size, sha256, storage_key) VALUES (951, 'a-l', 1, 950, 1, 1, 9, '', '{key}'); \
         DELETE FROM access_token WHERE token_id = 'tok'; \
         DELETE FROM note WHERE creator_id = 2 OR parent_id IS NOT NULL; DELETE FROM member WHERE id = 2; \
         SELECT setval('id_seq', 7000)"
    ))
    .await;
    let stale = TenantScope::for_request(lab.tenant.clone());
    let swapped = lab.backup.swap("team", "copy", 30, "command").await.unwrap();
    assert_eq!((swapped.replayed.tokens, swapped.replayed.erased), (1, 1), "{swapped:?}");
    let live = lab.backup.tenant("team").await.unwrap();
    assert_eq!((live.id, live.state), (lab.tenant.id, TenantState::Active));
    assert_ne!(live.schema, lab.tenant.schema);
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM note WHERE uid = 'later'").await, 0);
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM note WHERE uid = 'n-10'").await, 1);
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM access_token").await, 0);
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM note WHERE creator_id = 2").await, 0, "erased stays erased");
    assert_eq!(count(&lab, "team", "SELECT nextval('id_seq')").await, 7001);
    let scope = TenantScope::for_command(live.clone(), "test");
    for key in lab.backup.store.referenced_files(&scope).await.unwrap() {
        assert!(key.contains(&live.id.to_string()) && lab.backup.files.exists(&key).await.unwrap(), "{key}");
    }
    assert!(lab.backup.store.oldest_unheld_change(&scope).await.unwrap().is_some(), "no point holds these rows");
    // a request that was led to the old rows must not be acknowledged
    let mut late = lab.backup.store.begin(&stale);
    assert!(late.touch().await.is_err());
    drop(late);
    let again = lab.backup.swap("team", "copy", 30, "command").await.unwrap_err();
    assert_eq!(again.exit(), runtime::exit::Code::Refused, "{again}");

    lab.backup.undo_swap("team", 30, "command").await.unwrap();
    let back = lab.backup.tenant("team").await.unwrap();
    assert_eq!(back.schema, lab.tenant.schema);
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM note WHERE uid = 'later'").await, 1);
    let scope = TenantScope::for_command(back.clone(), "test");
    for key in lab.backup.store.referenced_files(&scope).await.unwrap() {
        assert!(key.contains(&back.id.to_string()) && lab.backup.files.exists(&key).await.unwrap(), "{key}");
    }
    let mut tx = lab.backup.store.begin(&scope);
    tx.touch().await.unwrap();
    tx.commit().await.unwrap();
    assert!(lab.backup.undo_swap("team", 30, "command").await.is_err(), "undone once");
    // and it is still backed up under its own key
    let point = lab.point_of("team").await;
    assert!(lab.backup.verify_point(&point, "command").await.unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_after_a_point_stays_so_when_it_is_restored() {
    let (lab, point) = lab(6).await;
    lab.sql("DELETE FROM access_token WHERE token_id = 'tok'; UPDATE member SET archived = true WHERE id = 2").await;
    restore(&lab, &point, "copy").await;
    assert_eq!(count(&lab, "copy", "SELECT count(*) FROM access_token WHERE token_id = 'tok'").await, 0);
    assert_eq!(count(&lab, "copy", "SELECT count(*) FROM access_token").await, 1);
    assert_eq!(count(&lab, "copy", "SELECT count(*) FROM member WHERE archived").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_go_by_the_rules_and_take_only_what_no_other_needs() {
    let (mut lab, first) = lab(8).await;
    let mut points = vec![first];
    for round in 0..5 {
        lab.sql(&format!("UPDATE note SET content = 'round {round}' WHERE id = 11")).await;
        let point = lab.point().await.point;
        lab.backup.verify_point(&point, "command").await.unwrap();
        points.push(point);
    }
    lab.backup.policy = Policy { within: time::Duration::ZERO, buckets: [0; 5] };
    let unproven = lab.backup.prune(None, false, "command").await.unwrap();
    assert!(unproven.removed.is_empty(), "nothing goes while nothing is proven: {unproven:?}");
    for point in &points[1..4] {
        lab.backup.store.control().mark_point_proven(point, Clock::System.now()).await.unwrap();
    }
    let dry = lab.backup.prune(None, true, "command").await.unwrap();
    let names = |gone: &[crate::retention::Gone]| gone.iter().map(|one| one.point.clone()).collect::<Vec<_>>();
    assert_eq!(names(&dry.removed), [points[4].clone(), points[0].clone()]);
    assert_eq!(lab.backup.list_points(None, 100).await.unwrap().len(), 6);
    // an object that nothing refers to, and half a point, both older than a day
    let idle = objects::keys::chunk(lab.tenant.id, "aabbccdd-00000000");
    let half = objects::keys::pack(lab.tenant.id, "20200101T000000Z-00000000");
    for key in [&idle, &half] {
        lab.backup.objects.put(key, "left over", PutOptions::default()).await.unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(3 * 86_400);
        std::fs::File::options().write(true).open(lab.file_of(key)).unwrap().set_modified(old).unwrap();
    }
    let young = objects::keys::chunk(lab.tenant.id, "eeff0011-00000000");
    lab.backup.objects.put(&young, "just sent", PutOptions::default()).await.unwrap();
    let done = lab.backup.prune(None, false, "command").await.unwrap();
    assert_eq!((names(&done.removed), done.swept), (names(&dry.removed), 2), "{done:?}");
    assert!(lab.backup.objects.exists(&young).await.unwrap());
    for line in lab.backup.list_points(None, 100).await.unwrap() {
        let verified = lab.backup.verify_point(&line.point, "command").await.unwrap();
        assert!(verified.problems.is_empty(), "{}: {:?}", line.point, verified.problems);
    }
    let gone = lab.backup.verify_point(&points[0], "command").await.unwrap_err();
    assert!(matches!(gone, Error::NoPoint(_)), "{gone}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_times_are_other_than_ours_stops_retention() {
    let (mut lab, first) = lab(4).await;
    for _ in 0..4 {
        let point = lab.point().await.point;
        lab.backup.verify_point(&point, "command").await.unwrap();
        lab.backup.store.control().mark_point_proven(&point, Clock::System.now()).await.unwrap();
    }
    lab.backup.policy = Policy { within: time::Duration::ZERO, buckets: [0; 5] };
    let file = lab.file_of(&objects::keys::manifest(lab.tenant.id, &first));
    let old = std::time::SystemTime::now() - Duration::from_secs(10 * 86_400);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(old).unwrap();
    let report = lab.backup.prune(None, false, "command").await.unwrap();
    assert!(report.removed.is_empty() && report.warnings[0].contains(&first), "{report:?}");
    assert!(report.warnings[0].contains("--tenant team --accept-times"), "it says how to go on: {report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_may_say_that_our_times_are_right_for_points_that_are_as_we_wrote_them() {
    let (mut lab, first) = lab(4).await;
    let mut points = vec![first];
    for _ in 0..4 {
        let point = lab.point().await.point;
        lab.backup.verify_point(&point, "command").await.unwrap();
        lab.backup.store.control().mark_point_proven(&point, Clock::System.now()).await.unwrap();
        points.push(point);
    }
    lab.backup.policy = Policy { within: time::Duration::ZERO, buckets: [0; 5] };
    let file_of = |point: &str| lab.file_of(&objects::keys::manifest(lab.tenant.id, point));
    // as a store that was filled ten days later, or from now on long ago
    let touch = |point: &str| {
        let old = std::time::SystemTime::now() - Duration::from_secs(10 * 86_400);
        std::fs::File::options().write(true).open(file_of(point)).unwrap().set_modified(old).unwrap();
    };
    for point in &points {
        touch(point);
    }
    let prune = async || lab.backup.prune(Some(lab.tenant.id), false, "command").await.unwrap();
    assert!(prune().await.removed.is_empty());

    // one that is not as we wrote it: nobody's word counts for it, and nothing is taken of the others
    let sound = std::fs::read(file_of(&points[1])).unwrap();
    std::fs::write(file_of(&points[1]), [b"  ".as_slice(), &sound].concat()).unwrap();
    touch(&points[1]);
    let refused = lab.backup.accept_times(None, "command").await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains(&points[1])), "{refused}");
    assert!(prune().await.removed.is_empty());
    std::fs::write(file_of(&points[1]), &sound).unwrap();
    touch(&points[1]);

    let mut accepted = lab.backup.accept_times(None, "operator").await.unwrap();
    accepted.sort();
    let mut all = points.clone();
    all.sort();
    assert_eq!(accepted, all);
    let events = "SELECT string_agg(actor || ' ' || (detail->>'upto'), ',') FROM holdfast.audit_event WHERE event = 'point.times_accepted'";
    assert_eq!(lab.sql_text(events).await, format!("operator {}", points[4]));
    let report = prune().await;
    let gone: Vec<&String> = report.removed.iter().map(|gone| &gone.point).collect();
    assert!(report.warnings.is_empty() && gone.len() == 2, "{report:?}");
    assert!(lab.backup.accept_times(None, "operator").await.unwrap().is_empty(), "once");

    // a point that came since is not spoken for, unless it is damaged and counts for nothing
    for _ in 0..3 {
        let point = lab.point().await.point;
        lab.backup.verify_point(&point, "command").await.unwrap();
        lab.backup.store.control().mark_point_proven(&point, Clock::System.now()).await.unwrap();
        points.push(point);
    }
    let victim = points[5].clone();
    let sound = std::fs::read(file_of(&victim)).unwrap();
    std::fs::write(file_of(&victim), [b"  ".as_slice(), &sound].concat()).unwrap();
    touch(&victim);
    let report = prune().await;
    assert!(report.removed.is_empty() && report.warnings[0].contains(&format!("backup verify {victim}")), "{report:?}");
    assert!(!lab.backup.verify_point(&victim, "command").await.unwrap().problems.is_empty());
    let report = prune().await;
    assert!(!report.removed.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_tenants_are_found_and_unchanged_ones_are_not() {
    let (lab, _) = lab(3).await;
    let (store, clock, mut looks) = (&lab.backup.store, Clock::System, crate::Looks::default());
    let other = store.build_tenant(&"other".parse().unwrap(), TenantState::Active).await.unwrap();
    assert_eq!(crate::pick_up_once(store, &clock, Duration::ZERO, &mut looks).await.unwrap(), 0);
    let mut tx = store.begin(&TenantScope::for_request(other.clone()));
    tx.touch().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        crate::pick_up_once(store, &clock, Duration::from_secs(60), &mut looks).await.unwrap(),
        0,
        "not old enough"
    );
    assert_eq!(crate::pick_up_once(store, &clock, Duration::ZERO, &mut looks).await.unwrap(), 1);
    assert_eq!(crate::pick_up_once(store, &clock, Duration::ZERO, &mut looks).await.unwrap(), 0, "asked for once");
    let jobs = store.control().list_jobs(&["backup".to_owned()], Some(other.id), 10).await.unwrap();
    assert_eq!(jobs.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_become_quiet_does_not_wait_for_the_age_of_a_change() {
    let (lab, _) = lab(3).await;
    let (store, tenant) = (&lab.backup.store, lab.tenant.id);
    let long = Duration::from_secs(600);
    let begun = Clock::System.seconds();
    let mut looks = crate::Looks::default();
    let mut look =
        async |after: i64| crate::pick_up_once(store, &Clock::fixed(begun + after), long, &mut looks).await.unwrap();
    let write = async || {
        let before = store.changed_tenants().await.unwrap();
        let before = before.first().map_or(-1, |changed| changed.written);
        let mut tx = store.begin(&TenantScope::for_request(lab.tenant.clone()));
        tx.touch().await.unwrap();
        tx.commit().await.unwrap();
        let superuser = lab.database.superuser().await;
        let schema = &lab.tenant.schema;
        superuser.execute(&format!("UPDATE {schema}.note SET updated_ts = updated_ts + 1"), &[]).await.unwrap();
        drop(superuser);
        // the count is told when a connection has nothing else to do
        for _ in 0..400 {
            let now = store.changed_tenants().await.unwrap();
            if now.iter().any(|changed| changed.tenant == tenant && changed.written > before) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Postgres does not count what was written");
    };
    write().await;
    assert_eq!(look(0).await, 0, "seen for the first time");
    write().await;
    assert_eq!(look(5).await, 0, "written to since");
    assert_eq!(look(7).await, 0, "not for long enough");
    assert_eq!(look(10).await, 1, "quiet, though its oldest change is young");
    assert_eq!(look(15).await, 0, "asked for once");
}
