//! MCP as its public clients speak it, and who may do what through it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::fixtures::fixture;

use crate::support::{Http, Installation};

fn call(http: &Http, token: Option<&str>, tool: &str, arguments: Value) -> Value {
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
    ];
    headers.extend(token.map(|token| ("Authorization".to_owned(), format!("Bearer {token}"))));
    let answer = http.send("POST", "/mcp", &headers, Some(&serde_json::to_vec(&message).unwrap()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["result"].clone()
}

fn said(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_reach_what_their_caller_may_reach() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let installation = Installation::create().await;
    for slug in ["alpha", "bravo"] {
        installation.import(&memos, slug);
    }
    let server = installation.serve();
    let (home, away) = (server.by_path("alpha"), server.by_path("bravo"));
    let truth: Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
    let token = |http: &Http, username: &str| {
        let users = truth["users"].as_array().unwrap().iter();
        let found = users.filter(|user| user["username"] == username).find_map(|user| user["password"].as_str());
        http.sign_in(username, found.unwrap()).0
    };
    let (owner, member) = (token(&home, "maria"), token(&home, "li-lei"));
    let note = json!({"memoId": "mcp-mine", "body": {"content": "mine", "visibility": "PRIVATE"}});
    assert!(call(&home, Some(&owner), "memo_create_memo", note)["isError"].is_null());
    let get = |http: &Http, token: Option<&str>| call(http, token, "memo_get_memo", json!({"memo": "mcp-mine"}));
    assert_eq!(get(&home, Some(&owner))["structuredContent"]["content"], "mine");
    assert_eq!(said(&get(&home, Some(&member))), "403 Forbidden: permission denied");
    assert!(said(&get(&home, None)).starts_with("401 "), "{}", get(&home, None));
    // A token of one workspace is worth nothing at the other.
    assert!(said(&get(&away, Some(&owner))).starts_with("401 "), "{}", get(&away, Some(&owner)));
    let change = json!({"memo": "mcp-mine", "body": {"content": "theirs"}});
    assert_eq!(said(&call(&home, Some(&member), "memo_update_memo", change)), "403 Forbidden: permission denied");
    // A slash in an id would lead to a thing of another kind.
    let shared = home.call("POST", "/api/v1/memos/mcp-mine/shares", Some(&owner), Some(&json!({}))).json();
    let share = shared["name"].as_str().unwrap();
    for (tool, arguments) in [
        ("memo_get_memo", json!({"memo": "mcp-mine/shares"})),
        ("memo_get_memo", json!({"memo": "memos/mcp-mine/shares"})),
        ("memo_update_memo", json!({"memo": "mcp-mine/attachments", "body": {"attachments": []}})),
        ("memo_delete_memo", json!({"memo": share})),
        ("memo_delete_memo", json!({"memo": share.trim_start_matches("memos/")})),
    ] {
        let result = call(&home, Some(&owner), tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        assert!(said(&result).contains("must be an id or a resource name"), "{result}");
    }
    let shares = home.call("GET", "/api/v1/memos/mcp-mine/shares", Some(&owner), None).json();
    assert_eq!(shares["memoShares"].as_array().map(Vec::len), Some(1), "{shares}");
    let gone = call(&home, Some(&owner), "memo_delete_memo", json!({"memo": "memos/mcp-mine"}));
    assert_eq!(gone["structuredContent"], json!({}));
}

/// The program and the folder beside it that `tools/prerequisites.sh test` has put in place; none without them.
pub(crate) fn prepared(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists()))
        .or_else(|| {
            let built = Path::new(env!("CARGO_BIN_EXE_holdfast")).ancestors().nth(2)?.join("tools/bin").join(name);
            built.exists().then_some(built)
        });
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is missing: tools/prerequisites.sh test");
        println!("skipped: {name} is not here (tools/prerequisites.sh test)");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_clients_list_write_find_and_delete() {
    let (Some(python), Some(node)) = (prepared("mcp-python"), prepared("mcp-node")) else { return };
    let installation = Installation::create().await;
    let file = installation.folder.path().join("password");
    std::fs::write(&file, "Owner-of-notes-1").unwrap();
    let password = file.to_str().unwrap();
    let create = ["tenant", "create", "team", "--owner", "ann", "--password-file", password];
    installation.must(&create);
    let server = installation.serve();
    let http = server.by_path("team");
    let (token, _) = http.sign_in("ann", "Owner-of-notes-1");
    let url = format!("http://{}/t/team/mcp", server.address);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp");
    for (program, script) in [(python, "client.py"), (node, "client.mjs")] {
        let output = Command::new(program).arg(scripts.join(script)).args([&url, &token]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {text}{errors}");
        println!("mcp: {script}: {}", text.trim());
        assert!(text.contains("20 tools") && text.contains("deleted"), "{script}: {text}{errors}");
    }
}
