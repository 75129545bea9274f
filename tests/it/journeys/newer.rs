//! A point that a newer holdfast wrote: nobody calls it damaged, nobody guesses at it; everybody says what to do.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::process::{Installation, until};
use super::reading::{Superuser, database, sha256};
use crate::identity::browser::Browser;

const PASSWORD: &str = "Correct-Horse-1!";

/// Makes the point what a newer holdfast would have left: a manifest of the next format, which books and log know.
fn make_newer(place: &Installation, database: &Superuser, point: &Value) {
    let path = place.path("store").join(point["manifest"].as_str().unwrap());
    let before = std::fs::read_to_string(&path).unwrap();
    let after = before.replacen("\"format\":1", "\"format\":2", 1);
    assert_eq!(after.len(), before.len());
    std::fs::write(&path, &after).unwrap();
    let (old, new) = (sha256(before.as_bytes()), sha256(after.as_bytes()));
    for (entry, _, _, bytes) in super::process::listing(&place.path("store/l")) {
        if entry.is_file() {
            std::fs::write(entry, String::from_utf8(bytes).unwrap().replace(&old, &new)).unwrap();
        }
    }
    database.sql(&format!("UPDATE holdfast.point SET manifest_sha256 = '{new}' WHERE manifest_sha256 = '{old}'"));
}

fn state(place: &Installation, point: &str) -> String {
    let all = place.run(&["backup", "list"]).ok();
    let found = all["points"].as_array().unwrap().iter().find(|one| one["point"] == point).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

#[track_caller]
fn says_what_to_do(sentence: &str, point: &str) {
    for word in [point, "format 2", "use a newer holdfast"] {
        assert!(sentence.contains(word), "{word:?} is missing in: {sentence}");
    }
}

#[test]
fn a_point_of_a_newer_format_is_named_and_left_alone() {
    let (url, database) = database();
    let mut place = Installation::on(&url);
    place.set("backup_changed_after", 0);
    place.tenant("acme");
    let old = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let newer = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    make_newer(&place, &database, &newer);
    let name = newer["point"].as_str().unwrap();

    says_what_to_do(&place.run(&["backup", "verify", name]).failed(7), name);
    says_what_to_do(&place.run(&["backup", "show", name]).failed(7), name);
    says_what_to_do(&place.run(&["restore", "run", name, "--as", "copy"]).failed(7), name);
    says_what_to_do(&place.run(&["restore", "note", "n-1", "--point", name, "--tenant", "acme"]).failed(7), name);
    place.run(&["tenant", "show", "copy"]).failed(5);
    let drill = place.run(&["drill", "run", "--tenant", "acme", "--point", name]).ended(4);
    assert_eq!(drill["verdict"], "incomplete", "not a bad verdict about the point: {drill}");
    says_what_to_do(&drill["differences"].to_string(), name);
    assert_eq!(state(&place, name), "verified", "nobody calls it damaged");

    // objects that only it may need stay
    let mut strict = place.clone();
    strict.set("retention", "within=0m");
    let pruned = strict.run(&["backup", "prune", "--tenant", "acme", "--yes"]).ended(3);
    says_what_to_do(&pruned["warnings"].to_string(), name);
    assert_eq!((&pruned["removed"], &pruned["swept"]), (&Value::Array(Vec::new()), &0.into()));

    // the older one is as good as before, and the next stands on its own
    place.run(&["backup", "verify", old["point"].as_str().unwrap()]).ok();
    in_the_console(&mut place, name, &old);
    let next = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    assert!(next["objects"].as_array().unwrap().iter().all(|object| object["referenced"] == false), "{next}");
    place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "copy"]).ok();

    // a point whose manifest only looks like a newer one is damaged: the log knows another
    let path = place.path("store").join(old["manifest"].as_str().unwrap());
    let text = std::fs::read_to_string(&path).unwrap().replacen("\"format\":1", "\"format\":2", 1);
    std::fs::write(path, text).unwrap();
    let read = place.run(&["backup", "verify", old["point"].as_str().unwrap()]).ended(4);
    assert_eq!(read["problems"][0]["problem"], "altered", "{read}");
}

/// The page of the point, before and after an operator has it read back. The worker brings the older point to the further store
/// meanwhile, which the newer one does not hold up.
fn in_the_console(place: &mut Installation, newer: &str, old: &Value) {
    let file = place.file("operator", PASSWORD);
    place.run(&["operator", "create", "root", "--password-file", &file]).ok();
    let further = place.path("nas");
    std::fs::create_dir(&further).unwrap();
    place.set("store_copies", format!("file://{}", further.display()));
    let server = place.serve(&["--no-worker"]);
    let worker = place.worker(&["--only", "backup,verify"]);
    let mut browser = Browser::default();
    let url = server.url().trim_end_matches('/').to_owned();
    let signed = browser.ask("POST", &format!("{url}/console/signin"), Some(&format!("name=root&password={PASSWORD}")));
    assert_eq!(signed.status, 303, "{}", signed.text());
    let at = format!("{url}/console/points/{newer}");
    let page = browser.ask("GET", &at, None).text();
    assert!(page.contains("badge verified") && !page.contains("Damaged"), "{page}");
    assert_eq!(browser.ask("POST", &format!("{at}/verify"), Some("")).status, 303);
    let mut last = String::new();
    until(Duration::from_secs(60), "the run has ended", || {
        last = browser.ask("GET", &at, None).text();
        !last.contains("data-events=")
    });
    assert!(last.contains("badge failed") && last.contains("use a newer holdfast"), "{last}");
    assert!(last.contains("badge verified") && !last.contains("Damaged"), "it is no damage: {last}");

    let copy: PathBuf = further.join(old["manifest"].as_str().unwrap());
    until(Duration::from_secs(30), "the older point is copied", || copy.exists());
    until(Duration::from_secs(30), "the worker says what it could not copy", || {
        worker.said().lines().any(|line| line.contains("a copy is behind") && line.contains("newer holdfast"))
    });
    worker.stop();
    server.stop();
}
