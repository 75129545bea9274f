//! Random journeys over every kind of thing that the API keeps: each write goes over a protocol drawn by lot, and each
//! read over all of them, REST, Connect in JSON and in protobuf, gRPC-Web and gRPC, whose answers must be one and the same
//! message, and whose refusals one and the same code and text. What was written is what is read; what was deleted is gone.

use std::collections::BTreeMap;

use domain::chance::Chance;
use serde_json::{Value, json};

use super::forms::{Outcome, decoded, framed, of_frames, of_json, said, with_mask};
use super::rpcs::encoded;
use super::samples::as_rest;
use crate::support::http::Header;
use crate::support::{Http, Installation, Server, grpc};

const WAYS: [&str; 5] = ["REST", "Connect JSON", "Connect protobuf", "gRPC-Web", "gRPC"];
const STEPS: usize = 90;
const TEXTS: [&str; 6] = [
    "plain",
    "# Head\n\n#tag and #trip/japan",
    "- [ ] open\n- [x] done",
    "see [x](https://x.org) `code`",
    "hello @bob",
    "",
];

struct Journey {
    http: Http,
    server: Server,
    tokens: BTreeMap<&'static str, String>,
    chance: Chance,
    /// Names of what there is, by kind, with who made it.
    things: BTreeMap<&'static str, Vec<(String, &'static str)>>,
    _installation: Installation,
}

impl Journey {
    async fn begin(seed: u64) -> Self {
        let installation = Installation::create().await;
        let file = installation.folder.path().join("password");
        std::fs::write(&file, "A-long-Password-1").unwrap();
        let path = file.to_str().unwrap();
        installation.must(&["tenant", "create", "team", "--owner", "anna", "--password-file", path]);
        installation.must(&["tenant", "set", "team", "--public-url", "https://team.example.org"]);
        let server = installation.serve();
        let http = server.by_path("team");
        let mut tokens = BTreeMap::from([("anna", http.sign_in("anna", "A-long-Password-1").0)]);
        let bob = json!({"username": "bob", "password": "A-long-Password-1"});
        assert_eq!(http.call("POST", "/api/v1/users", tokens.get("anna").map(String::as_str), Some(&bob)).status, 200);
        tokens.insert("bob", http.sign_in("bob", "A-long-Password-1").0);
        Self {
            http,
            server,
            tokens,
            chance: Chance::seeded(seed),
            things: BTreeMap::new(),
            _installation: installation,
        }
    }

    fn below(&self, count: usize) -> usize {
        usize::try_from(self.chance.below(count as u64)).unwrap()
    }

    fn one_of<'a>(&self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Something of a kind that there is, or was, or never was, and who made it.
    fn some(&self, kind: &str) -> (String, &'static str) {
        let never = (format!("{}/nope", if kind == "file" { "attachments" } else { "memos" }), "anna");
        let all = self.things.get(kind).map(Vec::as_slice).unwrap_or_default();
        if all.is_empty() { never } else { all[self.below(all.len())].clone() }
    }

