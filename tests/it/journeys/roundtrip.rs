//! In, five hundred changes through the API, out as a Memos 0.30 folder, and in again: nothing is other than before.

use std::collections::BTreeMap;
use std::path::Path;

use domain::chance::Chance;
use serde_json::{Value, json};
use testkit::fixtures::{copy_of, fixture};

use super::memos::{list, truth};
use crate::support::{Http, Installation};

#[path = "../../../migrate/tests/common/shape.rs"]
mod shape;

/// Somebody who changes things at random.
struct Story<'a> {
    http: &'a Http,
    token: &'a str,
    chance: Chance,
    /// Notes made here, comments not among them.
    notes: Vec<String>,
    files: Vec<String>,
    /// Members made here.
    people: Vec<String>,
    done: BTreeMap<&'static str, usize>,
}

impl Story<'_> {
    fn call(&self, verb: &str, path: &str, body: &Value) -> Value {
        let answer = self.http.call(verb, path, Some(self.token), Some(body));
        assert_eq!(answer.status, 200, "{verb} {path} {body}: {}", answer.text());
        answer.json()
    }

    fn remove(&self, path: &str) {
        let answer = self.http.call("DELETE", path, Some(self.token), None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    fn one_of(&self, names: &[String]) -> Option<String> {
        (!names.is_empty()).then(|| names[self.chance.below(names.len() as u64) as usize].clone())
    }

    fn change(&mut self, number: usize) {
        let what = match self.chance.below(100) {
            0..25 => self.write(number),
            25..75 => self.touch_note(number),
            75..85 => self.touch_file(number),
            _ => self.touch_person(number),
        };
        *self.done.entry(what).or_default() += 1;
    }

    fn write(&mut self, number: usize) -> &'static str {
        let visibility = ["PRIVATE", "PROTECTED", "PUBLIC"][number % 3];
        let text = format!("# made {number}\n\n#new/tag ü 中文 `code`\n\n- [ ] x https://example.org");
        let memo = self.call("POST", "/api/v1/memos", &json!({"content": text, "visibility": visibility}));
        self.notes.push(memo["name"].as_str().unwrap().to_owned());
        "note"
    }

    fn touch_note(&mut self, number: usize) -> &'static str {
        let Some(note) = self.one_of(&self.notes) else { return self.write(number) };
        let path = format!("/api/v1/{note}");
        let patch = |mask: &str, body: Value| drop(self.call("PATCH", &format!("{path}?updateMask={mask}"), &body));
        match self.chance.below(10) {
            0 => patch("content", json!({"content": format!("edited {number} 🎉")})),
            1 => patch("pinned", json!({"pinned": number.is_multiple_of(2)})),
            2 => patch("state", json!({"state": if number.is_multiple_of(3) { "NORMAL" } else { "ARCHIVED" }})),
            3 => patch("visibility", json!({"visibility": "PROTECTED"})),
            4 => patch("location", json!({"location": {"placeholder": "Zürich", "latitude": 47.37, "longitude": 8.5}})),
            5 => {
                let text = json!({"content": format!("comment {number}"), "visibility": "PROTECTED"});
                self.call("POST", &format!("{path}/comments"), &text);
                return "comment";
            }
            6 => {
                let emoji = ["👍", "🎉", "❤️"][number % 3];
                let body = json!({"reaction": {"contentId": note, "reactionType": emoji}});
                self.call("POST", &format!("{path}/reactions"), &body);
                return "reaction";
            }
            7 => {
                let other = self.one_of(&self.notes).unwrap();
                let relation = json!({"memo": {"name": note}, "relatedMemo": {"name": other}, "type": "REFERENCE"});
                let relations = if other == note { json!([]) } else { json!([relation]) };
                self.call("PATCH", &format!("{path}/relations"), &json!({"relations": relations}));
                return "relation";
            }
            8 => {
                self.call("POST", &format!("{path}/shares"), &json!({}));
                return "share";
            }
            _ => {
                self.remove(&path);
                self.notes.retain(|known| *known != note);
                return "removed note";
            }
        }
        "edited note"
    }

    fn touch_file(&mut self, number: usize) -> &'static str {
        if number.is_multiple_of(4)
            && let Some(file) = self.files.pop()
        {
            self.remove(&format!("/api/v1/{file}"));
            return "removed file";
        }
        let mut body = json!({"filename": format!("f {number}.txt"), "type": "text/plain", "content": "aGVsbG8="});
        if let Some(note) = self.one_of(&self.notes) {
            body["memo"] = note.into();
        }
        let file = self.call("POST", "/api/v1/attachments", &body);
        self.files.push(file["name"].as_str().unwrap().to_owned());
        "file"
    }

    fn touch_person(&mut self, number: usize) -> &'static str {
        let at = self.chance.below(self.people.len().max(1) as u64) as usize;
        if self.people.len() < 4 || number.is_multiple_of(5) {
            let name = format!("person-{number}");
            self.call("POST", "/api/v1/users", &json!({"username": name, "password": format!("pass-{number}"), "role": "USER", "email": format!("{name}@example.org")}));
            self.people.push(name);
            return "new member";
        }
        let patch = |mask: &str, body: Value| {
            self.call("PATCH", &format!("/api/v1/users/{}?updateMask={mask}", self.people[at]), &body);
        };
        match self.chance.below(4) {
            0 => patch("role", json!({"role": if number.is_multiple_of(2) { "ADMIN" } else { "USER" }})),
            1 => patch("state", json!({"state": if number.is_multiple_of(3) { "NORMAL" } else { "ARCHIVED" }})),
            2 => patch(
                "display_name,description",
                json!({"displayName": format!("Nämé {number}"), "description": "**new**"}),
            ),
            _ => {
                let name = format!("renamed-{number}");
                patch("username", json!({"username": name}));
                self.people[at] = name;
                return "renamed member";
            }
        }
        "changed member"
    }
}

