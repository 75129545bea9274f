//! Histories drawn by a seed: notes and files change, points are taken while others are pruned, commands are killed, what lies
//! in the store grows old. After each step every point that is left reads back whole, and what the rules keep is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use backup::{Backup, KeyDirectory};
use domain::chance::Chance;
use domain::clock::Clock;
use objects::{FileStore, ObjectStore};

use super::process::{Installation, program, until, wait};
use super::reading::{Superuser, database};
use super::weed::SeaweedFs;

/// So many that the tenant is above 4 MiB.
const NOTES: u64 = 2900;

/// What runs through a history.
struct History {
    place: Installation,
    database: Superuser,
    schema: String,
    chance: Chance,
    /// A folder whose objects can be made old; none where the store is a server.
    folder: Option<std::path::PathBuf>,
    backup: Backup,
    runtime: tokio::runtime::Runtime,
    counts: BTreeMap<&'static str, u32>,
}

/// A point as the control plane knows it: order, state, whether it is kept.
type Known = BTreeMap<String, (i64, String, bool)>;

impl History {
    fn new(seed: u64, objects: impl FnOnce(&mut Installation) -> (ObjectStore, Option<std::path::PathBuf>)) -> Self {
        let (url, database) = database();
        let mut place = Installation::on(&url);
        let (objects, folder) = objects(&mut place);
        place.set("retention", "within=0m");
        place.tenant("acme");
        let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
        // above 4 MiB after compression: rows become objects of their own that points share
        database.sql(&format!(
            "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
             SELECT 10000 + g, 'n-' || g, (SELECT min(id) FROM {schema}.member), g, g, 'PRIVATE', \
             (SELECT string_agg(encode(sha256((g || '-' || k)::bytea), 'base64'), '') FROM generate_series(1, 48) k) \
             FROM generate_series(1, {NOTES}) g"
        ));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let keys = place.data().join("keys");
        let first = place.run(&["backup", "run", "--tenant", "acme"]).ok();
        let shared = |object: &serde_json::Value| object["key"].as_str().unwrap().contains("/c/");
        assert!(first["objects"].as_array().unwrap().iter().filter(|object| shared(object)).count() > 1, "{first}");
        let backup = runtime.block_on(async {
            let store = store::Store::connect(store::Config::from_url(&url, None, None).unwrap()).await.unwrap();
            store.attach().await.unwrap();
            let files = FileStore::over(ObjectStore::directory(place.path("files")).unwrap());
            Backup::new(store, objects, files, KeyDirectory::open(&keys).unwrap().0)
        });
        Self { place, database, schema, chance: Chance::seeded(seed), folder, backup, runtime, counts: BTreeMap::new() }
    }

