//! The live Markdown mirror as people meet it: notes written through the API, read with nothing but a file system.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::http::Client;
use super::process::{Installation, until};
use super::reading::database;

/// A changed tenant is looked at every 5 s; on a busy machine it may take a little longer than the 20 s promised.
const SOON: Duration = Duration::from_secs(60);

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether a file is left in a folder whose files may vanish while it is looked at.
fn holds_files(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| if path.is_dir() { holds_files(&path) } else { path.exists() })
}

#[test]
fn notes_are_readable_files_while_the_server_is_down_and_go_with_their_tenant() {
    let (url, _database) = database();
    let mut place = Installation::on(&url);
    place.set("backup_changed_after", 0);
    let token = place.tenant("acme");
    let (root, to) = (place.path("mirror"), place.path("mirror").display().to_string());
    let on = place.run(&["mirror", "on", "--tenant", "acme", "--to", &to]).ok();
    assert_eq!((on["tenant"].as_str(), on["status"].as_str()), (Some("acme"), Some("unknown")));
    let server = place.serve(&[]);
    let client = Client::new(format!("{}/t/acme", server.url()), Some(&token));

    // a note with a file is a file with a link to it
    let file = client
        .post("/api/v1/attachments", &json!({"filename": "a b.txt", "type": "text/plain", "content": "aGVsbG8="}));
    let note =
        json!({"content": "# Plan\nsee #work", "visibility": "PRIVATE", "attachments": [{"name": file["name"]}]});
    let name = client.post("/api/v1/memos", &note)["name"].as_str().unwrap().to_owned();
    let path = root.join("notes").join(format!("{}.md", name.trim_start_matches("memos/")));
    until(SOON, "the note is a file", || path.is_file());
    let text = read(&path);
    assert!(text.contains("# Plan\nsee #work") && text.contains("tags: [\"work\"]"), "{text}");
    let link = text.split("](").nth(1).and_then(|rest| rest.split(')').next()).unwrap().replace("%20", " ");
    assert_eq!(read(&path.parent().unwrap().join(link)), "hello");

    // edited, and another one deleted
    let other = client.post("/api/v1/memos", &json!({"content": "short-lived"}))["name"].as_str().unwrap().to_owned();
    let gone = root.join("notes").join(format!("{}.md", other.trim_start_matches("memos/")));
    until(SOON, "the other note is a file", || gone.is_file());
    let edited =
        client.send("PATCH", &format!("/api/v1/{name}?updateMask=content"), Some(&json!({"content": "changed"})));
    assert_eq!(edited.unwrap().status, 200);
    assert_eq!(client.send("DELETE", &format!("/api/v1/{other}"), None).unwrap().status, 200);
    until(SOON, "both changes are in the mirror", || read(&path).contains("\nchanged\n") && !gone.exists());

    // killed while notes are written; the next one goes on, whatever the first has left
    for at in 0..40 {
        client.post("/api/v1/memos", &json!({"content": format!("note {at}")}));
    }
    server.signal("KILL", true);
    drop(server);
    let server = place.serve(&[]);
    let status = || place.run(&["mirror", "show", "--tenant", "acme"]).ok()["mirrors"][0].clone();
    // the killed one's lease (30 s) must run out first
    until(2 * SOON, "every note is in the mirror, and nothing is behind", || {
        let shown = status();
        shown["notes"] == 41 && shown["status"] == "ok" && shown["lag_seconds"] == 0.0 && shown["files"] == 1
    });
    assert_eq!(std::fs::read_dir(root.join("notes")).unwrap().count(), 41);

    // and with the tenant
    place.run(&["tenant", "delete", "acme", "--yes", "--grace", "0d"]).ok();
    until(SOON, "the mirror is empty", || !holds_files(&root));
    // its row goes after its files
    until(SOON, "no mirror is left", || place.run(&["mirror", "show"]).ok()["mirrors"].as_array().unwrap().is_empty());
    server.stop();
}
