//! Event streams: across processes, and for those who may know only.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::fixtures::fixture;

use crate::support::{Http, Installation, Listener};

fn write(http: &Http, token: &str, id: &str, visibility: &str) {
    let body = json!({"content": "live", "visibility": visibility});
    let answer = http.call("POST", &format!("/api/v1/memos?memoId={id}"), Some(token), Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn created(id: &str) -> Option<String> {
    Some(format!("data: {{\"type\":\"memo.created\",\"name\":\"memos/{id}\"}}"))
}

/// The password of somebody in the fixture.
fn password(memos: &std::path::Path, username: &str) -> String {
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
    let users = truth["users"].as_array().unwrap().iter();
    let found = users.filter(|user| user["username"] == username).find_map(|user| user["password"].as_str());
    found.expect("a password").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_at_one_process_is_an_event_at_the_other_and_outlives_it() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let installation = Installation::create().await;
    installation.import(&memos, "rec");
    let (first, second) = (installation.serve(), installation.serve());
    let (a, b) = (first.by_path("rec"), second.by_path("rec"));
    let (token, _) = a.sign_in("maria", &password(&memos, "maria"));
    let listener = Listener::open(&b, &token);
    let mut slowest = Duration::ZERO;
    for turn in 0..20 {
        let id = format!("live-{turn}");
        write(&a, &token, &id, "PROTECTED");
        let began = Instant::now();
        assert_eq!(listener.next_event(), created(&id));
        slowest = slowest.max(began.elapsed());
    }
    println!("live: 20 writes at one process are events at the other within {} ms", slowest.as_millis());
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    drop(first);
    // The sign-in was made at the process that is gone.
    write(&b, &token, "live-after", "PROTECTED");
    assert_eq!(listener.next_event(), created("live-after"));
    drop(second);
    assert!(listener.has_ended());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_what_he_may_not_read() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let installation = Installation::create().await;
    for slug in ["alpha", "bravo"] {
        installation.import(&memos, slug);
    }
    let server = installation.serve();
    let (home, away) = (server.by_path("alpha"), server.by_path("bravo"));
    let token = |http: &Http, username: &str| http.sign_in(username, &password(&memos, username)).0;
    let (owner, member) = (token(&home, "maria"), token(&home, "li-lei"));
    let stranger = home.call("GET", "/api/v1/sse", None, None);
    assert_eq!((stranger.status, stranger.json()), (401, json!({"error": "authentication required"})));
    // A token of one workspace opens no stream of another.
    assert_eq!(away.call("GET", "/api/v1/sse", Some(&owner), None).status, 401);
    let (near, far) = (Listener::open(&home, &member), Listener::open(&away, &token(&away, "maria")));
    write(&home, &owner, "live-private", "PRIVATE");
    write(&home, &owner, "live-public", "PUBLIC");
    write(&away, &token(&away, "maria"), "live-there", "PRIVATE");
    assert_eq!(near.next_event(), created("live-public"), "the member hears of the public note only");
    assert_eq!(far.next_event(), created("live-there"), "the other workspace hears of its own only");
    assert!(near.waiting().is_empty() && far.waiting().is_empty());
}
