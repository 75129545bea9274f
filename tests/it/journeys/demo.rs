//! `holdfast demo`: one command from a Memos folder to a passed drill.

use std::path::Path;

use serde_json::Value;

use super::process::{Installation, Ran, listing};

/// Runs it once on free ports of loopback.
pub(super) fn once(place: &Installation, from: Option<&Path>) -> Ran {
    let mut words = vec!["demo", "--once", "--listen", "127.0.0.1:0"];
    if let Some(folder) = from {
        words.extend(["--from", folder.to_str().unwrap()]);
    }
    place.run(&words)
}

/// A passed demo: what its last line must say.
#[track_caller]
pub(super) fn passed(ran: &Ran, notes: Option<u64>) -> Value {
    let last = ran.ok();
    assert_eq!(last["drill"]["verdict"], "pass", "{last}");
    assert!(last["drill"]["rto_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{last}");
    if let Some(notes) = notes {
        assert_eq!(last["drill"]["notes"], notes, "every note, comments and archived ones included");
    }
    let ready = &ran.lines()[0];
    assert_eq!((&ready["schema"], &ready["event"]), (&"v1".into(), &"ready".into()));
    for address in ["url", "ops_url", "s3_url"] {
        assert!(ready[address].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{address}: {ready}");
    }
    assert!(ready["pid"].as_u64().is_some());
    assert_eq!(last["url"], ready["url"]);
    assert_eq!(last["tenant"], "default");
    let point = last["restore_point"].as_str().unwrap();
    assert!(point.len() == 25 && point[..8].bytes().all(|b| b.is_ascii_digit()), "a point's name: {point}");
    last
}

#[test]
fn the_sample_comes_back_and_a_second_run_imports_nothing() {
    let place = Installation::embedded();
    let first = passed(&once(&place, None), None);
    assert!(first["owner"].as_str().is_some() && first["password"].as_str().is_some(), "{first}");
    assert!(first["operator_password"].as_str().is_some(), "{first}");
    let notes = first["drill"]["notes"].as_u64().unwrap();
    assert!(notes >= 200, "the sample has 200 notes: {notes}");

    let second = passed(&once(&place, None), Some(notes));
    assert_eq!(second["import_warnings"], 0, "nothing was imported: {second}");
    assert_ne!(second["restore_point"], first["restore_point"], "a point of its own");
    assert_eq!(second["operator"], first["operator"]);
    assert!(second["operator_password"].is_null(), "the old one stays: {second}");
    // The objects are plain files below the data folder.
    let point = second["restore_point"].as_str().unwrap();
    let manifests = listing(&place.data().join("s3/holdfast/t"));
    let ours = |path: &Path| path.ends_with(format!("p/{point}/manifest.json"));
    assert_eq!(manifests.iter().filter(|entry| ours(&entry.0)).count(), 1);
}

fn of_fixture(name: &str) {
    let Some(fixture) = testkit::fixtures::fixture(name) else { return };
    let truth: Value = serde_json::from_slice(&std::fs::read(fixture.join("truth.json")).unwrap()).unwrap();
    let copy = testkit::fixtures::copy_of(&fixture);
    std::fs::remove_file(copy.path().join("truth.json")).unwrap();
    let before = listing(copy.path());
    let place = Installation::embedded();
    let last = passed(&once(&place, Some(copy.path())), truth["tables"]["memo"].as_u64());
    assert!(last["password"].is_null(), "the owner came with the import: {last}");
    assert_eq!(last["owner"], truth["users"][0]["username"]);
    let after = listing(copy.path());
    let facts = |all: &[(std::path::PathBuf, u64, std::time::SystemTime, Vec<u8>)]| {
        all.iter().map(|(path, size, time, _)| (path.clone(), *size, *time)).collect::<Vec<_>>()
    };
    assert_eq!(facts(&before), facts(&after), "names, lengths and times of the source stay");
    assert!(before == after, "the bytes of the source stay");
}

#[test]
fn a_folder_of_0_30_0_comes_back() {
    of_fixture("memos-0.30.0");
}

#[test]
fn a_folder_of_a_killed_0_30_0_comes_back() {
    of_fixture("memos-0.30.0-unclean");
}

#[test]
fn a_folder_of_0_22_5_comes_back() {
    of_fixture("memos-0.22.5");
}
