//! Import, serve, back up, destroy, restore, compare: what a tenant's members can read is the same afterwards.

use std::time::Duration;

use serde_json::Value;

use super::cluster::{Cluster, programs_of};
use super::http::Client;
use super::offline::without_network;
use super::process::{Installation, program, skipped, until};
use super::reading::{assert_same, database, everybodys, sample};
use super::weed::SeaweedFs;

/// The whole way on an installation that is set up; the sample's seed makes names, texts and ids differ.
fn there_and_back(place: &Installation, seed: u64) {
    let (folder, people) = sample(place, seed);
    let before_import = super::process::listing(&folder);
    let report = place.run(&["migrate", "run", folder.to_str().unwrap(), "--tenant", "acme"]);
    assert!(matches!(report.code, 0 | 3), "{report:?}");
    assert_eq!(report.json()["opened"], false, "an imported tenant is closed until it is opened");
    assert!(before_import == super::process::listing(&folder), "the source stays as it was");

    let embedded = if place.settings.is_empty() { &["--no-worker", "--embedded"][..] } else { &["--no-worker"] };
    let server = place.serve(embedded);
    let base = format!("{}/t/acme", server.url());
    assert_eq!(Client::new(&base, None).status("/api/v1/memos"), 503, "closed");
    place.run(&["migrate", "open", "--tenant", "acme"]).ok();
    until(Duration::from_secs(10), "the tenant is open", || Client::new(&base, None).status("/api/v1/memos") != 503);
    let owner = Client::sign_in(&base, &people[0].0, &people[0].1);
    let made = owner.post(
        "/api/v1/memos",
        &serde_json::json!({"content": "written after the import #später", "visibility": "PRIVATE"}),
    );
    let before = everybodys(&base, &people);
    assert!(before[&people[0].0].contains_key(made["name"].as_str().unwrap()));
    let shown = place.run(&["tenant", "show", "acme"]).ok();

    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    assert_eq!(point["state"], "verified", "{point}");
    assert_eq!(point["notes"], shown["notes"]);
    let name = point["point"].as_str().unwrap();
    assert_eq!(place.run(&["tenant", "show", "acme"]).ok()["rpo_seconds"], 0.0, "nothing is unsaved");

    place.run(&["tenant", "delete", "acme", "--yes", "--grace", "0d"]).ok();
    until(Duration::from_secs(10), "the tenant is gone", || Client::new(&base, None).status("/api/v1/memos") == 404);

    let restored = place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "phoenix"]).ok();
    assert_eq!(restored["from"], name, "the newest point of the tenant that is gone");
    assert_eq!((&restored["notes"], &restored["tenant"]), (&shown["notes"], &"phoenix".into()), "{restored}");
    assert_eq!(restored["attachments"], shown["attachments"]);
    let base = format!("{}/t/phoenix", server.url());
    assert_eq!(Client::new(&base, None).status("/api/v1/memos"), 503, "quiet until it is opened");
    place.run(&["tenant", "open", "phoenix"]).ok();
    until(Duration::from_secs(10), "the tenant is open", || Client::new(&base, None).status("/api/v1/memos") != 503);
    assert_same(&before, &everybodys(&base, &people));
    server.stop();

    let drill = place.run(&["drill", "run", "--tenant", "phoenix"]);
    assert!(!drill.failed(5).is_empty(), "a restored tenant has no point of its own yet");
    assert_eq!(place.run(&["audit", "verify"]).ok()["broken"], Value::Null);
    let events = place.run(&["audit", "tail", "-n", "200"]).ok();
    let told: Vec<&str> = events["items"].as_array().unwrap().iter().filter_map(|e| e["event"].as_str()).collect();
    for event in ["tenant.imported", "point.taken", "point.verified", "tenant.deleted", "tenant.restored"] {
        assert!(told.contains(&event), "{event} is in the audit: {told:?}");
    }
}

#[test]
fn embedded_default_without_a_network() {
    without_network("journeys::journey::embedded_default_without_a_network", || {
        there_and_back(&Installation::embedded(), 12);
    });
}

#[test]
fn external_database_and_seaweedfs_without_a_network() {
    without_network("journeys::journey::external_database_and_seaweedfs_without_a_network", || {
        let Some(weed) = program("weed") else { return };
        let (url, _) = database();
        let mut place = Installation::on(&url);
        let _weed = SeaweedFs::start(&weed, &mut place);
        there_and_back(&place, 13);
    });
}

/// A role that may make roles, and schemas in one database, and no more; over TLS with full verification where these
/// programs know TLS.
fn few_rights(major: u32, seed: u64) {
    let Some(programs) = programs_of(major) else {
        skipped(&format!("PostgreSQL {major} is not installed"));
        return;
    };
    let cluster = Cluster::start_on_loopback(&programs);
    for statement in [
        "CREATE ROLE appliance LOGIN CREATEROLE PASSWORD 'ein Passwort: 密码'",
        "CREATE DATABASE notes",
        "GRANT CREATE ON DATABASE notes TO appliance",
    ] {
        cluster.superuser.sql(statement);
    }
    let url = format!("postgres://appliance@localhost:{}/notes", cluster.superuser.port);
    let mut place = Installation::on(&url);
    if let Some(authority) = &cluster.authority {
        place.set("database_ca_file", authority.display());
    }
    let wrong = place.file("wrong", "guessed\n");
    place.set("database_password_file", wrong);
    let refused = place.run(&["tenant", "list"]);
    assert!(matches!(refused.code, 8 | 9), "a wrong password: {refused:?}");
    refused.failed(refused.code);
    let right = place.file("right", "ein Passwort: 密码\n");
    place.set("database_password_file", right);
    if let Some(authority) = &cluster.authority {
        only_the_right_server(&mut place, &programs, &url);
        place.set("database_ca_file", authority.display());
        place.set("database_url", &url);
    }
    there_and_back(&place, seed);
    let told = place.run(&["doctor"]).out;
    assert!(told.contains("vacuumdb --analyze"), "the role may not, so the doctor says who must: {told}");
    let rights = "SELECT rolsuper, rolcreatedb, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = 'appliance'";
    assert_eq!(cluster.superuser.sql(rights), "f|f|f|f");
}

/// Another authority, or another name than the certificate's: not spoken to.
fn only_the_right_server(place: &mut Installation, programs: &std::path::Path, url: &str) {
    let authority = place.settings.iter().find(|(name, _)| name.ends_with("CA_FILE")).unwrap().1.clone();
    let stranger = Cluster::start_on_loopback(programs);
    place.set("database_ca_file", stranger.authority.as_ref().unwrap().display());
    place.run(&["tenant", "list"]).failed(9);
    place.set("database_ca_file", authority);
    place.set("database_url", url.replace("localhost", "127.0.0.1"));
    place.run(&["tenant", "list"]).failed(9);
}

#[test]
fn postgres_15_as_a_role_of_few_rights() {
    few_rights(15, 14);
}

#[test]
fn postgres_18_as_a_role_of_few_rights() {
    few_rights(18, 15);
}

/// A port that nothing listens on, and neither on the one 10,000 above, below `limit` plus 30,000.
pub(super) fn free_port(limit: u16) -> u16 {
    loop {
        let one = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let port = limit + one % 10_000;
        let free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}
