//! Sessions in two processes of one installation, second factors, and owners who keep a way in.

use std::io::{BufRead, BufReader, Write};

use domain::chance::Chance;
use serde_json::json;

use super::browser::Browser;
use super::{PASSWORD, events, member, tenant};
use crate::support::{Http, Installation, Server};

fn refresh(http: &Http, token: &str) -> (u16, Option<String>) {
    let headers = [
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Cookie".to_owned(), format!("memos_refresh={token}")),
    ];
    let answer = http.send("POST", "/memos.api.v1.AuthService/RefreshToken", &headers, Some(b"{}"));
    let fresh =
        answer.header("set-cookie").and_then(|line| line.split(';').next()?.split_once('=')).map(|(_, v)| v.to_owned());
    (answer.status, fresh)
}

/// How an access token is answered on every protocol: REST, Connect as JSON and as protobuf, gRPC-Web, native gRPC, the
/// event stream, MCP, a page, a file. gRPC answers 0 or 16, MCP what its tool says.
async fn statuses(server: &Server, token: &str) -> Vec<u16> {
    let http = server.by_path("alpha");
    let bearer = |kind: &str| {
        [("Authorization".to_owned(), format!("Bearer {token}")), ("Content-Type".to_owned(), kind.to_owned())]
    };
    let path = "/memos.api.v1.AuthService/GetCurrentUser";
    let post = |kind: &str, body: &[u8]| http.send("POST", path, &bearer(kind), Some(body));
    let rest = http.call("GET", "/api/v1/auth/me", Some(token), None).status;
    let (connect, proto) = (post("application/json", b"{}").status, post("application/proto", b"").status);
    let web = post("application/grpc-web+proto", &[0; 5]);
    let web = grpc_status(&web.text()).or_else(|| web.header("grpc-status")?.parse().ok()).unwrap_or(99);
    let native = native(server, path, token).await;
    let stream = stream(&http, token);
    let tool = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                      "params": {"name": "attachment_list_attachments", "arguments": {}}});
    let mcp = mcp_status(&http, token, &tool);
    let page = http.send("GET", "/account", &bearer("text/plain"), None).status;
    let file = http.send("GET", "/file/attachments/session-file/private.txt", &bearer("text/plain"), None).status;
    vec![rest, connect, proto, web, native, stream, mcp, page, file]
}

/// 200 when the tool answers, 401 when it says that nobody is signed in, and 99 for anything else.
fn mcp_status(http: &Http, token: &str, tool: &serde_json::Value) -> u16 {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {token}")),
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
    ];
    let result = http.send("POST", "/mcp", &headers, Some(tool.to_string().as_bytes())).json()["result"].clone();
    let refused = result["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("401 "));
    match (result["isError"].as_bool(), refused) {
        (Some(true), true) => 401,
        (None | Some(false), false) if result.is_object() => 200,
        _ => 99,
    }
}

/// The status in the trailers at the end of a body.
fn grpc_status(body: &str) -> Option<u16> {
    body.split("grpc-status:").nth(1)?.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A refused call ends with its status in the head; one that is answered has it in the trailers.
async fn native(server: &Server, path: &str, token: &str) -> u16 {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = client.post(format!("{}{path}", server.grpc)).bearer_auth(token).body(vec![0_u8; 5]);
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let answer = request.header("holdfast-tenant", "alpha").send().await.unwrap();
    let status = answer.headers().get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok());
    status.unwrap_or(0)
}