    fn ask(&self, way: &str, who: &str, (service, method): (&str, &str), message: &Value) -> Outcome {
        let rpc = &wire::table::all()[wire::table::index_of(service, method).expect("an RPC")];
        let mut headers: Vec<Header> = Vec::new();
        if let Some(token) = self.tokens.get(who) {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        let path = format!("/memos.api.v1.{}", rpc.name());
        let mut post = |kind: &str, body: &[u8]| {
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
            self.http.send("POST", &path, &headers, Some(body))
        };
        match way {
            "REST" => {
                let binding = &rpc.bindings[0];
                let (path, body) = as_rest(rpc, binding, message);
                let path = with_mask(path, message);
                if body.is_some() {
                    headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
                }
                let body = body.map(|body| body.to_string().into_bytes());
                of_json(rpc, &self.http.send(binding.verb, &path, &headers, body.as_deref()))
            }
            "Connect JSON" => of_json(rpc, &post("application/json", message.to_string().as_bytes())),
            "Connect protobuf" => {
                let answer = post("application/proto", &encoded(rpc, message));
                if answer.status == 200 { Ok(decoded(rpc, &answer.body)) } else { of_json(rpc, &answer) }
            }
            "gRPC-Web" => of_frames(rpc, &post("application/grpc-web+proto", &framed(&encoded(rpc, message)))),
            _ => {
                let path = format!("{}{path}", self.http.base);
                let call = grpc::Call {
                    authority: &self.http.host,
                    path: &path,
                    headers: &headers,
                    message: &encoded(rpc, message),
                };
                let answer = grpc::call(self.server.grpc_address(), &call);
                match answer.status {
                    200 => Ok(decoded(rpc, answer.body.get(5..).unwrap_or_default())),
                    status => Err((status, said(answer.header("grpc-message").unwrap_or_default()))),
                }
            }
        }
    }

    /// Asks over every protocol; the one answer that all give.
    fn read(&self, who: &str, rpc: (&str, &str), message: &Value) -> Outcome {
        let first = self.ask(WAYS[0], who, rpc, message);
        for way in &WAYS[1..] {
            assert_eq!(self.ask(way, who, rpc, message), first, "{way}, {who}: {rpc:?} {message}");
        }
        first
    }

    /// Writes over a protocol drawn by lot. A refusal must be one that the request has earned.
    fn write(&self, who: &str, rpc: (&str, &str), message: &Value) -> Option<Value> {
        let way = WAYS[self.below(WAYS.len())];
        match self.ask(way, who, rpc, message) {
            Ok(made) => Some(made),
            Err((400 | 403 | 404 | 409, _)) => None,
            Err((status, text)) => panic!("{way}, {who}: {rpc:?} {message}: {status} {text}"),
        }
    }

    /// Makes one, which must be what is read afterwards.
    fn make(&mut self, kind: &'static str, who: &'static str, rpc: (&str, &str), message: &Value) {
        let Some(made) = self.write(who, rpc, message) else { return };
        let made = made.get("personalAccessToken").unwrap_or(&made);
        let name = made["name"].as_str().expect("a name").to_owned();
        let get = get_of(kind);
        if let Some(get) = get {
            let found = self.read(who, get, &json!({ "name": name })).expect("what was made");
            let (mut found, mut made) = (found, made.clone());
            // The answer to a new comment does not name its parent, nor that to a new file its note.
            for key in ["parent", "memo"] {
                found.as_object_mut().unwrap().remove(key);
                made.as_object_mut().unwrap().remove(key);
            }
            assert_eq!(found, made, "{rpc:?}");
        }
        self.things.entry(kind).or_default().push((name, who));
    }

    /// Changes one; what is answered is what is read afterwards by who may read it.
    fn change(&self, kind: &str, who: &str, rpc: (&str, &str), message: &Value, name: &str) {
        let Some(changed) = self.write(who, rpc, message) else { return };
        if let (Some(get), true) = (get_of(kind), changed.get("name").is_some())
            && let Ok(found) = self.read(who, get, &json!({ "name": name }))
        {
            assert_eq!(found, changed, "{rpc:?} {message}");
        }
    }

    /// Deletes one, after which there is none.
    fn delete(&mut self, kind: &'static str, who: &str, method: (&str, &str), name: &str) {
        if self.write(who, method, &json!({ "name": name })).is_none() {
            return;
        }
        self.things.entry(kind).or_default().retain(|(known, _)| known != name);
        if let Some(get) = get_of(kind) {
            let gone = self.read(who, get, &json!({ "name": name }));
            assert_eq!(gone.as_ref().map_err(|(status, _)| *status), Err(404), "{name} is deleted: {gone:?}");
        }
    }
}

/// How one of a kind is read, where there is a way.
fn get_of(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "memo" => Some(("MemoService", "GetMemo")),
        "file" => Some(("AttachmentService", "GetAttachment")),
        "shortcut" => Some(("ShortcutService", "GetShortcut")),
        _ => None,
    }
}

