//! Bad input in every field of every RPC: never a 5xx, never a hang, always the error's shape.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};
use testkit::fixtures::fixture;
use wire::table::{Body, Rpc};

use super::samples::{as_rest, filled, sample};
use crate::support::{Answer, Http, Installation};

/// Those that would end the caller's own session or account.
const LEFT_OUT: &[&str] = &["SignOut", "DeleteUser"];

fn request_of(rpc: &Rpc) -> MessageDescriptor {
    let name = format!("{}.{}", wire::table::PACKAGE, rpc.service);
    let service = wire::pool().get_service_by_name(&name).expect("the service");
    service.methods().find(|method| method.name() == rpc.method).expect("the method").input()
}

/// Bad values for a field.
fn bad(field: &FieldDescriptor) -> Vec<Value> {
    if field.is_map() || field.is_list() {
        return vec![json!("x"), json!(7), json!([null]), json!([[]]), json!({"": null}), json!([{"a": {}}, 3])];
    }
    match field.kind() {
        Kind::String => vec![
            json!("\u{0}"),
            json!("x".repeat(70_000)),
            json!("../../etc/passwd"),
            json!("users/maria/../zoe"),
            json!("'; DROP TABLE note; --"),
            json!("memos/-"),
            json!("\r\nSet-Cookie: a=b"),
            json!("\u{202e}\u{fffe}\u{10ffff}"),
            json!(5),
            json!([]),
        ],
        Kind::Bool => vec![json!("maybe"), json!(3), json!({})],
        Kind::Bytes => vec![json!("!!!"), json!(5), json!("A")],
        Kind::Double | Kind::Float => vec![json!("NaN"), json!("x"), json!(-1e300), json!(1e300)],
        Kind::Enum(_) => vec![json!("BOGUS"), json!(99), json!(-1), json!("")],
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => vec![
                json!("yesterday"),
                json!("9999-12-31T23:59:59Z"),
                json!("0001-01-01T00:00:00Z"),
                json!("10000-01-01T00:00:00Z"),
                json!(-5),
            ],
            "google.protobuf.FieldMask" => vec![json!("a..b"), json!(5), json!("*"), json!(""), json!("name,,state")],
            _ => vec![json!("text"), json!([]), json!(7), json!({}), json!({"@type": "x", "a": [[[]]]})],
        },
        _ => vec![json!("x"), json!(-1), json!(i64::from(i32::MAX) + 1), json!(1e99), json!("-9223372036854775809")],
    }
}

/// Every message that differs from `base` in one bad field.
fn spoiled(message: &MessageDescriptor, base: &Map<String, Value>, depth: usize) -> Vec<Map<String, Value>> {
    let mut out = Vec::new();
    for field in message.fields() {
        for value in bad(&field) {
            let mut one = base.clone();
            one.insert(field.json_name().to_owned(), value);
            out.push(one);
        }
        if let (Kind::Message(inner), false) = (field.kind(), field.is_list() || field.is_map())
            && !inner.full_name().starts_with("google.protobuf.")
            && depth > 0
        {
            let below = base.get(field.json_name()).and_then(Value::as_object).cloned().unwrap_or_default();
            for one in spoiled(&inner, &below, depth - 1) {
                let mut whole = base.clone();
                whole.insert(field.json_name().to_owned(), Value::Object(one));
                out.push(whole);
            }
        }
    }
    out
}

struct Asking<'a> {
    http: &'a Http,
    token: &'a str,
    asked: usize,
    problems: Vec<String>,
}

impl Asking<'_> {
    fn send(&mut self, verb: &str, path: &str, kind: &str, body: Option<&[u8]>) {
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {}", self.token)),
            ("Content-Type".to_owned(), kind.to_owned()),
        ];
        let answer = self.http.send(verb, path, &headers, body);
        self.asked += 1;
        let shaped = match (answer.status, kind) {
            (200 | 401, _) => true,
            (404 | 405 | 415, _) if answer.body.is_empty() => true,
            (_, "application/grpc-web+proto") => answer.status == 200,
            _ => shaped(&answer),
        };
        let offered = answer.status != 501 || answer.text().contains("is not offered");
        if (answer.status >= 500 && answer.status != 501) || !offered || !shaped {
            let sent = String::from_utf8_lossy(body.unwrap_or_default()).chars().take(300).collect::<String>();
            let path: String = path.chars().take(200).collect();
            let got: String = answer.text().chars().take(300).collect();
            self.problems.push(format!("{verb} {path} {sent}\n      {} {got}", answer.status));
        }
    }

    /// One message by REST and by Connect.
    fn ask(&mut self, rpc: &Rpc, message: &Value) {
        let body = serde_json::to_vec(message).unwrap();
        self.send("POST", &format!("/memos.api.v1.{}", rpc.name()), "application/json", Some(&body));
        for binding in rpc.bindings {
            let printable = printable(message);
            let found = std::panic::catch_unwind(|| as_rest(rpc, binding, &printable));
            // A name that is no text cannot stand in a path.
            let Ok((path, rest)) = found else { continue };
            let rest = rest.map(|_| match binding.body {
                Body::Field(field) => {
                    let key = request_of(rpc).get_field_by_name(field).unwrap().json_name().to_owned();
                    message.get(&key).cloned().unwrap_or_default()
                }
                _ => message.clone(),
            });
            let rest = rest.map(|rest| serde_json::to_vec(&rest).unwrap());
            self.send(binding.verb, &path, "application/json", rest.as_deref());
        }
    }
}

