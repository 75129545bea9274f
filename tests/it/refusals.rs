//! What a request says in a form that nothing can be made of is refused as invalid, or names nothing; never more than that.

use prost::Message as _;
use serde_json::{Value, json};
use wire::v1;

use crate::support::{Answer, Http, Installation};

const PASSWORD: &str = "Owner-of-notes-1";

/// A workspace that strangers may read, and its owner.
struct House {
    http: Http,
    session: String,
}

impl House {
    fn ask(&self, verb: &str, path: &str, body: Option<&Value>) -> Answer {
        self.http.call(verb, path, Some(&self.session), body)
    }

    /// The answer to a request that must succeed.
    fn ok(&self, verb: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(verb, path, body);
        assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
        answer.json()
    }

    /// The message of a request that must be refused as invalid.
    fn invalid(&self, verb: &str, path: &str, body: &Value) -> String {
        let answer = self.ask(verb, path, Some(body));
        assert_eq!(answer.status, 400, "{verb} {path} {body}: {}", answer.text());
        answer.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_be_made_of_is_refused() {
    let installation = Installation::create().await;
    let password = installation.folder.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    installation.must(&["tenant", "create", "team", "--owner", "ann", "--password-file", password.to_str().unwrap()]);
    let host = "notes.example.com";
    installation.must(&["tenant", "set", "team", "--public-url", "https://notes.example.com", "--host", host]);
    let server = installation.serve();
    let http = server.by_host(host);
    let (session, _) = http.sign_in("ann", PASSWORD);
    let house = House { http, session };
    house.ok("POST", "/api/v1/memos?memoId=ms1", Some(&json!({"content": "kept", "visibility": "PUBLIC"})));
    let checks: [(&str, fn(&House)); 5] = [
        ("places", places_are_numbers),
        ("encoded slashes", an_encoded_slash_is_a_letter_of_a_name_first),
        ("NUL in a path", a_nul_in_a_path_names_nothing),
        ("roles", a_role_is_never_guessed),
        ("forms of numbers", numbers_have_many_forms),
    ];
    // One that fails hides no other.
    let failed = checks.into_iter().filter(|(_, check)| std::panic::catch_unwind(|| check(&house)).is_err());
    let failed: Vec<&str> = failed.map(|(what, _)| what).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// As proto JSON has it; what is no number is told by the name of its field, in no words of the inside.
fn numbers_have_many_forms(house: &House) {
    let tokens = "/api/v1/users/ann/personalAccessTokens";
    for form in ["1", "1.0", "1e0", "10e-1", "\"1\"", "\"1.0\""] {
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {}", house.session)),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        let send = |path: &str, body: String| {
            let answer = house.http.send("POST", path, &headers, Some(body.as_bytes()));
            assert_eq!(answer.status, 200, "{path} {form}: {}", answer.text());
            answer.json()
        };
        let made = send(tokens, format!("{{\"description\":\"x\",\"expiresInDays\":{form}}}"));
        assert!(made["personalAccessToken"]["expiresAt"].is_string(), "{form}: {made}");
        let list = send("/memos.api.v1.MemoService/ListMemos", format!("{{\"pageSize\":{form},\"state\":1.0}}"));
        assert_eq!(list["memos"].as_array().map(Vec::len), Some(1), "{form}: {list}");
        let file = format!("{{\"filename\":\"a.txt\",\"type\":\"text/plain\",\"size\":{form},\"content\":\"YQ==\"}}");
        let made = send("/api/v1/attachments", file);
        house.ok("DELETE", &format!("/api/v1/{}", made["name"].as_str().unwrap()), None);
    }
    for (path, body, told) in [
        (tokens, json!({"expiresInDays": 1.5}), "proto: invalid value for int32 field expiresInDays: 1.5"),
        (tokens, json!({"expiresInDays": 1e10}), "proto: invalid value for int32 field expiresInDays: 10000000000.0"),
        (tokens, json!({"expiresInDays": "soon"}), "proto: invalid value for int32 field expiresInDays: \"soon\""),
        ("/api/v1/memos", json!({"content": 5}), "proto: invalid value for string field content: 5"),
        ("/api/v1/memos", json!({"content": "x", "pinned": {}}), "proto: invalid value for bool field pinned: {}"),
        (
            "/memos.api.v1.MemoService/CreateMemo",
            json!({"memo": {"content": "x", "location": {"latitude": []}}}),
            "unmarshal message: invalid value for double field latitude: []",
        ),
    ] {
        assert_eq!(house.invalid("POST", path, &body), told);
    }
    let twice = br#"{"pageSize":1,"pageSize":2}"#;
    let kind = [("Content-Type".to_owned(), "application/json".to_owned())];
    let answer = house.http.send("POST", "/memos.api.v1.MemoService/ListMemos", &kind, Some(twice));
    assert!(answer.status == 400 && answer.text().contains("duplicate field"), "{}", answer.text());
}

/// HOST and 1 are an admin's role before 0.26; what is no role changes none.
fn a_role_is_never_guessed(house: &House) {
    let new = |name: &str, role: Value| json!({"username": name, "password": "Another-Pass-1", "role": role});
    for (name, role) in [("bea", json!("HOST")), ("bob", json!(1)), ("ben", json!("ADMIN"))] {
        assert_eq!(house.ok("POST", "/api/v1/users", Some(&new(name, role.clone())))["role"], "ADMIN", "{role}");
    }
    assert_eq!(house.ok("POST", "/api/v1/users", Some(&new("cid", json!("USER"))))["role"], "USER");
    for role in [json!("HOST"), json!(1), json!("ADMIN"), json!(2)] {
        for mask in ["", "?updateMask=role,description"] {
            let changed = house.ok("PATCH", &format!("/api/v1/users/bob{mask}"), Some(&json!({"role": role})));
            assert_eq!(changed["role"], "ADMIN", "{role}");
        }
        let message = json!({"user": {"name": "users/bob", "role": role}, "updateMask": "role"});
        assert_eq!(house.ok("POST", "/memos.api.v1.UserService/UpdateUser", Some(&message))["role"], "ADMIN", "{role}");
    }
    for role in [json!("BOGUS"), json!(9), json!(0), json!("ROLE_UNSPECIFIED"), json!(null)] {
        let told = house.invalid("PATCH", "/api/v1/users/bob", &json!({"role": role}));
        assert_eq!(told, "invalid role: it must be ADMIN or USER", "{role}");
    }
    assert_eq!(house.ok("GET", "/api/v1/users/bob", None)["role"], "ADMIN");
    assert_eq!(house.ok("PATCH", "/api/v1/users/bob", Some(&json!({"role": "USER"})))["role"], "USER");
}

/// Whatever the door: 404 in its own shape.
fn a_nul_in_a_path_names_nothing(house: &House) {
    let form = format!("username=ann&password={PASSWORD}");
    let kind = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let signed = house.http.send("POST", "/signin", std::slice::from_ref(&kind), Some(form.as_bytes()));
    let cookie = signed.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
    let member = [("Cookie".to_owned(), cookie), kind];
    let page = house.http.send("GET", "/memos/ms1/edit", &member, None);
    assert_eq!(page.status, 200, "the cookie signs in: {}", signed.status);
    for (verb, path) in [
        ("GET", "/memos/%00"),
        ("GET", "/m/%00"),
        ("GET", "/u/%00"),
        ("GET", "/memos/%00/edit"),
        ("GET", "/auth/start/%00"),
        ("POST", "/memos/%00/comments"),
        ("POST", "/memos/%00/edit"),
        ("POST", "/memos/%00/react"),
        ("POST", "/memos/%00/put"),
        ("POST", "/memos/%00/delete"),
        ("POST", "/account/tokens/%00/revoke"),
        ("POST", "/account/sessions/%00/revoke"),
        ("POST", "/account/links/%00/remove"),
        ("GET", "/settings/signin/%00"),
    ] {
        let answer = house.http.send(verb, path, &member, Some(b"content=x&reaction=x"));
        assert_eq!(answer.status, 404, "{verb} {path}: {}", answer.text());
        assert!(answer.text().contains("Nothing here"), "{verb} {path}: {}", answer.text());
    }
    for path in ["/file/users/%00/avatar", "/file/attachments/%00/x", "/file/attachments/x/%00"] {
        let answer = house.http.send("GET", path, &[], None);
        assert_eq!((answer.status, answer.json()), (404, json!({"message": "Not Found"})), "{path}");
    }
    for (verb, path) in [("GET", "/api/v1/memos/%00"), ("PATCH", "/api/v1/users/a%00")] {
        let answer = house.ask(verb, path, Some(&json!({})));
        assert_eq!((answer.status, answer.json()), (404, json!({"code": 5, "message": "Not Found", "details": []})));
    }
    assert_eq!(
        house.ask("GET", "/api/v1/memos/%2500", None).json()["message"],
        "memo not found",
        "that is the text %00"
    );
    // A NUL in a query or a form is not in a name; it breaks nothing either.
    for path in ["/?q=%00", "/?tag=%00", "/?filter=%00"] {
        assert!(house.http.send("GET", path, &member, None).status < 500, "{path}");
    }
    for path in ["/notes", "/memos/ms1/comments", "/memos/ms1/react", "/account/tokens"] {
        let form: &[u8] = b"content=a%00b&reaction=a%00b&description=a%00b&visibility=PUBLIC";
        let answer = house.http.send("POST", path, &member, Some(form));
        assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
    }
}

/// Percent-encoding is undone within the segments of a path, also on the routes of older releases. Where that leads nowhere, an
/// encoded slash or colon is one: clients that encode whole names go on working.
fn an_encoded_slash_is_a_letter_of_a_name_first(house: &House) {
    house.ok("POST", "/api/v1/memos/ms1/shares", Some(&json!({})));
    for (verb, path) in [
        ("GET", "/api/v1/memos/ms1%2Fnothing"),
        ("GET", "/api/v1/memos:by-uid/ms1%2Fshares"),
        ("GET", "/api/v1/resources/x%2Fy"),
        ("GET", "/api/v1/memos/a%252Fshares"),
    ] {
        let answer = house.ask(verb, path, Some(&json!({})));
        assert_eq!((answer.status, answer.json()["code"].as_i64()), (404, Some(5)), "{verb} {path}: {}", answer.text());
    }
    assert_eq!(house.ok("GET", "/api/v1/memos%2Fms1", None)["name"], "memos/ms1");
    assert_eq!(house.ok("GET", "/api/v1/users%2fann%3AgetStats", None)["name"], "users/ann/stats");
    assert_eq!(house.ok("GET", "/api/v1/memos/ms%31", None)["name"], "memos/ms1");
    assert_eq!(house.ok("GET", "/api/v1/memos:by-uid/ms%31", None)["uid"], "ms1");
    assert_eq!(house.ok("GET", "/api/v1/users/a%6En:getStats", None)["name"], "users/ann/stats");
}

/// JSON has no word for them: a note with one could be stored and not be read.
fn places_are_numbers(house: &House) {
    let wrong = "invalid location: latitude and longitude must be finite numbers";
    for (latitude, longitude) in [("NaN", "1"), ("Infinity", "0"), ("0", "-Infinity"), ("1e999", "0")] {
        let place = json!({"latitude": latitude, "longitude": longitude});
        let note = json!({"content": "x", "visibility": "PUBLIC", "location": place});
        assert_eq!(house.invalid("POST", "/api/v1/memos", &note), wrong);
        assert_eq!(house.invalid("POST", "/api/v1/memos/ms1/comments", &note), wrong);
        let change = json!({"memo": {"name": "memos/ms1", "location": place}, "updateMask": "location"});
        assert_eq!(house.invalid("POST", "/memos.api.v1.MemoService/UpdateMemo", &change), wrong);
        assert_eq!(house.invalid("PATCH", "/api/v1/memos/ms1?updateMask=location,content", &note), wrong);
        assert_eq!(house.invalid("POST", "/memos.api.v1.MemoService/CreateMemo", &json!({"memo": note})), wrong);
    }
    let place = v1::Location { placeholder: String::new(), latitude: f64::NAN, longitude: f64::INFINITY };
    let memo = v1::Memo { content: "x".to_owned(), location: Some(place), ..v1::Memo::default() };
    let message = v1::CreateMemoRequest { memo: Some(memo), memo_id: String::new() }.encode_to_vec();
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", house.session)),
        ("Content-Type".to_owned(), "application/proto".to_owned()),
    ];
    let answer = house.http.send("POST", "/memos.api.v1.MemoService/CreateMemo", &headers, Some(&message));
    assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some(wrong)));
    // Beyond the poles is no concern of 0.30, nor of ours.
    let far = json!({"content": "far", "location": {"latitude": 100.5, "longitude": -1e300}});
    assert_eq!(house.ok("POST", "/api/v1/memos?memoId=far", Some(&far))["location"]["latitude"], 100.5);
    house.ok("DELETE", "/api/v1/memos/far", None);
    let list = house.ok("GET", "/api/v1/memos", None);
    assert_eq!(list["memos"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["memos"][0]["content"], "kept", "nothing of what was refused is done");
}
