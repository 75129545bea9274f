//! Histories drawn by a seed: notes and files change, points are taken while others are pruned, commands are killed, time passes,
//! rules change, what lies in the store grows old. After each step every point that is left reads back whole, what the rules of
//! then keep is there, and after a prune that nobody disturbed nothing else is. The rules are worked out by the test (`rules`).

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use backup::{Backup, KeyDirectory};
use domain::chance::Chance;
use domain::clock::Clock;
use objects::{FileStore, ObjectStore};
use time::OffsetDateTime;

use super::ages::{age, move_manifests};
use super::process::{Installation, program, until, wait};
use super::reading::{Superuser, database};
use super::rules::{Point, Points, Rules, all_free_ones_went, only_free_ones_went};
use super::weed::SeaweedFs;

/// So many that the tenant is above 4 MiB.
const NOTES: u64 = 2900;

/// A foreign server's times cannot be set, and prune stops where they are a day from ours.
const HOURS_BEFORE_A_SERVER: u64 = 20;

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
    rules: Rules,
    /// Points that were ever kept: a store that locks holds them longer than the rules do.
    kept: BTreeSet<String>,
    /// Hours that have passed before a foreign server.
    passed: u64,
}

/// What a step was about, for those who look at what it did.
struct Step {
    what: &'static str,
    /// When it began, and the latest moment that a prune in it can have thought it was.
    began: OffsetDateTime,
    latest: OffsetDateTime,
}

impl History {
    fn new(seed: u64, objects: impl FnOnce(&mut Installation) -> (ObjectStore, Option<std::path::PathBuf>)) -> Self {
        let (url, database) = database();
        let mut place = Installation::on(&url);
        let (objects, folder) = objects(&mut place);
        let chance = Chance::seeded(seed);
        let rules = Rules::draw(&chance);
        place.set("retention", rules.text());
        println!("seed {seed}: {}", rules.text());
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
        Self {
            place,
            database,
            schema,
            chance,
            folder,
            backup,
            runtime,
            counts: BTreeMap::new(),
            rules,
            kept: BTreeSet::new(),
            passed: 0,
        }
    }

