//! Import, serve, back up, destroy, restore, compare: what a tenant's members can read is the same afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::tls::Authority;

use super::cluster::{Abroad, Cluster, know_tls, newest_programs, programs_of};
use super::http::Client;
use super::offline::without_network;
use super::process::{Installation, program, skipped, tool, until};
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

/// Everything elsewhere: a database over TLS with full verification, as a role that may make roles, and schemas in one
/// database, and no more; and a foreign S3 server as the store.
fn few_rights(major: u32, seed: u64) {
    let Some(programs) = programs_of(major) else {
        skipped(&format!("PostgreSQL {major} is not installed"));
        return;
    };
    let Some(weed) = program("weed") else { return };
    let cluster = Cluster::start_on_loopback(&programs);
    let abroad = cluster.abroad.as_ref().unwrap();
    for statement in [
        "CREATE ROLE appliance LOGIN CREATEROLE PASSWORD 'ein Passwort: 密码'",
        "CREATE DATABASE notes",
        "GRANT CREATE ON DATABASE notes TO appliance",
    ] {
        cluster.superuser.sql(statement);
    }
    let url = format!("postgres://appliance@localhost:{}/notes", abroad.port);
    let mut place = Installation::on(&url);
    let wrong = place.file("wrong", "guessed\n");
    let right = place.file("right", "ein Passwort: 密码\n");
    only_as_it_should_be(&mut place, abroad, &wrong, &right);
    place.set("database_url", &url);
    place.set("database_ca_file", abroad.authority.file().display());
    place.set("database_password_file", &right);
    let _weed = SeaweedFs::start(&weed, &mut place);
    there_and_back(&place, seed);
    let told = place.run(&["doctor"]).out;
    assert!(told.contains("vacuumdb --analyze"), "the role may not, so the doctor says who must: {told}");
    dumped_over_tls(&mut place, &programs);
    let rights = "SELECT rolsuper, rolcreatedb, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = 'appliance'";
    assert_eq!(cluster.superuser.sql(rights), "f|f|f|f");
    if let Some(door) = &abroad.door {
        assert!(door.let_in() > 10, "all of that came through the door");
    }
}

/// Without TLS, with another authority, under another name than the certificate's and with another password it is not
/// spoken to.
fn only_as_it_should_be(place: &mut Installation, abroad: &Abroad, wrong: &str, right: &str) {
    place.set("database_password_file", right);
    let unprotected = place.run(&["tenant", "list"]);
    assert!(matches!(unprotected.code, 8 | 9), "without TLS: {unprotected:?}");
    unprotected.failed(unprotected.code);
    let stranger = Authority::new();
    place.set("database_ca_file", stranger.file().display());
    place.run(&["tenant", "list"]).failed(9);
    place.set("database_ca_file", abroad.authority.file().display());
    place.set("database_url", format!("postgres://appliance@127.0.0.1:{}/notes", abroad.port));
    place.run(&["tenant", "list"]).failed(9);
    place.set("database_url", format!("postgres://appliance@localhost:{}/notes", abroad.port));
    place.set("database_password_file", wrong);
    let refused = place.run(&["tenant", "list"]);
    assert!(matches!(refused.code, 8 | 9), "a wrong password: {refused:?}");
    refused.failed(refused.code);
    place.set("database_password_file", right);
    place.run(&["tenant", "list"]).ok();
}

/// `pg_dump` speaks to this server alone, as we do, and what it wrote is in the foreign store.
fn dumped_over_tls(place: &mut Installation, programs: &Path) {
    let Some(folder) = wary_tools(place, programs) else { return };
    place.set("postgres_bin", folder.display());
    let dump = place.run(&["backup", "dump"]).ok();
    let (key, bytes) = (dump["key"].as_str().unwrap(), dump["bytes"].as_u64().unwrap());
    let stored = SeaweedFs::listed(place);
    assert!(bytes > 50_000 && stored.contains(&(key.to_owned(), bytes)), "{dump}: {stored:?}");
}

/// A folder with tools of this version that fail, where started as they are they would take another authority or another
/// name for the server's. Programs that know no TLS run with the system's libpq.
fn wary_tools(place: &Installation, programs: &Path) -> Option<PathBuf> {
    let mut before = String::new();
    if !know_tls(programs) {
        let linked = tool(Command::new("ldd").arg(newest_programs().join("pg_dump")));
        let linked = String::from_utf8(linked).unwrap();
        let libpq = linked.lines().find_map(|line| line.trim().strip_prefix("libpq.so.5 => ")?.split(' ').next());
        let Some(libpq) = libpq else {
            skipped("no libpq with TLS is installed, so pg_dump of the newer version is not tried over TLS");
            return None;
        };
        before = format!("LD_PRELOAD='{libpq}' ");
    }
    let folder = place.path("tools");
    std::fs::create_dir(&folder).unwrap();
    let stranger = Authority::new();
    let stranger = place.file("stranger.pem", &std::fs::read_to_string(stranger.file()).unwrap());
    for name in ["pg_dump", "pg_dumpall"] {
        let run = format!("{before}'{}' \"$@\"", programs.join(name).display());
        let script = format!(
            "#!/bin/sh\ntry() {{ {run}; }}\nif [ \"$1\" = --version ]; then try \"$@\"; exit; fi\n\
             if (export PGSSLROOTCERT='{stranger}'; try \"$@\") >/dev/null; then echo 'it takes a stranger' >&2; exit 1; fi\n\
             if try \"$@\" --host 127.0.0.1 >/dev/null; then echo 'it takes another name' >&2; exit 1; fi\n\
             try \"$@\"\n"
        );
        std::fs::write(folder.join(name), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.join(name), mode).unwrap();
    }
    Some(folder)
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
