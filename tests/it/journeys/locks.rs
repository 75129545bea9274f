//! Points that are kept are locked by the store itself, as long as they are kept, on a foreign server with versions and locks.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::http::Client;
use super::process::{Installation, PASSWORD, program, until};
use super::reading::{Superuser, database};
use super::weed::SeaweedFs;

const DAY: i64 = 86_400;

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Seconds from now, as a command takes them.
fn later(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(now() + seconds).unwrap().format(&Rfc3339).unwrap()
}

/// Everything that a point needs.
fn keys_of(point: &Value, tenant: &str) -> BTreeSet<String> {
    let objects = point["objects"].as_array().unwrap().iter();
    let mut keys: BTreeSet<String> = objects.map(|one| one["key"].as_str().unwrap().to_owned()).collect();
    keys.insert(format!("t/{tenant}/p/{}/manifest.json", point["point"].as_str().unwrap()));
    keys
}

/// The shortest lock of these objects, in seconds from now.
fn shortest(place: &Installation, bucket: &str, keys: &BTreeSet<String>) -> i64 {
    keys.iter().map(|key| SeaweedFs::locked_until(place, bucket, key).unwrap_or(0) - now()).min().unwrap()
}

/// A tenant with pieces that points share, a pack and a file; its id.
fn fill(place: &Installation, database: &Superuser) -> String {
    place.tenant("acme");
    let shown = place.run(&["tenant", "show", "acme"]).ok();
    let schema = shown["schema"].as_str().unwrap();
    database.sql(&format!(
        "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
         SELECT 10000 + g, 'n-' || g, (SELECT min(id) FROM {schema}.member), g, g, 'PRIVATE', \
         (SELECT string_agg(encode(sha256((g || '-' || k)::bytea), 'base64'), '') FROM generate_series(1, 48) k) \
         FROM generate_series(1, 2900) g"
    ));
    let server = place.serve(&["--no-worker"]);
    let client = Client::sign_in(format!("{}/t/acme", server.url()), "maria", PASSWORD);
    let file = serde_json::json!({"filename": "a.txt", "type": "text/plain", "content": "aGVsbG8="});
    client.post("/api/v1/attachments", &file);
    server.stop();
    shown["id"].as_str().unwrap().replace('-', "")
}

fn change(place: &Installation, database: &Superuser) {
    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    database.sql(&format!("UPDATE {schema}.note SET content = 'changed ' || content WHERE id = 10001"));
}

fn point(place: &Installation) -> Value {
    place.run(&["backup", "run", "--tenant", "acme"]).ok()
}

fn name(point: &Value) -> &str {
    point["point"].as_str().unwrap()
}

fn proven(database: &Superuser) {
    database.sql("UPDATE holdfast.point SET state = 'proven', proven_at = now()");
}