/// The first line of the event stream.
fn stream(http: &Http, token: &str) -> u16 {
    let mut stream = std::net::TcpStream::connect(http.address).unwrap();
    let head = format!(
        "GET {}/api/v1/sse HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
        http.base, http.host
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

const OPEN: [u16; 9] = [200, 200, 200, 0, 0, 200, 200, 200, 200];
const SHUT: [u16; 9] = [401, 401, 401, 16, 16, 401, 401, 303, 401];

/// A file that only its owner may read.
fn private_file(http: &Http, token: &str) {
    let content = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "private");
    let body = json!({"filename": "private.txt", "type": "text/plain", "content": content});
    let made = http.call("POST", "/api/v1/attachments?attachmentId=session-file", Some(token), Some(&body));
    assert_eq!(made.status, 200, "{}", made.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_refresh_token_ends_its_family_in_every_process() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let (one, two) = (installation.serve(), installation.serve());
    let (here, there) = (one.by_path("alpha"), two.by_path("alpha"));
    let (access, first) = here.sign_in("maria", PASSWORD);
    private_file(&here, &access);
    let (status, second) = refresh(&there, &first);
    assert_eq!(status, 200);
    let second = second.unwrap();
    // The one before, at once: a second try. It opens nothing, and nobody is suspected.
    assert_eq!(refresh(&here, &first), (401, None));
    let (status, third) = refresh(&here, &second);
    assert_eq!(status, 200);
    assert_eq!(statuses(&two, &access).await, OPEN);
    // One older than that is a copy: its whole family ends, at the next request, on every protocol, in both processes.
    assert_eq!(refresh(&there, &first), (401, None));
    assert_eq!(refresh(&here, &third.unwrap()), (401, None));
    assert_eq!(statuses(&one, &access).await, SHUT);
    assert_eq!(statuses(&two, &access).await, SHUT);
    assert!(events(&installation).iter().any(|line| line == "stranger session.reused maria"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_refused_in_the_other_process() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let (one, two) = (installation.serve(), installation.serve());
    let (access, _) = two.by_path("alpha").sign_in("maria", PASSWORD);
    private_file(&two.by_path("alpha"), &access);
    let root = format!("http://{}/t/alpha", one.address);
    let mut browser = Browser::default();
    browser.ask("POST", &format!("{root}/signin"), Some(&format!("username=maria&password={PASSWORD}")));
    let page = browser.ask("GET", &format!("{root}/account"), None).text();
    let revoke = page.split("account/sessions/").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    assert_eq!(statuses(&two, &access).await, OPEN);
    let answer = browser.ask("POST", &format!("{root}/account/sessions/{revoke}/revoke"), Some(""));
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(statuses(&two, &access).await, SHUT);
    assert_eq!(statuses(&one, &access).await, SHUT);
    assert!(events(&installation).iter().any(|line| line == "member:maria session.revoked maria"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_do_what_their_scope_says() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let server = installation.serve();
    let http = server.by_path("alpha");
    let token = |scope: &str| {
        let made = installation.must(&["token", "create", "--tenant", "alpha", "--user", "maria", "--scope", scope]);
        made["token"].as_str().unwrap().to_owned()
    };
    let (read, write, admin) = (token("read"), token("write"), token("admin"));
    let note = json!({"content": "a note"});
    let create = |token: &str| http.call("POST", "/api/v1/memos", Some(token), Some(&note));
    let list = |token: &str| http.call("GET", "/api/v1/memos", Some(token), None).status;
    let users = |token: &str| http.call("GET", "/api/v1/users", Some(token), None).status;
    assert_eq!([list(&read), list(&write), list(&admin)], [200, 200, 200]);
    let refused = create(&read);
    assert_eq!((refused.status, refused.json()["message"].as_str().unwrap()), (403, "this token may only read"));
    assert_eq!([create(&write).status, create(&admin).status], [200, 200]);
    assert_eq!([users(&read), users(&write), users(&admin)], [403, 403, 200]);
    let more = json!({"description": "more"});
    let path = "/api/v1/users/maria/personalAccessTokens";
    assert_eq!(http.call("POST", path, Some(&write), Some(&more)).status, 403);
    let password = json!({"password": "Another-Pass-1!"});
    let path = "/api/v1/users/maria?updateMask=password";
    assert_eq!(http.call("PATCH", path, Some(&write), Some(&password)).status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_set_up_asked_for_and_never_taken_twice() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    let server = installation.serve();
    let root = format!("http://{}/t/alpha", server.address);
    let mut browser = Browser::default();
    let password = format!("username=maria&password={PASSWORD}");
    browser.ask("POST", &format!("{root}/signin"), Some(&password));
    let page = browser.ask("POST", &format!("{root}/account/factor"), Some(&format!("password={PASSWORD}")));
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let secret = text.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
    let code = |back: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        identity::totp::code_at(&secret, now - back).unwrap()
    };
    let wrong = browser.ask("POST", &format!("{root}/account/factor/confirm"), Some("code=000000"));
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("That code does not fit; look at the clock of your phone and type the newest code."));
    // With the code of the step before, the present one is left for the sign-in.
    let done = browser.ask("POST", &format!("{root}/account/factor/confirm"), Some(&format!("code={}", code(30))));
    assert_eq!(done.status, 200, "{}", done.text());
    let recovery =
        done.text().split("<li><code>").nth(1).and_then(|rest| rest.split('<').next().map(str::to_owned)).unwrap();

    let begin = || {
        let mut browser = Browser::default();
        let asked = browser.ask("POST", &format!("{root}/signin"), Some(&password));
        assert!(asked.text().contains("One more step"), "{}", asked.text());
        assert!(!browser.has(server.address, "holdfast_session"));
        browser
    };
    let answer = |browser: &mut Browser, code: &str| {
        let answer = browser.ask("POST", &format!("{root}/signin/code"), Some(&format!("code={code}")));
        (answer.status, answer.text())
    };
    let present = code(0);
    assert_eq!(answer(&mut begin(), &present).0, 303);
    let (status, again) = answer(&mut begin(), &present);
    assert_eq!(status, 422);
    assert!(again.contains("That code is wrong or was used already; wait for the next one."), "{again}");
    // A recovery code opens once.
    assert_eq!(answer(&mut begin(), &recovery.to_uppercase()).0, 303);
    assert_eq!(answer(&mut begin(), &recovery).0, 422);
    // The API has no field for a code: it stands at the end of the password.
    let http = server.by_path("alpha");
    let body = json!({"passwordCredentials": {"username": "maria", "password": PASSWORD}});
    let refused = http.call("POST", "/api/v1/auth/signin", None, Some(&body));
    assert_eq!(refused.status, 403);
    assert!(
        refused.json()["message"].as_str().unwrap().starts_with("this account has a second factor: add the six digits")
    );
    let ahead = json!({"passwordCredentials": {"username": "maria", "password": format!("{PASSWORD}{}", code(-30))}});
    assert_eq!(http.call("POST", "/api/v1/auth/signin", None, Some(&ahead)).status, 200);
    // Whoever lost everything asks the operator.
    installation.must(&["user", "reset-factor", "maria", "--tenant", "alpha"]);
    http.sign_in("maria", PASSWORD);
    let told = events(&installation);
    for event in ["factor.on", "factor.recovery_used", "factor.off"] {
        assert!(told.iter().any(|line| line.contains(event)), "{event}: {told:?}");
    }
}

/// Show 6: whatever owners do to themselves and to each other, in any order, one is left who can sign in.
#[tokio::test(flavor = "multi_thread")]
async fn no_sequence_of_settings_locks_the_last_owner_out() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    member(&installation, "alpha", "otto", "owner");
    let server = installation.serve();
    let http = server.by_path("alpha");
    let seed = 20_261_122;
    let chance = Chance::seeded(seed);
    let mut signed: Vec<(&str, String)> =
        ["maria", "otto"].iter().map(|name| (*name, http.sign_in(name, PASSWORD).0)).collect();
    for step in 0..60 {
        let (actor, token) = signed[chance.below(signed.len() as u64) as usize].clone();
        let target = ["maria", "otto"][chance.below(2) as usize];
        let user = format!("/api/v1/users/{target}");
        let general =
            |off: bool| json!({"name": "instance/settings/GENERAL", "generalSetting": {"disallowPasswordAuth": off}});
        let setting = "/api/v1/instance/settings/GENERAL";
        let provider = json!({"title": "x", "type": "OAUTH2", "config": {"oauth2Config": {"clientId": "c", "clientSecret": "s",
            "authUrl": "https://a.example.com", "tokenUrl": "https://t.example.com", "userInfoUrl": "https://u.example.com",
            "scopes": [], "fieldMapping": {"identifier": "sub"}}}});
        let answer = match chance.below(7) {
            0 => http.call("PATCH", &format!("{user}?updateMask=role"), Some(&token), Some(&json!({"role": "USER"}))),
            1 => http.call(
                "PATCH",
                &format!("{user}?updateMask=state"),
                Some(&token),
                Some(&json!({"state": "ARCHIVED"})),
            ),
            2 => {
                http.call("PATCH", &format!("{user}?updateMask=state"), Some(&token), Some(&json!({"state": "NORMAL"})))
            }
            3 => http.call("POST", "/api/v1/identity-providers?identityProviderId=x", Some(&token), Some(&provider)),
            4 => http.call("DELETE", "/api/v1/identity-providers/x", Some(&token), None),
            5 => http.call("PATCH", setting, Some(&token), Some(&general(true))),
            _ => http.call("DELETE", &user, Some(&token), None),
        };
        assert!(answer.status < 500, "step {step} by {actor}: {}", answer.text());
        let list = installation.must(&["user", "list", "--tenant", "alpha"]);
        let owners: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|user| user["role"] == "owner" && user["archived"] == false)
            .filter_map(|user| user["username"].as_str())
            .collect();
        assert!(!owners.is_empty(), "seed {seed}: no owner is left after step {step}");
        let who = owners[0];
        let body = json!({"passwordCredentials": {"username": who, "password": PASSWORD}});
        let in_again = http.call("POST", "/api/v1/auth/signin", None, Some(&body));
        assert_eq!(in_again.status, 200, "seed {seed}: {who} is locked out after step {step}: {}", in_again.text());
        let token = in_again.json()["accessToken"].as_str().unwrap().to_owned();
        signed.retain(|(name, _)| *name != who);
        signed.push((if who == "maria" { "maria" } else { "otto" }, token));
    }
}

/// L6: two owners who demote each other at the same moment do not leave the workspace without one.
#[tokio::test(flavor = "multi_thread")]
async fn two_owners_who_demote_each_other_at_once_leave_one() {
    let installation = Installation::create().await;
    tenant(&installation, "alpha");
    member(&installation, "alpha", "otto", "owner");
    let server = installation.serve();
    let http = server.by_path("alpha");
    for round in 0..5 {
        let (maria, otto) = (http.sign_in("maria", PASSWORD).0, http.sign_in("otto", PASSWORD).0);
        let demote = |token: String, other: &'static str| {
            let http = http.clone();
            std::thread::spawn(move || {
                let path = format!("/api/v1/users/{other}?updateMask=state");
                http.call("PATCH", &path, Some(&token), Some(&json!({"state": "ARCHIVED"}))).status
            })
        };
        let both = [demote(maria.clone(), "otto"), demote(otto.clone(), "maria")];
        let statuses: Vec<u16> = both.into_iter().map(|thread| thread.join().unwrap()).collect();
        let list = installation.must(&["user", "list", "--tenant", "alpha"]);
        let left: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|user| user["archived"] == false)
            .filter_map(|user| user["username"].as_str())
            .collect();
        assert_eq!(left.len(), 1, "round {round}: {statuses:?} left {left:?}");
        let (back, gone) = if left[0] == "maria" { (maria, "otto") } else { (otto, "maria") };
        let path = format!("/api/v1/users/{gone}?updateMask=state");
        assert_eq!(http.call("PATCH", &path, Some(&back), Some(&json!({"state": "NORMAL"}))).status, 200);
    }
}
