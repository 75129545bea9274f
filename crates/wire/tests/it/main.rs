//! Routes, requests and answers of a real server of version 0.30.0, against the table and the messages.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a test may stop where it stands and say how far it came")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::table::{self, Found};
use wire::v1;

/// The recordings' folder, or none where this machine has none (never so in CI).
fn recordings() -> Option<PathBuf> {
    let root = std::env::var_os("HOLDFAST_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"), PathBuf::from);
    let folder = root.join("recordings-0.30.0");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no recordings: set HOLDFAST_FIXTURES");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not with the macro, whose text is shown of failed tests only.
    writeln!(std::io::stderr().lock(), "\nskipped {test}: no recordings (HOLDFAST_FIXTURES)")
        .expect("stderr can be written");
    None
}

/// Every exchange of the transport.
fn exchanges(transport: &str) -> Vec<Value> {
    let Some(folder) = recordings() else { return Vec::new() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        // The order of the groups is no list of exchanges.
        let Ok(all) = serde_json::from_str::<Vec<Value>>(&text) else { continue };
        found.extend(all.into_iter().filter(|exchange| exchange["transport"] == transport));
    }
    found
}

/// Path, query and body of an exchange.
fn request_of(exchange: &Value) -> (String, String, Vec<u8>) {
    let request = &exchange["request"];
    let target = request["path"].as_str().expect("a path");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = match (&request["body"], request["body_text"].as_str()) {
        (_, Some(text)) => text.as_bytes().to_vec(),
        (Value::Null, None) => Vec::new(),
        (body, None) => serde_json::to_vec(body).expect("json"),
    };
    (path.to_owned(), query.to_owned(), body)
}

/// Decodes JSON as the request message of an RPC.
fn decodes(method: &str, json: Value) -> Result<(), String> {
    let message = format!("{method}Request");
    macro_rules! by_method {
        ($($name:ident)*) => {
            match message.as_str() {
                $(stringify!($name) => decode_as::<v1::$name>(json),)*
                other => panic!("no message for {other}"),
            }
        };
    }
    by_method! {
        CreateMemoRequest ListMemosRequest GetMemoRequest UpdateMemoRequest DeleteMemoRequest SetMemoAttachmentsRequest
        ListMemoAttachmentsRequest SetMemoRelationsRequest ListMemoRelationsRequest CreateMemoCommentRequest
        ListMemoCommentsRequest ListMemoReactionsRequest UpsertMemoReactionRequest DeleteMemoReactionRequest
        CreateMemoShareRequest ListMemoSharesRequest DeleteMemoShareRequest GetSharedMemoRequest GetLinkMetadataRequest
        BatchGetLinkMetadataRequest CreateAttachmentRequest ListAttachmentsRequest GetAttachmentRequest
        UpdateAttachmentRequest DeleteAttachmentRequest BatchDeleteAttachmentsRequest GetCurrentUserRequest SignInRequest
        SignOutRequest RefreshTokenRequest ListUsersRequest BatchGetUsersRequest GetUserRequest CreateUserRequest
        UpdateUserRequest DeleteUserRequest ListAllUserStatsRequest GetUserStatsRequest GetUserSettingRequest
        UpdateUserSettingRequest ListUserSettingsRequest ListLinkedIdentitiesRequest CreateLinkedIdentityRequest
        GetLinkedIdentityRequest DeleteLinkedIdentityRequest ListPersonalAccessTokensRequest
        CreatePersonalAccessTokenRequest DeletePersonalAccessTokenRequest ListUserWebhooksRequest
        CreateUserWebhookRequest UpdateUserWebhookRequest DeleteUserWebhookRequest GetUserWebhookSigningSecretRequest
        ListUserNotificationsRequest UpdateUserNotificationRequest DeleteUserNotificationRequest
        GetInstanceProfileRequest GetInstanceSettingRequest BatchGetInstanceSettingsRequest UpdateInstanceSettingRequest
        TestInstanceEmailSettingRequest GetInstanceStatsRequest ListShortcutsRequest GetShortcutRequest
        CreateShortcutRequest UpdateShortcutRequest DeleteShortcutRequest ListMemoViewsRequest
        ListIdentityProvidersRequest GetIdentityProviderRequest CreateIdentityProviderRequest
        UpdateIdentityProviderRequest DeleteIdentityProviderRequest TranscribeRequest
    }
}