    fn known(&self) -> Known {
        let sql =
            "SELECT concat_ws(' ', point, seq, state, kept_until IS NOT NULL) FROM holdfast.point WHERE slug = 'acme'";
        self.database
            .sql(sql)
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words[0].to_owned(), (words[1].parse().unwrap(), words[2].to_owned(), words[3] == "t"))
            })
            .collect()
    }

    /// Starts a command that is waited for, or killed after a while.
    fn start(&self, words: &[&str]) -> Child {
        self.place.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn end(&mut self, mut child: Child, kill_after: Option<Duration>) {
        let ended = wait(&mut child, kill_after.unwrap_or(Duration::from_secs(180)));
        if ended.is_none() {
            assert!(kill_after.is_some(), "a command has no end");
            *self.counts.entry("killed in the middle").or_default() += 1;
            child.kill().ok();
            child.wait().unwrap();
        }
    }

    fn edit(&self) {
        let (from, count) = (10_000 + self.chance.below(NOTES), 1 + self.chance.below(300));
        let words = self.chance.u64();
        self.database.sql(&format!(
            "UPDATE {schema}.note SET content = md5('{words}' || id) || content WHERE id BETWEEN {from} AND {to}; \
             DELETE FROM {schema}.note WHERE id = {from}",
            schema = self.schema,
            to = from + count
        ));
    }

    /// Everything that may be swept looks older than a day, and what a killed command had begun is given up. Times of a
    /// foreign server cannot be set: there a prune looks from three days ahead, while nothing is in the making.
    fn grow_old(&mut self) {
        self.database.sql("UPDATE holdfast.point_running SET started_at = now() - interval '3 days'");
        if let Some(folder) = &self.folder {
            age(folder);
            return;
        }
        let ahead = Clock::fixed(Clock::System.seconds() + 3 * 86_400);
        let mut pruning = self.backup.clone();
        pruning.clock = ahead;
        pruning.policy = backup::Policy { within: time::Duration::ZERO, buckets: [0; 5] };
        let report = self.runtime.block_on(pruning.prune(None, false, "test")).unwrap();
        *self.counts.entry("objects swept").or_default() += u32::try_from(report.swept).unwrap();
    }

    /// A worker takes what is due, and is killed in the middle; what it had begun another one takes up.
    fn kill_a_worker(&mut self, after: Duration) {
        let ask = "INSERT INTO holdfast.job (kind, tenant_id, payload, max_attempts) \
                   SELECT kind, CASE kind WHEN 'backup' THEN id END, \
                          jsonb_build_object('tenant', id, 'trigger', jsonb_build_object('by', 'command')), 3 \
                   FROM holdfast.tenant, (VALUES ('backup'), ('prune')) AS asked (kind) WHERE slug = 'acme'";
        self.database.sql(ask);
        let mut killed = self.place.worker(&["--only", "backup,prune"]);
        assert_eq!(killed.ended(after), None, "a worker stays: {}", killed.said());
        killed.signal("KILL", true);
        killed.ended(Duration::from_secs(20));
        // its lease is over
        self.database.sql("UPDATE holdfast.job SET lease_until = now() - interval '1 second' WHERE state = 'running'");
        let next = self.place.worker(&["--only", "backup,prune"]);
        until(Duration::from_secs(120), "the next worker ends what the killed one began", || {
            let left = "SELECT count(*) FROM holdfast.job WHERE kind IN ('backup', 'prune') AND state IN ('queued', 'running')";
            self.database.sql(left).trim() == "0"
        });
        next.stop();
        let failed =
            self.database.sql("SELECT error FROM holdfast.job WHERE state = 'failed' AND kind IN ('backup', 'prune')");
        assert!(failed.is_empty(), "{failed}");
    }

    fn step(&mut self) {
        let point: &[&str] = &["backup", "run", "--tenant", "acme"];
        let prune: &[&str] = &["backup", "prune", "--tenant", "acme", "--yes"];
        let soon = Duration::from_millis(50 + self.chance.below(900));
        let what =
            ["edit", "point", "point killed", "prune", "both", "both, killed", "proof", "old", "keep", "worker killed"];
        // points most of all, so that there is something to prune
        let what = what[[1, 1, 4, 4, 2, 5, 3, 6, 6, 7, 8, 0, 9][self.chance.below(13) as usize]];
        *self.counts.entry(what).or_default() += 1;
        self.edit();
        match what {
            "point" => self.end(self.start(point), None),
            "point killed" => self.end(self.start(point), Some(soon)),
            "prune" => self.end(self.start(prune), None),
            "both" | "both, killed" => {
                let taking = self.start(point);
                std::thread::sleep(soon / 3);
                let pruning = self.start(prune);
                let kill = (what != "both").then_some(soon);
                self.end(pruning, kill);
                self.end(taking, kill.map(|_| soon / 4));
            }
            "proof" => drop(self.database.sql(
                "UPDATE holdfast.point SET state = 'proven', proven_at = now() WHERE state = 'verified' AND slug = 'acme' \
                 AND seq % 2 = 0",
            )),
            "old" => self.grow_old(),
            "worker killed" => self.kill_a_worker(soon * 3),
            "keep" => drop(self.database.sql(
                "UPDATE holdfast.point SET kept_until = now() + interval '30 days' WHERE seq = (SELECT min(seq) FROM holdfast.point WHERE slug = 'acme' AND state <> 'complete')",
            )),
            _ => {}
        }
    }

    /// Every point that is left reads back whole. One that was killed before it was read back has to be whole, too: its row
    /// comes after its manifest.
    fn all_read_back(&self) -> usize {
        let points = self.known();
        for point in points.keys() {
            let report = self.runtime.block_on(self.backup.verify_point(point, "test")).unwrap();
            assert!(report.problems.is_empty(), "{point}: {:?}", report.problems);
        }
        points.len()
    }
}

