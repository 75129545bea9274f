//! The whole appliance comes back from a store and the escrow sheet.

use std::path::Path;

use domain::chance::Chance;
use domain::tenant::TenantState;
use jobs::Runner;
use objects::{FileStore, ObjectStore};
use testkit::pg::TestDatabase;
use tokio::sync::watch;

use super::Lab;
use crate::keys::{KeyDirectory, read_sheet};
use crate::snapshot::PointOptions;
use crate::{Backup, Error, RestoreOptions, TenantBack};

pub(super) fn options() -> PointOptions {
    PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false }
}

/// Another machine: an empty database, no files, no keys; the same backup store and the sheet.
pub(super) async fn empty_machine(lab: &Lab, name: &str) -> Backup {
    machine_with(lab, name, &lab.sheet).await
}

/// The same with another sheet at hand.
pub(super) async fn machine_with(lab: &Lab, name: &str, sheet: &str) -> Backup {
    let store = TestDatabase::create().await.store().await;
    let home = lab.folder.path().join(name);
    let file = lab.folder.path().join("sheet");
    std::fs::write(&file, sheet).unwrap();
    let sheet = read_sheet(&file).unwrap();
    KeyDirectory::adopt_escrow(&home.join("keys"), &sheet.identity).unwrap();
    let (keys, printed) = KeyDirectory::open(&home.join("keys")).unwrap();
    assert!(printed.is_none(), "the sheet stays the one it was");
    let files = FileStore::over(ObjectStore::directory(home.join("files")).unwrap());
    Backup::new(store, lab.backup.objects.clone(), files, keys).with_sheet(sheet)
}

