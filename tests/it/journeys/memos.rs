//! Coming from Memos and going back: every fixture's people sign in, their old links answer, and after five hundred changes
//! through the API the tenant goes out as a Memos folder and comes in again the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use testkit::fixtures::{data_folders, fixture};

use crate::support::{Answer, Http, Installation};

fn truth(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap()
}

fn slug_of(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().replace('.', "-")
}

fn list<'a>(truth: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    truth[key].as_array().into_iter().flatten()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_every_release_sign_in_and_their_old_links_answer() {
    let place = Installation::create().await;
    let folders = data_folders();
    if folders.is_empty() {
        return;
    }
    for folder in &folders {
        let report = place.import(folder, &slug_of(folder));
        assert!(report["verified"]["sampled"].as_u64() >= Some(10), "notes were read through the API: {report}");
        place.must(&["tenant", "set", &slug_of(folder), "--public-url", "https://notes.example.org"]);
    }
    let server = place.serve();
    for folder in &folders {
        let (truth, name) = (truth(folder), slug_of(folder));
        let http = server.by_path(&name);
        for user in list(&truth, "users").filter(|user| !user["role"].as_str().unwrap().contains("archived")) {
            let (token, _) = http.sign_in(user["username"].as_str().unwrap(), user["password"].as_str().unwrap());
            let me = http.call("GET", "/api/v1/auth/me", Some(&token), None);
            assert_eq!(me.status, 200, "{name}: {}", me.text());
        }
        for token in list(&truth, "personal_access_tokens").filter(|token| token["user"] != "oldtimer") {
            let answer = http.call("GET", "/api/v1/memos?pageSize=1", token["token"].as_str(), None);
            let over = answer.status == 401 && token.to_string().contains("xpire");
            assert!(answer.status == 200 || over, "{name}: {token}: {}", answer.text());
        }
        links(&name, &truth, &http);
    }
}

/// What a stranger with an old link to something public finds.
fn links(name: &str, truth: &Value, http: &Http) {
    let public = list(truth, "memos")
        .find(|memo| memo["visibility"] == "PUBLIC" && memo["archived"] == false && memo["comment_of"].is_null());
    let public = public.unwrap_or_else(|| panic!("{name} has a public memo"));
    let get = |path: &str| http.send("GET", path, &[], None);
    let follow = |answer: &Answer| {
        assert_eq!(answer.status, 303, "{name}: {}", answer.text());
        let to = answer.header("location").unwrap().to_owned();
        let below = to.strip_prefix(&http.base).unwrap_or(&to).to_owned();
        get(&below)
    };
    let names = [public["uid"].as_str().map(str::to_owned), Some(public["id"].to_string())];
    for id in names.into_iter().flatten() {
        let shown = follow(&get(&format!("/m/{id}")));
        assert_eq!(shown.status, 200, "{name}: /m/{id}");
    }
    assert_eq!(follow(&get("/u/maria")).status, 200, "{name}: /u/maria");
    assert_eq!(follow(&get("/u/1")).status, 200, "{name}: /u/1");
    let public_ids: Vec<&Value> =
        list(truth, "memos").filter(|memo| memo["visibility"] == "PUBLIC" && memo["archived"] == false).collect();
    let file = list(truth, "stored_attachments").find(|file| {
        file["sha256"].is_string()
            && public_ids
                .iter()
                .any(|memo| !file["memo"].is_null() && (memo["id"] == file["memo"] || memo["uid"] == file["memo"]))
    });
    let Some(file) = file else { return };
    for id in [file["uid"].as_str().map(str::to_owned), Some(file["id"].to_string())].into_iter().flatten() {
        for path in [format!("/o/r/{id}"), format!("/file/resources/{id}/x"), format!("/file/attachments/{id}/x")] {
            let answer = get(&path);
            assert_eq!(answer.status, 200, "{name}: {path}: {}", answer.text());
        }
    }
}

/// Answers of the API about everything, without what differs between two tenants.
fn everything(http: &Http, token: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for state in ["NORMAL", "ARCHIVED"] {
        let mut page = String::new();
        loop {
            let answer = http.call(
                "GET",
                &format!("/api/v1/memos?pageSize=200&state={state}&pageToken={page}"),
                Some(token),
                None,
            );
            assert_eq!(answer.status, 200, "{}", answer.text());
            let body = answer.json();
            for memo in body["memos"].as_array().into_iter().flatten() {
                found.insert(memo["name"].as_str().unwrap().to_owned(), memo.clone());
            }
            page = body["nextPageToken"].as_str().unwrap_or_default().to_owned();
            if page.is_empty() {
                break;
            }
        }
    }
    found
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
    let call = |verb: &str, path: &str, body: Value| {
        let answer = http.call(verb, path, Some(&token), Some(&body));
        assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
        answer.json()
    };
    let mut made: Vec<String> = Vec::new();
    for number in 0..500_usize {
        let last = made.last().cloned().unwrap_or_default();
        match number % 10 {
            0..=3 => {
                let visibility = ["PRIVATE", "PROTECTED", "PUBLIC"][number % 3];
                let memo = call(
                    "POST",
                    "/api/v1/memos",
                    json!({"content": format!("made {number} #new ü\n\n- [ ] x"), "visibility": visibility}),
                );
                made.push(memo["name"].as_str().unwrap().to_owned());
            }
            4 => drop(call(
                "PATCH",
                &format!("/api/v1/{last}?updateMask=content"),
                json!({"content": format!("edited {number} 🎉")}),
            )),
            5 => drop(call(
                "POST",
                &format!("/api/v1/{last}/comments"),
                json!({"content": format!("comment {number}"), "visibility": "PROTECTED"}),
            )),
            6 => drop(call(
                "POST",
                &format!("/api/v1/{last}/reactions"),
                json!({"reaction": {"contentId": last, "reactionType": "👍"}}),
            )),
            7 => drop(call(
                "POST",
                "/api/v1/attachments",
                json!({"filename": format!("f{number}.txt"), "type": "text/plain", "content": "aGVsbG8=", "memo": last}),
            )),
            8 => drop(call("PATCH", &format!("/api/v1/{last}?updateMask=pinned"), json!({"pinned": true}))),
            _ if made.len() > 3 => {
                let gone = made.remove(0);
                let answer = http.call("DELETE", &format!("/api/v1/{gone}"), Some(&token), None);
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            _ => {}
        }
    }
    let before = everything(&http, &token);
    let out = place.folder.path().join("out");
    let exported = place.must(&["migrate", "export", "--tenant", "home", "--to", "memos-0.30", out.to_str().unwrap()]);
    assert!(exported["tables"]["memo"].as_u64().unwrap() > 250, "{exported}");
    let conn = rusqlite::Connection::open(out.join("memos_prod.db")).unwrap();
    let said: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    drop(conn);
    place.must(&["migrate", "run", out.to_str().unwrap(), "--tenant", "again", "--open"]);
    let again = server.by_path("again");
    let (token, _) = again.sign_in("maria", password);
    let after = everything(&again, &token);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, memo) in &before {
        assert_eq!(memo, &after[name], "{name}");
    }
}