/// Answers of the API about everything that a member may read.
fn everything(http: &Http, token: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (route, list) in [
        ("memos?state=NORMAL&", "memos"),
        ("memos?state=ARCHIVED&", "memos"),
        ("users?", "users"),
        ("attachments?", "attachments"),
    ] {
        let mut page = String::new();
        loop {
            let path = format!("/api/v1/{route}pageSize=200&pageToken={page}");
            let answer = http.call("GET", &path, Some(token), None);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let body = answer.json();
            for item in body[list].as_array().unwrap() {
                found.insert(item["name"].as_str().unwrap().to_owned(), item.clone());
            }
            page = body["nextPageToken"].as_str().unwrap_or_default().to_owned();
            if page.is_empty() {
                break;
            }
        }
    }
    let alone = ["settings", "shortcuts", "webhooks", "notifications", "personalAccessTokens"];
    for path in alone.map(|of| format!("users/maria/{of}")).into_iter().chain(["instance/settings/GENERAL".to_owned()])
    {
        let answer = http.call("GET", &format!("/api/v1/{path}"), Some(token), None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        found.insert(path, answer.json());
    }
    let comments: Vec<String> =
        found.keys().filter(|name| name.starts_with("memos/")).map(|name| format!("{name}/comments")).collect();
    for path in comments
        .into_iter()
        .chain(found.keys().filter(|n| n.starts_with("memos/")).map(|n| format!("{n}/shares")).collect::<Vec<_>>())
    {
        let answer = http.call("GET", &format!("/api/v1/{path}"), Some(token), None);
        found.insert(path, json!([answer.status, answer.json()]));
    }
    found
}

/// Every row of every table, apart from what belongs to one installation, and from the numbers of files in their order, which
/// Memos tells by their times (the order itself is in what the API says).
async fn rows(place: &Installation, slug: &str) -> BTreeMap<String, Vec<String>> {
    let client = place.database.superuser().await;
    let schema: String =
        client.query_one("SELECT schema_id FROM holdfast.tenant WHERE slug = $1", &[&slug]).await.unwrap().get(0);
    let mut found = BTreeMap::new();
    for table in [
        "member",
        "note",
        "note_relation",
        "attachment",
        "reaction",
        "note_share",
        "member_setting",
        "setting",
        "access_token",
        "identity_provider",
        "member_identity",
        "notification",
    ] {
        let sql = format!(
            "SELECT row FROM (SELECT (to_jsonb(t) - 'storage_key' - 'position')::text AS row FROM {schema}.{table} t) r ORDER BY row COLLATE \"C\""
        );
        let rows = client.query(&sql, &[]).await.unwrap();
        // A link that is not there may be said or left out.
        let plain = |row: &str| row.replace(", \"external_link\": \"\"", "");
        found.insert(table.to_owned(), rows.iter().map(|row| plain(row.get(0))).collect());
    }
    found
}

fn integrity(database: &Path) {
    let conn = rusqlite::Connection::open(database).unwrap();
    let said: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let said: Vec<String> = conn
        .prepare("PRAGMA foreign_key_check")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(said.is_empty(), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_changes_go_out_as_memos_and_come_in_again() {
    let Some(folder) = fixture("memos-0.30.0") else { return };
    let place = Installation::create().await;
    place.import(&folder, "home");
    let truth = truth(&folder);
    let maria = list(&truth, "users").find(|user| user["username"] == "maria").unwrap();
    let password = maria["password"].as_str().unwrap();
    let server = place.serve();
    let http = server.by_path("home");
    let (token, _) = http.sign_in("maria", password);
    let mut story = Story {
        http: &http,
        token: &token,
        chance: Chance::seeded(30),
        notes: Vec::new(),
        files: Vec::new(),
        people: Vec::new(),
        done: BTreeMap::new(),
    };
    for number in 0..500 {
        story.change(number);
    }
    eprintln!("{:?}", story.done);
    assert!(story.done.len() >= 11, "every kind of change was made: {:?}", story.done);
    let before = everything(&http, &token);

    let out = place.folder.path().join("out");
    let exported = place.must(&["migrate", "export", "--tenant", "home", "--to", "memos-0.30", out.to_str().unwrap()]);
    let newest = &place.must(&["audit", "tail", "--tenant", "home", "--lines", "1"])["items"][0];
    assert_eq!((&newest["event"], &newest["object"]), (&json!("tenant.exported"), &json!("home")), "{newest}");
    assert_eq!(newest["detail"], json!({"form": "memos-0.30", "folder": out}), "{newest}");
    integrity(&out.join("memos_prod.db"));
    let real = copy_of(&folder);
    assert_eq!(shape::shape(&out.join("memos_prod.db")), shape::shape(&real.path().join("memos_prod.db")));
    for left in exported["left_out"].as_array().unwrap() {
        let known = ["member", "webhook_delivery", "import_remainder"].contains(&left["table"].as_str().unwrap());
        assert!(known && left["rows"].as_u64() >= Some(1), "{left}");
    }

    let looked = place.must(&["migrate", "check", out.to_str().unwrap()]);
    assert_eq!((&looked["warnings"], &looked["source"]["version"]), (&json!([]), &json!("0.30")), "{looked}");
    place.must(&["migrate", "run", out.to_str().unwrap(), "--tenant", "again", "--open"]);
    let again = server.by_path("again");
    let (token, _) = again.sign_in("maria", password);
    let after = everything(&again, &token);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, answer) in &before {
        assert_eq!(answer, &after[name], "{name}");
    }
    let (one, two) = (rows(&place, "home").await, rows(&place, "again").await);
    for (table, rows) in &one {
        for (here, there) in rows.iter().zip(&two[table]) {
            assert_eq!(here, there, "{table}");
        }
        assert_eq!(rows.len(), two[table].len(), "{table}");
    }
    let compared = place.must(&["restore", "compare", "home", "again"]);
    for what in ["notes", "members", "settings"] {
        for side in ["added", "deleted", "changed"] {
            assert_eq!(compared[what][side], json!([]), "{what} {side}: {compared}");
        }
    }
    assert!(one["member"].len() > 6 && one["note"].len() > 100);
}