/// A connection to a machine's database that may do anything.
pub(super) async fn superuser_of(backup: &Backup) -> tokio_postgres::Client {
    let config = backup.store.config();
    let mut to = tokio_postgres::Config::new();
    to.host(&config.host).port(config.port).dbname(&config.database).user(testkit::pg::SUPERUSER);
    let (client, connection) = to.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn control_rows(backup: &Backup, table: &str, columns: &str) -> Vec<String> {
    let client = superuser_of(backup).await;
    let sql = format!("SELECT concat_ws('|', {columns}) FROM holdfast.{table} ORDER BY 1");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appliance_comes_back_with_its_tenants_and_what_it_remembers() {
    let lab = Lab::new().await;
    lab.fill(20, &Chance::seeded(61)).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    lab.sql("INSERT INTO access_token VALUES ('tok', 1, 'hash', '', 1, NULL, NULL); DELETE FROM access_token").await;
    let control = lab.backup.take_control_point(&options()).await.unwrap();
    assert_eq!((control.tenant.as_str(), control.state.as_str()), ("_control", "verified"));
    assert!(control.manifest.starts_with("t/_control/p/"), "{}", control.manifest);
    let refused = RestoreOptions { slug: "x".parse().unwrap(), dry_run: false, actor: "command".to_owned() };
    let refused = lab.backup.restore_point(&control.point, &refused).await.unwrap_err();
    assert!(refused.to_string().contains("restore instance"), "{refused}");

    // younger than the control point: a point of the same tenant, and another tenant
    lab.sql("UPDATE note SET content = 'younger' WHERE id = 10").await;
    let younger = lab.point().await.point;
    lab.backup.verify_point(&younger, "command").await.unwrap();
    lab.backup.store.build_tenant(&"late".parse().unwrap(), TenantState::Active).await.unwrap();
    lab.point_of("late").await;

    let place = empty_machine(&lab, "second").await;
    let report = place.restore_instance("command", |_| ()).await.unwrap();
    assert_eq!(report.control_point.as_deref(), Some(control.point.as_str()));
    let told: Vec<_> = report.tenants.iter().map(|t| (t.tenant.as_str(), t.notes, t.files, &t.problem)).collect();
    assert_eq!(told, [("late", 0, 0, &None), ("team", 20, 2, &None)], "{report:?}");
    assert_eq!(report.tenants[1].point.as_deref(), Some(younger.as_str()));
    assert!(report.rto_seconds > 0.0 && report.warnings.iter().any(|one| one.contains("late")), "{report:?}");

    let team = place.tenant("team").await.unwrap();
    assert_eq!((team.id, team.state), (lab.tenant.id, TenantState::Active));
    assert_eq!(place.tenant("late").await.unwrap().state, TenantState::Closed);
    for (table, columns) in
        [("ledger", "seq, tenant_id, kind, ref"), ("tenant_key", "tenant_id, key_id"), ("drill", "seq, report, hash")]
    {
        let (before, after) =
            (control_rows(&lab.backup, table, columns).await, control_rows(&place, table, columns).await);
        assert!(before.iter().all(|row| after.contains(row)), "{table}: {before:?} {after:?}");
    }
    let (before, after) = (
        control_rows(&lab.backup, "audit_event", "seq, previous_hash, hash").await,
        control_rows(&place, "audit_event", "seq, previous_hash, hash").await,
    );
    let kept = before.iter().filter(|row| after.contains(row)).count();
    assert!(kept > 3, "the chain goes on from where the control point was: {kept}");

    // its own drill identity opens what the sheet opened, and points go on
    let at_home = place.clone().with_identity(None);
    let again = at_home.verify_point(&younger, "command").await.unwrap();
    assert!(again.problems.is_empty() && again.seal_checked, "{:?}", again.problems);
    let scope = store::TenantScope::for_command(team, "test");
    assert!(place.store.oldest_unheld_change(&scope).await.unwrap().is_some(), "what was replayed is in no point yet");
    let next = at_home.take_point(&scope, &options()).await.unwrap();
    at_home.verify_point(&next.point, "command").await.unwrap();
    assert!(place.store.oldest_unheld_change(&scope).await.unwrap().is_none());

    let twice = place.restore_instance("command", |_| ()).await.unwrap_err();
    assert!(matches!(&twice, Error::Refused(what) if what.contains("empty database")), "{twice}");
}

/// Another process at the same machine: nothing is remembered but what lies in the database and in files.
async fn process_at(place: Backup, sheet: &Path) -> Backup {
    let store = store::Store::connect(place.store.config().clone()).await.unwrap();
    store.attach().await.unwrap();
    Backup::new(store, place.objects, place.files, place.keys).with_sheet(read_sheet(sheet).unwrap())
}

/// A restore of the appliance whose process is killed as soon as `when` is there: all of it ends where it is.
async fn killed(place: &Backup, sheet: &Path, when: impl AsyncFn() -> bool, told: fn(&TenantBack)) {
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (place, sheet) = (place.clone(), sheet.to_owned());
    let running = doomed.spawn(async move {
        let process = process_at(place, &sheet).await;
        process.restore_instance("command", told).await.map(drop)
    });
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !running.is_finished() && !when().await {
        assert!(std::time::Instant::now() < limit, "the restore went on for a minute");
        tokio::task::yield_now().await;
    }
    doomed.shutdown_background();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_of_the_appliance_that_is_killed_twice_goes_on_with_those_that_are_missing() {
    let lab = Lab::new().await;
    lab.fill(9, &Chance::seeded(63)).await;
    lab.point().await;
    for slug in ["apple", "berry", "cherry", "zebra"] {
        lab.backup.store.build_tenant(&slug.parse().unwrap(), TenantState::Active).await.unwrap();
        lab.point_of(slug).await;
    }
    lab.backup.take_control_point(&options()).await.unwrap();
    let place = empty_machine(&lab, "killed").await;
    let sheet = lab.folder.path().join("sheet");

    // once when the control plane has come back, once when the first tenant has
    killed(&place, &sheet, async || !place.store.returning().await.unwrap().is_empty(), |_| ()).await;
    assert!(!place.store.returning().await.unwrap().is_empty(), "it had ended before it was killed");
    killed(&place, &sheet, async || false, |_| panic!("killed")).await;
    let missing = place.store.returning().await.unwrap().len();
    assert!((1..5).contains(&missing), "{missing} are missing");

    let process = process_at(place, &sheet).await;
    let report = process.restore_instance("command", |_| ()).await.unwrap();
    assert!(report.control_point.is_none() && report.warnings[0].contains("carried on"), "{report:?}");
    assert!(report.tenants.iter().all(|one| one.problem.is_none()), "{report:?}");
    assert_eq!(report.tenants.len(), missing);
    let tenants = control_rows(&process, "tenant", "slug, state").await;
    assert_eq!(tenants, ["apple|active", "berry|active", "cherry|active", "team|active", "zebra|active"]);
    let team = store::TenantScope::for_command(process.tenant("team").await.unwrap(), "test");
    let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM note), (SELECT count(*) FROM attachment))";
    let counts: String = process.store.begin(&team).read_once(counts, &[]).await.unwrap()[0].get(0);
    assert_eq!(counts, "9 2");
    let stray = "SELECT count(*) FROM pg_namespace n WHERE n.nspname ~ '^t_[a-z0-9]{13}$' \
                 AND n.nspname NOT IN (SELECT schema_id FROM holdfast.tenant UNION ALL SELECT schema_id FROM holdfast.stock_schema)";
    let stray: i64 = superuser_of(&process).await.query_one(stray, &[]).await.unwrap().get(0);
    assert_eq!(stray, 0, "what was half there is gone");
    let events = control_rows(&process, "audit_event", "event, object").await;
    let noted = |what: &str| events.iter().filter(|one| one.starts_with(what)).count();
    assert_eq!((noted("tenant.returned"), noted("instance.restored")), (5, 1), "each once: {events:?}");
    let twice = process.restore_instance("command", |_| ()).await.unwrap_err();
    assert!(matches!(&twice, Error::Refused(_)), "{twice}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_control_points_or_of_others_is_told_and_the_next_best_is_taken() {
    let lab = Lab::new().await;
    lab.fill(4, &Chance::seeded(62)).await;
    lab.point().await;
    let place = empty_machine(&lab, "none").await;
    let none = place.restore_instance("command", |_| ()).await.unwrap_err();
    assert_eq!(none.exit(), runtime::exit::Code::NotFound, "{none}");

    let older = lab.backup.take_control_point(&options()).await.unwrap();
    let newer = lab.backup.take_control_point(&options()).await.unwrap();
    let stranger = place.clone().with_identity(Some(age::x25519::Identity::generate()));
    let foreign = stranger.restore_instance("command", |_| ()).await.unwrap_err();
    assert!(foreign.to_string().contains("does not open"), "{foreign}");

    let pack = newer.objects[0].key.clone();
    let mut bytes = std::fs::read(lab.file_of(&pack)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(lab.file_of(&pack), bytes).unwrap();
    let report = place.restore_instance("command", |_| ()).await.unwrap();
    assert_eq!(report.control_point, Some(older.point));
    assert!(report.warnings.iter().any(|one| one.contains(&newer.point)), "{:?}", report.warnings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_plane_gets_a_point_when_it_changes_and_only_then() {
    let lab = Lab::new().await;
    let (store, clock) = (lab.backup.store.clone(), domain::clock::Clock::System);
    let taken = async || {
        let handlers = crate::handlers(&lab.backup, "/nowhere".into(), "/nowhere".into(), super::work::nowhere());
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(Runner::new(store.clone(), handlers, 1, &Chance::System).run(stopped));
        let before = store.control().list_points(Some(domain::id::TenantId::CONTROL), 10).await.unwrap().len();
        for _ in 0..200 {
            let now = store.control().list_points(Some(domain::id::TenantId::CONTROL), 10).await.unwrap();
            if now.len() > before
                && now[0].state == "verified"
                && store
                    .control()
                    .setting("control_point")
                    .await
                    .unwrap()
                    .is_some_and(|at| at["point"] == now[0].point.as_str())
            {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        stop.send(true).unwrap();
        running.await.unwrap();
        store.control().list_points(Some(domain::id::TenantId::CONTROL), 10).await.unwrap().len()
    };
    assert!(crate::pick_up_control(&store, &clock).await.unwrap(), "there is none yet");
    assert_eq!(taken().await, 1);
    assert!(!crate::pick_up_control(&store, &clock).await.unwrap(), "nothing has changed");
    lab.point().await;
    assert!(crate::pick_up_control(&store, &clock).await.unwrap(), "the tenant has a key now");
    assert_eq!(taken().await, 2);
    lab.point().await;
    assert!(!crate::pick_up_control(&store, &clock).await.unwrap(), "points alone make none");
}
