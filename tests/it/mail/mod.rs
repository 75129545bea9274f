//! Mails about notifications: through TLS, with the workspace's own mail server, to whom may read what they are about.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::smtp::{Authority, MailServer, Security};

use crate::support::{Http, Installation};

const PASSWORD: &str = "Owner-of-notes-1";
const PATIENCE: Duration = Duration::from_secs(60);

fn must(http: &Http, token: &str, verb: &str, path: &str, body: &Value) -> Value {
    let answer = http.call(verb, path, Some(token), Some(body));
    assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
    answer.json()
}

async fn team(authority: &Authority) -> Installation {
    let mut installation = Installation::create().await;
    installation.set("HOLDFAST_WEBHOOK_ALLOW", "127.0.0.0/8,::1/128");
    installation.set("SSL_CERT_FILE", authority.file().to_str().unwrap());
    let file = installation.folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    let create = ["tenant", "create", "team", "--owner", "ann", "--password-file", file.to_str().unwrap()];
    installation.must(&create);
    installation.must(&["tenant", "set", "team", "--public-url", "https://notes.example.org"]);
    installation
}

fn server_setting(server: &MailServer, password: &str) -> Value {
    json!({"enabled": true, "smtpHost": "localhost", "smtpPort": server.address.port(), "smtpUsername": "mailer",
        "smtpPassword": password, "fromEmail": "notes@example.org", "fromName": "Nötes", "replyTo": "help@example.org"})
}

fn with(mut setting: Value, key: &str, value: impl Into<Value>) -> Value {
    setting[key] = value.into();
    setting
}

