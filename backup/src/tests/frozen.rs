//! Points as versions of ours wrote them, committed below `backup/frozen`: this version reads and restores each of them.
//!
//! Each folder is a whole store with one tenant and a control point, and the escrow sheet that opens it: throw-away keys, made
//! for this purpose and used nowhere else. `frozen.json` says what must come out. A release adds a folder (docs/backup-format.md)
//! and never changes one.

use std::path::{Path, PathBuf};

use domain::chance::Chance;
use domain::tenant::TenantState;
use objects::{FileStore, ObjectStore};
use serde_json::{Value, json};
use store::TenantScope;
use testkit::pg::TestDatabase;

use super::Lab;
use crate::Backup;
use crate::format::hash::Hash;
use crate::format::manifest::FORMAT;
use crate::keys::{KeyDirectory, read_sheet};
use crate::restore::{Part, RestoreOptions};
use crate::snapshot::PointOptions;

fn frozen() -> PathBuf {
    testkit::fixtures::workspace().join("backup/frozen")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(path, to.join(name)).unwrap();
        }
    }
}

/// What the tenant of a frozen store holds, as it must come out.
async fn content(backup: &Backup, slug: &str) -> Value {
    let scope = TenantScope::for_command(backup.tenant(slug).await.unwrap(), "test");
    let mut out = serde_json::Map::new();
    for (name, sql) in [
        ("notes", "SELECT uid, content FROM note ORDER BY uid"),
        ("members", "SELECT username, role FROM member ORDER BY username"),
        ("reactions", "SELECT note_id::text, reaction FROM reaction ORDER BY id"),
        ("files", "SELECT storage_key, sha256 FROM attachment ORDER BY uid"),
    ] {
        let rows = backup.store.begin(&scope).read_once(sql, &[]).await.unwrap();
        let mut all = Vec::new();
        for row in rows {
            let (key, value): (String, String) = (row.get(0), row.get(1));
            if name == "files" {
                let bytes = backup.files.objects().get(&key).await.unwrap();
                assert_eq!(Hash::of(&bytes).to_string(), value, "{key}");
                all.push(json!(value));
            } else {
                all.push(json!([key, value]));
            }
        }
        out.insert(name.to_owned(), json!(all));
    }
    out.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_of_every_version_are_read_and_restored() {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(frozen()).unwrap().map(|entry| entry.unwrap().path()).collect();
    versions.retain(|path| path.is_dir());
    versions.sort();
    assert!(
        versions.iter().any(|path| path.ends_with(format!("format-{FORMAT}"))),
        "this format is frozen: {versions:?}"
    );
    for version in versions {
        let home = tempfile::tempdir().unwrap();
        copy(&version.join("store"), &home.path().join("store"));
        let expected: Value = serde_json::from_slice(&std::fs::read(version.join("frozen.json")).unwrap()).unwrap();
        let sheet = read_sheet(&version.join("sheet-of-test-data.txt")).unwrap();
        KeyDirectory::adopt_escrow(&home.path().join("keys"), &sheet.identity).unwrap();
        let (keys, _) = KeyDirectory::open(&home.path().join("keys")).unwrap();
        let files = FileStore::over(ObjectStore::directory(home.path().join("files")).unwrap());
        let objects = ObjectStore::directory(home.path().join("store")).unwrap();
        let database = TestDatabase::create().await;
        let by_sheet = Backup::new(database.store().await, objects, files, keys).with_sheet(sheet);
        let back = by_sheet.restore_instance("command", |_| ()).await.unwrap();
        assert!(back.warnings.is_empty(), "{}: {:?}", version.display(), back.warnings);
        assert_eq!(content(&by_sheet, "frozen").await, expected["content"], "{}", version.display());

        // and as any point: verified with this machine's own keys, restored beside
        let at_home = by_sheet.with_identity(None);
        let point = expected["point"].as_str().unwrap();
        let read = at_home.verify_point(point, "command").await.unwrap();
        assert!(read.problems.is_empty() && read.seal_checked, "{}: {:?}", version.display(), read.problems);
        // one note of it, too: older points do not say which row a note is
        let scope = TenantScope::for_command(at_home.tenant("frozen").await.unwrap(), "test");
        let mut tx = at_home.store.begin(&scope);
        tx.touch().await.unwrap();
        for sql in ["DELETE FROM note_relation WHERE note_id = 900", "DELETE FROM note WHERE id = 900"] {
            tx.execute(sql, &[]).await.unwrap();
        }
        tx.commit().await.unwrap();
        let part = Part::Note("c-1".to_owned());
        let brought = at_home.restore_part(point, "frozen", &part, "command").await.unwrap();
        assert_eq!((brought.notes.len(), brought.comments), (1, 1), "{}: {brought:?}", version.display());
        assert_eq!(content(&at_home, "frozen").await, expected["content"], "{}", version.display());
        let slug = "beside".parse().unwrap();
        let options = RestoreOptions { slug, dry_run: false, actor: "command".to_owned() };
        let restored = at_home.restore_point(point, &options).await.unwrap();
        assert!(restored.tables.iter().all(|table| table.equal));
        let mut beside = content(&at_home, "beside").await;
        beside["files"] = expected["content"]["files"].clone();
        assert_eq!(beside, expected["content"], "{}", version.display());
        let size = weight(&version);
        assert!(size < 64 * 1024, "{}: {size} bytes are too many to commit", version.display());
    }
}

fn weight(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { weight(&path) } else { path.metadata().unwrap().len() })
        .sum()
}

/// Writes `backup/frozen/format-N`, unless it is there: a format that was released is never written anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "freezes this version's format: docs/backup-format.md says when"]
async fn freeze_this_format() {
    let to = frozen().join(format!("format-{FORMAT}"));
    assert!(!to.exists(), "{} is frozen already", to.display());
    let lab = Lab::new().await;
    let frozen = lab.backup.store.build_tenant(&"frozen".parse().unwrap(), TenantState::Active).await.unwrap();
    let lab = Lab { tenant: frozen, ..lab };
    lab.fill(7, &Chance::seeded(1)).await;
    lab.sql(
        "INSERT INTO note (id, uid, creator_id, parent_id, created_ts, updated_ts, visibility, content) \
         VALUES (900, 'c-1', 2, 10, 5, 5, 'PRIVATE', E'a comment\\nof two lines'); \
         INSERT INTO note_relation VALUES (900, 10, 'COMMENT'); INSERT INTO reaction VALUES (902, 10, 2, '👍', 7)",
    )
    .await;
    let team = lab.backup.tenant("team").await.unwrap();
    lab.backup.store.discard_tenant(team.id).await.unwrap();
    let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: true };
    let point = lab.backup.take_point(&lab.scope(), &options).await.unwrap().point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    let content = content(&lab.backup, "frozen").await;
    lab.backup.take_control_point(&options).await.unwrap();
    copy(&lab.folder.path().join("s3"), &to.join("store"));
    std::fs::remove_dir_all(to.join("store/.holdfast-tmp")).ok();
    let sheet = format!("# TEST DATA: it opens the frozen point beside it and nothing else.\n{}", lab.sheet);
    std::fs::write(to.join("sheet-of-test-data.txt"), sheet).unwrap();
    let document = serde_json::to_string_pretty(&json!({ "point": point, "content": content })).unwrap();
    std::fs::write(to.join("frozen.json"), format!("{document}\n")).unwrap();
}
