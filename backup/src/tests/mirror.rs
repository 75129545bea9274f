//! The live Markdown mirror: what people find in the folder while a tenant changes, moves and goes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use domain::chance::Chance;
use domain::tenant::TenantState;
use store::{AuditEvent, Removal, TenantChange};

use super::Lab;
use crate::restore::RestoreOptions;

const MARK: &str = "INSERT INTO change_mark (generation) SELECT generation FROM point_state ON CONFLICT DO NOTHING";

/// Every file of a mirror, unfinished writes left out.
fn files(root: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    all
}

/// Where the links of a note lead.
fn leads(root: &Path, note: &str) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(root.join("notes").join(note)).unwrap();
    let ends = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().replace("%20", " "));
    ends.map(|end| root.join("notes").join(end)).collect()
}

async fn mirrored() -> (Lab, PathBuf) {
    let mut lab = Lab::new().await;
    lab.fill(20, &Chance::seeded(501)).await;
    lab.sql(
        "UPDATE note SET content = E'# Holiday\\n![beach](/file/attachments/a-5/f5.bin) and [another](/memos/n-11)\\n', card = \
         '{\"attachments\":[{\"id\":5,\"uid\":\"a-5\",\"created_ts\":1,\"filename\":\"f5.bin\",\"kind\":\"image/png\",\"size\":300000}, \
           {\"id\":6,\"uid\":\"a-6\",\"created_ts\":1,\"filename\":\"f6 1.bin\",\"kind\":\"application/pdf\",\"size\":10}]}' WHERE id = 10; \
         UPDATE attachment SET filename = 'f6 1.bin' WHERE id = 6",
    )
    .await;
    let root = lab.folder.path().join("mirror");
    lab.backup.mirrors.folder = Some(root.clone());
    lab.backup.mirror_on("team", None, "command").await.unwrap();
    (lab, root.join("team"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_follows_every_change_and_its_links_lead_somewhere() {
    let (lab, root) = mirrored().await;
    let id = lab.tenant.id;
    assert_eq!(lab.backup.mirrors_due().await.unwrap(), [id]);
    let first = lab.backup.mirror(id, false).await.unwrap().unwrap();
    assert_eq!((first.notes, first.files, first.written, first.removed, first.full), (20, 2, 22, 0, true));
    let text = std::fs::read_to_string(root.join("notes/n-10.md")).unwrap();
    assert!(text.starts_with("---\nuid: \"n-10\"\ncreator: \"ann\"\n") && text.contains("# Holiday"), "{text}");
    let found = leads(&root, "n-10.md");
    assert_eq!(found.len(), 3, "{text}");
    assert!(found.iter().all(|path| path.is_file()), "{found:?}");
    assert_eq!(std::fs::read(&found[0]).unwrap(), vec![9; 300_000]);

    // nothing has changed: nothing is due, and a run writes nothing
    assert!(lab.backup.mirrors_due().await.unwrap().is_empty());
    let idle = lab.backup.mirror_now("team", false).await.unwrap();
    assert_eq!((idle.written, idle.removed, idle.full), (0, 0, false));

    // an edit, a deletion, a new note; and a point in between, which takes the mark of the change away
    lab.sql(&format!("{MARK}; UPDATE note SET content = 'edited' WHERE id = 12; DELETE FROM note WHERE id = 13")).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    assert_eq!(lab.backup.mirrors_due().await.unwrap(), [id]);
    let line = lab.backup.mirror_lines(Some("team")).await.unwrap().remove(0);
    assert!(line.status == "ok" && line.lag_seconds.unwrap() > 0.0, "{line:?}");
    let changed = lab.backup.mirror(id, false).await.unwrap().unwrap();
    assert_eq!((changed.notes, changed.written, changed.removed, changed.full), (19, 1, 1, false));
    assert!(std::fs::read_to_string(root.join("notes/n-12.md")).unwrap().ends_with("---\nedited"));
    assert!(!root.join("notes/n-13.md").exists());

    // a name that stands in every note of its owner; a file under another name
    lab.sql(&format!(
        "{MARK}; UPDATE member SET username = 'robert' WHERE id = 2; UPDATE attachment SET filename = 'new.bin' WHERE id = 6"
    ))
    .await;
    let renamed = lab.backup.mirror(id, false).await.unwrap().unwrap();
    assert_eq!((renamed.written, renamed.removed), (10, 1), "9 notes of his and a file: {renamed:?}");
    assert!(root.join("files/a-6/new.bin").is_file() && !root.join("files/a-6/f6 1.bin").exists());
    let lines = lab.backup.mirror_lines(None).await.unwrap();
    assert_eq!((lines[0].status, lines[0].lag_seconds, lines[0].notes, lines[0].files), ("ok", Some(0.0), 19, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_notes_that_did_not_change_follow_the_addresses_of_the_tenant() {
    let (lab, root) = mirrored().await;
    lab.sql("UPDATE note SET content = '[there](https://notes.example.org/team/memos/n-11)' WHERE id = 12").await;
    lab.backup.mirror_now("team", false).await.unwrap();
    let text = || std::fs::read_to_string(root.join("notes/n-12.md")).unwrap();
    assert!(text().ends_with("(https://notes.example.org/team/memos/n-11)"), "somebody else's address: {}", text());
    let change = async |change: TenantChange| {
        let event =
            AuditEvent { actor: "test", event: "tenant.changed", object: "team", detail: serde_json::json!({}) };
        lab.backup.store.registry().change(lab.tenant.id, &change, &event).await.unwrap();
    };
    change(TenantChange::PublicUrl(Some("https://notes.example.org/team/".to_owned()))).await;
    let run = lab.backup.mirror_now("team", true).await.unwrap();
    assert!((run.written, run.removed) == (20, 0) && text().ends_with("(n-11.md)"), "{run:?}: {}", text());
    assert_eq!(lab.backup.mirror_now("team", true).await.unwrap().written, 0, "once");
    change(TenantChange::PublicUrl(None)).await;
    lab.backup.mirror_now("team", false).await.unwrap();
    assert!(text().ends_with("(https://notes.example.org/team/memos/n-11)"), "{}", text());
    change(TenantChange::Hosts(vec!["notes.example.org".to_owned()])).await;
    lab.sql("UPDATE note SET content = '[there](https://notes.example.org/m/n-11)' WHERE id = 12").await;
    lab.backup.mirror_now("team", false).await.unwrap();
    assert!(text().ends_with("(n-11.md)"), "{}", text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_comes_right_after_kills_losses_and_swaps_and_goes_with_its_tenant() {
    let (lab, root) = mirrored().await;
    let id = lab.tenant.id;
    let control = lab.backup.store.control();
    lab.backup.mirror(id, false).await.unwrap().unwrap();
    let whole = files(&root);

    // a run that died after it had written a file and before it could note it; meanwhile the note went
    assert!(control.take_mirror(id, "dead").await.unwrap());
    control.begin_mirror(id, "dead", false).await.unwrap();
    std::fs::write(root.join("notes/orphan.md"), "half").unwrap();
    assert!(lab.backup.mirror(id, false).await.unwrap().is_none(), "somebody is at it");
    let error = lab.backup.mirror_now("team", false).await.unwrap_err();
    assert_eq!(error.exit(), runtime::exit::Code::Conflict, "{error}");
    lab.sql("UPDATE holdfast.mirror SET held_until = now()").await;
    let next = lab.backup.mirror(id, false).await.unwrap().unwrap();
    assert_eq!((next.full, next.written, next.removed), (true, 0, 1));
    assert_eq!(files(&root), whole);

    // what the mirror knows of itself is lost, and some of its files
    lab.sql("DELETE FROM holdfast.mirror_entry").await;
    std::fs::remove_file(root.join("notes/n-10.md")).unwrap();
    std::fs::write(root.join("notes/n-11.md"), "cut").unwrap();
    lab.backup.mirror_now("team", true).await.unwrap();
    assert_eq!(files(&root), whole);
    std::fs::remove_dir_all(root.join("files")).unwrap();
    let mended = lab.backup.mirror_now("team", true).await.unwrap();
    assert_eq!((mended.written, files(&root)), (2, whole.clone()));

    // other rows take the tenant's place
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    lab.sql(&format!("{MARK}; DELETE FROM note WHERE id > 15; UPDATE note SET uid = 'n-new' WHERE id = 11")).await;
    lab.backup.mirror(id, false).await.unwrap().unwrap();
    assert!(files(&root).len() < whole.len() && root.join("notes/n-new.md").exists());
    let options = RestoreOptions { slug: "copy".parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    lab.backup.restore_point(&point, &options).await.unwrap();
    lab.backup.swap("team", "copy", 30, "command").await.unwrap();
    assert_eq!(lab.backup.mirrors_due().await.unwrap(), [id]);
    lab.backup.mirror(id, false).await.unwrap().unwrap();
    assert_eq!(files(&root), whole);

    // gone with the tenant
    lab.backup.store.remove_tenant(id, Removal::Ordered, None).await.unwrap();
    assert_eq!(lab.backup.mirrors_due().await.unwrap(), [id]);
    let gone = lab.backup.mirror(id, false).await.unwrap().unwrap();
    assert_eq!(gone.removed, whole.len() as u64 - 1, "all but the marker are told");
    assert!(files(&root).is_empty() && control.mirrors().await.unwrap().is_empty());
    let events = lab
        .sql_text("SELECT string_agg(event, ',' ORDER BY seq) FROM holdfast.audit_event WHERE event LIKE 'mirror%'")
        .await;
    assert_eq!(events, "mirror.on,mirror.emptied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_takes_only_a_place_of_its_own() {
    let (lab, root) = mirrored().await;
    lab.backup.mirror_now("team", false).await.unwrap();
    lab.backup.store.build_tenant(&"other".parse().unwrap(), TenantState::Active).await.unwrap();
    let used = lab.folder.path().join("used");
    std::fs::create_dir(&used).unwrap();
    std::fs::write(used.join("mine.txt"), "precious").unwrap();
    let places = [
        used.clone(),
        root.clone(),
        root.join("notes"),
        lab.folder.path().join("s3/x"),
        lab.folder.path().join("files"),
        lab.folder.path().to_owned(),
    ];
    for place in places {
        let refused = lab.backup.mirror_on("other", Some(place.to_str().unwrap()), "command").await.unwrap_err();
        assert_eq!(refused.exit(), runtime::exit::Code::Refused, "{}: {refused}", place.display());
    }
    assert_eq!(std::fs::read_to_string(used.join("mine.txt")).unwrap(), "precious");
    assert!(matches!(lab.backup.mirror_now("other", false).await, Err(crate::Error::NoMirror(_))));
    assert!(lab.backup.mirror_on("team", Some("/elsewhere"), "command").await.is_err(), "it has one");

    // kept files are the next mirror's when the same tenant is given the place again, and nobody else's
    lab.backup.mirror_off("team", true, "command").await.unwrap();
    assert!(root.join("notes/n-10.md").exists());
    assert!(lab.backup.mirror_on("other", Some(root.to_str().unwrap()), "command").await.is_err());
    lab.backup.mirror_on("team", Some(root.to_str().unwrap()), "command").await.unwrap();
    lab.backup.mirror_now("team", false).await.unwrap();
    let off = lab.backup.mirror_off("team", false, "command").await.unwrap();
    assert_eq!((off.removed, files(&root).len()), (22, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_in_a_bucket_has_a_prefix_of_its_own() {
    let mut lab = Lab::new().await;
    lab.fill(6, &Chance::seeded(502)).await;
    let folder = lab.folder.path().join("buckets");
    let s3 = runtime::s3::S3Server::start(&folder, "127.0.0.1:0".parse().unwrap(), "access", "secret").await.unwrap();
    lab.backup.mirrors.s3 = Some(objects::S3Config::new(s3.url(), "holdfast", "access", "secret"));
    let refused = lab.backup.mirror_on("team", Some("s3://holdfast/team"), "command").await.unwrap_err();
    assert!(refused.to_string().contains("the bucket of the backup store"), "{refused}");
    lab.backup.mirror_on("team", Some("s3://plain-notes/team"), "command").await.unwrap();
    let report = lab.backup.mirror_now("team", false).await.unwrap();
    assert_eq!((report.written, report.place.as_str()), (8, "s3://plain-notes/team"));
    let root = folder.join("plain-notes/team");
    assert!(files(&root).contains("notes/n-10.md") && files(&root).contains("files/a-5/f5.bin"), "{:?}", files(&root));
    assert_eq!(lab.backup.mirror_off("team", false, "command").await.unwrap().removed, 8);
    assert!(files(&root).is_empty());
    s3.stop().await;
}
