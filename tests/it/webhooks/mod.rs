//! Webhooks: every event arrives, whoever is killed meanwhile, with one id on each try and in order; nothing leaves a
//! quiet workspace; and nobody makes us ask what only this machine reaches.

use std::time::Duration;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Http, Installation, Mode, Received, Sink};

const OWNER: (&str, &str) = ("ann", "Owner-of-notes-1");

async fn team(allow: Option<&str>) -> Installation {
    let mut installation = Installation::create().await;
    if let Some(allow) = allow {
        installation.set("HOLDFAST_WEBHOOK_ALLOW", allow);
    }
    let file = installation.folder.path().join("password");
    std::fs::write(&file, OWNER.1).unwrap();
    let create = ["tenant", "create", "team", "--owner", OWNER.0, "--password-file", file.to_str().unwrap()];
    installation.must(&create);
    installation
}

fn must(http: &Http, token: &str, verb: &str, path: &str, body: Option<&Value>) -> Value {
    let answer = http.call(verb, path, Some(token), body);
    assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
    answer.json()
}

/// Whether a message is signed with this secret as the Standard Webhooks specification has it.
fn is_signed(received: &Received, secret: &str) -> bool {
    let base64 = &base64::engine::general_purpose::STANDARD;
    let key = base64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let signed =
        format!("{}.{}.{}", received.header("webhook-id"), received.header("webhook-timestamp"), received.text);
    mac.update(signed.as_bytes());
    received.header("webhook-signature") == format!("v1,{}", base64.encode(mac.finalize().into_bytes()))
}

