//! What a workspace may hold, and what a full disk does: writes are refused in one way, reading and deleting go on.

use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{Http, Installation};

const PASSWORD: &str = "Owner-of-notes-1";

fn note(http: &Http, token: &str, id: &str) -> (u16, Value) {
    let path = format!("/api/v1/memos?memoId={id}");
    let answer = http.call("POST", &path, Some(token), Some(&json!({"content": "text"})));
    (answer.status, answer.json())
}

fn file(http: &Http, token: &str, id: &str, length: usize) -> (u16, Value) {
    let content = base64::engine::general_purpose::STANDARD.encode(vec![b'x'; length]);
    let body = json!({"filename": "a.bin", "type": "application/octet-stream", "content": content});
    let answer = http.call("POST", &format!("/api/v1/attachments?attachmentId={id}"), Some(token), Some(&body));
    (answer.status, answer.json())
}

fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_reading_and_deleting_go_on() {
    let mut installation = Installation::create().await;
    let password = installation.folder.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    installation.must(&["tenant", "create", "team", "--owner", "ann", "--password-file", password.to_str().unwrap()]);

    // What one workspace may hold.
    let shown = installation.must(&["tenant", "set", "team", "--stored-bytes", "20M", "--statement-seconds", "5"]);
    assert_eq!(shown["limits"], json!({"stored_bytes": 20 << 20, "statement_ms": 5000}));
    let server = installation.serve();
    let http = server.by_path("team");
    let (token, _) = http.sign_in("ann", PASSWORD);
    assert_eq!(note(&http, &token, "first").0, 200);
    let (status, refused) = file(&http, &token, "large", 25 << 20);
    assert_eq!((status, refused["code"].as_i64()), (429, Some(8)), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("holds all that it may"), "{refused}");
    assert_eq!(file(&http, &token, "one", 8 << 20).0, 200);
    installation.must(&["tenant", "set", "team", "--stored-bytes", "8M"]);
    until("a full workspace takes no note", || note(&http, &token, &format!("n{}", uid())).0 == 429);
    assert_eq!(http.call("GET", "/api/v1/memos/first", Some(&token), None).status, 200);
    assert_eq!(http.call("DELETE", "/api/v1/attachments/one", Some(&token), None).status, 200);
    until("there is room again", || note(&http, &token, &format!("n{}", uid())).0 == 200);
    drop(server);

    // A disk below the floor.
    installation.set("HOLDFAST_FREE_SPACE_FLOOR", "8000000T");
    let server = installation.serve();
    let http = server.by_path("team");
    let (token, _) = http.sign_in("ann", PASSWORD);
    for (verb, path, body) in [
        ("POST", "/api/v1/memos", json!({"content": "x"})),
        ("PATCH", "/api/v1/memos/first", json!({"content": "x"})),
        ("POST", "/api/v1/memos/first/comments", json!({"content": "x"})),
        ("POST", "/api/v1/attachments", json!({"filename": "a", "content": "eA=="})),
        ("POST", "/memos.api.v1.MemoService/CreateMemo", json!({"memo": {"content": "x"}})),
    ] {
        let answer = http.call(verb, path, Some(&token), Some(&body));
        assert_eq!(answer.status, 429, "{verb} {path}: {}", answer.text());
        assert!(answer.text().contains("short of disk space"), "{verb} {path}: {}", answer.text());
    }
    assert_eq!(http.call("GET", "/api/v1/memos", Some(&token), None).status, 200);
    assert_eq!(http.call("DELETE", "/api/v1/memos/first", Some(&token), None).status, 200);
    let folder = installation.folder.path().join("export");
    installation.must(&["migrate", "export", "--tenant", "team", "--to", "markdown", folder.to_str().unwrap()]);
    let (code, found) = installation.run(&["doctor"]);
    assert_eq!(code, 4, "{found}");
    assert!(found.to_string().contains("free space"), "{found}");
}

/// Another id every time.
fn uid() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
