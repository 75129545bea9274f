//! Damage to stored objects, done with plain file operations, is named by `backup verify` and refused by `restore`.

use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::Value;

use super::process::Installation;
use super::reading::{database, open_point, sample};

/// What was done to a point, by whom it must be named, and with which word.
struct Damage {
    name: String,
    object: String,
    kind: String,
    /// Any of these words is right.
    problems: &'static [&'static str],
    /// Files to change: what they hold afterwards, or none when they are gone.
    changes: Vec<(PathBuf, Option<Vec<u8>>)>,
}

/// One object of every kind that the point has, its manifest and its drill key among them.
fn one_of_each(store: &Path, point: &Value) -> Vec<(String, String)> {
    let mut chosen: Vec<(String, String)> = Vec::new();
    for object in point["objects"].as_array().unwrap() {
        let (key, kind) = (object["key"].as_str().unwrap(), object["kind"].as_str().unwrap());
        if !chosen.iter().any(|(_, known)| known == kind) {
            chosen.push((key.to_owned(), kind.to_owned()));
        }
    }
    let manifest = point["manifest"].as_str().unwrap();
    chosen.push((manifest.to_owned(), "manifest".to_owned()));
    let document: Value = serde_json::from_slice(&std::fs::read(store.join(manifest)).unwrap()).unwrap();
    let keys = document["keys"].as_array().unwrap();
    let drill = keys.iter().find(|key| key["holder"] == "drill").unwrap();
    chosen.push((drill["key"].as_str().unwrap().to_owned(), "key".to_owned()));
    chosen
}

/// Flip, truncate and remove for one of each kind.
fn to_single_objects(store: &Path, point: &Value) -> Vec<Damage> {
    let mut all = Vec::new();
    for (key, kind) in one_of_each(store, point) {
        let path = store.join(&key);
        let bytes = std::fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        // Not the same place everywhere: in front, in the middle, at the end.
        let place = [0, bytes.len() / 2, bytes.len() - 1][all.len() % 3];
        flipped[place] ^= 0x10;
        let shorter = bytes[..bytes.len() - 1].to_vec();
        let cases: [(&str, &[&str], Option<Vec<u8>>); 3] = [
            ("flip", &["altered", "wrong_key", "stale"], Some(flipped)),
            ("truncate", &["truncated", "altered"], Some(shorter)),
            ("remove", &["missing"], None),
        ];
        for (name, problems, after) in cases {
            let changes = vec![(path.clone(), after)];
            let name = format!("{name} a {kind}");
            all.push(Damage { name, object: key.clone(), kind: kind.clone(), problems, changes });
        }
    }
    all
}

