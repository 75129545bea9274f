//! The test's own table of RPCs: a request for each, in the form of its message. A row that the wire table has and this
//! one has not fails the test.

use serde_json::{Map, Value, json};
use wire::table::{Binding, Body, Rpc};

/// A request for an RPC.
pub(super) struct Sample {
    /// The message as Connect takes it; `{p}` is another text for each protocol.
    pub(super) message: Value,
    /// The message that strangers and foreigners send when the other one would work for anybody.
    pub(super) foreign: Option<Value>,
    /// Whether the answer at home must show the tenant's own word.
    pub(super) marked: bool,
    /// The right statuses at home.
    pub(super) own: &'static [u16],
}

fn is(message: Value) -> Sample {
    Sample { message, foreign: None, marked: false, own: &[200] }
}

fn marked(message: Value) -> Sample {
    Sample { message, foreign: None, marked: true, own: &[200] }
}

fn answers(own: &'static [u16], message: Value) -> Sample {
    Sample { message, foreign: None, marked: false, own }
}

const OWNER: &str = "users/maria";
const NOTE: &str = "memos/zoo-tasks-done";
const DISCUSSED: &str = "memos/zoo-headings";
const FILE: &str = "attachments/3SP9kPoRyyPQyj4tNheEAu";

/// The row of an RPC.
pub(super) fn sample(service: &str, method: &str) -> Option<Sample> {
    match service {
        "UserService" => user(method),
        "InstanceService" => instance(method),
        "AuthService" => auth(method),
        "AttachmentService" => attachment(method),
        "MemoService" => memo(method),
        "AIService" => Some(answers(&[400], json!({"audio": {"content": "aGk=", "contentType": "audio/wav"}}))),
        "ShortcutService" | "MemoViewService" => saved_filter(method),
        "IdentityProviderService" => provider(method),
        _ => None,
    }
}

fn user(method: &str) -> Option<Sample> {
    let setting = json!({"setting": {"name": format!("{OWNER}/settings/GENERAL"), "generalSetting": {"locale": "de"}}, "updateMask": "locale"});
    Some(match method {
        "ListUsers" => marked(json!({})),
        "BatchGetUsers" => marked(json!({"usernames": ["maria"]})),
        "GetUser" => marked(json!({"name": OWNER})),
        "CreateUser" => {
            let user = json!({"username": "newcomer-{p}", "password": "Newcomer-Pass-1!", "role": "USER"});
            let foreign = Some(json!({"user": user, "validateOnly": true}));
            Sample { message: json!({"user": user}), foreign, marked: false, own: &[200] }
        }
        "UpdateUser" => {
            is(json!({"user": {"name": "users/newcomer-{p}", "displayName": "New"}, "updateMask": "displayName"}))
        }
        "DeleteUser" => is(json!({"name": "users/newcomer-{p}"})),
        "ListAllUserStats" => is(json!({})),
        "GetUserStats" => is(json!({"name": OWNER})),
        "GetUserSetting" => is(json!({"name": format!("{OWNER}/settings/GENERAL")})),
        "UpdateUserSetting" => is(setting),
        "ListUserSettings"
        | "ListPersonalAccessTokens"
        | "ListLinkedIdentities"
        | "ListUserWebhooks"
        | "ListUserNotifications" => is(json!({"parent": OWNER})),
        "CreatePersonalAccessToken" => is(json!({"parent": OWNER, "description": "made by the isolation test"})),
        "DeletePersonalAccessToken" => {
            answers(&[200, 404], json!({"name": format!("{OWNER}/personalAccessTokens/no-such-token")}))
        }
        "CreateLinkedIdentity" => {
            answers(&[400, 404, 501], json!({"parent": OWNER, "idpName": "identity-providers/nope", "code": "x"}))
        }
        "GetLinkedIdentity" | "DeleteLinkedIdentity" => {
            answers(&[200, 400, 404, 501], json!({"name": format!("{OWNER}/linkedIdentities/nope")}))
        }
        "CreateUserWebhook" => {
            is(json!({"parent": OWNER, "webhook": {"url": "http://192.0.2.7/x", "displayName": "x"}}))
        }
        "UpdateUserWebhook" => answers(
            &[200, 404, 501],
            json!({"webhook": {"name": format!("{OWNER}/webhooks/nope"), "displayName": "y"}, "updateMask": "displayName"}),
        ),
        "DeleteUserWebhook" | "GetUserWebhookSigningSecret" => {
            answers(&[200, 404, 501], json!({"name": format!("{OWNER}/webhooks/nope")}))
        }
        "UpdateUserNotification" => answers(
            &[200, 400, 404, 501],
            json!({"notification": {"name": format!("{OWNER}/notifications/999999"), "status": "ARCHIVED"}, "updateMask": "status"}),
        ),
        "DeleteUserNotification" => answers(&[200, 404, 501], json!({"name": format!("{OWNER}/notifications/999999")})),
        _ => return None,
    })
}

