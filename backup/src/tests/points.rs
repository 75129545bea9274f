//! Taking, verifying, restoring.

use std::process::{Command, Stdio};

use domain::chance::Chance;
use domain::tenant::TenantState;
use store::TenantScope;

use super::Lab;
use crate::Error;
use crate::format::hash::{Hash, Measure};
use crate::format::manifest::Kind;
use crate::keys::read_identity;
use crate::restore::RestoreOptions;

fn as_slug(slug: &str) -> RestoreOptions {
    RestoreOptions { slug: slug.parse().unwrap(), dry_run: false, actor: "command".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_comes_back_beside_the_live_tenant() {
    let lab = Lab::new().await;
    lab.fill(60, &Chance::seeded(1)).await;
    let mut tx = lab.backup.store.begin(&lab.scope());
    tx.touch().await.unwrap();
    tx.commit().await.unwrap();
    assert!(lab.backup.store.oldest_unheld_change(&lab.scope()).await.unwrap().is_some());

    let point = lab.point().await;
    assert_eq!((point.notes, point.files, point.state.as_str()), (60, 2, "complete"));
    let verified = lab.backup.verify_point(&point.point, "command").await.unwrap();
    assert_eq!((verified.state.as_str(), verified.problems.len()), ("verified", 0));
    assert!(lab.backup.store.oldest_unheld_change(&lab.scope()).await.unwrap().is_none());

    let restored = lab.backup.restore_point(&point.point, &as_slug("copy")).await.unwrap();
    assert_eq!((restored.notes, restored.attachments), (60, 2));
    assert!(restored.tables.iter().all(|table| table.equal));
    let tenant = lab.backup.tenant("copy").await.unwrap();
    assert_eq!(tenant.state, TenantState::Closed);
    let scope = TenantScope::for_command(tenant.clone(), "test");
    assert!(lab.backup.store.oldest_unheld_change(&scope).await.unwrap().is_some(), "no point holds the copy");
    let rows =
        lab.backup.store.begin(&scope).read_once("SELECT storage_key, sha256 FROM attachment", &[]).await.unwrap();
    for row in rows {
        let (key, hash): (String, String) = (row.get(0), row.get(1));
        assert!(key.contains(&tenant.id.to_string()), "{key}");
        assert_eq!(Hash::of(&lab.backup.files.objects().get(&key).await.unwrap()).to_string(), hash);
    }
    let taken = lab.backup.restore_point(&point.point, &as_slug("copy")).await;
    assert!(matches!(taken, Err(Error::Store(store::Error::Conflict { .. }))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_tenant_is_two_requests_and_files_are_sent_once() {
    let lab = Lab::new().await;
    lab.fill(20, &Chance::seeded(2)).await;
    let options = crate::snapshot::PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
    let first = lab.backup.take_point(&lab.scope(), &options).await.unwrap();
    assert_eq!(first.requests, 2 + 2, "a pack, a manifest and two files");
    lab.backup.verify_point(&first.point, "command").await.unwrap();
    let second = lab.backup.take_point(&lab.scope(), &options).await.unwrap();
    assert_eq!(second.requests, 2);
    assert_eq!(second.objects.iter().filter(|object| object.referenced).count(), 2);
    assert_eq!(second.previous.as_ref(), Some(&first.point));
    for object in &second.objects {
        let stored = std::fs::read(lab.file_of(&object.key)).unwrap();
        assert_eq!(Measure::of(&stored), Measure { bytes: object.bytes_stored, sha256: object.sha256_stored });
    }
    let again = lab.backup.verify_point(&second.point, "command").await.unwrap();
    assert!(again.problems.is_empty(), "{:?}", again.problems);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_tenant_sends_only_the_chunks_that_changed() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(3)).await;
    // text that does not compress, so that the tenant is above 4 MiB
    lab.sql(
        "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
         SELECT g, 'b-' || g, 1, g, g, 'PRIVATE', (SELECT string_agg(md5(g::text || k), '') FROM generate_series(1, 40) k) \
         FROM generate_series(1000, 9000) g",
    )
    .await;
    let options = crate::snapshot::PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
    let first = lab.backup.take_point(&lab.scope(), &options).await.unwrap();
    assert!(first.objects.iter().filter(|object| object.kind == Kind::Rows).count() > 3, "{:?}", first.objects.len());
    lab.backup.verify_point(&first.point, "command").await.unwrap();
    lab.sql("UPDATE note SET content = 'other' WHERE id = 5000").await;
    let second = lab.backup.take_point(&lab.scope(), &options).await.unwrap();
    let chunks: Vec<_> = second.objects.iter().filter(|object| object.kind == Kind::Rows).collect();
    assert!(chunks.len() > 3 && chunks.iter().all(|object| object.referenced), "the changed chunk travels in the pack");
    assert!(second.bytes_sent < first.bytes_sent / 3, "{} of {}", second.bytes_sent, first.bytes_sent);
    let restored = lab.backup.restore_point(&second.point, &as_slug("copy")).await.unwrap();
    assert_eq!(restored.notes, 3 + 8001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sql_adds_to_a_tenant_is_in_the_point_or_named() {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(4)).await;
    let role = &lab.tenant.schema;
    lab.sql(&format!(
        "CREATE TABLE extra (id bigint PRIMARY KEY, what text NOT NULL, at timestamptz, n numeric(10,2)[]); \
         INSERT INTO extra VALUES (1, 'kept', '2026-01-02 03:04:05+00', '{{1.50,2}}'); GRANT SELECT ON extra TO {role}; \
         ALTER TABLE member ADD COLUMN nickname varchar(20) DEFAULT 'nick'"
    ))
    .await;
    let point = lab.point().await;
    let restored = lab.backup.restore_point(&point.point, &as_slug("copy")).await.unwrap();
    let extra = restored.tables.iter().find(|table| table.name == "extra").unwrap();
    assert!(extra.equal && extra.rows == 1);
    let scope = TenantScope::for_command(lab.backup.tenant("copy").await.unwrap(), "test");
    let rows = lab.backup.store.begin(&scope).read_once("SELECT nickname FROM member", &[]).await.unwrap();
    assert!(rows.iter().all(|row| row.get::<_, String>(0) == "nick"));

    for (make, named, drop) in [
        ("CREATE TABLE counted (id bigserial PRIMARY KEY)", "counted_id_seq", "DROP TABLE counted"),
        ("CREATE TABLE heir () INHERITS (reaction)", "heir", "DROP TABLE heir"),
        ("CREATE TABLE parted (id bigint PRIMARY KEY) PARTITION BY RANGE (id)", "parted", "DROP TABLE parted"),
    ] {
        lab.sql(&format!("{make}; GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO {role}")).await;
        let options =
            crate::snapshot::PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
        let refused = lab.backup.take_point(&lab.scope(), &options).await.unwrap_err();
        assert!(refused.to_string().contains(named), "{make}: {refused}");
        lab.sql(drop).await;
    }
    lab.sql("CREATE TABLE hidden (id bigint PRIMARY KEY)").await;
    let options = crate::snapshot::PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
    let refused = lab.backup.take_point(&lab.scope(), &options).await.unwrap_err();
    assert!(refused.to_string().contains("hidden"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_escrow_sheet_opens_a_point_and_stock_tools_read_it() {
    let lab = Lab::new().await;
    lab.fill(12, &Chance::seeded(5)).await;
    let point = lab.point().await;
    let sheet = lab.folder.path().join("sheet");
    std::fs::write(&sheet, &lab.sheet).unwrap();
    let identity = read_identity(&sheet).unwrap();
    std::fs::remove_file(lab.folder.path().join("keys/drill.key")).unwrap();
    assert!(matches!(
        lab.backup.clone().with_identity(None).restore_point(&point.point, &as_slug("no-key")).await,
        Err(Error::Key(_))
    ));
    let with_sheet = lab.backup.clone().with_identity(Some(identity.clone()));
    let restored = with_sheet.restore_point(&point.point, &as_slug("copy")).await.unwrap();
    assert_eq!(restored.notes, 12);

    // the Markdown stream with age's format opened here and the system's zstd and tar
    let (_, known) = (0, with_sheet.tenant_key(lab.tenant.id).await.unwrap());
    let markdown = point.objects.iter().find(|object| object.kind == Kind::Markdown).unwrap();
    let stored = std::fs::read(lab.file_of(&markdown.key)).unwrap();
    let compressed = crate::seal::unwrap(known.key.identity(), &stored).unwrap();
    let packed = lab.folder.path().join("notes.tar.zst");
    std::fs::write(&packed, compressed).unwrap();
    let out = lab.folder.path().join("notes");
    std::fs::create_dir(&out).unwrap();
    let mut zstd = Command::new("zstd").arg("-dc").arg(&packed).stdout(Stdio::piped()).spawn().unwrap();
    let tar = Command::new("tar").arg("-x").arg("-C").arg(&out).stdin(zstd.stdout.take().unwrap()).status().unwrap();
    assert!(zstd.wait().unwrap().success());
    assert!(tar.success());
    let scope = lab.scope();
    let rows = lab.backup.store.begin(&scope).read_once("SELECT uid FROM note", &[]).await.unwrap();
    assert_eq!(rows.len(), std::fs::read_dir(&out).unwrap().count());
    for row in rows {
        let uid: String = row.get(0);
        let mut tx = lab.backup.store.begin(&scope);
        let note = store::tenant::notes::find_note(&mut tx, &uid).await.unwrap().unwrap();
        assert_eq!(std::fs::read(out.join(format!("{uid}.md"))).unwrap(), crate::snapshot::shown_file(&note), "{uid}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_file_is_told_and_does_not_stop_the_point() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(6)).await;
    lab.sql("INSERT INTO attachment (id, uid, creator_id, created_ts, updated_ts, storage_key) VALUES (7, 'gone', 1, 1, 1, 'f/none/aa/none')").await;
    let point = lab.point().await;
    assert_eq!((point.files, point.warnings.len()), (2, 1));
    assert!(point.warnings[0].contains("f/none/aa/none"));
    assert_eq!(point.missing, ["f/none/aa/none"]);
    lab.backup.verify_point(&point.point, "command").await.unwrap();
    let row = lab.backup.store.control().find_point(&point.point).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.missing), ("verified", 1));
    let drill = lab.backup.drill(&point.point, &super::drills::options(&lab)).await.unwrap();
    assert!(drill.differences[0].contains("f/none/aa/none was already missing"), "{:?}", drill.differences);
    assert!(!drill.isolation.store_read_only, "no credentials that only read were given");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_the_log_does_not_know_is_not_shown_as_the_point() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(7)).await;
    let point = lab.point().await;
    lab.backup.show_point(&point.point).await.unwrap();
    let file = lab.file_of(&point.manifest);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"trigger\":\"command\"", "\"trigger\":\"nothing\"", 1)).unwrap();
    let error = lab.backup.show_point(&point.point).await.unwrap_err();
    assert!(matches!(&error, Error::Damaged { problems, .. } if problems[0].object == point.manifest), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_says_when_a_key_file_is_broken() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(8)).await;
    let point = lab.point().await;
    assert!(lab.backup.verify_point(&point.point, "command").await.unwrap().seal_checked);
    let key = lab.folder.path().join("keys/drill.key");
    std::fs::write(&key, "no key at all\n").unwrap();
    assert!(matches!(lab.backup.verify_point(&point.point, "command").await, Err(Error::Key(_))));
    std::fs::remove_file(&key).unwrap();
    assert!(!lab.backup.verify_point(&point.point, "command").await.unwrap().seal_checked, "hashes alone, and said so");
}
