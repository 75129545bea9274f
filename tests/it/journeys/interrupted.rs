//! Kills in the middle of points, prunes, restores and swaps: no half point counts, no half tenant stays, nothing is lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use domain::chance::Chance;
use serde_json::Value;

use super::http::Client;
use super::process::{Installation, PASSWORD, listing};
use super::reading::{Superuser, database};

/// What is killed, by turns.
const WORK: [&[&str]; 4] = [
    &["backup", "run", "--tenant", "acme"],
    &["restore", "run", "latest", "--tenant", "acme", "--as", "copy"],
    &["backup", "prune", "--tenant", "acme", "--yes"],
    &["restore", "swap", "quiet", "quiet-copy", "--yes"],
];

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

/// What must hold after every kill.
fn holds(place: &Installation, database: &Superuser, client: &Client, acknowledged: &[String]) {
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
    let store = place.path("store");
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

fn interrupted(kills: usize, seed: u64) {
    println!("seed {seed}, {kills} kills");
    let chance = Chance::seeded(seed);
    let (url, database) = database();
    let mut place = Installation::on(&url);
    place.set("retention", "within=1m");
    place.set("backup_changed_after", 0);
    place.tenant("acme");
    place.tenant("quiet");
    let fill = |slug: &str, text: &str, count: u32| {
        let schema = place.run(&["tenant", "show", slug]).ok()["schema"].as_str().unwrap().to_owned();
        database.sql(&format!(
            "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
             SELECT 10000 + g, 'n-' || g, (SELECT min(id) FROM {schema}.member), g, g, 'PRIVATE', '{text}' FROM generate_series(1, {count}) g"
        ));
    };
    fill("acme", "words", 2000);
    fill("quiet", "older", 300);
    for slug in ["acme", "quiet"] {
        place.run(&["backup", "run", "--tenant", slug]).ok();
    }
    database.sql(&format!(
        "UPDATE {}.note SET content = 'newer'",
        place.run(&["tenant", "show", "quiet"]).ok()["schema"].as_str().unwrap()
    ));
    // enough proven points for a prune to have something to do
    database.sql("UPDATE holdfast.point SET state = 'proven', proven_at = now()");

    let server = place.serve(&["--no-worker"]);
    let client = Client::sign_in(format!("{}/t/acme", server.url()), "maria", PASSWORD);
    // files, so that a restore that is killed has some half brought
    for number in 0..12_u64 {
        let noise =
            Chance::seeded(number).text(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/", 200_000);
        let body = serde_json::json!({"filename": "noise.bin", "type": "application/octet-stream", "content": noise});
        client.post("/api/v1/attachments", &body);
    }
    place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let (mut acknowledged, mut ended) = (Vec::new(), 0);
    for number in 0..kills {
        for _ in 0..5 {
            let body = serde_json::json!({"content": "acknowledged", "visibility": "PRIVATE"});
            acknowledged.push(client.post("/api/v1/memos", &body)["name"].as_str().unwrap().to_owned());
        }
        let mut words: Vec<&str> = WORK[number % WORK.len()].to_vec();
        let other = format!("quiet-{number}");
        if words[1] == "swap" {
            place.run(&["restore", "run", "latest", "--tenant", "quiet", "--as", &other]).ok();
            words[3] = &other;
        }
        let after = Duration::from_millis(40 + chance.below(260));
        ended += usize::from(kill_in_the_middle(&place, &words, after));
        holds(&place, &database, &client, &acknowledged);
        if words[1] == "swap" {
            // and back; refused when the killed one had done nothing
            place.run(&["restore", "undo", "quiet", "--yes"]);
        }
        if words[1] == "run" && words[0] == "restore" && place.run(&["tenant", "show", "copy"]).code == 0 {
            place.run(&["tenant", "delete", "copy", "--yes", "--grace", "0d"]);
        }
    }
    println!("{} of {kills} were killed before they had ended", kills - ended);
    assert!(ended < kills, "something was killed in the middle");

    // the next run of each is clean
    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    assert!(point["notes"].as_u64() >= Some(2000 + acknowledged.len() as u64), "{point}");
    let restored = place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "final"]).ok();
    assert_eq!(restored["notes"], point["notes"]);
    // three days later: nothing is in the making any more, and what nobody needs is old enough to go
    database.sql("UPDATE holdfast.point_running SET started_at = now() - interval '3 days'");
    super::histories::age(&place.path("store"));
    place.run(&["backup", "prune", "--yes"]).ok();
    let left = orphans(&place, &database);
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