fn instance(method: &str) -> Option<Sample> {
    let profile = json!({"title": "Isolation {p}"});
    Some(match method {
        "GetInstanceProfile" => marked(json!({})),
        "GetInstanceSetting" => is(json!({"name": "instance/settings/GENERAL"})),
        "BatchGetInstanceSettings" => {
            is(json!({"names": ["instance/settings/GENERAL", "instance/settings/MEMO_RELATED"]}))
        }
        "UpdateInstanceSetting" => {
            is(json!({"setting": {"name": "instance/settings/GENERAL", "generalSetting": {"customProfile": profile}}}))
        }
        "TestInstanceEmailSetting" => answers(&[400], json!({})),
        "GetInstanceStats" => is(json!({})),
        _ => return None,
    })
}

fn auth(method: &str) -> Option<Sample> {
    Some(match method {
        "GetCurrentUser" => marked(json!({})),
        "SignIn" => Sample {
            message: json!({"passwordCredentials": {"username": "maria", "password": "{password}"}}),
            foreign: Some(json!({})),
            marked: true,
            own: &[200],
        },
        "SignOut" => is(json!({})),
        "RefreshToken" => answers(&[401], json!({})),
        _ => return None,
    })
}

fn attachment(method: &str) -> Option<Sample> {
    Some(match method {
        "CreateAttachment" => is(json!({
            "attachment": {"filename": "isolation.txt", "type": "text/plain", "content": "aXNvbGF0aW9u"}, "attachmentId": "iso-{p}"
        })),
        "ListAttachments" => is(json!({})),
        "GetAttachment" => is(json!({"name": FILE})),
        "UpdateAttachment" => is(
            json!({"attachment": {"name": "attachments/iso-{p}", "filename": "other.txt"}, "updateMask": "filename"}),
        ),
        "DeleteAttachment" => is(json!({"name": "attachments/iso-{p}"})),
        "BatchDeleteAttachments" => answers(&[200, 404], json!({"names": ["attachments/{unused-file}"]})),
        _ => return None,
    })
}

fn memo(method: &str) -> Option<Sample> {
    Some(match method {
        "CreateMemo" => is(json!({"memo": {"content": "isolation", "visibility": "PRIVATE"}, "memoId": "iso-{p}"})),
        "ListMemos" => marked(json!({"pageSize": 200})),
        "GetMemo" => marked(json!({"name": NOTE})),
        "UpdateMemo" => is(json!({"memo": {"name": "memos/iso-{p}", "content": "changed"}, "updateMask": "content"})),
        "DeleteMemo" => is(json!({"name": "memos/{victim}"})),
        "SetMemoAttachments" => is(json!({"name": "memos/iso-{p}", "attachments": []})),
        "ListMemoAttachments" => is(json!({"name": NOTE})),
        "SetMemoRelations" => is(json!({"name": "memos/iso-{p}", "relations": []})),
        "ListMemoRelations" | "ListMemoReactions" => is(json!({"name": DISCUSSED})),
        "CreateMemoComment" => {
            is(json!({"name": NOTE, "comment": {"content": "a comment"}, "commentId": "iso-comment-{p}"}))
        }
        "ListMemoComments" => marked(json!({"name": DISCUSSED})),
        "UpsertMemoReaction" => {
            is(json!({"name": "memos/iso-{p}", "reaction": {"contentId": "memos/iso-{p}", "reactionType": "👍"}}))
        }
        "DeleteMemoReaction" => answers(&[200, 403, 404], json!({"name": format!("{DISCUSSED}/reactions/1")})),
        "CreateMemoShare" => is(json!({"parent": NOTE, "memoShare": {}})),
        "ListMemoShares" => is(json!({"parent": NOTE})),
        "DeleteMemoShare" => answers(&[200, 404], json!({"name": format!("{NOTE}/shares/nz28QrFfSNv2HHnuzye2Ct")})),
        "GetSharedMemo" => marked(json!({"shareToken": "fuUFpU59ptm2KxGvWWX65Z"})),
        "GetLinkMetadata" => answers(&[200, 400, 501], json!({"url": "http://127.0.0.1:1/"})),
        "BatchGetLinkMetadata" => answers(&[400, 501], json!({"urls": []})),
        _ => return None,
    })
}

