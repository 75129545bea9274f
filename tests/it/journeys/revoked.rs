//! Somebody revokes the store's credentials in the middle of a prune and of copying: one sentence that says so, its code, and
//! nothing lost. Books and store agree, and the next run with good credentials does what was left.

use std::collections::BTreeSet;
use std::time::Duration;

use objects::{ObjectStore, S3Config};
use serde_json::Value;
use testkit::faults::Fault;

use super::process::until;
use super::store_faults::{Place, name};

const REVOKED: (u16, &str) = (403, "AccessDenied");

fn refuse(after: u64) -> Fault {
    Fault::Refuse { after, status: REVOKED.0, code: REVOKED.1 }
}

/// What a sentence has to say. An answer to HEAD has no body, so the status alone tells.
fn is_told(sentence: &str) -> bool {
    let named = sentence.contains(REVOKED.1) || sentence.contains("Forbidden");
    named && sentence.contains("denied") && sentence.contains("check the access key")
}

/// The store behind the relay, looked at by somebody whose credentials are good.
struct Look {
    store: ObjectStore,
    runtime: tokio::runtime::Runtime,
}

impl Look {
    fn at(site: &Place) -> Self {
        let address = format!("http://{}", site.relay.address);
        let config = S3Config::new(address, "points", "reader-writer", "not so secret");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { store: ObjectStore::s3(config).unwrap(), runtime }
    }

    /// Keys of all that lies there of tenants' points.
    fn keys(&self) -> BTreeSet<String> {
        let listed = self.runtime.block_on(self.store.list("t/")).unwrap();
        listed.into_iter().map(|object| object.key).collect()
    }

    /// Names of the points that lie there whole.
    fn whole(&self) -> BTreeSet<String> {
        let folder = |key: &String| Some(key.strip_suffix("/manifest.json")?.rsplit('/').next()?.to_owned());
        self.keys().iter().filter_map(folder).collect()
    }

    /// What the points of the books need.
    fn needed(&self, site: &Place) -> BTreeSet<String> {
        let sql = "SELECT concat_ws(' ', replace(tenant_id::text, '-', ''), point) FROM holdfast.point";
        let mut needed = BTreeSet::new();
        for line in site.database.sql(sql).lines() {
            let (tenant, point) = line.split_once(' ').unwrap();
            let manifest = format!("t/{tenant}/p/{point}/manifest.json");
            let bytes = self.runtime.block_on(self.store.get(&manifest)).unwrap();
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            let objects = document["objects"].as_array().unwrap();
            needed.extend(objects.iter().map(|one| one["key"].as_str().unwrap().to_owned()));
            needed.insert(manifest);
        }
        needed
    }
}

fn in_books(site: &Place) -> BTreeSet<String> {
    site.points().iter().map(|point| name(point).to_owned()).collect()
}

#[test]
fn credentials_revoked_during_a_prune_leave_it_to_the_next() {
    let site = Place::new();
    site.place.tenant("acme");
    let look = Look::at(&site);
    let mut strict = site.place.clone();
    strict.set("retention", "within=0m");
    let prune = || strict.run(&["backup", "prune", "--tenant", "acme", "--yes"]);
    let (mut left_whole, mut left_half, mut stopped) = (0, 0, 0);
    // as the command looks at the store, at the first removal, in the middle of them, and while it sweeps
    for after in [0, 2, 5, 9, 12] {
        // three stay, two go
        while site.points().len() < 5 {
            site.backup();
        }
        site.database.sql("UPDATE holdfast.point SET state = 'proven', proven_at = now() WHERE slug = 'acme'");
        let newest: BTreeSet<String> = site.points()[..3].iter().map(|point| name(point).to_owned()).collect();
        site.relay.set(refuse(after));
        let ran = prune();
        if site.relay.set(Fault::None) == 0 {
            ran.ok();
            continue;
        }
        stopped += 1;
        let told = ran.failed(8);
        assert!(is_told(&told), "{told}");
        let (books, whole) = (in_books(&site), look.whole());
        assert!(newest.is_subset(&books), "after {after}: what has to stay is in the books");
        assert!(books.is_subset(&whole), "after {after}: what the books have is whole: {books:?} {whole:?}");
        assert!(look.needed(&site).is_subset(&look.keys()), "after {after}: with all that it needs");
        left_whole += whole.difference(&books).count();
        let half = look.keys().iter().filter(|key| !whole.iter().any(|point| key.contains(point))).count();
        left_half += half;
    }
    println!("{stopped} prunes were stopped; {left_whole} points and {left_half} objects were left by them");
    assert!(stopped >= 3 && left_whole > 0, "removals were stopped, too");

    // what was half removed is swept when it is old enough; what the books say is gone, at once
    let done = prune().ok();
    assert!(done["warnings"].is_null(), "{done}");
    assert_eq!(look.whole(), in_books(&site), "books and store agree");
    super::ages::age(&site.place.path("s3"));
    prune().ok();
    let beyond: Vec<String> = look.keys().difference(&look.needed(&site)).cloned().collect();
    assert!(beyond.is_empty(), "nothing is left of the points that went: {beyond:?}");
    for point in site.points() {
        site.place.run(&["backup", "verify", name(&point)]).ok();
    }
    let again = prune().ok();
    assert_eq!((&again["removed"], &again["swept"]), (&Value::Array(Vec::new()), &0.into()), "{again}");
    assert_eq!(site.place.run(&["audit", "verify"]).ok()["broken"], Value::Null);
}

