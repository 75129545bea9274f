//! From a change to a point that holds it: measured by those who write, not by what the product says of itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::http::Client;
use super::process::{Installation, until};
use super::reading::{Superuser, database};

/// When each note was acknowledged, by tenant.
type Acknowledged = Arc<Mutex<BTreeMap<String, Vec<(String, Instant)>>>>;

/// Writes a note a second to each of the tenants, and puts down when each was acknowledged.
fn write(base: &str, tokens: &[(String, String)], stop: &Arc<AtomicBool>, log: &Acknowledged) {
    std::thread::scope(|scope| {
        for (slug, token) in tokens {
            let client = Client::new(format!("{base}/t/{slug}"), Some(token));
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let body = serde_json::json!({"content": "steady", "visibility": "PRIVATE"});
                    let name = client.post("/api/v1/memos", &body)["name"].as_str().unwrap().to_owned();
                    let uid = name.trim_start_matches("memos/").to_owned();
                    log.lock().unwrap().entry(slug.clone()).or_default().push((uid, Instant::now()));
                    std::thread::sleep(Duration::from_millis(500));
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

/// Every tenant is written by one writer alone, so its n-th acknowledgement is held as soon as a point has n notes. Gives
/// back the largest time of all.
fn steady(tenants: u32, seconds: u64) -> Duration {
    let (url, database) = database();
    let place = Installation::on(&url);
    let tokens: Vec<(String, String)> = (0..tenants)
        .map(|number| {
            let slug = format!("steady-{number}");
            let token = place.tenant(&slug);
            (slug, token)
        })
        .collect();
    // what was made before the writers began is in a point, so that the gauge has nothing to tell but of them
    for (slug, _) in &tokens {
        place.run(&["backup", "run", "--tenant", slug]).ok();
    }
    let server = place.serve(&[]);
    let (stop, log) = (Arc::new(AtomicBool::new(false)), Acknowledged::default());
    let (base, writer) = (server.url(), (Arc::clone(&stop), Arc::clone(&log)));
    let writing = std::thread::spawn(move || write(&base, &tokens, &writer.0, &writer.1));
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
    println!("{tenants} tenants written for {seconds} s: change → restorable at most {:.1} s", worst.as_secs_f64());
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
    steady(6, 16);
}

#[test]
#[ignore = "a hundred tenants for ten minutes: make soak"]
fn soak_a_hundred_tenants_are_written_for_ten_minutes() {
    let worst = steady(100, 600);
    assert!(worst <= Duration::from_secs(60), "change → restorable took {:.1} s", worst.as_secs_f64());
}
