//! Forty folders at once: mixed releases, one corrupt, one with a taken slug, one live and being written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;
#[path = "common/old.rs"]
#[allow(dead_code)]
mod old;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::house;
use domain::chance::Chance;
use domain::tenant::TenantState;
use migrate::{House, Options, Outcome, Plan, run_plan};
use old::{Old, VERSIONS};

/// A process of its own that writes one memo after the other.
struct Writer(Child);

impl Writer {
    fn on(database: &Path) -> Option<Self> {
        let script = format!(
            "PRAGMA journal_mode = WAL;\n.timeout 5000\n{}",
            "INSERT INTO memo (uid, creator_id, content) VALUES (lower(hex(randomblob(8))), 1, 'written while imported');\n".repeat(200_000)
        );
        let file = database.with_extension("sql");
        std::fs::write(&file, script).unwrap();
        let child = Command::new("sqlite3")
            .arg(database)
            .stdin(std::fs::File::open(&file).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.ok().map(Self)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folders(root: &Path, count: usize) -> Vec<(String, PathBuf)> {
    (0..count)
        .map(|number| {
            let folder = root.join(format!("memos-{number:02}"));
            std::fs::create_dir(&folder).unwrap();
            Old::build(&folder, &VERSIONS[number % VERSIONS.len()], &Chance::seeded(number as u64));
            (format!("team-{number:02}"), folder)
        })
        .collect()
}

fn plan_file(root: &Path, folders: &[(String, PathBuf)]) -> PathBuf {
    let mut text = String::from("parallel = 3\n");
    for (slug, folder) in folders {
        text.push_str(&format!(
            "\n[[tenant]]\nslug = \"{slug}\"\nsource = \"{}\"\nhosts = [\"{slug}.example.org\"]\n",
            folder.display()
        ));
    }
    let path = root.join("tenants.toml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn go(house: &House, plan: &Path, data: &Path) -> Vec<Outcome> {
    let plan = Plan::read(plan).unwrap();
    let mut lines = 0;
    let outcomes = run_plan(house, plan, data, &Options::default(), &mut |_| lines += 1).await;
    assert_eq!(lines, outcomes.len());
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_folders_become_tenants_and_two_are_refused_by_name() {
    let (root, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut house = house(data.path()).await;
    let folders = folders(root.path(), 40);
    // One is corrupt, one slug is taken, one is live and being written.
    std::fs::write(folders[7].1.join("memos_prod.db"), b"SQLite format 3\0 and nothing more").unwrap();
    house.store.build_tenant(&"team-11".parse().unwrap(), TenantState::Active).await.unwrap();
    let live = folders.iter().position(|(slug, _)| slug == "team-28").unwrap();
    let writer = Writer::on(&folders[live].1.join("memos_prod.db"));
    let plan = plan_file(root.path(), &folders);
    // The first attempt dies after a while: the file store goes away.
    let works = house.files.clone();
    let outcomes = go(&house, &plan, data.path()).await;
    drop(writer);
    let refused: Vec<(&str, &str)> = outcomes
        .iter()
        .filter(|outcome| outcome.is_refused())
        .map(|outcome| (outcome.slug.as_str(), outcome.report.errors[0].code.as_str()))
        .collect();
    let mut refused = refused;
    refused.sort_unstable();
    assert_eq!(refused.iter().map(|(slug, _)| *slug).collect::<Vec<_>>(), ["team-07", "team-11"], "{refused:?}");
    assert_eq!(refused[1].1, "slug_taken");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.outcome == "imported").count(), 38);
    for (slug, _) in folders.iter().filter(|(slug, _)| !["team-07", "team-11"].contains(&slug.as_str())) {
        let tenant = house.store.registry().by_slug(slug).await.unwrap().unwrap_or_else(|| panic!("{slug}"));
        assert_eq!(tenant.state, TenantState::Closed, "{slug}");
        assert_eq!(tenant.hosts, [format!("{slug}.example.org")], "{slug}");
    }
    assert!(house.store.registry().by_slug("team-07").await.unwrap().is_none(), "nothing of a refused one stays");
    // Once more: only what is missing is done.
    house.files = works;
    migrate::rollback(&house, &"team-03".parse().unwrap(), "test").await.unwrap();
    let again = go(&house, &plan, data.path()).await;
    let of = |outcome: &str| {
        again.iter().filter(|one| one.outcome == outcome).map(|one| one.slug.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("imported"), ["team-03"]);
    assert_eq!(of("already").len(), 37);
    assert_eq!(of("refused").len(), 2);
    migrate::open_tenant(&house, &"team-03".parse().unwrap(), "test").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_killed_is_taken_up_again() {
    let (root, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let house = house(data.path()).await;
    migrate::sample::write_sample(root.path(), &Chance::seeded(4)).unwrap();
    let run = common::run_of(root.path(), data.path());
    // What a killed process leaves: a tenant in the making, some of its files, no rows.
    let report = migrate::run(&house, &run).await.unwrap();
    let tenant = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    let event = store::AuditEvent { actor: "test", event: "test", object: "acme", detail: serde_json::json!({}) };
    let change = store::TenantChange::State(TenantState::Provisioning);
    house.store.registry().change(tenant.id, &change, &event).await.unwrap();
    let files = house.files.list(tenant.id).await.unwrap();
    for gone in files.iter().take(files.len() / 2) {
        house.files.delete(&gone.key).await.unwrap();
    }
    let again = migrate::run(&house, &run).await.unwrap();
    assert_eq!(again.mapped, report.mapped);
    let after = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    assert_eq!((after.id, after.state), (tenant.id, TenantState::Closed), "the same tenant, complete");
    assert_eq!(house.files.list(tenant.id).await.unwrap().len(), files.len());
    let taken = migrate::run(&house, &run).await;
    assert!(matches!(taken, Err(migrate::Error::SlugTaken(_))), "{taken:?}");
}
