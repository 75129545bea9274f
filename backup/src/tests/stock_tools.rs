//! The recipe of docs/backup-format.md, run as it stands there: a point read without our code.

use std::process::Command;

use domain::chance::Chance;
use testkit::pg::{SUPERUSER, TestDatabase, server};

use super::Lab;
use crate::format::hash::Hash;

/// The shell block under the named heading.
fn recipe() -> String {
    let path = testkit::fixtures::workspace().join("docs/backup-format.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("## Reading a point without Holdfast").nth(1).expect("the recipe is in the document");
    section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipe_reads_rows_notes_and_files() {
    let lab = Lab::new().await;
    lab.fill(30, &Chance::seeded(21)).await;
    let point = lab.point().await;
    let empty = TestDatabase::create().await;
    let sheet = lab.folder.path().join("s3/sheet.txt");
    std::fs::write(&sheet, &lab.sheet).unwrap();
    let script = format!("set -eu\n{}\npwd\n", recipe());
    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(lab.folder.path().join("s3"))
        .env("tenant", lab.tenant.id.to_string())
        .env("name", &point.point)
        .env("PGHOST", &server().socket)
        .env("PGPORT", server().port.to_string())
        .env("PGUSER", SUPERUSER)
        .env("PGDATABASE", &empty.name)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let stdout = String::from_utf8(ran.stdout).unwrap();
    let work = std::path::PathBuf::from(stdout.lines().last().unwrap());

    let (there, here) = (empty.superuser().await, lab.database.superuser().await);
    for table in ["note", "member", "attachment"] {
        let sum = |prefix: &str| {
            format!(
                "SELECT count(*), coalesce(md5(string_agg(t::text, E'\\n' ORDER BY id)), '') FROM {prefix}{table} t"
            )
        };
        let theirs = there.query_one(&sum(""), &[]).await.unwrap();
        let ours = here.query_one(&sum(&format!("{}.", lab.tenant.schema)), &[]).await.unwrap();
        assert_eq!((theirs.get::<_, i64>(0), theirs.get::<_, String>(1)), (ours.get(0), ours.get(1)), "{table}");
    }
    let hashes = std::fs::read_to_string(work.join("note_hashes/000000")).unwrap();
    assert_eq!(hashes.lines().count(), 30);
    for line in hashes.lines() {
        let [uid, hash, ..] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let file = std::fs::read(work.join(format!("notes/{uid}.md"))).unwrap();
        assert_eq!(Hash::of(&file).to_string(), hash, "{uid}");
    }
    assert_eq!(std::fs::read_dir(work.join("file")).unwrap().count(), 2);
    std::fs::remove_dir_all(work).unwrap();
}
