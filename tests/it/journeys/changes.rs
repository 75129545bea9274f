//! From a change to a point that holds it: measured by those who write, not by what the product says of itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use admin::{Admin, By};
use backup::{Backup, KeyDirectory, PointOptions};
use identity::{NewToken, TokenScope};
use objects::{FileStore, ObjectStore};
use store::TenantScope;

use super::http::Client;
use super::process::{Installation, PASSWORD, until};
use super::reading::{Superuser, database};

/// When each note was acknowledged, by tenant.
type Acknowledged = Arc<Mutex<BTreeMap<String, Vec<(String, Instant)>>>>;

/// How many are written, for how long, and how much time passes between two notes of one.
#[derive(Clone, Copy)]
struct Plan {
    tenants: u64,
    seconds: u64,
    pause: Duration,
}

/// Writes a note at a time to each of the tenants, and puts down when each was acknowledged.
fn write(base: &str, tokens: &[(String, String)], pause: Duration, stop: &Arc<AtomicBool>, log: &Acknowledged) {
    std::thread::scope(|scope| {
        for (slug, token) in tokens {
            let client = Client::new(format!("{base}/t/{slug}"), Some(token));
            scope.spawn(move || {
                // not all at the same moment
                std::thread::sleep(pause.mul_f64(f64::from(slug.bytes().last().unwrap_or(0) % 10) / 10.0));
                while !stop.load(Ordering::Relaxed) {
                    let body = serde_json::json!({"content": "steady", "visibility": "PRIVATE"});
                    let name = client.post("/api/v1/memos", &body)["name"].as_str().unwrap().to_owned();
                    let uid = name.trim_start_matches("memos/").to_owned();
                    log.lock().unwrap().entry(slug.clone()).or_default().push((uid, Instant::now()));
                    std::thread::sleep(pause);
                }
            });
        }
    });
}

/// The newest verified point of each tenant, and how many notes it holds.
fn held(database: &Superuser) -> BTreeMap<String, u64> {
    let sql = "SELECT slug || ' ' || max(notes) FROM holdfast.point WHERE state = 'verified' AND slug <> '_control' GROUP BY slug";
    database
        .sql(sql)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(slug, notes)| (slug.to_owned(), notes.parse().unwrap()))
        .collect()
}

/// The worst RPO of all tenants as the server's metrics tell it.
fn gauge(ops: &Client) -> Option<f64> {
    let text = ops.send("GET", "/metrics", None).ok()?.text();
    text.lines().find_map(|line| line.strip_prefix("holdfast_restore_rpo_seconds "))?.trim().parse().ok()
}

/// Tenants with their owner's token by the same rules as the commands, four at a time; and what was made before the writers
/// begin is in a point, so that the gauge has nothing to tell but of them.
fn people(place: &Installation, url: &str, tenants: u64) -> Vec<(String, String)> {
    // makes the control plane, and the keys
    place.run(&["tenant", "list"]).ok();
    place.run(&["backup", "run", "--control"]).ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store::Store::connect(store::Config::from_url(url, None, None).unwrap()).await.unwrap();
        store.attach().await.unwrap();
        let files = FileStore::over(ObjectStore::directory(place.path("files")).unwrap());
        let keys = KeyDirectory::open(&place.data().join("keys")).unwrap().0;
        let objects = ObjectStore::directory(place.path("store")).unwrap();
        let backup = Backup::new(store.clone(), objects, files.clone(), keys);
        let admin = Admin::new(store, files);
        let began = Instant::now();
        let mut made = Vec::new();
        for four in (0..tenants).map(|number| format!("steady-{number}")).collect::<Vec<_>>().chunks(4) {
            let tasks: Vec<_> =
                four.iter().map(|slug| tokio::spawn(person(admin.clone(), backup.clone(), slug.clone()))).collect();
            for (slug, task) in four.iter().zip(tasks) {
                made.push((slug.clone(), task.await.unwrap()));
            }
        }
        println!("{tenants} tenants, each with a point, in {:.1} s", began.elapsed().as_secs_f64());
        made
    })
}