/// The states and results of the mail jobs, in order.
async fn mail_jobs(installation: &Installation) -> Vec<(String, Value)> {
    let client = installation.database.superuser().await;
    let sql = "SELECT state, coalesce(result, '{}') FROM holdfast.job WHERE kind = 'mail' ORDER BY id";
    client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_commented_on_or_mentioned_gets_a_mail() {
    let authority = Authority::new();
    let starttls = MailServer::start(Security::StartTls, &authority).await;
    let implicit = MailServer::start(Security::Implicit, &authority).await;
    let plain = MailServer::start(Security::Plain, &authority).await;
    let installation = team(&authority).await;
    let server = installation.serve();
    let http = server.by_path("team");
    let (ann, _) = http.sign_in("ann", PASSWORD);
    must(&http, &ann, "PATCH", "/api/v1/users/ann?updateMask=email", &json!({"email": "ann@example.org"}));
    for name in ["bob", "cleo"] {
        let user = json!({"username": name, "password": PASSWORD, "email": format!("later@{name}.example.org")});
        must(&http, &ann, "POST", "/api/v1/users", &user);
    }
    let (bob, _) = http.sign_in("bob", PASSWORD);

    // The trial: every kind of TLS, the password kept, and what is wrong is said.
    let setting = with(server_setting(&starttls, "letters"), "useTls", true);
    let saved = json!({"notificationSetting": {"email": setting}});
    let saved = must(&http, &ann, "PATCH", "/api/v1/instance/settings/NOTIFICATION", &saved);
    assert_eq!(saved["notificationSetting"]["email"]["smtpPassword"], "");
    let trial = "/api/v1/instance/settings/notification:testEmail";
    must(&http, &ann, "POST", trial, &json!({}));
    must(
        &http,
        &ann,
        "POST",
        trial,
        &json!({"email": with(setting.clone(), "smtpPassword", ""), "recipientEmail": "x@example.org"}),
    );
    let tls = with(server_setting(&implicit, "letters"), "useSsl", true);
    must(&http, &ann, "POST", trial, &json!({"email": tls, "recipientEmail": "x@example.org"}));
    must(
        &http,
        &ann,
        "POST",
        trial,
        &json!({"email": server_setting(&plain, "letters"), "recipientEmail": "x@example.org"}),
    );
    let secure = |server: &MailServer| server.mails().iter().map(|mail| mail.secure).collect::<Vec<bool>>();
    assert_eq!((secure(&starttls), secure(&implicit), secure(&plain)), (vec![true, true], vec![true], vec![false]));
    assert_eq!(starttls.mails()[0].to, ["ann@example.org"]);
    for (wrong, word) in [
        (with(setting.clone(), "smtpPassword", "guess"), "authentication failed"),
        (with(server_setting(&plain, "letters"), "useTls", true), "STARTTLS"),
        (with(with(server_setting(&implicit, "letters"), "smtpHost", "127.0.0.1"), "useSsl", true), "failed to secure"),
        (with(setting.clone(), "smtpHost", "10.0.0.1"), "internal IP addresses"),
        (with(setting.clone(), "smtpHost", "169.254.169.254"), "internal IP addresses"),
        (with(setting.clone(), "smtpPort", -1), "smtp port"),
        (with(setting.clone(), "fromEmail", "a\r\nb"), "from email"),
    ] {
        let answer =
            http.call("POST", trial, Some(&ann), Some(&json!({"email": wrong, "recipientEmail": "x@example.org"})));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
        assert!(answer.text().contains(word), "{wrong}: {}", answer.text());
    }
    assert_eq!(http.call("POST", trial, Some(&bob), Some(&json!({}))).status, 403);

    // A comment, a mention in a note, and what nobody is told: his own comment, a note he cannot read.
    must(&http, &ann, "POST", "/api/v1/memos?memoId=plan", &json!({"content": "the plan", "visibility": "PROTECTED"}));
    must(&http, &bob, "POST", "/api/v1/memos/plan/comments?commentId=c1", &json!({"content": "fine, @ann"}));
    must(&http, &ann, "POST", "/api/v1/memos/plan/comments", &json!({"content": "mine"}));
    must(&http, &ann, "POST", "/api/v1/memos?memoId=hey", &json!({"content": "ask @bob", "visibility": "PROTECTED"}));
    must(&http, &ann, "POST", "/api/v1/memos", &json!({"content": "secret of @bob", "visibility": "PRIVATE"}));
    let worker = installation.work("mail");
    let mails = starttls.wait(4, PATIENCE);
    let shown = |to: &str| {
        let mail = mails.iter().skip(2).find(|mail| mail.to == [to]).unwrap_or_else(|| panic!("{mails:#?}"));
        (mail.header("Subject"), mail.text.contains("https://notes.example.org/memos/"), mail.text.clone())
    };
    let (subject, has_link, text) = shown("ann@example.org");
    assert_eq!(subject, "[Memos] bob commented on your memo");
    assert!(has_link && text.contains("https://notes.example.org/memos/plan#c1"), "{text}");
    let (subject, _, text) = shown("later@bob.example.org");
    assert_eq!(subject, "[Memos] ann mentioned you in a memo");
    assert!(
        text.contains("https://notes.example.org/memos/hey\r\n") && text.contains("Reply-To: help@example.org"),
        "{text}"
    );
    assert!(mails.iter().skip(2).all(|mail| mail.secure));

    // One that is refused for good is given up; a copy of the workspace sends nothing, whoever asks for it.
    must(&http, &ann, "PATCH", "/api/v1/users/bob?updateMask=email", &json!({"email": "bounce@example.org"}));
    must(&http, &ann, "POST", "/api/v1/memos", &json!({"content": "again @bob", "visibility": "PUBLIC"}));
    installation.must(&["backup", "run", "--tenant", "team"]);
    installation.must(&["restore", "run", "latest", "--tenant", "team", "--as", "copy"]);
    let client = installation.database.superuser().await;
    let ask = "INSERT INTO holdfast.job (kind, tenant_id, payload) SELECT 'mail', c.id, jsonb_build_object('tenant', c.id, 'id',
        (SELECT (payload->>'id')::bigint FROM holdfast.job WHERE kind = 'mail' LIMIT 1)) FROM holdfast.tenant c WHERE c.slug = 'copy'";
    assert_eq!(client.execute(ask, &[]).await.unwrap(), 1);
    let began = std::time::Instant::now();
    let jobs = loop {
        let jobs = mail_jobs(&installation).await;
        if jobs.len() == 4 && jobs.iter().all(|(state, _)| state == "done") {
            break jobs;
        }
        assert!(began.elapsed() < PATIENCE, "{jobs:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    drop(worker);
    assert!(jobs[2].1["failed"].as_str().unwrap().contains("nobody of that name"), "{jobs:#?}");
    assert_eq!(jobs[3].1["skipped"], "the tenant is quiet");
    assert_eq!(starttls.mails().len(), 4);
    println!(
        "mail: 2 notifications, 4 trials through plain, STARTTLS and TLS; one refused for good, one of a quiet copy"
    );
}