impl Journey {
    fn step(&mut self) {
        let who = if self.below(2) == 0 { "anna" } else { "bob" };
        let user = format!("users/{who}");
        let content = self.one_of(&TEXTS).to_owned();
        let visibility = self.one_of(&["PRIVATE", "PROTECTED", "PUBLIC"]);
        let (note, author) = self.some("memo");
        let memos = |method: &'static str| ("MemoService", method);
        match self.below(20) {
            0..=3 => {
                let memo = json!({"content": content, "visibility": visibility, "location": {"placeholder": "Bern", "latitude": 46.9}});
                self.make("memo", who, memos("CreateMemo"), &json!({ "memo": memo }));
            }
            4..=6 => self.change_memo(who, &note, &content, visibility),
            7 => {
                let comment = json!({"name": note, "comment": {"content": content}});
                self.make("memo", who, memos("CreateMemoComment"), &comment);
            }
            8 => {
                let reaction = json!({"contentId": note, "reactionType": self.one_of(&["👍", "🎉"])});
                let message = json!({"name": note, "reaction": reaction});
                self.make("reaction", who, memos("UpsertMemoReaction"), &message);
            }
            9 => {
                let (other, _) = self.some("memo");
                let relation = json!({"relatedMemo": {"name": other}, "type": "REFERENCE"});
                self.write(who, memos("SetMemoRelations"), &json!({"name": note, "relations": [relation]}));
            }
            10 => self.make("share", who, memos("CreateMemoShare"), &json!({"parent": note, "memoShare": {}})),
            11 => {
                let file = json!({"filename": "a.txt", "type": "text/plain", "content": "aGVsbG8="});
                self.make("file", who, ("AttachmentService", "CreateAttachment"), &json!({ "attachment": file }));
            }
            12 => {
                let (file, owner) = self.some("file");
                self.write(owner, memos("SetMemoAttachments"), &json!({"name": note, "attachments": [{"name": file}]}));
                let renamed = json!({"attachment": {"name": file, "filename": "b.txt"}, "updateMask": "filename"});
                self.change("file", who, ("AttachmentService", "UpdateAttachment"), &renamed, &file);
            }
            13 => {
                let shortcut =
                    json!({"title": "t", "filter": self.one_of(&["pinned", "has_code", "tag in [\"tag\"]"])});
                let message = json!({"parent": user, "shortcut": shortcut});
                self.make("shortcut", who, ("ShortcutService", "CreateShortcut"), &message);
            }
            14 => {
                let hook = json!({"url": "http://192.0.2.7/x", "displayName": content});
                let message = json!({"parent": user, "webhook": hook});
                self.make("webhook", who, ("UserService", "CreateUserWebhook"), &message);
            }
            15 => {
                let message = json!({"parent": user, "description": content, "expiresInDays": self.below(3)});
                self.make("token", who, ("UserService", "CreatePersonalAccessToken"), &message);
            }
            16 => {
                let general = json!({"locale": self.one_of(&["de", "fr"]), "memoVisibility": visibility, "theme": "x"});
                let setting = json!({"name": format!("{user}/settings/GENERAL"), "generalSetting": general});
                let message =
                    json!({"setting": setting, "updateMask": self.one_of(&["locale", "memoVisibility,theme"])});
                self.write(who, ("UserService", "UpdateUserSetting"), &message);
            }
            17 => {
                let message =
                    json!({"user": {"name": "users/bob", "displayName": content}, "updateMask": "displayName"});
                self.write(who, ("UserService", "UpdateUser"), &message);
            }
            18 => self.delete("memo", author, memos("DeleteMemo"), &note),
            _ => self.delete_lesser(who),
        }
    }