/// Two objects of a kind that change places.
fn swaps(store: &Path, point: &Value) -> Vec<Damage> {
    let objects: Vec<(&str, &str)> = point["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| (object["key"].as_str().unwrap(), object["kind"].as_str().unwrap()))
        .collect();
    let mut all: Vec<Damage> = Vec::new();
    for (at, (one, kind)) in objects.iter().enumerate() {
        let Some((other, _)) = objects[at + 1..].iter().find(|(_, other)| other == kind) else { continue };
        if all.iter().any(|known| known.kind == *kind) {
            continue;
        }
        let (one_path, other_path) = (store.join(one), store.join(other));
        let changes = vec![
            (one_path.clone(), Some(std::fs::read(&other_path).unwrap())),
            (other_path, Some(std::fs::read(&one_path).unwrap())),
        ];
        let (object, kind) = ((*one).to_owned(), (*kind).to_owned());
        all.push(Damage {
            name: format!("swap two of {kind}"),
            object,
            kind,
            problems: &["altered", "truncated"],
            changes,
        });
    }
    all
}

fn stale(store: &Path, older: &Value, point: &Value) -> Damage {
    let manifest = point["manifest"].as_str().unwrap().to_owned();
    let old_manifest = std::fs::read(store.join(older["manifest"].as_str().unwrap())).unwrap();
    Damage {
        name: "the older manifest under the newer name".to_owned(),
        object: manifest.clone(),
        kind: "manifest".to_owned(),
        problems: &["stale"],
        changes: vec![(store.join(&manifest), Some(old_manifest))],
    }
}

/// Does it; what was there before.
fn done(damage: &Damage) -> Vec<(PathBuf, Vec<u8>)> {
    let sound = damage.changes.iter().map(|(path, _)| (path.clone(), std::fs::read(path).unwrap())).collect();
    for (path, after) in &damage.changes {
        match after {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }
    sound
}

fn repair(sound: Vec<(PathBuf, Vec<u8>)>) {
    for (path, bytes) in sound {
        std::fs::write(path, bytes).unwrap();
    }
}

/// Damages, asks, repairs.
fn inflict(place: &Installation, point: &str, damage: &Damage, number: usize) {
    let sound = done(damage);
    let name = &damage.name;
    let verified = place.run(&["backup", "verify", point]);
    assert_eq!(verified.code, 4, "{name}: {verified:?}");
    let verified = verified.json();
    let problems = verified["problems"].as_array().unwrap();
    let named = problems.iter().find(|problem| problem["object"] == damage.object.as_str());
    let named = named.unwrap_or_else(|| panic!("{name}: {} is not named: {problems:?}", damage.object));
    assert_eq!(named["kind"], damage.kind.as_str(), "{name}: {named}");
    assert!(damage.problems.contains(&named["problem"].as_str().unwrap()), "{name}: {named}");

    let refused = place.run(&["restore", "run", point, "--as", &format!("damaged-{number}")]);
    let sentence = refused.failed(7);
    assert!(sentence.contains("damaged") || sentence.contains(&damage.object), "{name}: {sentence}");
    repair(sound);
}

/// What the books say of a point.
fn state(place: &Installation, point: &str) -> String {
    let all = place.run(&["backup", "list", "--tenant", "acme"]).ok();
    let found = all["points"].as_array().unwrap().iter().find(|one| one["point"] == point).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

/// Damages, drills, repairs: the drill ends in a verdict, and the verdict says which object and what is wrong with it.
fn drilled(place: &Installation, point: &str, damage: &Damage) {
    let sound = done(damage);
    let name = &damage.name;
    let report = place.run(&["drill", "run", "--tenant", "acme", "--point", point]).ended(4);
    assert_eq!(report["verdict"], "fail", "{name}: {report}");
    let told: Vec<&str> = report["differences"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let says = |problem: &&str| told.iter().any(|line| line.contains(&format!("{} is {problem}", damage.object)));
    assert!(damage.problems.iter().any(says), "{name}: {told:?}");
    assert!(report["rto_seconds"].is_null() && report["notes_compared"] == 0, "nothing came of it: {name}: {report}");
    assert_eq!(state(place, point), "damaged", "{name}");
    repair(sound);
}

/// A tenant big enough that rows, files and lists are objects of their own.
fn furnished() -> (Installation, super::reading::Superuser, PathBuf) {
    let (url, superuser) = database();
    let place = Installation::on(&url);
    let (folder, people) = sample(&place, 21);
    let imported = place.run(&["migrate", "run", folder.to_str().unwrap(), "--tenant", "acme", "--open"]);
    assert!(matches!(imported.code, 0 | 3), "{imported:?}");
    let server = place.serve(&["--no-worker"]);
    let owner = super::http::Client::sign_in(format!("{}/t/acme", server.url()), &people[0].0, &people[0].1);
    for number in 0..6_u32 {
        // What zstd cannot make smaller.
        let noise: Vec<u8> = (0..26_000).flat_map(|n| noise(n, number)).collect();
        let content = base64::engine::general_purpose::STANDARD.encode(&noise);
        owner.post("/api/v1/attachments", &serde_json::json!({"filename": format!("noise-{number}.bin"), "type": "application/octet-stream", "content": content}));
    }
    server.stop();
    // Above 4 MiB after compression, so that the notes' rows are objects of their own.
    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    superuser.sql(&format!(
        "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content)
         SELECT g, 'noise-' || g, (SELECT min(id) FROM {schema}.member), g, g, 'PRIVATE',
                (SELECT string_agg(md5(g || '-' || k), '') FROM generate_series(1, 128) k)
         FROM generate_series(1000000, 1002299) g;
         SELECT setval('{schema}.id_seq', 2000000)"
    ));
    let store = place.path("store");
    (place, superuser, store)
}

fn noise(number: u32, salt: u32) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest([number.to_le_bytes(), salt.to_le_bytes()].concat()).into()
}

#[test]
fn every_damage_is_named_and_refused() {
    let (place, _, store) = furnished();
    let older = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let name = point["point"].as_str().unwrap();
    let kinds: Vec<String> = one_of_each(&store, &point).into_iter().map(|(_, kind)| kind).collect();
    for kind in ["pack", "rows", "file", "markdown", "manifest", "key"] {
        assert!(kinds.iter().any(|known| known == kind), "the point has a {kind}: {kinds:?}");
    }

    let mut all = to_single_objects(&store, &point);
    all.extend(swaps(&store, &point));
    all.push(stale(&store, &older, &point));
    let (key, _) = one_of_each(&store, &point).pop().unwrap();
    let length = std::fs::metadata(store.join(&key)).unwrap().len() as usize;
    let garbage: Vec<u8> = (0..u32::try_from(length).unwrap()).map(|n| noise(n, 7)[0]).collect();
    all.push(Damage {
        name: "garbage in place of the wrapped key".to_owned(),
        object: key.clone(),
        kind: "key".to_owned(),
        problems: &["altered", "wrong_key"],
        changes: vec![(store.join(&key), Some(garbage))],
    });
    // A key that opens nothing: another tenant's, wrapped for the same holder.
    place.tenant("other");
    let other = place.run(&["backup", "run", "--tenant", "other"]).ok();
    let (foreign, _) = one_of_each(&store, &other).pop().unwrap();
    all.push(Damage {
        name: "another tenant's wrapped key".to_owned(),
        object: key.clone(),
        kind: "key".to_owned(),
        problems: &["altered", "wrong_key", "truncated"],
        changes: vec![(store.join(&key), Some(std::fs::read(store.join(foreign)).unwrap()))],
    });

    for (number, damage) in all.iter().enumerate() {
        inflict(&place, name, damage, number);
    }
    println!("{} damages named and refused", all.len());
    let tenants = place.run(&["tenant", "list"]).ok();
    let slugs: Vec<&str> = tenants["items"].as_array().unwrap().iter().filter_map(|t| t["slug"].as_str()).collect();
    assert!(slugs.iter().all(|slug| !slug.starts_with("damaged-")), "no tenant is left: {slugs:?}");

    // The untouched control: everything was put back.
    let control = place.run(&["backup", "verify", name]).ok();
    assert_eq!(control["problems"].as_array().map(Vec::len), Some(0), "{control}");
    let restored = place.run(&["restore", "run", name, "--as", "control"]).ok();
    assert_eq!(restored["notes"], point["notes"]);
}

#[test]
fn a_drill_of_a_damaged_store_fails_and_names_what_is_wrong() {
    let (place, _, store) = furnished();
    let older = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let name = point["point"].as_str().unwrap();
    let mut all = to_single_objects(&store, &point);
    all.extend(swaps(&store, &point));
    all.push(stale(&store, &older, &point));
    for damage in &all {
        drilled(&place, name, damage);
    }
    println!("{} damages named by drills", all.len());

    // The untouched control: everything was put back.
    place.run(&["backup", "verify", name]).ok();
    let proven = place.run(&["drill", "run", "--tenant", "acme", "--point", name]).ok();
    assert_eq!((&proven["verdict"], &proven["notes_compared"]), (&"pass".into(), &point["notes"]), "{proven}");
    assert_eq!(proven["control_accepted"], true);
    assert_eq!(state(&place, name), "proven");
    let drills = place.run(&["drill", "list", "--tenant", "acme"]).ok();
    let verdicts: Vec<&str> =
        drills["drills"].as_array().unwrap().iter().filter_map(|drill| drill["verdict"].as_str()).collect();
    assert_eq!(verdicts.len(), all.len() + 1, "{drills}");
    assert!(verdicts[0] == "pass" && verdicts[1..].iter().all(|verdict| *verdict == "fail"), "{verdicts:?}");
}

#[test]
fn what_is_added_by_sql_is_in_the_next_point() {
    let (url, superuser) = database();
    let place = Installation::on(&url);
    place.tenant("acme");
    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    superuser.sql(&format!(
        "ALTER TABLE {schema}.member ADD COLUMN nickname text; UPDATE {schema}.member SET nickname = 'added by hand';
         CREATE TABLE {schema}.added (id bigint PRIMARY KEY, words text NOT NULL);
         INSERT INTO {schema}.added VALUES (1, 'a row of a table added by hand');"
    ));
    // A table that the tenant's role may not read: the point fails and says which, or has it.
    let ran = place.run(&["backup", "run", "--tenant", "acme"]);
    if ran.code != 0 {
        assert!(ran.failed(ran.code).contains("added"), "{ran:?}");
        superuser.sql(&format!(
            "DO $$ BEGIN EXECUTE format('ALTER TABLE {schema}.added OWNER TO %I', (SELECT tableowner FROM pg_tables \
             WHERE schemaname = '{schema}' AND tablename = 'note')); END $$;
             DO $$ DECLARE r record; BEGIN FOR r IN SELECT grantee, privilege_type FROM information_schema.role_table_grants \
             WHERE table_schema = '{schema}' AND table_name = 'note' AND grantee <> 'postgres' \
             LOOP EXECUTE format('GRANT %s ON {schema}.added TO %I', r.privilege_type, r.grantee); END LOOP; END $$;"
        ));
    }
    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let drill_key = place.data().join("keys/drill.key");
    let opened = open_point(&place, &place.path("store"), point["manifest"].as_str().unwrap(), "drill", &drill_key);
    let tables = opened.sealed["tables"].as_array().unwrap();
    let table =
        |name: &str| tables.iter().find(|t| t["name"] == name).unwrap_or_else(|| panic!("table {name}: {tables:?}"));
    let columns: Vec<&str> =
        table("member")["columns"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert!(columns.contains(&"nickname"), "{columns:?}");
    assert_eq!(table("added")["rows"], 1);
    let text = |name: &str| {
        let pieces = table(name)["pieces"].as_array().unwrap();
        pieces
            .iter()
            .map(|piece| String::from_utf8_lossy(&opened.streams[piece["name"].as_str().unwrap()]).into_owned())
            .collect::<String>()
    };
    assert!(text("member").contains("added by hand"));
    assert_eq!(text("added"), "1\ta row of a table added by hand\n");
    // And back it comes, or the restore says what it cannot take.
    let restored = place.run(&["restore", "run", point["point"].as_str().unwrap(), "--as", "again"]);
    if restored.code == 0 {
        let schema = place.run(&["tenant", "show", "again"]).ok()["schema"].as_str().unwrap().to_owned();
        assert_eq!(superuser.sql(&format!("SELECT words FROM {schema}.added")), "a row of a table added by hand");
        assert_eq!(superuser.sql(&format!("SELECT DISTINCT nickname FROM {schema}.member")), "added by hand");
    } else {
        let sentence = restored.failed(restored.code);
        assert!(sentence.contains("added") || sentence.contains("nickname"), "{sentence}");
        place.run(&["tenant", "show", "again"]).failed(5);
    }
}
