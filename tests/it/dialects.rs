//! What clients of Memos 0.22 to 0.29 send and read: every form that memos-api.md §12.2 asks to accept.

use serde_json::{Value, json};
use testkit::fixtures::fixture;

use crate::support::{Answer, Http, Installation};

/// A tenant with the people and notes of the fixture, and one of them with her personal access token.
struct House {
    http: Http,
    token: String,
    session: String,
    password: String,
}

impl House {
    fn ask(&self, verb: &str, path: &str, body: Option<&Value>) -> Answer {
        self.http.call(verb, path, Some(&self.token), body)
    }

    /// The answer to a request that must succeed.
    fn get(&self, path: &str) -> Value {
        self.ok("GET", path, None)
    }

    fn ok(&self, verb: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.ask(verb, path, body.as_ref());
        assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
        answer.json()
    }
}

async fn house() -> Option<(Installation, crate::support::Server, House)> {
    let memos = fixture("memos-0.30.0")?;
    let truth: Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
    let maria = truth["users"].as_array().unwrap().iter().find(|user| user["username"] == "maria").unwrap();
    let password = maria["password"].as_str().unwrap().to_owned();
    let installation = Installation::create().await;
    installation.import(&memos, "old");
    let host = "notes.example.com";
    installation.must(&["tenant", "set", "old", "--public-url", "https://notes.example.com", "--host", host]);
    let server = installation.serve();
    let http = server.by_host(host);
    let session = http.sign_in("maria", &password).0;
    let made = http.call(
        "POST",
        "/api/v1/users/maria/personalAccessTokens",
        Some(&session),
        Some(&json!({"description": "old client"})),
    );
    let token = made.json()["token"].as_str().unwrap().to_owned();
    Some((installation, server, House { http, token, session, password }))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_older_releases_are_understood() {
    let Some((_installation, _server, house)) = house().await else { return };
    let parts: [(&str, fn(&House)); 12] = [
        ("signing in", signs_in_as_before),
        ("people", people_have_numbers),
        ("notes", notes_are_listed_and_written_as_before),
        ("order", lists_are_sorted_as_before),
        ("parents", a_parent_is_a_member_or_nobody),
        ("files", files_are_resources),
        ("filters", filters_of_older_releases),
        ("public ids", notes_are_found_by_their_public_id),
        ("tags", tags_and_how_many_have_them),
        ("settings", settings_tokens_and_the_rest),
        ("gateway", corners_of_the_gateway),
        ("strangers", strangers_get_nothing_more),
    ];
    // One that fails hides no other.
    let failed = parts.into_iter().filter(|(_, part)| std::panic::catch_unwind(|| part(&house)).is_err());
    let failed: Vec<&str> = failed.map(|(what, _)| what).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

fn signs_in_as_before(house: &House) {
    let status = house.ok("POST", "/api/v1/auth/status", None);
    assert_eq!((&status["username"], &status["rowStatus"]), (&json!("maria"), &json!("ACTIVE")));
    assert_eq!(house.http.call("POST", "/api/v1/auth/status", None, None).status, 401);
    assert_eq!(house.get("/api/v1/auth/sessions/current")["user"]["username"], "maria");
    let password = &house.password;
    let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let credentials = json!({"passwordCredentials": {"username": "maria", "password": password}});
    let forms: [(String, Option<Value>); 4] = [
        ("/api/v1/auth/sessions".to_owned(), Some(credentials)),
        (format!("/api/v1/auth/signin?username=maria&password={encoded}"), None),
        (
            format!("/api/v1/auth/signin?passwordCredentials.username=maria&passwordCredentials.password={encoded}"),
            None,
        ),
        ("/api/v1/auth/signin".to_owned(), Some(json!({"username": "maria", "password": password}))),
    ];
    for (path, body) in forms {
        let answer = house.http.call("POST", &path, None, body.as_ref());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let cookies: Vec<&str> = answer.headers("set-cookie");
        let old = cookies.iter().find_map(|cookie| cookie.split(';').next()?.strip_prefix("memos.access-token="));
        let known = [("Cookie".to_owned(), format!("memos.access-token={}", old.unwrap_or_default()))];
        assert_eq!(house.http.send("POST", "/api/v1/auth/status", &known, None).status, 200, "{path}: {cookies:?}");
        let answer = answer.json();
        assert!(answer["accessToken"].is_string() && answer["user"]["username"] == "maria", "{path}: {answer}");
        assert_eq!(answer["username"], "maria", "{path}");
    }
    let cookie = [("Cookie".to_owned(), format!("memos.access-token={}", house.token))];
    let listed = house.http.send("GET", "/api/v1/users/maria/settings/GENERAL", &cookie, None);
    assert_eq!(listed.status, 200, "the old cookie is a token: {}", listed.text());
    assert_eq!(house.http.send("POST", "/api/v1/auth/status", &cookie, None).status, 200);
}

fn people_have_numbers(house: &House) {
    let number = house.ok("POST", "/api/v1/auth/status", None)["id"].as_i64().unwrap();
    assert_eq!(house.get(&format!("/api/v1/users/{number}"))["username"], "maria");
    assert_eq!(house.get(&format!("/api/v1/users/{number}/settings/GENERAL"))["name"], "users/maria/settings/GENERAL");
    let by_name = house.get("/api/v1/memos?pageSize=5&filter=creator%20%3D%3D%20%22users%2Fmaria%22");
    for filter in [format!("creator == 'users/{number}'"), format!("creator_id == {number}")] {
        let found = house.get(&format!("/api/v1/memos?pageSize=5&filter={}", encode(&filter)));
        let names = |list: &Value| -> Vec<Value> {
            list["memos"].as_array().unwrap().iter().map(|memo| memo["name"].clone()).collect()
        };
        assert_eq!(names(&found), names(&by_name), "{filter}");
    }
    assert_eq!(house.get(&format!("/api/v1/users/{number}/stats"))["name"], format!("users/{number}/stats"));
    assert!(house.get(&format!("/api/v1/users/{number}/stats"))["memoDisplayTimestamps"].is_array());
    assert!(house.ok("POST", "/api/v1/users/-/stats", None)["userStats"].as_array().unwrap().len() > 1);
    assert_eq!(house.get("/api/v1/users:username?username=zoe")["nickname"].as_str().map(str::is_empty), Some(false));
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn notes_are_listed_and_written_as_before(house: &House) {
    let mine = house.get("/api/v1/users/maria/memos?pageSize=3");
    let first = &mine["memos"][0];
    assert_eq!(first["creator"], "users/maria");
    assert_eq!(first["displayTime"], first["createTime"]);
    assert_eq!(first["name"], format!("memos/{}", first["uid"].as_str().unwrap()));
    let by_parent = house.get("/api/v1/memos?parent=users/li-lei&pageSize=50");
    assert!(by_parent["memos"].as_array().unwrap().iter().all(|memo| memo["creator"] == "users/li-lei"));
    assert_eq!(by_parent["memos"][0]["displayTime"], by_parent["memos"][0]["createTime"], "asked in words of old");
    let today = house.get("/api/v1/memos?pageSize=3&filter=pinned");
    assert!(today["memos"].as_array().unwrap().iter().all(|memo| memo.get("displayTime").is_none()), "{today}");
    for order in ["displayTime%20desc", "createTime", "pinned,display_time%20asc", "updateTime%20asc"] {
        assert!(house.get(&format!("/api/v1/memos?pageSize=2&orderBy={order}"))["memos"].is_array(), "{order}");
    }
    let uid = first["uid"].as_str().unwrap();
    assert_eq!(house.get(&format!("/api/v1/memos:by-uid/{uid}"))["uid"], uid);

    let made = house.ok("POST", "/api/v1/memos", Some(json!({"content": "from of old", "visibility": "PRIVATE"})));
    let name = made["name"].as_str().unwrap().to_owned();
    let time = "2020-02-03T04:05:06Z";
    for body in [json!({"displayTime": time}), json!({"createTime": time, "rowStatus": "NORMAL", "uid": "x"})] {
        assert_eq!(house.ok("PATCH", &format!("/api/v1/{name}"), Some(body))["createTime"], time);
    }
    let path = format!("/api/v1/{name}?updateMask=updateTime,visibility");
    let changed = house.ok("PATCH", &path, Some(json!({"updateTime": time, "visibility": "PROTECTED"})));
    assert_eq!((&changed["updateTime"], &changed["visibility"]), (&json!(time), &json!("PROTECTED")));
    let unknown = json!({"pinned": true, "relationList": [], "location": {"placeholder": "p", "street": 1}});
    assert_eq!(house.ok("PATCH", &format!("/api/v1/{name}"), Some(unknown))["pinned"], true);
    let placed = json!({"location": {"placeholder": "here", "latitude": 1.5, "longitude": 2.5}});
    assert_eq!(house.ok("PATCH", &format!("/api/v1/{name}"), Some(placed))["location"]["latitude"], 1.5);

    let reacted = house.ok(
        "POST",
        &format!("/api/v1/{name}/reactions"),
        Some(json!({"reaction": {"contentId": name, "reactionType": "👍"}})),
    );
    let number = reacted["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    house.ok("DELETE", &format!("/api/v1/reactions/{number}"), None);
    assert_eq!(house.get(&format!("/api/v1/{name}/reactions"))["reactions"], json!([]));
    let share = house.ok("POST", &format!("/api/v1/{name}/shares"), Some(json!({})));
    let token = share["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(house.get(&format!("/api/v1/shares/{token}"))["content"], "from of old");
    house.ok("DELETE", &format!("/api/v1/{name}"), None);
    notes_are_put_away_and_wrapped_as_before(house);
    let page = house.http.send("GET", "/m/zoo-headings", &[], None);
    assert_eq!(page.header("location"), Some("/memos/zoo-headings"), "{}", page.status);
}

fn a_parent_is_a_member_or_nobody(house: &House) {
    for nobody in ["users/nobody-of-this-name", "users/a%22b", "users/a%5C"] {
        let list = house.get(&format!("/api/v1/memos?parent={nobody}"));
        assert_eq!(list["memos"], json!([]), "{nobody}");
    }
    for none in ["fx", "workspaces/x", "users/", "users/a/b"] {
        let answer = house.ask("GET", &format!("/api/v1/memos?parent={none}"), None);
        assert_eq!((answer.status, answer.json()["code"].as_i64()), (400, Some(3)), "{none}: {}", answer.text());
    }
    assert_eq!(house.get("/api/v1/users/a%22b/memos")["memos"], json!([]));
    let everybody = house.get("/api/v1/memos?parent=users/-&pageSize=1000");
    assert!(everybody["memos"].as_array().unwrap().iter().any(|memo| memo["creator"] != "users/maria"));
}

fn lists_are_sorted_as_before(house: &House) {
    let times = |query: &str, key: &str| -> Vec<String> {
        let list = house.get(&format!("/api/v1/memos?pageSize=30&{query}"));
        let memos = list["memos"].as_array().unwrap();
        assert!(memos.len() > 3 && memos[0]["displayTime"].is_string(), "{query}: {list}");
        memos.iter().map(|memo| memo[key].as_str().unwrap().to_owned()).collect()
    };
    let created = ["create_time", "display_time", "name"].map(|sort| (sort, "createTime"));
    for (sort, key) in created.into_iter().chain([("update_time", "updateTime")]) {
        for direction in ["ASC", "1", "DESC", "2", "DIRECTION_UNSPECIFIED"] {
            let found = times(&format!("sort={sort}&direction={direction}"), key);
            let mut sorted = found.clone();
            sorted.sort();
            if !matches!(direction, "ASC" | "1") {
                sorted.reverse();
            }
            assert_eq!(found, sorted, "{sort} {direction}");
        }
    }
    let path = "/api/v1/memos?pageSize=1000&sort=pinned&direction=ASC";
    let list = house.get(path);
    let memos = list["memos"].as_array().unwrap();
    assert!(memos.is_sorted_by_key(|memo| !memo["pinned"].as_bool().unwrap()), "pinned first");
    let rest: Vec<&str> =
        memos.iter().filter(|memo| memo["pinned"] == false).map(|memo| memo["createTime"].as_str().unwrap()).collect();
    assert!(rest.is_sorted(), "{rest:?}");
}

/// What clients take for done when it is answered by 200 must have been done.
fn notes_are_put_away_and_wrapped_as_before(house: &House) {
    let wrapped = json!({"memo": {"content": "in a wrapper", "visibility": "PROTECTED", "location": null}});
    let made = house.ok("POST", "/api/v1/memos", Some(wrapped));
    assert_eq!((&made["content"], &made["visibility"]), (&json!("in a wrapper"), &json!("PROTECTED")));
    let name = made["name"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/{name}");
    for (query, body, state) in [
        ("", json!({"rowStatus": "ARCHIVED"}), "ARCHIVED"),
        ("?updateMask=row_status", json!({"rowStatus": "ACTIVE"}), "NORMAL"),
        ("?updateMask=rowStatus", json!({"row_status": "ARCHIVED"}), "ARCHIVED"),
        ("", json!({"content": "again", "row_status": "NORMAL"}), "NORMAL"),
    ] {
        let changed = house.ok("PATCH", &format!("{path}{query}"), Some(body.clone()));
        assert_eq!(changed["state"], state, "{query} {body}");
    }
    let time = "2019-02-03T04:05:06Z";
    assert_eq!(house.ok("PATCH", &path, Some(json!({"display_time": time})))["createTime"], time);
    let untold = house.ok("PATCH", &path, Some(json!({"pinned": true, "display_time": null})));
    assert_eq!((&untold["createTime"], &untold["pinned"]), (&json!(time), &json!(true)));
    let masked = json!({"memo": {"content": "changed", "pinned": false}, "updateMask": "content"});
    let changed = house.ok("PATCH", &path, Some(masked));
    assert_eq!((&changed["content"], &changed["pinned"]), (&json!("changed"), &json!(true)));
    let said = house.ok("POST", &format!("{path}/comments"), Some(json!({"comment": {"content": "so"}})));
    assert_eq!(said["content"], "so");
    house.ok("DELETE", &path, None);
    assert!(house.get("/api/v1/users/maria/memos?pageSize=2&filter=")["memos"].is_array(), "an empty filter is none");
}

fn files_are_resources(house: &House) {
    let file = json!({"filename": "old.txt", "type": "text/plain", "content": "b2xk"});
    let made = house.ok("POST", "/api/v1/resources", Some(file));
    let (name, uid) = (made["name"].as_str().unwrap().to_owned(), made["uid"].as_str().unwrap().to_owned());
    assert_eq!(name, format!("resources/{uid}"));
    let listed = house.get("/api/v1/resources");
    assert!(listed["resources"].as_array().unwrap().iter().any(|file| file["name"] == name.as_str()), "{listed}");
    assert_eq!(house.get(&format!("/api/v1/{name}"))["filename"], "old.txt");
    assert_eq!(house.get(&format!("/api/v1/resources:by-uid/{uid}"))["uid"], uid.as_str());

    let written = json!({"content": "with a resource", "resources": [{"name": name}]});
    let memo = house.ok("POST", "/api/v1/memos", Some(written));
    let other = house.ok("POST", "/api/v1/resources", Some(json!({"filename": "2.txt", "content": "Mg=="})));
    let other = other["name"].as_str().unwrap().to_owned();
    house.ok("PATCH", &format!("/api/v1/{other}"), Some(json!({"memo": memo["name"]})));
    let both = house.get(&format!("/api/v1/{}/resources", memo["name"].as_str().unwrap()));
    assert_eq!(both["resources"][1]["name"], other.as_str(), "a file is hung on a note by its own change: {both}");
    assert_eq!(memo["attachments"][0]["name"], format!("attachments/{uid}"), "{memo}");
    let memo = memo["name"].as_str().unwrap().to_owned();
    assert_eq!(house.get(&format!("/api/v1/{memo}/resources"))["resources"][0]["name"], name.as_str());
    for path in [format!("/file/resources/{uid}/old.txt"), format!("/file/resources/{uid}"), format!("/o/r/{uid}")] {
        assert_eq!(house.ask("GET", &path, None).body, b"old", "{path}");
    }
    house.ok("PATCH", &format!("/api/v1/{memo}/resources"), Some(json!({"resources": []})));
    assert_eq!(house.ask("GET", &format!("/api/v1/{name}"), None).status, 404, "left out means deleted");
    house.ok("DELETE", &format!("/api/v1/{memo}"), None);
}

fn filters_of_older_releases(house: &House) {
    for filter in [
        "created_ts > 1600000000",
        "created_ts < now() - 60",
        "tag == \"work\"",
        "tags.contains(\"work\")",
        "content_search == [\"a\"] && row_status == \"NORMAL\" && order_by_pinned == true",
        "creator == 'users/1' && visibilities == ['PUBLIC']",
        "visibility == 'PUBLIC' &&",
        "pinned && && has_link == true",
    ] {
        let path = format!("/api/v1/memos?pageSize=3&filter={}", encode(filter));
        assert!(house.get(&path)["memos"].is_array(), "{filter}");
    }
    let archived = encode("row_status == 'ARCHIVED'");
    let found = house.get(&format!("/api/v1/users/maria/memos?pageSize=5&oldFilter={archived}"));
    assert!(found["memos"].as_array().unwrap().iter().all(|memo| memo["state"] == "ARCHIVED"), "{found}");
    // Widgets on other people's pages send no token; their words tell their age.
    let asked = format!("/api/v1/memos?filter={}", encode("creator == 'users/1' && visibilities == ['PUBLIC']"));
    let answer = house.http.call("GET", &asked, None, None).json();
    let public = answer["memos"].as_array().unwrap();
    assert!(!public.is_empty() && public.iter().all(|memo| memo["resources"].is_array()), "{answer}");
    // A session of today's kind speaks today's language, as recorded.
    for strict in [
        "uid == \"zoo-headings\"",
        "created_ts > 1600000000",
        "visibilities == ['PUBLIC']",
        "display_time_after == 1600000000",
    ] {
        let strict = format!("/api/v1/memos?filter={}", encode(strict));
        assert_eq!(house.http.call("GET", &strict, Some(&house.session), None).status, 400, "{strict}");
    }
    let by_number = format!("/api/v1/memos?filter={}", encode("creator == 'users/1'"));
    let nobody = house.http.call("GET", &by_number, Some(&house.session), None).json();
    assert_eq!(nobody, json!({"memos": [], "nextPageToken": ""}), "to 0.30.0 that is the member called 1");
}

/// What hangs on the gateway before Memos' services: posted forms, and masks that are there and name nothing.
fn corners_of_the_gateway(house: &House) {
    let form = |path: &str, method: Option<&str>, fields: &str| {
        let mut headers = vec![
            ("Authorization".to_owned(), format!("Bearer {}", house.token)),
            ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ];
        headers.extend(method.map(|method| ("X-HTTP-Method-Override".to_owned(), method.to_owned())));
        house.http.send("POST", path, &headers, Some(fields.as_bytes()))
    };
    assert_eq!(form("/api/v1/users/maria", None, "readMask=username").json()["username"], "maria");
    assert_eq!(form("/api/v1/memos", None, "pageSize=2").status, 400, "there a note may be posted");
    let listed = form("/api/v1/memos?state=NORMAL", Some("get"), "pageSize=2");
    assert_eq!(listed.json()["memos"].as_array().map(Vec::len), Some(2), "{}", listed.text());
    for (method, resource) in [
        ("MemoService/UpdateMemo", json!({"memo": {"name": "memos/zoo-code-fences", "content": "x"}})),
        ("AttachmentService/UpdateAttachment", json!({"attachment": {"name": "attachments/x", "filename": "x"}})),
        (
            "IdentityProviderService/UpdateIdentityProvider",
            json!({"identityProvider": {"name": "identity-providers/x"}}),
        ),
    ] {
        for mask in [json!(null), json!("")] {
            let mut message = resource.clone();
            message["updateMask"] = mask;
            let answer = house.ask("POST", &format!("/memos.api.v1.{method}"), Some(&message));
            assert_eq!(answer.json()["message"], "update mask is required", "{method}: {}", answer.text());
        }
    }
}

fn notes_are_found_by_their_public_id(house: &House) {
    for filter in ["uid == \"zoo-headings\"", "uid=='zoo-headings' && row_status == 'NORMAL'"] {
        let found = house.get(&format!("/api/v1/memos?filter={}", encode(filter)));
        let uids: Vec<&Value> = found["memos"].as_array().unwrap().iter().map(|memo| &memo["uid"]).collect();
        assert_eq!(uids, ["zoo-headings"], "{filter}: {found}");
    }
}

fn tags_and_how_many_have_them(house: &House) {
    let name = house.ok("POST", "/api/v1/memos", Some(json!({"content": "#rare-one and #rare/two"})))["name"].clone();
    let of_all = house.get("/api/v1/memos/-/tags?parent=memos/-&filter=row_status%20==%20'NORMAL'");
    assert_eq!((&of_all["tagAmounts"]["rare-one"], &of_all["tagAmounts"]["rare/two"]), (&json!(1), &json!(1)));
    let of_one = house.get(&format!("/api/v1/{}/tags", name.as_str().unwrap()));
    assert_eq!(of_one["tagAmounts"], json!({"rare-one": 1, "rare/two": 1}));
    assert_eq!(house.http.call("GET", "/api/v1/memos/-/tags", None, None).status, 401);
}

fn settings_tokens_and_the_rest(house: &House) {
    let profile = house.get("/api/v1/workspace/profile");
    assert_eq!(profile["mode"], "prod");
    assert!(profile["owner"].as_str().unwrap().starts_with("users/"), "{profile}");
    let inferred = json!({"generalSetting": {"locale": "fr"}});
    let setting = house.ok("PATCH", "/api/v1/users/maria/settings/GENERAL", Some(inferred));
    assert_eq!(setting["generalSetting"]["locale"], "fr");
    assert_eq!(house.get("/api/v1/workspace/settings/GENERAL")["name"], "workspace/settings/GENERAL");
    assert_eq!(house.get("/api/v1/users/maria/setting")["name"], "users/maria/setting");
    let changed = house.ok("PATCH", "/api/v1/users/maria:updateSetting", Some(json!({"locale": "de"})));
    assert_eq!(
        (&changed["locale"], &house.get("/api/v1/users/maria:getSetting")["locale"]),
        (&json!("de"), &json!("de"))
    );
    let session = house.http.sign_in("maria", &house.password).0;
    let ended = house.http.call("DELETE", "/api/v1/auth/sessions/current", Some(&session), None);
    assert_eq!(ended.status, 200, "{}", ended.text());
    for path in ["/api/v1/users/maria/access_tokens", "/api/v1/users/maria/accessTokens"] {
        let made = house.ok("POST", path, Some(json!({"description": "older still"})));
        let secret = made["accessToken"].as_str().unwrap();
        assert_eq!(house.http.call("GET", "/api/v1/auth/me", Some(secret), None).status, 200);
        assert!(house.get(path)["accessTokens"].as_array().unwrap().len() > 1);
        let id = made["name"].as_str().unwrap().rsplit('/').next().unwrap();
        house.ok("DELETE", &format!("{path}/{id}"), None);
        assert_eq!(house.http.call("GET", "/api/v1/auth/me", Some(secret), None).status, 401);
    }
    let shown = "/api/v1/users/maria?updateMask=displayName,nickname";
    assert_eq!(house.ok("PATCH", shown, Some(json!({"nickname": "Mia"})))["displayName"], "Mia");
    let tags = json!({"tagsSetting": {"tags": {"work": {"blurContent": true}}}});
    let setting = house.ok("PATCH", "/api/v1/users/maria/settings/TAGS", Some(tags));
    assert_eq!(setting["tagsSetting"]["tags"]["work"]["blurContent"], true);
    assert!(house.get("/api/v1/identityProviders")["identityProviders"].is_array());
    let saved = house.ok("POST", "/api/v1/users/maria/shortcuts", Some(json!({"title": "t", "filter": "pinned"})));
    let id = saved["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(house.get(&format!("/api/v1/users/maria/views/{id}"))["title"], "t");
    house.ok("DELETE", &format!("/api/v1/users/maria/views/{id}"), None);
    assert_eq!(house.ask("GET", "/api/v1/status", None).status, 404, "clients take 200 for the API of 0.21");
}

/// Old routes lie behind the same gate as today's.
fn strangers_get_nothing_more(house: &House) {
    let paths = [
        ("GET", "/api/v1/resources"),
        ("POST", "/api/v1/resources"),
        ("GET", "/api/v1/users/maria/setting"),
        ("PATCH", "/api/v1/users/maria/setting"),
        ("GET", "/api/v1/users/maria/access_tokens"),
        ("POST", "/api/v1/users/maria/access_tokens"),
        ("PATCH", "/api/v1/workspace/settings/GENERAL"),
        ("GET", "/api/v1/auth/sessions/current"),
        ("DELETE", "/api/v1/auth/sessions/current"),
        ("DELETE", "/api/v1/reactions/1"),
        ("GET", "/api/v1/memos/zoo-headings/resources"),
    ];
    for (verb, path) in paths {
        for token in [None, Some("memos_pat_00000000000000000000000000000000")] {
            let answer = house.http.call(verb, path, token, Some(&json!({})));
            assert_eq!(answer.status, 401, "{verb} {path}: {}", answer.text());
        }
    }
}