    fn change_memo(&self, who: &str, note: &str, content: &str, visibility: &str) {
        let mask = self.one_of(&[
            "content",
            "visibility",
            "pinned",
            "state",
            "location",
            "createTime",
            "updateTime",
            "content,visibility,pinned",
            "content,createTime,location",
        ]);
        let memo = json!({
            "name": note, "content": content, "visibility": visibility, "pinned": self.below(2) == 0,
            "state": self.one_of(&["NORMAL", "NORMAL", "ARCHIVED"]), "createTime": "2021-05-05T05:05:05Z",
            "updateTime": "2022-02-02T02:02:02Z",
        });
        let message = json!({"memo": memo, "updateMask": mask});
        self.change("memo", who, ("MemoService", "UpdateMemo"), &message, note);
    }

    fn delete_lesser(&mut self, who: &str) {
        let kinds = ["reaction", "share", "file", "shortcut", "webhook", "token"];
        let kind = kinds[self.below(kinds.len())];
        if self.things.get(kind).is_none_or(Vec::is_empty) {
            return;
        }
        let (name, owner) = self.some(kind);
        let (rpc, who) = match kind {
            "reaction" => (("MemoService", "DeleteMemoReaction"), who),
            "share" => (("MemoService", "DeleteMemoShare"), who),
            "file" => (("AttachmentService", "DeleteAttachment"), owner),
            "shortcut" => (("ShortcutService", "DeleteShortcut"), owner),
            "webhook" => (("UserService", "DeleteUserWebhook"), owner),
            _ => (("UserService", "DeletePersonalAccessToken"), owner),
        };
        self.delete(kind, who, rpc, &name);
    }

    /// Something is read by somebody, who may also be a stranger.
    fn look(&self) {
        let who = self.one_of(&["anna", "bob", "nobody"]);
        let user = format!("users/{}", self.one_of(&["anna", "bob", "carla"]));
        let (note, _) = self.some("memo");
        let (file, _) = self.some("file");
        let of_user = json!({ "parent": user });
        let named = json!({ "name": note });
        let page = json!({"pageSize": 3, "orderBy": self.one_of(&["pinned,create_time", "update_time", "name"]), "filter": self.one_of(&["pinned", "!pinned", "has_code"])});
        let (rpc, message) = match self.below(20) {
            0 => (("MemoService", "ListMemos"), page),
            1 => (("MemoService", "ListMemos"), json!({"state": "ARCHIVED"})),
            2 => (("MemoService", "GetMemo"), named),
            3 => (("MemoService", "ListMemoComments"), named),
            4 => (("MemoService", "ListMemoReactions"), named),
            5 => (("MemoService", "ListMemoRelations"), named),
            6 => (("MemoService", "ListMemoAttachments"), named),
            7 => (("MemoService", "ListMemoShares"), json!({ "parent": note })),
            8 => (("AttachmentService", "ListAttachments"), json!({"pageSize": 2})),
            9 => (("AttachmentService", "GetAttachment"), json!({ "name": file })),
            10 => (("ShortcutService", "ListShortcuts"), of_user),
            11 => (("MemoViewService", "ListMemoViews"), of_user),
            12 => (("UserService", "ListUserWebhooks"), of_user),
            13 => (("UserService", "ListPersonalAccessTokens"), of_user),
            14 => (("UserService", "ListUserSettings"), of_user),
            15 => (("UserService", "GetUserStats"), json!({ "name": user })),
            16 => (("UserService", "ListAllUserStats"), json!({})),
            17 => (("UserService", "ListUserNotifications"), of_user),
            18 => (("UserService", "GetUser"), json!({ "name": user })),
            _ => (("InstanceService", "GetInstanceSetting"), json!({"name": "instance/settings/MEMO_RELATED"})),
        };
        let _ = self.read(who, rpc, &message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_journeys_are_the_same_over_every_protocol() {
    let seed =
        std::env::var("JOURNEY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| Chance::System.u64());
    println!("random journey of {STEPS} steps, JOURNEY_SEED={seed}");
    let mut journey = Journey::begin(seed).await;
    for _ in 0..STEPS {
        journey.step();
        journey.look();
        journey.look();
    }
    let made: Vec<String> = journey.things.iter().map(|(kind, all)| format!("{} {kind}", all.len())).collect();
    println!("left at the end: {}", made.join(", "));
}
