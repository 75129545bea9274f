//! Kills in the middle of points, prunes, restores and swaps, while members write: no half point counts, no half tenant stays,
//! nothing is lost. A relay before the store stops the command at a request that was chosen, and there it is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::chance::Chance;
use serde_json::Value;
use testkit::faults::{Fault, Stage};

use super::http::Client;
use super::process::{Installation, PASSWORD, listing};
use super::reading::Superuser;
use super::store_faults::Place;

/// A kind of request by which a command can be stopped: method, words of its address, how many of them there are at least.
type Phase = (&'static str, &'static str, u64);

const POINT: &[&str] = &["backup", "run", "--tenant", "acme"];
/// Pieces of tables, files, the pack, the manifest; then it is read back, and enters the log.
const OF_A_POINT: [Phase; 6] = [
    ("PUT", "/c/", 1),
    ("PUT", "/f/", 1),
    ("PUT", "/pack", 1),
    ("PUT", "/manifest.json", 1),
    ("GET", "/c/", 2),
    ("PUT", "/l/", 1),
];
const RESTORE: &[&str] = &["restore", "run", "latest", "--tenant", "acme", "--as", "copy"];
/// Read to be verified, then to be loaded.
const OF_A_RESTORE: [Phase; 3] = [("GET", "/c/", 4), ("GET", "/f/", 2), ("GET", "/manifest.json", 1)];
const PRUNE: &[&str] = &["backup", "prune", "--tenant", "acme", "--yes"];
/// A point goes; then what nobody needs.
const OF_A_PRUNE: [Phase; 3] = [("DELETE", "/manifest.json", 1), ("DELETE", "/pack", 1), ("POST", "?delete", 1)];

/// What is killed, by turns; nothing of a swap goes through the store.
const TURNS: [&str; 10] = ["point", "restore", "point", "prune", "point", "swap", "point", "restore", "point", "point"];

/// Writes notes one after the other until it is told to stop; puts down what was acknowledged.
struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Writer {
    fn start(client: Client) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, log) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let body = serde_json::json!({"content": "acknowledged", "visibility": "PRIVATE"});
                let name = client.post("/api/v1/memos", &body)["name"].as_str().unwrap().to_owned();
                log.lock().unwrap().push(name);
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        Self { stop, acknowledged, thread }
    }

    fn written(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        Arc::try_unwrap(self.acknowledged).unwrap().into_inner().unwrap()
    }
}

fn names(all: &Value, list: &str, name: &str) -> Vec<String> {
    all[list].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
}

/// Runs a command and kills it after a while; whether it had ended before.
fn kill_in_the_middle(place: &Installation, words: &[&str], after: Duration) -> bool {
    let mut child = place.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ended = super::process::wait(&mut child, after).is_some();
    child.kill().ok();
    child.wait().unwrap();
    ended
}

/// Runs a command and kills it where the relay stops it; none when it never came there and ended.
fn kill_at(site: &Place, words: &[&str], stop: Fault) -> Option<String> {
    site.relay.set(stop);
    let mut child = site.place.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (began, mut stopped) = (Instant::now(), None);
    while stopped.is_none() && child.try_wait().unwrap().is_none() {
        stopped = site.relay.stopped(Duration::from_millis(50));
        assert!(began.elapsed() < Duration::from_secs(180), "{words:?} neither ends nor comes there");
    }
    child.kill().ok();
    child.wait().unwrap();
    site.relay.set(Fault::None);
    stopped
}

/// What must hold after every kill.
fn holds(place: &Installation, database: &Superuser, client: &Client, acknowledged: &[String]) {
    assert!(!acknowledged.is_empty(), "somebody wrote meanwhile");
    for name in acknowledged {
        assert_eq!(client.status(&format!("/api/v1/{name}")), 200, "{name} was acknowledged");
    }
    let points = place.run(&["backup", "list", "--tenant", "acme"]).ok();
    for point in names(&points, "points", "point") {
        let shown = place.run(&["backup", "show", &point]);
        assert_eq!(shown.code, 0, "a point that is listed is whole: {shown:?}");
    }
    // whichever rows are live, they are all of one side
    let quiet = place.run(&["tenant", "show", "quiet"]).ok();
    let (schema, notes) = (quiet["schema"].as_str().unwrap(), quiet["notes"].as_u64().unwrap());
    let side = database.sql(&format!("SELECT count(DISTINCT content) || ' ' || count(*) FROM {schema}.note"));
    assert_eq!(side.trim(), format!("1 {notes}"), "a swap is whole or has not been: {quiet}");
}