/// A tenant that is in a point; the token of its owner.
async fn person(admin: Admin, backup: Backup, slug: String) -> String {
    let (owner, password) = ("maria".to_owned(), PASSWORD.to_owned());
    let new = admin::tenants::NewTenant { slug: slug.clone(), owner, password, hosts: Vec::new(), public_url: None };
    let tenant = admin::tenants::create(&admin, &By::Command, new).await.unwrap();
    let new = NewToken { description: "steady", days: 0, scope: TokenScope::Write };
    let token = admin::members::create_token(&admin, &slug, "maria", new).await.unwrap().secret;
    let options = PointOptions { trigger: "command", actor: "test".to_owned(), markdown: true };
    let point = backup.take_point(&TenantScope::for_command(tenant, "backup run"), &options).await.unwrap();
    assert!(backup.verify_point(&point.point, "test").await.unwrap().problems.is_empty());
    token
}

/// Every tenant is written by one writer alone, so its n-th acknowledgement is held as soon as a point has n notes. Gives
/// back the largest time of all.
fn steady(plan: Plan) -> Duration {
    let Plan { tenants, seconds, pause } = plan;
    let (url, database) = database();
    let place = Installation::on(&url);
    let tokens = people(&place, &url, tenants);
    let server = place.serve(&[]);
    let (stop, log) = (Arc::new(AtomicBool::new(false)), Acknowledged::default());
    let (base, writer) = (server.url(), (Arc::clone(&stop), Arc::clone(&log)));
    let writing = std::thread::spawn(move || write(&base, &tokens, pause, &writer.0, &writer.1));
    let (began, mut largest) = (Instant::now(), BTreeMap::<String, Duration>::new());
    let mut seen = BTreeMap::<String, u64>::new();
    let ops = Client::new(server.ready["ops_url"].as_str().unwrap(), None);
    // what the gauge said whenever it said something new, and what the log had to say before and after
    let (mut said, mut own, mut told) = (0.0, 0.0_f64, Vec::new());
    let mut look = |largest: &mut BTreeMap<String, Duration>| {
        let (now, points) = (Instant::now(), held(&database));
        let all = log.lock().unwrap().clone();
        let (mut missing, mut oldest) = (0, None::<Instant>);
        for (slug, notes) in &all {
            let (before, after) = (seen.get(slug).copied().unwrap_or(0), points.get(slug).copied().unwrap_or(0));
            for (_, at) in notes.iter().take(after as usize).skip(before as usize) {
                let lag = now - *at;
                let slot = largest.entry(slug.clone()).or_default();
                *slot = (*slot).max(lag);
            }
            seen.insert(slug.clone(), after);
            oldest = oldest.into_iter().chain(notes.get(after as usize).map(|(_, at)| *at)).min();
            missing += notes.len().saturating_sub(after as usize);
        }
        let worst = oldest.map_or(0.0, |at| (now - at).as_secs_f64());
        if let Some(gauge) = gauge(&ops).filter(|gauge| (*gauge - said).abs() > f64::EPSILON) {
            told.push((gauge, own.min(worst), own.max(worst)));
            said = gauge;
        }
        own = worst;
        missing
    };
    while began.elapsed() < Duration::from_secs(seconds) {
        look(&mut largest);
        std::thread::sleep(Duration::from_millis(250));
    }
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    until(Duration::from_secs(90), "every acknowledged note is in a verified point", || look(&mut largest) == 0);
    let worst = largest.values().max().copied().unwrap_or_default();
    let notes: usize = log.lock().unwrap().values().map(Vec::len).sum();
    println!(
        "{tenants} tenants written for {seconds} s, {notes} notes: change → restorable at most {:.1} s",
        worst.as_secs_f64()
    );
    println!("the gauge, and the log just before and after: {told:.1?}");
    assert!(
        !told.is_empty() && told.iter().all(|(gauge, low, high)| low - 5.0 < *gauge && *gauge < high + 5.0),
        "{told:?}"
    );
    assert!(largest.len() == tenants as usize, "a point of each tenant was taken by itself: {largest:?}");
    let control = database.sql("SELECT count(*) FROM holdfast.point WHERE slug = '_control' AND state = 'verified'");
    assert!(control.trim().parse::<u32>().unwrap() > 0, "the control plane got a point by itself");
    server.stop();
    worst
}

#[test]
fn what_is_written_is_soon_in_a_point_without_a_schedule() {
    steady(Plan { tenants: 100, seconds: 60, pause: Duration::from_secs(2) });
}

#[test]
#[ignore = "a hundred tenants for ten minutes: make soak"]
fn soak_a_hundred_tenants_are_written_for_ten_minutes() {
    let worst = steady(Plan { tenants: 100, seconds: 600, pause: Duration::from_millis(500) });
    assert!(worst <= Duration::from_secs(60), "change → restorable took {:.1} s", worst.as_secs_f64());
}