    fn known(&self) -> Points {
        let micros = |column: &str| format!("(extract(epoch FROM {column}) * 1000000)::bigint");
        let sql = format!(
            "SELECT concat_ws(' ', point, seq, state, {}, {}) FROM holdfast.point WHERE slug = 'acme'",
            micros("created_at"),
            micros("kept_until")
        );
        let moment = |text: &str| {
            let micros: i128 = text.parse().unwrap();
            OffsetDateTime::from_unix_timestamp_nanos(micros * 1000).unwrap()
        };
        self.database
            .sql(&sql)
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let kept = words.get(4).map(|text| moment(text));
                let (seq, state) = (words[1].parse().unwrap(), words[2].to_owned());
                (words[0].to_owned(), Point { seq, state, at: moment(words[3]), kept })
            })
            .collect()
    }

    /// Starts a command that is waited for, or killed after a while.
    fn start(&self, words: &[&str]) -> Child {
        self.place.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn end(&mut self, mut child: Child, kill_after: Option<Duration>) -> Option<ExitStatus> {
        let ended = wait(&mut child, kill_after.unwrap_or(Duration::from_secs(180)));
        if ended.is_none() {
            assert!(kill_after.is_some(), "a command has no end");
            *self.counts.entry("killed in the middle").or_default() += 1;
            child.kill().ok();
            child.wait().unwrap();
        }
        ended
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
    /// foreign server cannot be set: there a prune looks from three days ahead, while nothing is in the making. How far ahead.
    fn grow_old(&mut self) -> time::Duration {
        self.database.sql("UPDATE holdfast.point_running SET started_at = now() - interval '3 days'");
        if let Some(folder) = &self.folder {
            age(folder);
            return time::Duration::ZERO;
        }
        let ahead = time::Duration::days(3);
        let mut pruning = self.backup.clone();
        pruning.clock = Clock::fixed(Clock::System.seconds() + ahead.whole_seconds());
        pruning.policy = self.rules.text().parse().unwrap();
        let report = self.runtime.block_on(pruning.prune(None, false, "test")).unwrap();
        *self.counts.entry("objects swept").or_default() += u32::try_from(report.swept).unwrap();
        ahead
    }

    /// Hours or weeks pass: the books and what the store says of manifests move into the past together.
    fn pass(&mut self, hours: u64) {
        self.database.sql(&format!(
            "UPDATE holdfast.point SET created_at = created_at - interval '{hours} hours', \
             kept_until = kept_until - interval '{hours} hours' WHERE slug = 'acme'"
        ));
        match &self.folder {
            Some(folder) => {
                let tenant = "SELECT replace(id::text, '-', '') FROM holdfast.tenant WHERE slug = 'acme'";
                let points = folder.join("t").join(self.database.sql(tenant).trim()).join("p");
                move_manifests(&points, Duration::from_secs(hours * 3600));
            }
            None => self.passed += hours,
        }
    }

    fn let_time_pass(&mut self) {
        let most = if self.folder.is_some() {
            [3, 30, 24 * 20, 24 * 200][self.chance.below(4) as usize]
        } else {
            HOURS_BEFORE_A_SERVER - self.passed
        };
        let hours = self.chance.below(most + 1);
        self.pass(hours);
    }

    fn change_the_rules(&mut self) {
        self.rules = Rules::draw(&self.chance);
        self.place.set("retention", self.rules.text());
    }

    /// Keeps some point for hours or days, perhaps one that was kept for longer.
    fn keep(&mut self) {
        let points: Vec<String> = self.known().into_keys().collect();
        let point = points[self.chance.below(points.len() as u64) as usize].clone();
        let hours = 1 + self.chance.below([10, 24 * 60][self.chance.below(2) as usize]);
        let day = OffsetDateTime::now_utc() + time::Duration::hours(hours.cast_signed());
        let day = day.format(&time::format_description::well_known::Rfc3339).unwrap();
        self.place.run(&["backup", "keep", &point, "--reason", "a whim", "--until", &day]).ok();
        self.kept.insert(point);
    }

    fn prove(&self) {
        self.database.sql(
            "UPDATE holdfast.point SET state = 'proven', proven_at = now() WHERE state = 'verified' AND slug = 'acme' \
             AND seq % 2 = 0",
        );
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

    /// What the dice say; points and prunes most of all, so that there is something to prune.
    fn step(&mut self) -> Step {
        let all = [
            "edit",
            "point",
            "point",
            "point killed",
            "point killed",
            "prune",
            "prune",
            "both",
            "both",
            "both, killed",
            "proof",
            "proof",
            "old",
            "keep",
            "worker killed",
            "time",
            "time",
            "rules",
        ];
        let what = all[self.chance.below(all.len() as u64) as usize];
        self.take_step(what)
    }

    fn take_step(&mut self, what: &'static str) -> Step {
        let point: &[&str] = &["backup", "run", "--tenant", "acme"];
        let prune: &[&str] = &["backup", "prune", "--tenant", "acme", "--yes"];
        let soon = Duration::from_millis(50 + self.chance.below(900));
        let (began, mut ahead) = (OffsetDateTime::now_utc(), time::Duration::ZERO);
        *self.counts.entry(what).or_default() += 1;
        self.edit();
        match what {
            "point" | "point killed" => {
                self.end(self.start(point), (what != "point").then_some(soon));
            }
            "prune" => {
                let ended = self.end(self.start(prune), None);
                assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
            }
            "both" | "both, killed" => {
                let taking = self.start(point);
                std::thread::sleep(soon / 3);
                let pruning = self.start(prune);
                let kill = (what != "both").then_some(soon);
                self.end(pruning, kill);
                self.end(taking, kill.map(|_| soon / 4));
            }
            "proof" => self.prove(),
            "old" => ahead = self.grow_old(),
            "worker killed" => self.kill_a_worker(soon * 3),
            "keep" => self.keep(),
            "time" => self.let_time_pass(),
            "rules" => self.change_the_rules(),
            _ => {}
        }
        Step { what, began, latest: OffsetDateTime::now_utc() + ahead }
    }

    /// What must not have gone in a step has not, and what nothing held has.
    fn rules_hold(&mut self, before: &Points, step: &Step) {
        // time moves points, not only the clock
        if step.what == "time" {
            return;
        }
        let after = self.known();
        let gone = only_free_ones_went(&self.rules, before, &after, step.latest);
        *self.counts.entry("points gone").or_default() += u32::try_from(gone).unwrap();
        if step.what == "prune" {
            let nobody = BTreeSet::new();
            let held = if self.folder.is_some() { &nobody } else { &self.kept };
            all_free_ones_went(&self.rules, before, &after, step.began, held);
            *self.counts.entry("points left by a prune").or_default() += u32::try_from(after.len()).unwrap();
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

/// Steps that the dice choose, then those named; gives back how many points went by the rules.
fn live(mut history: History, steps: u32, then: &[&'static str]) -> u32 {
    for number in 0..steps as usize + then.len() {
        let before = history.known();
        let named = number.checked_sub(steps as usize).map(|at| then[at]);
        let step = match named {
            Some(what) => history.take_step(what),
            None => history.step(),
        };
        history.rules_hold(&before, &step);
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
    history.counts.get("points gone").copied().unwrap_or_default()
}

#[test]
fn a_history_of_points_prunes_and_kills_leaves_every_point_whole() {
    let seed = 20_261_123;
    let history = History::new(seed, |place| {
        let folder = place.path("store");
        (ObjectStore::directory(folder.clone()).unwrap(), Some(folder))
    });
    let gone = live(history, 2, &["point", "point", "proof", "prune", "time", "both", "prune"]);
    assert!(gone > 0, "something went by the rules");
}

#[test]
#[ignore = "three hundred steps: make soak"]
fn soak_a_long_history_leaves_every_point_whole() {
    let seed = soak_seed();
    let history = History::new(seed, |place| {
        let folder = place.path("store");
        (ObjectStore::directory(folder.clone()).unwrap(), Some(folder))
    });
    assert!(live(history, 300, &[]) > 20);
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
    assert!(live(history, 100, &[]) > 5);
    drop(running);
}

/// The seed of a soak run.
pub(super) fn soak_seed() -> u64 {
    std::env::var("HOLDFAST_SOAK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125)
}
