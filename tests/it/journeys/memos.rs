//! Coming from Memos: every fixture's people sign in, and their old links answer.

use std::path::Path;

use serde_json::Value;
use testkit::fixtures::data_folders;

use crate::support::{Answer, Http, Installation};

pub(super) fn truth(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap()
}

fn slug_of(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().replace('.', "-")
}

pub(super) fn list<'a>(truth: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
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
