//! Files sent over REST: byte-equal, refused where they must be, and never held in memory as a whole.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::support::{Answer, Http, Installation};

const MIB: usize = 1024 * 1024;

/// Bytes that nothing compresses or repeats.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn post(http: &Http, token: &str, body: &str) -> Answer {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {token}")),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    http.send("POST", "/api/v1/attachments?attachmentId=", &headers, Some(body.as_bytes()))
}

/// The most memory that the server ever had, in KiB.
fn peak(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_to_the_file_store_while_they_arrive() {
    let installation = Installation::create().await;
    let secret = installation.folder.path().join("password");
    std::fs::write(&secret, "Upload-Pass-1").unwrap();
    installation.must(&["tenant", "create", "up", "--owner", "ada", "--password-file", secret.to_str().unwrap()]);
    let server = installation.serve();
    let http = server.by_path("up");
    let token = http.sign_in("ada", "Upload-Pass-1").0;
    let limit = json!({"storageSetting": {"storageType": "LOCAL", "uploadSizeLimitMb": "200"}});
    let set = http.call("PATCH", "/api/v1/instance/settings/STORAGE", Some(&token), Some(&limit));
    assert_eq!(set.status, 200, "{}", set.text());

    // Small ones first, so that what is measured is the large one.
    for length in [0, 1, 300_000, MIB] {
        equal(&http, &token, &noise(length), "content last");
    }
    let before = peak(server.pid());
    equal(&http, &token, &noise(96 * MIB), "content first");
    let more = peak(server.pid()) - before;
    println!("a file of 96 MiB took {more} KiB above {before} KiB");
    assert!(more < 32 * 1024, "{more} KiB for one upload");

    let session = page_session(&http);
    by_page(&http, &token, &session, &noise(MIB));
    let before = peak(server.pid());
    by_page(&http, &token, &session, &noise(40 * MIB));
    let more = peak(server.pid()) - before;
    println!("the same in a page's form took {more} KiB above {before} KiB");
    assert!(more < 24 * 1024, "{more} KiB for one file of a form");

    refused(&http, &token);
    let answer = form(&http, &session, &noise(2 * MIB));
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(
        answer.text().contains("written beside") && answer.text().contains("limit of 1 MiB"),
        "the text is shown again"
    );
}

fn page_session(http: &Http) -> String {
    let kind = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let answer = http.send("POST", "/signin", &[kind], Some(b"username=ada&password=Upload-Pass-1"));
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header("set-cookie").unwrap_or_default();
    cookie.split(';').next().unwrap_or_default().to_owned()
}

/// Sends the form that writes a note, with one file.
fn form(http: &Http, session: &str, content: &[u8]) -> Answer {
    let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nwritten beside\r\n\
        --edge\r\nContent-Disposition: form-data; name=\"visibility\"\r\n\r\nPRIVATE\r\n\
        --edge\r\nContent-Disposition: form-data; name=\"files\"; filename=\"noise.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let headers = [
        ("Cookie".to_owned(), session.to_owned()),
        ("Content-Type".to_owned(), "multipart/form-data; boundary=edge".to_owned()),
    ];
    http.send("POST", "/notes", &headers, Some(&body))
}

/// A file that a page's form carries comes back as it was sent, with the note that was written beside it.
fn by_page(http: &Http, token: &str, session: &str, content: &[u8]) {
    let answer = form(http, session, content);
    assert_eq!(answer.status, 303, "{} bytes: {}", content.len(), answer.text());
    let listed = http.call("GET", "/api/v1/memos?pageSize=1", Some(token), None).json();
    let note = &listed["memos"][0];
    assert_eq!(note["content"], "written beside");
    let path = format!("/file/{}/noise.bin", note["attachments"][0]["name"].as_str().unwrap());
    assert!(
        http.call("GET", &path, Some(token), None).body == content,
        "{} bytes: other bytes came back",
        content.len()
    );
}

/// A file comes back as it was sent.
fn equal(http: &Http, token: &str, content: &[u8], order: &str) {
    let encoded =
        if content.len().is_multiple_of(2) { STANDARD.encode(content) } else { URL_SAFE_NO_PAD.encode(content) };
    let body = if order == "content first" {
        format!(r#"{{"content":"{encoded}","filename":"noise.bin","type":"application/octet-stream"}}"#)
    } else {
        format!(r#"{{"filename":"noise.bin","type":"application/octet-stream","content":"{encoded}"}}"#)
    };
    let stored = post(http, token, &body);
    assert_eq!(stored.status, 200, "{} bytes, {order}: {}", content.len(), stored.text());
    let stored = stored.json();
    assert_eq!(stored["size"], content.len().to_string());
    assert_eq!(stored["content"], "");
    let path = format!("/file/{}/noise.bin", stored["name"].as_str().unwrap());
    let answer = http.call("GET", &path, Some(token), None);
    assert!(answer.body == content, "{} bytes, {order}: other bytes came back", content.len());
}

fn refused(http: &Http, token: &str) {
    let large = "A".repeat(2 * MIB);
    for (body, why) in [
        (format!(r#"{{"filename":"x","content":"{large}*"}}"#), "no base64"),
        (format!(r#"{{"filename":"../x","content":"{large}"}}"#), "a path for a name"),
        (format!(r#"{{"content":"{large}"}}"#), "no name"),
        (format!(r#"{{"filename":"x","content":"{large}""#), "cut off"),
        (format!(r#"{{"filename":"x","memo":"memos/nope","content":"{large}"}}"#), "an unknown note"),
        (format!(r#"{{"filename":"{large}","content":"AAAA"}}"#), "a very long name"),
        (format!(r#"["{large}"]"#), "no object"),
    ] {
        let answer = post(http, token, &body);
        assert!((400..500).contains(&answer.status), "{why}: {} {}", answer.status, answer.text());
        assert!(answer.json()["message"].is_string(), "{why}: {}", answer.text());
    }
    let answer = post(http, "not-a-token", &format!(r#"{{"filename":"x","content":"{large}"}}"#));
    assert_eq!(answer.status, 401);
    let small = json!({"storageSetting": {"storageType": "LOCAL", "uploadSizeLimitMb": "1"}});
    assert_eq!(http.call("PATCH", "/api/v1/instance/settings/STORAGE", Some(token), Some(&small)).status, 200);
    let answer = post(http, token, &format!(r#"{{"filename":"x.bin","content":"{large}"}}"#));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("exceeds the limit of 1 MiB"), "{}", answer.text());
}