/// Every object that no remaining point needs, every file, schema and half tenant that belongs to nobody.
fn orphans(place: &Installation, database: &Superuser) -> Vec<String> {
    let store = place.path("s3").join("points");
    let key = |path: &Path, root: &Path| path.strip_prefix(root).unwrap().display().to_string();
    let mut needed = BTreeSet::new();
    for line in
        database.sql("SELECT concat_ws(' ', replace(tenant_id::text, '-', ''), point) FROM holdfast.point").lines()
    {
        let (tenant, point) = line.split_once(' ').unwrap();
        let manifest = format!("t/{tenant}/p/{point}/manifest.json");
        let document: Value = serde_json::from_slice(&std::fs::read(store.join(&manifest)).unwrap()).unwrap();
        needed
            .extend(document["objects"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned()));
        needed.insert(manifest);
    }
    let kept = listing(&store).into_iter().filter(|entry| entry.0.is_file());
    let mut left: Vec<String> = kept.map(|entry| key(&entry.0, &store)).collect();
    // the log outlives its points, keys belong to tenants
    left.retain(|key| !key.starts_with("l/") && !key.starts_with("k/") && !needed.contains(key));

    // files of a tenant that is noted as deleted go by and by
    let noted = "SELECT replace(id::text, '-', '') FROM holdfast.tenant UNION ALL \
                 SELECT replace(tenant_id::text, '-', '') FROM holdfast.tenant_deletion WHERE files_gone_at IS NULL";
    let tenants = database.sql(noted);
    let files = place.path("files");
    let of_nobody = |path: &String| !tenants.lines().any(|tenant| path.contains(tenant));
    let stored = listing(&files).into_iter().filter(|entry| entry.0.is_file());
    let unfinished = |path: &String| !path.starts_with(".holdfast-tmp/");
    // a worker sweeps unfinished writes to the file store when they are a day old
    left.extend(stored.map(|entry| key(&entry.0, &files)).filter(unfinished).filter(of_nobody));
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_[a-z2-7]{13}$' \
                   AND nspname NOT IN (SELECT schema_id FROM holdfast.tenant ) \
                   AND nspname NOT IN (SELECT schema_id FROM holdfast.stock_schema)";
    left.extend(database.sql(schemas).lines().map(str::to_owned));
    let half = "SELECT slug FROM holdfast.tenant WHERE state = 'provisioning'";
    left.extend(database.sql(half).lines().map(|slug| format!("half a tenant: {slug}")));
    left
}

