//! Cases that schemathesis makes from our OpenAPI document: never a 5xx, and every answer fits its schema.

use std::process::Command;

use crate::mcp::prepared;
use crate::support::Installation;

/// Cases for each of the 78 operations in `make test`: more than 300 together.
const CASES: &str = "5";
/// What would end the caller's own account or session in the middle.
const LEFT_OUT: [&str; 2] = ["AuthService_SignOut", "UserService_DeleteUser"];

async fn run(cases: &str, seed: &str, who: &str) {
    let Some(program) = prepared("schemathesis") else { return };
    let installation = Installation::create().await;
    let file = installation.folder.path().join("password");
    std::fs::write(&file, "Owner-of-notes-1").unwrap();
    let create = ["tenant", "create", "team", "--owner", "ann", "--password-file", file.to_str().unwrap()];
    installation.must(&create);
    installation.must(&["tenant", "set", "team", "--public-url", "https://notes.example.com"]);
    let server = installation.serve();
    let http = server.by_path("team");
    let (owner, _) = http.sign_in("ann", "Owner-of-notes-1");
    let mut token = Some(owner.clone());
    if who == "member" {
        let body = serde_json::json!({"username": "bob", "password": "Member-of-notes-1", "role": "USER"});
        let made = http.call("POST", "/api/v1/users", Some(&owner), Some(&body));
        assert_eq!(made.status, 200, "{}", made.text());
        token = Some(http.sign_in("bob", "Member-of-notes-1").0);
    } else if who == "stranger" {
        token = None;
    }
    let base = format!("http://{}/t/team", server.address);
    let mut command = Command::new(program);
    command.current_dir(installation.folder.path());
    command.args(["run", &format!("{base}/api/v1/openapi.json"), "--url", &base, "--seed", seed, "--no-color"]);
    command.args(["--max-examples", cases, "--phases", "fuzzing", "--continue-on-failure"]);
    command.args(["--suppress-health-check", "all", "--checks"]);
    command.arg("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance");
    if let Some(token) = &token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    for operation in LEFT_OUT {
        command.args(["--exclude-operation-id", operation]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let counted = text.lines().find(|line| line.contains("generated,")).unwrap_or_default().trim();
    println!("schemathesis as {who}: {counted}, seed {seed}");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_case_made_from_the_document_breaks_an_answer() {
    run(CASES, "20261122", "owner").await;
}

/// Every operation with at least 20 cases as owner, member and stranger.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make soak"]
async fn soak_cases_made_from_the_document() {
    let seed = std::env::var("HOLDFAST_SOAK_SEED").unwrap_or_else(|_| "1".to_owned());
    for who in ["owner", "member", "stranger"] {
        run("25", &seed, who).await;
    }
}
