//! A drill that cannot write to the backup store, whatever it does: its credentials only read, and the store enforces it.

use super::process::{Installation, program};
use super::reading::database;
use super::weed::SeaweedFs;

#[test]
fn a_drill_reads_with_credentials_that_cannot_write() {
    let Some(weed) = program("weed") else { return };
    let (url, _) = database();
    let mut place = Installation::on(&url);
    let _weed = SeaweedFs::start(&weed, &mut place);
    place.tenant("acme");
    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let before = SeaweedFs::listed(&place);
    // with the writer's own credentials a drill says that it could have written
    let careless = place.run(&["drill", "run", "--tenant", "acme", "--faults", "none"]).ok();
    assert_eq!(careless["isolation"]["store_read_only"], false, "{careless}");
    let (access, secret) = SeaweedFs::READER;
    for (setting, text) in [("drill_store_access_key_file", access), ("drill_store_secret_key_file", secret)] {
        let file = place.file(setting, text);
        place.set(setting, file);
    }
    let drill = place.run(&["drill", "run", "--tenant", "acme"]).ok();
    assert_eq!((&drill["verdict"], &drill["isolation"]["store_read_only"]), (&"pass".into(), &true.into()), "{drill}");
    assert_eq!(drill["point"], point["point"]);
    assert!(drill["faults"].as_array().unwrap().iter().all(|fault| fault["detected"] == true), "{drill}");
    assert_eq!(SeaweedFs::listed(&place), before, "nothing was written, and nothing removed");
    // who can only read is refused by name where a point would be taken
    let mut reader = place.clone();
    reader.set("store_access_key_file", place.path("drill_store_access_key_file").display());
    reader.set("store_secret_key_file", place.path("drill_store_secret_key_file").display());
    reader.run(&["backup", "run", "--tenant", "acme"]).failed(8);
    assert_eq!(SeaweedFs::listed(&place), before);
}
