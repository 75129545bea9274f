//! Signing in with what teams have: real providers, real directories, several processes of ours.

mod browser;
mod directory;
mod ladders;
mod openid;
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