/// The same with texts that may stand in the head of a request: percent-encoded.
fn printable(message: &Value) -> Value {
    match message {
        Value::String(text) => {
            let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.:".contains(&byte);
            let encoded = text
                .bytes()
                .take(3_000)
                .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
            Value::String(encoded.collect())
        }
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), printable(value))).collect(),
        Value::Array(items) => items.iter().map(printable).collect(),
        other => other.clone(),
    }
}

/// `{"code", "message"}` as the door has it.
fn shaped(answer: &Answer) -> bool {
    let body = answer.json();
    body["message"].is_string() && (body["code"].is_string() || body["code"].is_number()) || answer.status == 413
}

/// Bodies that are no message, whatever the RPC.
fn broken() -> Vec<Vec<u8>> {
    let mut deep = b"{\"a\":".repeat(50_000);
    deep.push(b'1');
    vec![
        Vec::new(),
        b"{".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"{\"name\":\"\xff\xff\"}".to_vec(),
        b"{\"name\":\"\\ud800\"}".to_vec(),
        b"[".repeat(100_000),
        deep,
        b"{\"name\":1e999}".to_vec(),
        b"null".to_vec(),
        b"{\"name\":\"a\",\"name\":\"b\"}".to_vec(),
    ]
}

fn hostile_filters() -> Vec<String> {
    vec![
        "(".repeat(20_000),
        format!("{}pinned{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("a{}", ".a".repeat(20_000)),
        "!".repeat(20_000),
        format!("pinned{}", " && pinned".repeat(20_000)),
        "content.matches(\"(a+)+$\")".to_owned(),
        format!("content.matches(\"{}\")", "(a*)*".repeat(400)),
        "content.matches(\"a{1000}{1000}\")".to_owned(),
        format!("tag in [{}\"x\"]", "\"x\",".repeat(2_500)),
        "size(content) > 9223372036854775807 + 1".to_owned(),
        "created_ts > timestamp(\"9999-12-31T23:59:59Z\") + duration(\"2540400h\")".to_owned(),
        "1 / 0 == 1 || 1 % 0 == 1".to_owned(),
        "content == \"\\u0000\"".to_owned(),
        "-".repeat(9_000) + "1 == 1",
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_of_every_field_is_the_callers_fault() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let truth: Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
    let maria = truth["users"].as_array().unwrap().iter().find(|user| user["username"] == "maria").unwrap();
    let installation = Installation::create().await;
    installation.import(&memos, "bad");
    installation.must(&["tenant", "set", "bad", "--public-url", "https://bad.example.com"]);
    let server = installation.serve();
    let http = server.by_path("bad");
    let token = http.sign_in("maria", maria["password"].as_str().unwrap()).0;
    let mut asking = Asking { http: &http, token: &token, asked: 0, problems: Vec::new() };
    std::panic::set_hook(Box::new(|_| {}));
    for rpc in wire::table::all().iter().filter(|rpc| !LEFT_OUT.contains(&rpc.method)) {
        let base = sample(rpc.service, rpc.method).expect("a sample").message;
        let base =
            filled(&base, &[("{p}", "h"), ("{victim}", "nope"), ("{password}", "wrong"), ("{unused-file}", "x")]);
        let request = request_of(rpc);
        for message in spoiled(&request, base.as_object().unwrap(), 2) {
            asking.ask(rpc, &Value::Object(message));
        }
        let path = format!("/memos.api.v1.{}", rpc.name());
        for body in broken() {
            asking.send("POST", &path, "application/json", Some(&body));
            for binding in rpc.bindings.iter().filter(|binding| binding.body != Body::None) {
                let (rest, _) = as_rest(rpc, binding, &base);
                asking.send(binding.verb, &rest, "application/json", Some(&body));
            }
        }
        for body in [&[0xff; 40][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x08], &[0x0b; 5_000]] {
            asking.send("POST", &path, "application/proto", Some(body));
            asking.send("POST", &path, "application/grpc-web+proto", Some(body));
        }
        assert!(DynamicMessage::new(request).encode_to_vec().is_empty());
    }
    for filter in hostile_filters() {
        let body = serde_json::to_vec(&json!({"filter": filter})).unwrap();
        for rpc in ["MemoService/ListMemos", "AttachmentService/ListAttachments", "UserService/ListAllUserStats"] {
            asking.send("POST", &format!("/memos.api.v1.{rpc}"), "application/json", Some(&body));
        }
    }
    for content in [
        "[".repeat(8_000),
        "> ".repeat(4_000),
        "* ".repeat(4_000),
        "`".repeat(8_000),
        "![](".repeat(2_000),
        "#".repeat(8_000),
        "<!--".repeat(2_000),
        "$$".repeat(4_000),
        "@".repeat(8_000),
        "|a".repeat(4_000) + "\n" + &"|-".repeat(4_000),
    ] {
        let body = serde_json::to_vec(&json!({"content": content})).unwrap();
        asking.send("POST", "/api/v1/memos", "application/json", Some(&body));
    }
    drop(std::panic::take_hook());
    println!("{} requests with bad input", asking.asked);
    let problems = &asking.problems;
    assert!(problems.is_empty(), "{} problems:\n  {}", problems.len(), problems[..problems.len().min(60)].join("\n  "));
}