fn taken(received: &[Received]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let shown = |one: &Received| (text(&one.json()["activityType"]), text(&one.json()["memo"]["content"]));
    received.iter().filter(|one| one.taken).map(shown).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_once_taken_in_order_whoever_is_killed() {
    let installation = team(Some("127.0.0.0/8")).await;
    let server = installation.serve();
    let http = server.by_path("team");
    let (token, _) = http.sign_in(OWNER.0, OWNER.1);
    let sink = Sink::open(Mode::DropFirst);
    let hook = json!({"url": format!("http://{}/hook", sink.address), "displayName": "sink"});
    let made = must(&http, &token, "POST", "/api/v1/users/ann/webhooks", Some(&hook));
    assert_eq!((made["signingSecret"].as_str(), made["signingSecretSet"].as_bool()), (Some(""), Some(true)));
    let name = made["name"].as_str().unwrap();
    let secret = must(&http, &token, "GET", &format!("/api/v1/{name}:getSigningSecret"), None);
    let secret = secret["signingSecret"].as_str().unwrap();

    must(&http, &token, "POST", "/api/v1/memos?memoId=hooked", Some(&json!({"content": "one"})));
    for content in ["two", "three"] {
        must(&http, &token, "PATCH", "/api/v1/memos/hooked", Some(&json!({"content": content})));
    }
    // A copy of the workspace, with the same messages waiting, stays quiet, whoever asks for them.
    installation.must(&["backup", "run", "--tenant", "team"]);
    installation.must(&["restore", "run", "latest", "--tenant", "team", "--as", "copy"]);
    let client = installation.database.superuser().await;
    let ask = "INSERT INTO holdfast.job (kind, tenant_id, payload) SELECT 'webhook', c.id, \
        jsonb_build_object('tenant', c.id, 'id', j.payload->'id') FROM holdfast.job j, holdfast.tenant c \
        WHERE j.kind = 'webhook' AND c.slug = 'copy'";
    assert_eq!(client.execute(ask, &[]).await.unwrap(), 3);

    let worker = installation.work("webhook");
    let patience = Duration::from_secs(60);
    let all = sink.wait("three events", patience, |received| taken(received).len() >= 3);
    let told = |kind: &str, content: &str| (format!("memos.memo.{kind}"), content.to_owned());
    assert_eq!(taken(&all), [told("created", "one"), told("updated", "two"), told("updated", "three")]);
    let mut ids: Vec<&str> = all.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(all.len(), 6, "each was tried twice: {ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 3, "and both times with the same id: {ids:?}");
    assert!(ids.iter().all(|id| id.starts_with("msg_")), "{ids:?}");
    assert!(all.iter().all(|one| is_signed(one, secret)), "{all:#?}");
    assert_eq!(all[0].json()["memo"]["visibility"], 1);
    assert_eq!(all[0].json()["creator"], "users/ann");
    let skipped = "SELECT count(*) FROM holdfast.job j JOIN holdfast.tenant c ON c.id = j.tenant_id AND c.slug = 'copy' \
        WHERE j.kind = 'webhook' AND j.state = 'done' AND j.result->>'skipped' = 'the tenant is quiet'";
    let began = std::time::Instant::now();
    while client.query_one(skipped, &[]).await.unwrap().get::<_, i64>(0) < 3 {
        assert!(began.elapsed() < patience, "the copy's messages are looked at and not sent");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // The worker is killed while the receiver, which has read everything, has not answered yet.
    sink.behave(Mode::Hold);
    must(&http, &token, "DELETE", "/api/v1/memos/hooked", None);
    let held = sink.wait("the deletion", patience, |received| received.len() >= 7);
    drop(worker);
    sink.behave(Mode::Take);
    let _worker = installation.work("webhook");
    let all = sink.wait("the deletion again", Duration::from_secs(120), |received| taken(received).len() >= 4);
    assert_eq!(taken(&all)[3], told("deleted", "three"));
    assert_eq!(all[7].header("webhook-id"), held[6].header("webhook-id"));

    let schema = installation.must(&["tenant", "show", "team"])["schema"].as_str().unwrap().to_owned();
    let sql = format!("SELECT state, attempts FROM {schema}.webhook_delivery ORDER BY id");
    let log: Vec<(String, i32)> =
        client.query(sql.as_str(), &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(log, [2, 2, 2, 2].map(|tries| ("delivered".to_owned(), tries)), "the log shows it");
    println!("webhooks: 4 events, {} tries, each event under one id, in order", all.len());

    // Once the copy is opened, it tells what happens in it, to the same receiver.
    installation.must(&["tenant", "open", "copy"]);
    let copy = server.by_path("copy");
    let (token, _) = copy.sign_in(OWNER.0, OWNER.1);
    must(&copy, &token, "POST", "/api/v1/memos?memoId=opened", Some(&json!({"content": "from the copy"})));
    let of_copy =
        |received: &[Received]| taken(received).iter().filter(|one| **one == told("created", "from the copy")).count();
    let all = sink.wait("what happened in the opened copy", patience, |received| of_copy(received) > 0);
    assert_eq!(of_copy(&all), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_public_internet_may_be_named() {
    let installation = team(None).await;
    let server = installation.serve();
    let http = server.by_path("team");
    let (token, _) = http.sign_in(OWNER.0, OWNER.1);
    let reserved = "webhook URL must not resolve to a reserved or private IP address";
    for (url, why) in [
        ("http://127.0.0.1:9/", reserved),
        ("http://localhost:9/", reserved),
        ("http://[::ffff:127.0.0.1]/", reserved),
        ("http://169.254.169.254/latest/meta-data", reserved),
        ("http://2130706433/", reserved),
        ("http://[fe80::1]/", reserved),
        ("gopher://example.org/", "webhook URL must use http or https scheme, got \"gopher\""),
        ("http://", "invalid webhook URL"),
        ("not a url", "invalid webhook URL"),
        ("http://example.org/a\r\nX-Other: b", "invalid webhook URL: it has a line break"),
        ("https://exam\nple.org/", "invalid webhook URL: it has a line break"),
        ("https://example.org/\u{7f}", "invalid webhook URL: it has a line break"),
        ("", "webhook URL is required"),
    ] {
        let body = json!({ "url": url });
        let answer = http.call("POST", "/api/v1/users/ann/webhooks", Some(&token), Some(&body));
        assert_eq!(answer.status, 400, "{url}: {}", answer.text());
        assert!(answer.text().contains(&why.replace('"', "\\\"")), "{url}: {}", answer.text());
    }
    let listed = must(&http, &token, "GET", "/api/v1/users/ann/webhooks", None);
    assert_eq!(listed["webhooks"], json!([]));
    what_a_mask_changes(&http, &token);
}

/// Only what the mask names changes: without one everything but an empty address and secret, with an empty one nothing.
fn what_a_mask_changes(http: &Http, token: &str) {
    let hook = json!({"url": "http://192.0.2.7/x", "displayName": "one", "signingSecret": " plain "});
    let made = must(http, token, "POST", "/api/v1/users/ann/webhooks", Some(&hook));
    let name = made["name"].as_str().unwrap();
    let secret = || {
        let shown = must(http, token, "GET", &format!("/api/v1/{name}:getSigningSecret"), None);
        shown["signingSecret"].as_str().unwrap().to_owned()
    };
    assert_eq!(secret(), "plain");
    let connect = "/memos.api.v1.UserService/UpdateUserWebhook";
    let change = |webhook: Value, mask: Option<&str>| {
        let mut message = json!({ "webhook": webhook });
        message["webhook"]["name"] = json!(name);
        if let Some(mask) = mask {
            message["updateMask"] = json!(mask);
        }
        must(http, token, "POST", connect, Some(&message))
    };
    assert_eq!(change(json!({"displayName": "two"}), Some(""))["displayName"], "one");
    let whole = change(json!({"displayName": "two"}), None);
    assert_eq!((whole["displayName"].as_str(), whole["url"].as_str()), (Some("two"), Some("http://192.0.2.7/x")));
    assert_eq!(secret(), "plain");
    let bare = must(http, token, "PATCH", &format!("/api/v1/{name}?updateMask=signing_secret"), Some(&json!({})));
    assert_eq!((bare["displayName"].as_str(), bare["signingSecretSet"].as_bool()), (Some("two"), Some(false)));
    let broken = json!({"url": "http://192.0.2.7/y\r\nX: z"});
    let answer = http.call("PATCH", &format!("/api/v1/{name}?updateMask=url"), Some(token), Some(&broken));
    assert_eq!(answer.status, 400, "{}", answer.text());
    let odd = json!({"webhook": {"name": name, "signingSecret": "a\nb"}, "updateMask": "signingSecret"});
    let answer = http.call("POST", connect, Some(token), Some(&odd));
    assert!(answer.status == 400 && answer.text().contains("invalid character"), "{}", answer.text());
}
