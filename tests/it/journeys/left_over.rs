//! What must not come back, and what must not be called gone: share links that were revoked, copies of a deleted tenant, old
//! versions of its files, dumps that do not read back.

use serde_json::json;

use super::http::Client;
use super::process::{Installation, PASSWORD, program};
use super::reading::database;
use super::weed::SeaweedFs;

#[test]
fn a_revoked_link_is_not_public_again_after_a_restore_and_a_swap() {
    let (url, _) = database();
    let place = Installation::on(&url);
    place.tenant("acme");
    let server = place.serve(&["--no-worker"]);
    let base = format!("{}/t/acme", server.url());
    let client = Client::sign_in(base.clone(), "maria", PASSWORD);
    let note = client.post("/api/v1/memos", &json!({"content": "for few", "visibility": "PRIVATE"}));
    let note = note["name"].as_str().unwrap();
    let share = || {
        let made = client.post(&format!("/api/v1/{note}/shares"), &json!({}));
        made["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let (revoked, kept) = (share(), share());
    let anybody = Client::new(base, None);
    let seen = |link: &str| anybody.status(&format!("/api/v1/shares/{link}"));
    assert_eq!((seen(&revoked), seen(&kept)), (200, 200));
    place.run(&["backup", "run", "--tenant", "acme"]).ok();
    client.send("DELETE", &format!("/api/v1/{note}/shares/{revoked}"), None).unwrap();
    assert_eq!((seen(&revoked), seen(&kept)), (404, 200));
    place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "copy"]).ok();
    let swapped = place.run(&["restore", "swap", "acme", "copy", "--yes"]).ok();
    assert_eq!((seen(&revoked), seen(&kept)), (404, 200), "{swapped}");
}

#[test]
fn a_certificate_names_the_copy_and_the_file_store_keeps_no_version() {
    let Some(weed) = program("weed") else { return };
    let (url, _) = database();
    let mut place = Installation::on(&url);
    let _weed = SeaweedFs::start(&weed, &mut place);
    SeaweedFs::versioned_files(&mut place, "live-files");
    place.tenant("gone");
    let id = place.run(&["tenant", "show", "gone"]).ok()["id"].as_str().unwrap().replace('-', "");
    let server = place.serve(&["--no-worker"]);
    let client = Client::sign_in(format!("{}/t/gone", server.url()), "maria", PASSWORD);
    client.post("/api/v1/attachments", &json!({"filename": "a.txt", "type": "text/plain", "content": "aGVsbG8="}));
    server.stop();
    place.run(&["backup", "run", "--tenant", "gone"]).ok();
    place.run(&["restore", "run", "latest", "--tenant", "gone", "--as", "copy"]).ok();
    let versions = || SeaweedFs::versions_in(&place, "live-files", &format!("f/{id}/"));
    assert_eq!(versions(), 1);
    place.run(&["tenant", "delete", "gone", "--yes", "--grace", "0d"]).ok();
    assert_eq!(versions(), 0, "no old version, and no mark of a deletion");

    let purged = place.run(&["key", "purge", "--tenant", "gone", "--yes"]).ended(3);
    assert!(purged["next"][0].as_str().unwrap().contains("tenant copy (closed) holds rows of gone"), "{purged}");
    let said = || place.run(&["key", "certificates", "--tenant", "gone"]).ok()["certificates"][0]["statement"].clone();
    let first = said();
    assert_eq!((&first["state"], &first["copies"][0]["tenant"]), (&json!("deleting"), &json!("copy")), "{first}");
    assert_eq!(first["files"]["gone"], true, "{first}");
    place.run(&["tenant", "delete", "copy", "--yes", "--grace", "0d"]).ok();
    place.run(&["key", "purge", "--tenant", "copy", "--yes"]).ok();
    let last = said();
    assert_eq!((&last["state"], last.get("copies")), (&json!("deleted"), None), "{last}");
}

#[test]
fn a_dump_that_reads_badly_is_told_by_verify_prune_and_doctor() {
    let (url, _) = database();
    let place = Installation::on(&url);
    place.tenant("acme");
    let (first, second) = (place.run(&["backup", "dump"]).ok(), place.run(&["backup", "dump"]).ok());
    let name = |dump: &serde_json::Value| dump["dump"].as_str().unwrap().to_owned();
    place.run(&["backup", "verify", &name(&second)]).ok();
    let file = place.path("store").join(second["key"].as_str().unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&file, bytes).unwrap();
    let bad = place.run(&["backup", "verify", &name(&second)]).ended(4);
    assert_eq!((&bad["state"], &bad["problems"][0]["problem"]), (&json!("damaged"), &json!("altered")), "{bad}");
    let pruned = place.run(&["backup", "prune"]).ended(3);
    let kept = pruned["dumps_kept"].as_array().unwrap();
    let good = |of: &serde_json::Value| {
        let dump = kept.iter().find(|kept| kept["dump"] == of["dump"]).unwrap();
        dump["reasons"].as_array().unwrap().contains(&json!("the newest good one"))
    };
    assert!(good(&first) && !good(&second), "{pruned}");
    let doctor = place.run(&["doctor"]);
    assert!(doctor.code == 4 && doctor.out.contains(&format!("{}, the newest of", name(&second))), "{doctor:?}");
}