/// Manifests of points that never came into the books are old, too; those of others say when their points were taken.
fn age_unknown(place: &Installation, database: &Superuser) {
    let known = database.sql("SELECT point FROM holdfast.point");
    for (path, ..) in listing(&place.path("s3")) {
        if path.ends_with("manifest.json") && !known.lines().any(|point| path.parent().unwrap().ends_with(point)) {
            let old = std::time::SystemTime::now() - Duration::from_secs(3 * 86_400);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
    }
}

/// Tenants with something in them, and points of both.
fn prepare(site: &mut Place) {
    let (place, database) = (&mut site.place, &site.database);
    place.set("retention", "within=0m");
    place.set("backup_changed_after", 0);
    place.tenant("acme");
    place.tenant("quiet");
    let schema = |slug: &str| place.run(&["tenant", "show", slug]).ok()["schema"].as_str().unwrap().to_owned();
    let fill = |slug: &str, text: &str, count: u32| {
        let schema = schema(slug);
        database.sql(&format!(
            "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
             SELECT 10000 + g, 'n-' || g, (SELECT min(id) FROM {schema}.member), g, g, 'PRIVATE', {text} FROM generate_series(1, {count}) g"
        ));
    };
    // above 4 MiB after compression: rows become objects of their own that points share
    let noise =
        "(SELECT string_agg(encode(sha256((g || '-' || k)::bytea), 'base64'), '') FROM generate_series(1, 48) k)";
    fill("acme", noise, 2900);
    fill("quiet", "'older'", 300);
    for slug in ["acme", "quiet"] {
        place.run(&["backup", "run", "--tenant", slug]).ok();
    }
    database.sql(&format!("UPDATE {}.note SET content = 'newer'", schema("quiet")));
    // nothing goes without a proof
    database.sql("UPDATE holdfast.point SET state = 'proven', proven_at = now()");
}

/// What each kind of command is stopped at next: by turns, so that every phase is hit as often as the others.
struct Aim {
    chance: Chance,
    turns: BTreeMap<&'static str, usize>,
}

impl Aim {
    fn next(&mut self, what: &'static str) -> Option<(Phase, Fault)> {
        let phases: &[Phase] = match what {
            "point" => &OF_A_POINT,
            "restore" => &OF_A_RESTORE,
            "prune" => &OF_A_PRUNE,
            _ => return None,
        };
        let first = self.chance.below(phases.len() as u64) as usize;
        let turn = self.turns.entry(what).or_insert(first);
        let phase @ (method, words, count) = phases[*turn % phases.len()];
        *turn += 1;
        let stages: &[Stage] =
            if method == "PUT" { &[Stage::Before, Stage::Half, Stage::After] } else { &[Stage::Before, Stage::After] };
        let stage = stages[self.chance.below(stages.len() as u64) as usize];
        let nth = 1 + self.chance.below(count);
        Some((phase, Fault::Stop { method, words, nth, stage }))
    }
}

/// So that a point has pieces and a file to send, and a prune something to remove.
fn give_work(site: &Place, client: &Client, what: &str, chance: &Chance, schema: &str) {
    match what {
        "point" => {
            // all of it: what has changed goes into the pack unless it is above 4 MiB
            let sql = format!("UPDATE {schema}.note SET content = md5('{}' || id) || content", chance.u64());
            site.database.sql(&format!("{sql} WHERE id BETWEEN 10000 AND 13000"));
            let noise = chance.text(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/", 100_000);
            let body =
                serde_json::json!({"filename": "noise.bin", "type": "application/octet-stream", "content": noise});
            client.post("/api/v1/attachments", &body);
        }
        "prune" => {
            site.place.run(POINT).ok();
            // three days later: nothing is in the making any more, and what nobody needs is old enough to go
            site.database.sql("UPDATE holdfast.point_running SET started_at = now() - interval '3 days'");
            super::ages::age(&site.place.path("s3"));
        }
        _ => {}
    }
}

fn interrupted(kills: usize, seed: u64) {
    println!("seed {seed}, {kills} kills");
    let mut site = Place::new();
    prepare(&mut site);
    let (place, database) = (&site.place, &site.database);
    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    let server = place.serve(&["--no-worker"]);
    let sign_in = || Client::sign_in(format!("{}/t/acme", server.url()), "maria", PASSWORD);
    let (client, writer) = (sign_in(), Writer::start(sign_in()));
    let mut aim = Aim { chance: Chance::seeded(seed), turns: BTreeMap::new() };
    // with a file, so that the first restore has one to bring
    give_work(&site, &client, "point", &aim.chance, &schema);
    place.run(POINT).ok();
    let (mut planned, mut hit, mut missed) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new(), Vec::new());
    let mut looked_at = 0;
    for (number, what) in TURNS.into_iter().cycle().take(kills).enumerate() {
        give_work(&site, &client, what, &aim.chance, &schema);
        match aim.next(what) {
            Some((phase, stop)) => {
                let words = match what {
                    "point" => POINT,
                    "restore" => RESTORE,
                    _ => PRUNE,
                };
                let name = format!("{what}: {} {}", phase.0, phase.1);
                *planned.entry(name.clone()).or_default() += 1;
                match kill_at(&site, words, stop.clone()) {
                    Some(_) => *hit.entry(name).or_default() += 1,
                    None => missed.push(format!("{name} {stop:?}")),
                }
            }
            None => {
                let other = format!("quiet-{number}");
                place.run(&["restore", "run", "latest", "--tenant", "quiet", "--as", &other]).ok();
                let after = Duration::from_millis(40 + aim.chance.below(260));
                kill_in_the_middle(place, &["restore", "swap", "quiet", &other, "--yes"], after);
            }
        }
        let written = writer.written();
        holds(place, database, &client, &written[looked_at..]);
        looked_at = written.len() - 1;
        if what == "swap" {
            // and back; refused when the killed one had done nothing
            place.run(&["restore", "undo", "quiet", "--yes"]);
        }
        if what == "restore" && place.run(&["tenant", "show", "copy"]).code == 0 {
            place.run(&["tenant", "delete", "copy", "--yes", "--grace", "0d"]);
        }
    }
    let acknowledged = writer.stop();
    let (aimed, times): (u32, u32) = (planned.values().sum(), hit.values().sum());
    println!("{times} of {aimed} kills that were aimed hit, in {} of {} phases: {hit:#?}", hit.len(), planned.len());
    println!("missed: {missed:?}; {} notes were written meanwhile", acknowledged.len());
    assert!(times * 10 >= aimed * 8, "kills hit where they were aimed: {missed:?}");
    assert!(hit.len() * 10 >= planned.len() * 8, "in nearly all phases that were planned: {planned:?}, {hit:?}");

    // the next run of each is clean
    let point = place.run(POINT).ok();
    assert!(point["notes"].as_u64() >= Some(2900 + acknowledged.len() as u64), "{point}");
    let restored = place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "final"]).ok();
    assert_eq!(restored["notes"], point["notes"]);
    for name in &acknowledged {
        assert_eq!(client.status(&format!("/api/v1/{name}")), 200, "{name} was acknowledged");
    }
    // three days later: nothing is in the making any more, and what nobody needs is old enough to go
    database.sql("UPDATE holdfast.point_running SET started_at = now() - interval '3 days'");
    super::ages::age(&place.path("s3"));
    age_unknown(place, database);
    place.run(&["backup", "prune", "--yes"]).ok();
    let left = orphans(place, database);
    assert!(left.is_empty(), "{} orphans after the next run: {left:#?}", left.len());
    for point in names(&place.run(&["backup", "list", "--tenant", "acme"]).ok(), "points", "point") {
        place.run(&["backup", "verify", &point]).ok();
    }
    assert_eq!(place.run(&["audit", "verify"]).ok()["broken"], Value::Null);
    server.stop();
}

#[test]
fn ten_kills_of_points_restores_prunes_and_swaps() {
    interrupted(10, 20_261_122);
}

#[test]
#[ignore = "a hundred kills: make soak"]
fn soak_a_hundred_kills_of_points_restores_prunes_and_swaps() {
    interrupted(100, super::histories::soak_seed());
}
