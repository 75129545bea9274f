//! Signing in with what teams have: real providers, real directories, several processes of ours.
//!
//! What providers and directories may send that is bad, and the test that says its exact message (`providers` and
//! `directories` are those of `crates/identity/tests/it`):
//!
//! | bad input | test |
//! |---|---|
//! | wrong nonce, audience, issuer, times; algorithm none; signed by a secret | `providers::every_bad_id_token_is_refused_with_its_sentence` |
//! | replayed state or answer, answer of somebody else, sealed by another tenant | `providers::an_answer_that_is_not_ours_is_refused` |
//! | replayed code | `openid::an_imported_provider_signs_its_linked_member_in` |
//! | mix-up between two providers, token of another tenant's provider | `providers::providers_are_not_mixed_up` |
//! | oversized tokens, claims, lists of groups | the first one; `oidc::claims::tests` |
//! | user info without or with another subject, garbage | `providers::garbage_and_silence_are_told_apart` |
//! | slow provider | `providers::a_provider_that_is_slow_is_not_waited_for` |
//! | expired certificate | `directories::a_certificate_that_is_over_is_not_trusted` |
//! | referral to itself, size limit exceeded | `directories::a_directory_that_gives_no_whole_answer_lets_nobody_in` |
//! | injected filter characters, empty password, directory down | `directory::a_directory_takes_passwords_over_tls_and_its_nested_groups_give_the_role` |
//! | takeover by address, changed name, second provider, moved issuer | `openid::an_account_is_not_taken_over_by_address_name_or_another_provider` |
//! | operators without the group, with another's account, not signed in again | `operators` |

pub(crate) mod browser;
mod directory;
mod ladders;
mod openid;
mod operators;
mod sessions;

use serde_json::Value;

use crate::support::{Http, Installation};

/// A password that tests give to owners.
pub(super) const PASSWORD: &str = "Correct-Horse-1!";

/// A tenant with the owner "maria".
pub(super) fn tenant(installation: &Installation, slug: &str) {
    let file = installation.folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    let file = file.display().to_string();
    installation.must(&["tenant", "create", slug, "--owner", "maria", "--password-file", &file]);
}

/// Adds a member with the same password.
pub(super) fn member(installation: &Installation, slug: &str, name: &str, role: &str) {
    let file = installation.folder.path().join("password").display().to_string();
    installation.must(&["user", "create", name, "--tenant", slug, "--role", role, "--password-file", &file]);
}

/// Sets a provider from TOML.
pub(super) fn set(installation: &Installation, slug: &str, toml: &str) {
    let file = installation.folder.path().join("provider.toml");
    std::fs::write(&file, toml).unwrap();
    installation.must(&["identity", "set", "--tenant", slug, "--file", file.to_str().unwrap()]);
}

/// The member as the API shows him to himself.
pub(super) fn me(http: &Http, token: &str) -> Value {
    http.call("GET", "/api/v1/auth/me", Some(token), None).json()["user"].clone()
}

/// `actor event object` of the newest events, the newest first.
pub(super) fn events(installation: &Installation) -> Vec<String> {
    let output = installation.must(&["audit", "tail"]);
    let list = output["items"].as_array().cloned().unwrap_or_default();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|event| format!("{} {} {}", text(event, "actor"), text(event, "event"), text(event, "object")))
        .collect()
}