/// Points with a copy that reads well, as the books say.
fn copied(site: &Place) -> BTreeSet<String> {
    let sql = "SELECT point FROM holdfast.point_copy WHERE problems IS NULL";
    site.database.sql(sql).lines().map(str::to_owned).collect()
}

#[test]
fn credentials_revoked_during_copying_hold_nobody_up_and_the_worker_brings_what_lacks() {
    let mut site = Place::new();
    // the first store is a folder; the one behind the relay is the further one
    let keys =
        ["store_access_key_file", "store_secret_key_file"].map(|name| site.place.path(name).display().to_string());
    for name in ["store_endpoint", "store_bucket", "store_access_key_file", "store_secret_key_file"] {
        site.place.unset(name);
    }
    let folder = site.place.path("store").display().to_string();
    site.place.set("store_directory", folder);
    let [access, secret] = keys;
    let further = format!("http://{}/points?access_key_file={access}&secret_key_file={secret}", site.relay.address);
    site.place.set("store_copies", further);
    site.place.set("backup_changed_after", 0);
    site.place.tenant("acme");
    let look = Look::at(&site);

    let mut stopped = 0;
    for after in [0, 1, 3, 6, 9] {
        site.relay.set(refuse(after));
        let ran = site.place.run(&["backup", "run", "--tenant", "acme"]);
        let refused = site.relay.set(Fault::None);
        let point = if refused == 0 { ran.ok() } else { ran.ended(3) };
        assert_eq!(point["state"], "verified", "the first store has it: {point}");
        let told = point["warnings"].to_string();
        let named = told.contains(&site.relay.address.to_string()) && is_told(&told);
        assert!(refused == 0 || (named && told.contains("the worker tries again")), "after {after}: {told}");
        stopped += usize::from(refused > 0);
        assert_eq!(copied(&site).contains(name(&point)), refused == 0, "after {after}");
        assert!(copied(&site).is_subset(&look.whole()), "what the books call a copy is one");
    }
    assert!(stopped >= 4, "copying was stopped in the middle");

    // the worker says so while it lasts, and brings the rest when it is over
    site.relay.set(refuse(4));
    let worker = site.place.worker(&["--only", "backup"]);
    until(Duration::from_secs(30), "the worker says so", || {
        worker.said().lines().any(|line| line.contains("a copy is behind") && is_told(line))
    });
    assert!(copied(&site).len() < site.points().len());
    assert!(site.relay.set(Fault::None) > 0);
    let all = in_books(&site);
    until(Duration::from_secs(40), "every point has its copy", || copied(&site) == all);
    worker.stop();
    assert_eq!(look.whole(), all, "books and store agree");
    for point in &all {
        let read = site.place.run(&["backup", "verify", point, "--copies"]).ok();
        assert_eq!(read["copies"][0]["problems"], Value::Array(Vec::new()), "{read}");
    }
    let next = site.backup();
    assert!(copied(&site).contains(name(&next)), "{next}");
}