#[test]
fn a_kept_point_is_locked_in_every_store_and_stays_as_long_as_its_locks() {
    let Some(weed) = program("weed") else { return };
    let (url, database) = database();
    let mut place = Installation::on(&url);
    place.set("store_lock_days", 1);
    place.set("retention", "within=0m");
    place.set("backup_changed_after", 0);
    let _weed = SeaweedFs::start_locked(&weed, &mut place);
    SeaweedFs::further_bucket(&mut place, "holdfast-copy");
    let buckets = ["holdfast-journey", "holdfast-copy"];
    let tenant = fill(&place, &database);
    let first = point(&place);
    let keys = keys_of(&first, &tenant);
    for kind in ["/c/", "/f/", "/pack", "/manifest.json"] {
        assert!(keys.iter().any(|key| key.contains(kind)), "one of each kind: {keys:?}");
    }

    let kept = place.run(&["backup", "keep", name(&first), "--reason", "audit", "--until", "400d"]).ok();
    assert_eq!(kept["locked"].as_array().map(Vec::len), Some(2), "{kept}");
    assert_eq!(kept["locked"][0]["objects"].as_u64(), Some(keys.len() as u64 + 1), "with its entry in the log: {kept}");
    for bucket in buckets {
        assert!(shortest(&place, bucket, &keys) > 399 * DAY, "everything of it is locked in {bucket}");
        for key in &keys {
            assert!(SeaweedFs::refuses_to_purge_in(&place, bucket, key), "{bucket} holds {key}");
        }
    }

    // a newer point needs the same pieces for a day only: it passes, and takes nothing away
    change(&place, &database);
    let second = point(&place);
    let shared: BTreeSet<String> = keys_of(&second, &tenant).intersection(&keys).cloned().collect();
    assert!(shared.len() > 2, "it refers to pieces of the first: {second}");
    assert!(buckets.iter().all(|bucket| shortest(&place, bucket, &shared) > 399 * DAY), "no lock became shorter");
    place.run(&["backup", "keep", name(&first), "--reason", "audit", "--until", "30d"]).ok();
    assert!(shortest(&place, buckets[0], &keys) > 399 * DAY, "nor by keeping it for less");

    // a store that does not let itself be told: the books say kept, the answer says where it is not locked
    let mut reader = place.clone();
    reader.set("store_access_key_file", place.file("reader", SeaweedFs::READER.0));
    reader.set("store_secret_key_file", place.file("reader-secret", SeaweedFs::READER.1));
    let refused = reader.run(&["backup", "keep", name(&second), "--reason", "audit", "--until", "90d"]).ended(3);
    let told = refused["warnings"].to_string();
    assert!(told.contains("is kept in the books") && told.contains("/holdfast-journey"), "{refused}");
    assert_eq!(refused["locked"].as_array().map(Vec::len), Some(1), "the other store is locked: {refused}");
    let books = "SELECT kept_until > now() + interval '80 days' FROM holdfast.point WHERE point = ";
    assert_eq!(database.sql(&format!("{books}'{}'", name(&second))).trim(), "t");
    let own = keys_of(&second, &tenant);
    assert!(shortest(&place, buckets[0], &own) < 2 * DAY && shortest(&place, buckets[1], &own) > 89 * DAY);

    // let go before its locks: it stays with them, and prune says why; points that nobody kept go as ever
    let (mut third, mut newest) = (Value::Null, Value::Null);
    for number in 0..4 {
        change(&place, &database);
        newest = point(&place);
        third = if number == 0 { newest.clone() } else { third };
    }
    proven(&database);
    database.sql("UPDATE holdfast.point SET kept_until = NULL, kept_reason = NULL");
    let pruned = place.run(&["backup", "prune", "--tenant", "acme", "--yes"]).ok();
    let stays = pruned["kept"].as_array().unwrap().iter().find(|one| one["point"] == first["point"]);
    let why = stays.map(|one| one["reasons"].to_string()).unwrap_or_default();
    assert!(why.contains("locked in ") && why.contains("since it was kept"), "{pruned}");
    let gone: Vec<&str> =
        pruned["removed"].as_array().unwrap().iter().filter_map(|one| one["point"].as_str()).collect();
    assert_eq!(BTreeSet::from_iter(gone), BTreeSet::from([name(&second), name(&third)]), "{pruned}");
    place.run(&["backup", "verify", name(&first)]).ok();

    // dumps of the whole database are locked only when that is asked for, and until prune may remove them
    let dumped = |place: &Installation| {
        let dump = place.run(&["backup", "dump"]).ok();
        ["key", "globals_key"].map(|key| dump[key].as_str().unwrap().to_owned())
    };
    let free = dumped(&place);
    assert!(free.iter().all(|key| SeaweedFs::locked_until(&place, buckets[0], key).is_none()), "nobody asked");
    place.set("store_lock_dumps", "true");
    for key in dumped(&place) {
        for bucket in buckets {
            let day = SeaweedFs::locked_until(&place, bucket, &key).unwrap_or(0) - now();
            assert!((6 * DAY..=7 * DAY).contains(&day), "{key} in {bucket}: {day}");
            assert!(SeaweedFs::refuses_to_purge_in(&place, bucket, &key));
        }
    }

    // asked for in the console, it is noted at once and locked by the worker; for ever is a day at a time
    let asked = "UPDATE holdfast.point SET kept_until = ";
    database.sql(&format!("{asked}now() + interval '500 days' WHERE point = '{}'", name(&newest)));
    database.sql(&format!("{asked}'9999-12-31' WHERE point = '{}'", name(&first)));
    let worker = place.worker(&["--only", "backup"]);
    let all = keys_of(&newest, &tenant);
    until(Duration::from_secs(60), "the worker locks what is kept, in every store", || {
        buckets.iter().all(|bucket| shortest(&place, bucket, &all) > 499 * DAY)
    });
    worker.stop();
}

#[test]
fn a_lock_ends_on_the_day_that_was_said() {
    let Some(weed) = program("weed") else { return };
    let (url, database) = database();
    let mut place = Installation::on(&url);
    place.set("retention", "within=0m");
    let _weed = SeaweedFs::start_locked(&weed, &mut place);
    let tenant = fill(&place, &database);
    // taken without a lock, so that what keeps it is the keep alone
    let first = point(&place);
    let pack = format!("t/{tenant}/p/{}/pack", name(&first));
    assert_eq!(SeaweedFs::locked_until(&place, "holdfast-journey", &pack), None);
    place.set("store_lock_days", 1);
    let day = now() + 8;
    place.run(&["backup", "keep", name(&first), "--reason", "audit", "--until", &later(day - now())]).ok();
    let refused = SeaweedFs::refuses_to_purge(&place, &pack);
    assert!(refused || now() >= day, "before the day it is refused");
    until(Duration::from_secs(60), "after the day it can be removed", || !SeaweedFs::refuses_to_purge(&place, &pack));
    assert!(now() >= day, "and not before");
    place.run(&["backup", "verify", name(&first)]).ended(4);
}
