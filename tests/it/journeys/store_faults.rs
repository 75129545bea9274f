//! A store that is slow, busy, cut off, that returns wrong bytes, and whose listing leaves out a page: points are taken or not,
//! never half; what is wrong is told; nothing that is good is removed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::faults::{Fault, FaultyStore};

use super::process::Installation;
use super::reading::{Superuser, database};

/// An appliance whose store is our own S3 server, behind a relay.
pub(super) struct Place {
    pub(super) place: Installation,
    pub(super) database: Superuser,
    pub(super) relay: FaultyStore,
    _server: runtime::s3::S3Server,
    _running: tokio::runtime::Runtime,
}

/// Names the store behind this address in the settings.
fn by_store(place: &mut Installation, address: SocketAddr) {
    place.unset("store_directory");
    place.set("store_endpoint", format!("http://{address}"));
    place.set("store_bucket", "points");
    for (setting, secret) in [("store_access_key_file", "reader-writer"), ("store_secret_key_file", "not so secret")] {
        let file = place.file(setting, secret);
        place.set(setting, file);
    }
}

impl Place {
    pub(super) fn new() -> Self {
        let (url, database) = database();
        let mut place = Installation::on(&url);
        let running = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = running
            .block_on(runtime::s3::S3Server::start(&place.path("s3"), listen, "reader-writer", "not so secret"))
            .unwrap();
        let config = objects::S3Config::new(server.url(), "points", "reader-writer", "not so secret");
        running.block_on(objects::ObjectStore::s3(config).unwrap().create()).unwrap();
        let target = server.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let relay = FaultyStore::before(target);
        by_store(&mut place, relay.address);
        Self { place, database, relay, _server: server, _running: running }
    }

    pub(super) fn points(&self) -> Vec<Value> {
        let all = self.place.run(&["backup", "list", "--tenant", "acme"]).ok();
        all["points"].as_array().unwrap().clone()
    }

    pub(super) fn backup(&self) -> Value {
        self.place.run(&["backup", "run", "--tenant", "acme"]).ok()
    }
}

pub(super) fn name(point: &Value) -> &str {
    point["point"].as_str().unwrap()
}

#[test]
fn a_store_that_misbehaves_costs_time_and_nothing_else() {
    let site = Place::new();
    let (place, relay) = (&site.place, &site.relay);
    place.tenant("acme");
    let first = site.backup();

    relay.set(Fault::Slow(Duration::from_millis(60)));
    assert_eq!(site.backup()["state"], "verified");
    relay.set(Fault::Busy(3));
    assert_eq!(site.backup()["state"], "verified", "one request in three is asked again");
    assert!(relay.set(Fault::Busy(1)) > 0);
    let refused = place.run(&["backup", "run", "--tenant", "acme"]).failed(9);
    assert!(refused.contains("127.0.0.1") || refused.contains("store"), "{refused}");
    relay.set(Fault::None);
    assert_eq!(site.points().len(), 3, "what was not finished does not count");

    // an answer that ends early is a store out of reach, not a damaged point
    relay.set(Fault::Cut);
    place.run(&["backup", "verify", name(&first)]).failed(9);
    place.run(&["restore", "run", name(&first), "--as", "cut"]).failed(9);
    assert!(relay.set(Fault::None) > 0);
    place.run(&["tenant", "show", "cut"]).failed(5);
    assert!(site.points().iter().all(|point| point["state"] == "verified"), "nobody was called damaged");

    // wrong bytes on the way are seen, and nothing is made of them
    relay.set(Fault::Flip("/pack"));
    let seen = place.run(&["backup", "verify", name(&first)]);
    assert_eq!(seen.code, 4, "{seen:?}");
    let problems = seen.json()["problems"].clone();
    assert!(problems[0]["object"].as_str().unwrap().ends_with("/pack"), "{problems}");
    assert_eq!(problems[0]["problem"], "altered");
    place.run(&["restore", "run", name(&first), "--as", "flipped"]).failed(7);
    assert!(relay.set(Fault::None) > 0);
    place.run(&["tenant", "show", "flipped"]).failed(5);
    place.run(&["backup", "verify", name(&first)]).ok();
}

#[test]
fn a_listing_that_leaves_out_a_page_loses_no_point() {
    let site = Place::new();
    let (place, relay) = (&site.place, &site.relay);
    let sheet = place.say(&["key", "escrow"]);
    let sheet = place.file("sheet.txt", &sheet.err);
    place.tenant("acme");
    for _ in 0..4 {
        site.backup();
    }
    let newest = site.backup();
    let control = place.run(&["backup", "run", "--control"]).ok();

    // prune: what the listing does not show is not taken for half a point
    site.database.sql("UPDATE holdfast.point SET state = 'proven', proven_at = now() WHERE slug = 'acme'");
    let mut strict = place.clone();
    strict.set("retention", "within=0m");
    let middle = site.points()[2].clone();
    relay.set(Fault::Forget(name(&middle).to_owned()));
    let pruned = strict.run(&["backup", "prune", "--tenant", "acme", "--yes"]).ok();
    assert!(relay.set(Fault::None) > 0);
    assert_eq!(pruned["removed"].as_array().map(Vec::len), Some(2), "{pruned}");
    let left = site.points();
    assert_eq!(left.len(), 3);
    for point in &left {
        place.run(&["backup", "verify", name(point)]).ok();
    }

    // an appliance that comes back finds the newest points by the log
    let began = Instant::now();
    let (url, _) = database();
    let mut other = Installation::on(&url);
    by_store(&mut other, relay.address);
    for hidden in [name(&newest), name(&control)] {
        relay.set(Fault::Forget(format!("/p/{hidden}/")));
        let (url, _) = database();
        other.set("database_url", &url);
        std::fs::remove_dir_all(other.path("data")).ok();
        let back = other.run(&["restore", "instance", "--identity", &sheet]).ended(3);
        assert!(relay.set(Fault::None) > 0);
        assert_eq!(
            (&back["tenants"][0]["point"], &back["control_point"]),
            (&newest["point"], &control["point"]),
            "{back}"
        );
        let told = back["warnings"].to_string();
        assert!(told.contains("leaves out") && told.contains(hidden), "{told}");
    }
    println!("two appliances came back in {:.1} s", began.elapsed().as_secs_f64());
}
