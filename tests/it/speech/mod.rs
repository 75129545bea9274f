//! Transcription through services that speak as OpenAI and as Gemini do.

use serde_json::{Value, json};

use crate::support::{Http, Installation, Mode, Sink};

fn set_up(http: &Http, token: &str, sink: &Sink, kind: &str) {
    let provider = json!({"id": "p", "title": "sink", "type": kind, "endpoint": format!("http://{}/v1", sink.address),
        "apiKey": "key-of-the-service"});
    let setting = json!({"aiSetting": {"providers": [provider],
        "transcription": {"providerId": "p", "model": "m1", "language": "en", "prompt": "names: Ada"}}});
    let answer = http.call("PATCH", "/api/v1/instance/settings/AI", Some(token), Some(&setting));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn transcribe(http: &Http, token: &str) -> (u16, Value) {
    let audio = json!({"audio": {"content": "UklGRg==", "filename": "a.wav", "contentType": "audio/wav"}});
    let answer = http.call("POST", "/api/v1/ai:transcribe", Some(token), Some(&audio));
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_become_text_at_either_kind_of_service() {
    let mut installation = Installation::create().await;
    installation.set("HOLDFAST_WEBHOOK_ALLOW", "127.0.0.0/8");
    let file = installation.folder.path().join("password");
    std::fs::write(&file, "Owner-of-notes-1").unwrap();
    let create = ["tenant", "create", "team", "--owner", "ann", "--password-file", file.to_str().unwrap()];
    installation.must(&create);
    let server = installation.serve();
    let http = server.by_path("team");
    let (token, _) = http.sign_in("ann", "Owner-of-notes-1");
    let (status, refused) = transcribe(&http, &token);
    assert_eq!((status, refused["code"].as_i64()), (400, Some(9)), "nothing is set up: {refused}");

    let sink = Sink::open(Mode::Take);
    set_up(&http, &token, &sink, "OPENAI");
    sink.answers("{\"text\": \"hello from one\"}");
    assert_eq!(transcribe(&http, &token), (200, json!({"text": "hello from one"})));
    set_up(&http, &token, &sink, "GEMINI");
    sink.answers("{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \" hello from \"}, {\"text\": \"two\"}]}}]}");
    assert_eq!(transcribe(&http, &token), (200, json!({"text": "hello from two"})));
    sink.answers("{}");
    assert_eq!(transcribe(&http, &token).0, 400, "an answer without a text is no fault of this server");

    let seen = sink.received();
    assert_eq!(seen[0].header(":request"), "POST /v1/audio/transcriptions HTTP/1.1");
    assert_eq!(seen[0].header("authorization"), "Bearer key-of-the-service");
    assert!(seen[0].text.contains("name=\"model\"\r\n\r\nm1\r\n") && seen[0].text.contains("RIFF"), "{}", seen[0].text);
    assert_eq!(seen[1].header(":request"), "POST /v1/models/m1:generateContent HTTP/1.1");
    assert_eq!(seen[1].header("x-goog-api-key"), "key-of-the-service");
    assert_eq!(seen[1].json()["contents"][0]["parts"][1]["inline_data"]["data"], "UklGRg==");
}
