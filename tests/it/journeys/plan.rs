//! Forty folders at once: mixed releases, one corrupt, one with a taken slug, one live and being written.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use domain::chance::Chance;
use serde_json::Value;

use crate::support::Installation;

#[path = "../../../migrate/tests/common/old.rs"]
#[allow(dead_code)]
mod old;

use old::{Old, VERSIONS};

/// A process of its own that writes one memo after the other.
struct Writer(Child);

impl Writer {
    fn on(database: &Path) -> Self {
        let insert = "INSERT INTO memo (uid, creator_id, content) VALUES (lower(hex(randomblob(8))), 1, 'written while imported');\n";
        let file = database.with_extension("sql");
        std::fs::write(&file, format!("PRAGMA journal_mode = WAL;\n.timeout 5000\n{}", insert.repeat(200_000)))
            .unwrap();
        let child = Command::new("sqlite3")
            .arg(database)
            .stdin(std::fs::File::open(&file).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the program sqlite3"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const CORRUPT: &str = "team-07";
const TAKEN: &str = "team-11";
const LIVE: &str = "team-29";

/// Forty folders and the file that plans them.
fn forty(root: &Path) -> (Vec<(String, PathBuf)>, PathBuf) {
    let mut text = String::from("parallel = 3\n");
    let mut folders = Vec::new();
    for number in 0..40_usize {
        let (slug, folder) = (format!("team-{number:02}"), root.join(format!("memos-{number:02}")));
        std::fs::create_dir_all(&folder).unwrap();
        Old::build(&folder, &VERSIONS[number % VERSIONS.len()], &Chance::seeded(number as u64));
        text.push_str(&format!(
            "\n[[tenant]]\nslug = \"{slug}\"\nsource = \"memos-{number:02}\"\nhosts = [\"{slug}.example.org\"]\n"
        ));
        folders.push((slug, folder));
    }
    let plan = root.join("tenants.toml");
    std::fs::write(&plan, text).unwrap();
    (folders, plan)
}

/// Slugs with this outcome, sorted.
fn of<'a>(lines: &'a [Value], outcome: &str) -> Vec<&'a str> {
    let mut found: Vec<&str> =
        lines.iter().filter(|line| line["outcome"] == outcome).map(|line| line["slug"].as_str().unwrap()).collect();
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_folders_become_closed_tenants_and_two_are_refused_by_name() {
    let place = Installation::create().await;
    let (folders, plan) = forty(&place.folder.path().join("forty"));
    let folder = |slug: &str| folders.iter().find(|(known, _)| known == slug).unwrap().1.clone();
    std::fs::write(folder(CORRUPT).join("memos_prod.db"), b"SQLite format 3\0 and nothing more").unwrap();
    let password = place.folder.path().join("password");
    std::fs::write(&password, "a password of theirs").unwrap();
    place.must(&["tenant", "create", TAKEN, "--owner", "anna", "--password-file", password.to_str().unwrap()]);
    let writer = Writer::on(&folder(LIVE).join("memos_prod.db"));
    let run = ["migrate", "run", "--plan", plan.to_str().unwrap()];
    let (code, lines) = place.lines(&run);
    drop(writer);
    assert_eq!((code, lines.len()), (3, 40));
    assert_eq!(of(&lines, "refused"), [CORRUPT, TAKEN]);
    assert_eq!(of(&lines, "imported").len(), 38);
    let why = |slug: &str| lines.iter().find(|line| line["slug"] == slug).unwrap()["errors"][0].clone();
    assert_eq!(why(TAKEN)["code"], "slug_taken", "{}", why(TAKEN));
    assert!(!why(CORRUPT)["message"].as_str().unwrap().is_empty(), "{}", why(CORRUPT));
    let tenants = place.must(&["tenant", "list"]);
    for (slug, _) in folders.iter().filter(|(slug, _)| slug != CORRUPT && slug != TAKEN) {
        let tenant = tenants["items"].as_array().unwrap().iter().find(|tenant| tenant["slug"] == slug.as_str());
        let tenant = tenant.unwrap_or_else(|| panic!("{slug} in {tenants}"));
        assert_eq!(tenant["state"], "closed", "{tenant}");
        assert_eq!(tenant["hosts"][0], format!("{slug}.example.org"), "{tenant}");
    }
    assert!(!tenants.to_string().contains(CORRUPT), "nothing of a refused one stays");

    // Once more: only what is missing is done.
    place.must(&["migrate", "rollback", "--tenant", "team-03"]);
    let (code, again) = place.lines(&run);
    assert_eq!((code, of(&again, "imported"), of(&again, "already").len()), (3, vec!["team-03"], 37));
    assert_eq!(of(&again, "refused"), [CORRUPT, TAKEN]);

    // Look, open, and bring what was written since.
    let server = place.serve();
    let http = server.by_host(&format!("{LIVE}.example.org"));
    assert_eq!(http.call("GET", "/api/v1/auth/me", None, None).status, 503, "closed until it is opened");
    let source = folder(LIVE);
    let sql = "INSERT INTO memo (uid, creator_id, content, visibility) VALUES ('after-import', 1, 'written #later', 'PUBLIC')";
    rusqlite::Connection::open(source.join("memos_prod.db")).unwrap().execute_batch(sql).unwrap();
    place.must(&["migrate", "open", "--tenant", LIVE]);
    let caught = place.must(&["migrate", "catch-up", source.to_str().unwrap(), "--tenant", LIVE]);
    assert!(caught["brought"]["note"]["inserted"].as_u64() >= Some(1), "{caught}");
    assert_eq!(caught["refused"].as_array().map(Vec::len), Some(0), "{caught}");
    let none = place.must(&["migrate", "catch-up", source.to_str().unwrap(), "--tenant", LIVE]);
    assert_eq!(none["brought"], serde_json::json!({}), "{none}");
    let (token, _) = http.sign_in("user1@example.org", "pass-1");
    let note = http.call("GET", "/api/v1/memos/after-import", Some(&token), None);
    assert_eq!((note.status, &note.json()["tags"][0]), (200, &Value::from("later")), "{}", note.text());
    assert_eq!(place.run(&["migrate", "rollback", "--tenant", LIVE]).0, 7, "an open tenant is not rolled back");
    assert_eq!(place.run(&["migrate", "rollback", "--tenant", "nobody"]).0, 5);
    let (code, told) = place.run(&["migrate", "run", "--plan", "nowhere.toml", "--colour"]);
    assert_eq!((code, &told["error"]["code"]), (2, &Value::from("usage")), "{told}");
}