/// What must not have gone between two looks.
fn rules_hold(before: &Known, after: &Known) {
    let gone: Vec<&String> = before.keys().filter(|point| !after.contains_key(*point)).collect();
    if gone.is_empty() {
        return;
    }
    let mut order: Vec<(&String, &(i64, String, bool))> = before.iter().collect();
    order.sort_by_key(|(_, known)| std::cmp::Reverse(known.0));
    let proven: Vec<&String> = order.iter().filter(|(_, known)| known.1 == "proven").map(|(point, _)| *point).collect();
    assert!(!proven.is_empty(), "{gone:?} went without a proof");
    let mut stay: BTreeSet<&String> = proven.into_iter().take(3).collect();
    // the newest good one, unless a step took a newer one before it pruned
    let newest = order.iter().find(|(_, known)| known.1 != "complete");
    let newer = |seq: i64| after.values().any(|known| known.0 > seq && known.1 != "complete");
    stay.extend(newest.filter(|(_, known)| !newer(known.0)).map(|(point, _)| *point));
    stay.extend(order.iter().filter(|(_, known)| known.2).map(|(point, _)| *point));
    let wrong: Vec<_> = gone.iter().filter(|point| stay.contains(**point)).collect();
    assert!(wrong.is_empty(), "{wrong:?} had to stay");
}

pub(super) fn age(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            age(&path);
        } else if !path.ends_with("manifest.json") {
            let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
    }
}

fn live(mut history: History, steps: u32, seed: u64) {
    println!("seed {seed}, {steps} steps");
    for _ in 0..steps {
        let before = history.known();
        history.step();
        rules_hold(&before, &history.known());
        history.all_read_back();
    }
    // the next run is clean, and what nobody needs goes
    history.grow_old();
    history.place.run(&["backup", "run", "--tenant", "acme"]).ok();
    history.place.run(&["backup", "prune", "--tenant", "acme", "--yes"]).ok();
    let left = history.all_read_back();
    let latest = history.place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "copy"]).ok();
    let live = history.place.run(&["tenant", "show", "acme"]).ok();
    assert_eq!(latest["notes"], live["notes"]);
    println!("{:?}; {left} points are left", history.counts);
}

#[test]
fn a_history_of_points_prunes_and_kills_leaves_every_point_whole() {
    let seed = 20_261_123;
    let history = History::new(seed, |place| {
        let folder = place.path("store");
        (ObjectStore::directory(folder.clone()).unwrap(), Some(folder))
    });
    live(history, 5, seed);
}

#[test]
#[ignore = "three hundred steps: make soak"]
fn soak_a_long_history_leaves_every_point_whole() {
    let seed = soak_seed();
    let history = History::new(seed, |place| {
        let folder = place.path("store");
        (ObjectStore::directory(folder.clone()).unwrap(), Some(folder))
    });
    live(history, 300, seed);
}

#[test]
#[ignore = "a hundred steps on a foreign server with versions and locks: make soak"]
fn soak_a_history_with_versions_and_locks_leaves_every_point_whole() {
    let Some(weed) = program("weed") else { return };
    let (seed, mut running) = (soak_seed(), None);
    let history = History::new(seed, |place| {
        place.set("store_lock_days", 1);
        running = Some(SeaweedFs::start_locked(&weed, place));
        (SeaweedFs::bucket(place), None)
    });
    live(history, 100, seed);
    drop(running);
}

/// The seed of a soak run.
pub(super) fn soak_seed() -> u64 {
    std::env::var("HOLDFAST_SOAK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125)
}