fn decode_as<M: DeserializeOwned>(json: Value) -> Result<(), String> {
    serde_json::from_value::<M>(json).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn every_recorded_rest_request_finds_its_rpc_and_makes_its_message() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for exchange in exchanges("rest") {
        let (path, query, body) = request_of(&exchange);
        let (id, status) = (exchange["id"].as_str().expect("an id"), exchange["response"]["status"].as_u64());
        let verb = exchange["request"]["method"].as_str().expect("a method");
        if !path.starts_with("/api/v1/") || verb == "OPTIONS" || path == "/api/v1/sse" {
            continue;
        }
        seen += 1;
        let made = match table::find(verb, &path) {
            Found::Nothing if status == Some(404) => continue,
            Found::OtherVerb if status == Some(501) => continue,
            // A newer name of the same thing, which 0.30.0 does not know.
            Found::Rpc(found) if found.rpc.service == "MemoViewService" => continue,
            Found::Rpc(found) => wire::rest::request(&found, &query, &body)
                .map_err(|refusal| refusal.0)
                .and_then(|json| decodes(found.rpc.method, json)),
            other => Err(format!("{other:?}")),
        };
        match (made, status) {
            (Ok(()), Some(200)) | (_, Some(400..)) => {}
            (made, status) => wrong.push(format!("{id}: {verb} {path}: {made:?}, recorded {status:?}")),
        }
    }
    println!("{} of {seen} REST requests", seen - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recorded_connect_request_makes_its_message() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for exchange in exchanges("connect") {
        let (path, _, body) = request_of(&exchange);
        let Some(rpc) = table::by_connect_path(&path) else { continue };
        if exchange["response"]["status"] != 200 {
            continue;
        }
        seen += 1;
        let json = serde_json::from_slice::<Value>(&body).map_err(|error| error.to_string());
        if let Err(error) = json.and_then(|json| decodes(rpc.method, json)) {
            wrong.push(format!("{}: {error}", exchange["id"]));
        }
    }
    println!("{} of {seen} Connect requests", seen - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of all members of all objects, with their paths; members of maps and unset messages are left out.
fn keys(value: &Value, above: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                let path = format!("{above}.{key}");
                into.insert(path.clone());
                if key != "tagCount" {
                    keys(value, &path, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, above, into)),
        _ => {}
    }
}

/// Reads a recorded answer as a message, writes it again, and compares.
fn comes_back<M: DeserializeOwned + Serialize>(recorded: &Value, form: Form) -> Result<(), String> {
    let mut clean = recorded.clone();
    if let Value::Object(object) = &mut clean {
        wire::rest::drop_nulls(object);
    }
    let message: M = serde_json::from_value(clean.clone()).map_err(|error| error.to_string())?;
    let text = match form {
        Form::Rest => serde_json::to_vec(&message),
        Form::Connect => wire::sparse::to_vec(&message),
    };
    let ours: Value = serde_json::from_slice(&text.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
    keys(&clean, "", &mut left);
    keys(&ours, "", &mut right);
    if left != right {
        let odd: Vec<&String> = left.symmetric_difference(&right).collect();
        return Err(format!("keys differ: {odd:?}"));
    }
    if form == Form::Rest && !same(&ours, &clean) {
        return Err(format!("values differ: {ours} / {clean}"));
    }
    Ok(())
}

/// Equality of JSON in which `1` and `1.0` are one number, and singles have been through 32 bits.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            (a - b).abs() < 1e-6
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Rest,
    Connect,
}

fn answer_comes_back(method: &str, body: &Value, form: Form) -> Option<Result<(), String>> {
    Some(match method {
        "GetMemo" | "CreateMemo" | "UpdateMemo" | "CreateMemoComment" | "GetSharedMemo" => {
            comes_back::<v1::Memo>(body, form)
        }
        "ListMemos" => comes_back::<v1::ListMemosResponse>(body, form),
        "ListMemoComments" => comes_back::<v1::ListMemoCommentsResponse>(body, form),
        "ListMemoReactions" => comes_back::<v1::ListMemoReactionsResponse>(body, form),
        "ListMemoRelations" => comes_back::<v1::ListMemoRelationsResponse>(body, form),
        "ListMemoAttachments" => comes_back::<v1::ListMemoAttachmentsResponse>(body, form),
        "GetAttachment" | "UpdateAttachment" | "CreateAttachment" => comes_back::<v1::Attachment>(body, form),
        "ListAttachments" => comes_back::<v1::ListAttachmentsResponse>(body, form),
        "UpsertMemoReaction" => comes_back::<v1::Reaction>(body, form),
        "GetUser" | "UpdateUser" | "CreateUser" => comes_back::<v1::User>(body, form),
        "ListUsers" => comes_back::<v1::ListUsersResponse>(body, form),
        "GetInstanceProfile" => comes_back::<v1::InstanceProfile>(body, form),
        "GetInstanceSetting" | "UpdateInstanceSetting" => comes_back::<v1::InstanceSetting>(body, form),
        "GetUserSetting" | "UpdateUserSetting" => comes_back::<v1::UserSetting>(body, form),
        "GetUserStats" => comes_back::<v1::UserStats>(body, form),
        "ListIdentityProviders" => comes_back::<v1::ListIdentityProvidersResponse>(body, form),
        "ListShortcuts" => comes_back::<v1::ListShortcutsResponse>(body, form),
        _ => return None,
    })
}

/// Placeholders of volatile values stand where times and numbers were.
fn is_literal(body: &Value) -> bool {
    body.is_object() && !body.to_string().contains("{{")
}

#[test]
fn recorded_answers_come_back_with_the_same_keys() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (transport, form) in [("rest", Form::Rest), ("connect", Form::Connect)] {
        for exchange in exchanges(transport) {
            let body = &exchange["response"]["body"];
            if exchange["response"]["status"] != 200 || !is_literal(body) {
                continue;
            }
            let (path, ..) = request_of(&exchange);
            let verb = exchange["request"]["method"].as_str().expect("a method");
            let method = match (form, table::find(verb, &path)) {
                (Form::Rest, Found::Rpc(found)) => found.rpc.method,
                (Form::Rest, _) => continue,
                (Form::Connect, _) => table::by_connect_path(&path).map_or("", |rpc| rpc.method),
            };
            if let Some(result) = answer_comes_back(method, body, form) {
                seen += 1;
                if let Err(error) = result {
                    wrong.push(format!("{}: {error}", exchange["id"]));
                }
            }
        }
    }
    println!("{} of {seen} answers", seen - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