fn saved_filter(method: &str) -> Option<Sample> {
    let names = ["Shortcut", "Shortcuts", "MemoView", "MemoViews"];
    let known = ["List", "Get", "Create", "Update", "Delete"]
        .iter()
        .any(|verb| method.strip_prefix(verb).is_some_and(|thing| names.contains(&thing)));
    known.then(|| Sample {
        message: json!({"parent": OWNER, "name": format!("{OWNER}/shortcuts/nope"),
                        "shortcut": {"name": format!("{OWNER}/shortcuts/nope"), "title": "t", "filter": "pinned"},
                        "memoView": {"name": format!("{OWNER}/views/nope"), "title": "t", "filter": "pinned"}}),
        foreign: None,
        marked: false,
        own: &[200, 400, 404, 501],
    })
}

fn provider(method: &str) -> Option<Sample> {
    let name = "identity-providers/nope";
    Some(match method {
        "ListIdentityProviders" => is(json!({})),
        "GetIdentityProvider" | "DeleteIdentityProvider" => answers(&[404, 501], json!({"name": name})),
        "CreateIdentityProvider" => answers(&[400, 501], json!({"identityProvider": {"title": "x"}})),
        "UpdateIdentityProvider" => {
            answers(&[404, 501], json!({"identityProvider": {"name": name, "title": "y"}, "updateMask": "title"}))
        }
        _ => return None,
    })
}

/// Puts the texts of a protocol and of a run into a message.
pub(super) fn filled(message: &Value, texts: &[(&str, &str)]) -> Value {
    let text = texts.iter().fold(message.to_string(), |text, (name, value)| text.replace(name, value));
    serde_json::from_str(&text).unwrap()
}

/// The REST form of a message: path with query, and body.
pub(super) fn as_rest(rpc: &Rpc, binding: &Binding, message: &Value) -> (String, Option<Value>) {
    let (path, used) = fill_path(binding.path, message);
    let body = match binding.body {
        Body::None => None,
        Body::Whole => Some(message.clone()),
        Body::Field(field) => Some(message.get(camel(field)).cloned().unwrap_or_else(|| json!({}))),
    };
    let in_body = |key: &str| match binding.body {
        Body::None => false,
        Body::Whole => true,
        Body::Field(field) => camel(field) == key,
    };
    let fields = message.as_object().cloned().unwrap_or_else(Map::new);
    let query: Vec<String> = fields
        .iter()
        .filter(|(key, value)| !used.contains(key) && !in_body(key) && !value.is_object() && !value.is_array())
        .filter(|(key, _)| *key != "updateMask" && !(rpc.service.contains("Shortcut") || rpc.service.contains("View")))
        .map(|(key, value)| format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    (path, body)
}

/// `/api/v1/{name=memos/*}/comments` with the message's name put in, and the fields that were used.
fn fill_path(template: &str, message: &Value) -> (String, Vec<String>) {
    let (mut path, mut used, mut rest) = (String::new(), Vec::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, behind) = after.split_once('}').expect("a closed brace");
        let field = inside.split('=').next().unwrap_or_default();
        let value = field.split('.').fold(message, |value, part| &value[camel(part)]);
        path.push_str(before);
        path.push_str(value.as_str().unwrap_or_else(|| panic!("{template}: no {field} in {message}")));
        used.push(camel(field.split('.').next().unwrap_or_default()));
        rest = behind;
    }
    path.push_str(rest);
    (path, used)
}

fn camel(field: &str) -> String {
    let mut parts = field.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut out, part| {
        out.push_str(&part[..1].to_uppercase());
        out.push_str(&part[1..]);
        out
    })
}
