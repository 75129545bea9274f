//! What is wrong with the place where a tenant shall be, or becomes so while it is made.

use migrate::{Error, Source, check};
use rusqlite::Connection;

use crate::common::{house, run_of};
use crate::{common, sample};

#[tokio::test]
async fn a_missing_file_is_a_warning_and_its_row_stays() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let gone = std::fs::read_dir(dir.path().join("assets")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&gone).unwrap();
    let data = tempfile::tempdir().unwrap();
    let house = house(data.path()).await;
    let report = migrate::run(&house, &run_of(dir.path(), data.path())).await.unwrap();
    assert_eq!(migrate::cli::verdict(&report).number(), 3);
    assert_eq!(report.warnings.len(), 1);
    assert_eq!(report.warnings[0].code, "missing_file");
    let name = gone.file_name().unwrap().to_string_lossy().into_owned();
    assert!(report.warnings[0].message.contains(&name), "{}", report.warnings[0].message);
    let tables = common::read_back(&house).await;
    assert_eq!(tables["attachment"].len(), 14);
    assert_eq!(tables["attachment"].iter().filter(|row| row["storage_key"] == "").count(), 1);
}

#[tokio::test]
async fn a_taken_slug_and_a_failing_file_store_leave_nothing() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    let mut house = house(data.path()).await;
    let run = run_of(dir.path(), data.path());
    let works = house.files.clone();
    // A store that cannot be written any more: its folder became a file.
    let blocked = data.path().join("blocked");
    std::fs::create_dir(&blocked).unwrap();
    house.files = objects::FileStore::open(&format!("file://{}", blocked.display()), None).unwrap();
    std::fs::remove_dir_all(&blocked).unwrap();
    std::fs::write(&blocked, b"").unwrap();
    let failed = migrate::run(&house, &run).await;
    assert!(matches!(failed, Err(Error::Files(_))), "{failed:?}");
    assert!(house.store.registry().by_slug("acme").await.unwrap().is_none(), "no tenant stays");
    house.files = works;
    migrate::run(&house, &run).await.unwrap();
    let again = migrate::run(&house, &run).await;
    assert!(matches!(again, Err(Error::SlugTaken(_))), "{again:?}");
}

/// Does something at the moment when loading begins.
fn when_loading(mut run: migrate::Run, act: impl Fn() + Send + Sync + 'static) -> migrate::Run {
    run.watch = migrate::Watch::new(move |step| {
        if matches!(step, migrate::Step::Loading { .. }) {
            act();
        }
    });
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_at_the_source_while_it_runs_changes_nothing_or_stops_it() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    let house = house(data.path()).await;
    let folder = dir.path().to_owned();
    // A file goes away between the check and its turn: nothing stays.
    let gone = std::fs::read_dir(folder.join("assets")).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read(&gone).unwrap();
    let file = gone.clone();
    let run = when_loading(run_of(&folder, data.path()), move || std::fs::remove_file(&file).unwrap());
    let failed = migrate::run(&house, &run).await;
    assert!(matches!(&failed, Err(Error::Source { code: "source_changed", .. } | Error::File { .. })), "{failed:?}");
    assert!(house.store.registry().by_slug("acme").await.unwrap().is_none(), "no tenant stays");
    std::fs::write(&gone, kept).unwrap();
    // Rows that are written meanwhile are not in the copy: what was checked is what is imported.
    let predicted = check(&Source::new(&folder, data.path(), false)).await.unwrap();
    let run = when_loading(run_of(&folder, data.path()), move || {
        let conn = Connection::open(folder.join("memos_prod.db")).unwrap();
        conn.execute_batch(
            "INSERT INTO memo (uid, creator_id, content) VALUES ('late', 1, 'late'); DELETE FROM memo WHERE id = 5",
        )
        .unwrap();
    });
    let report = migrate::run(&house, &run).await.unwrap();
    assert_eq!(common::promised(&predicted), common::promised(&report));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_lost_in_the_middle_leaves_nothing_that_opens() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    let database = testkit::pg::TestDatabase::create().await;
    let house = common::house_over(&database, data.path()).await;
    let (ask, asked) = std::sync::mpsc::channel::<std::sync::mpsc::Sender<()>>();
    let killing = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let Ok(done) = asked.recv() else { return };
        runtime.block_on(async {
            let client = database.superuser().await;
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
            client.query(sql, &[]).await.unwrap();
        });
        done.send(()).ok();
    });
    let mut run = run_of(dir.path(), data.path());
    run.watch = migrate::Watch::new(move |step| {
        if matches!(step, migrate::Step::Arrived { .. }) {
            let (done, ended) = std::sync::mpsc::channel();
            // Once: later there is nobody to ask.
            if ask.send(done).is_ok() {
                ended.recv().ok();
            }
        }
    });
    let failed = migrate::run(&house, &run).await;
    assert!(matches!(&failed, Err(Error::Store(_))), "{failed:?}");
    killing.join().unwrap();
    let left = house.store.registry().by_slug("acme").await.unwrap();
    assert!(left.is_none_or(|tenant| tenant.state == domain::tenant::TenantState::Provisioning), "nothing opens");
    let again = migrate::run(&house, &run_of(dir.path(), data.path())).await.unwrap();
    assert_eq!(again.mapped["note"], 236, "the next run does it");
}

#[tokio::test]
async fn open_and_rollback_are_for_closed_tenants() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(dir.path());
    let house = house(data.path()).await;
    let slug = "acme".parse().unwrap();
    assert!(matches!(migrate::rollback(&house, &slug, "test").await, Err(Error::NoTenant(_))));
    let (by_hand, closed) = ("by-hand".parse().unwrap(), domain::tenant::TenantState::Closed);
    house.store.build_tenant(&by_hand, closed).await.unwrap();
    assert!(matches!(migrate::rollback(&house, &by_hand, "test").await, Err(Error::NoImport(_))));
    assert!(house.store.registry().by_slug("by-hand").await.unwrap().is_some(), "it stays");
    let run = run_of(dir.path(), data.path());
    migrate::run(&house, &run).await.unwrap();
    let tenant = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    assert_eq!(tenant.state.as_str(), "closed");
    assert_eq!(house.files.list(tenant.id).await.unwrap().len(), 14);
    migrate::rollback(&house, &slug, "test").await.unwrap();
    assert!(house.store.registry().by_slug("acme").await.unwrap().is_none());
    assert!(house.files.list(tenant.id).await.unwrap().is_empty(), "files went too");
    migrate::run(&house, &run).await.unwrap();
    migrate::open_tenant(&house, &slug, "test").await.unwrap();
    let opened = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    assert_eq!(opened.state.as_str(), "active");
    assert!(matches!(migrate::rollback(&house, &slug, "test").await, Err(Error::WrongState { .. })));
}
