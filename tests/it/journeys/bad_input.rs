//! What goes wrong from outside: one sentence that says what to do, the documented code, nothing lost or half-created.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Client;
use super::process::{Installation, PASSWORD, until};
use super::reading::{Superuser, database, sample};

/// An installation on a database of its own with one tenant, `acme`.
fn installed() -> (Installation, Superuser, String) {
    let (url, superuser) = database();
    let place = Installation::on(&url);
    let token = place.tenant("acme");
    (place, superuser, token)
}

/// Slugs of every tenant.
fn tenants(place: &Installation) -> Vec<String> {
    let all = place.run(&["tenant", "list"]).ok();
    all["items"].as_array().unwrap().iter().map(|t| t["slug"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn says(sentence: &str, words: &[&str]) {
    for word in words {
        assert!(sentence.to_lowercase().contains(&word.to_lowercase()), "{word:?} is missing in: {sentence}");
    }
}

/// The first error of a report of `migrate`, with its code.
fn refusal(report: &Value) -> String {
    let error = &report["errors"][0];
    format!("{}: {}", error["code"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default())
}

/// What `migrate` says of a source that cannot be taken, whichever way: a refusal (4 with errors, 7 with one sentence).
#[track_caller]
fn not_taken(place: &Installation, source: &str) -> String {
    let mut said = String::new();
    for words in [vec!["migrate", "check", source], vec!["migrate", "run", source, "--tenant", "newcomer"]] {
        let ran = place.run(&words);
        said = match ran.code {
            4 if ran.json()["errors"].is_array() => refusal(&ran.json()),
            4 | 7 => ran.failed(ran.code),
            code => panic!("{words:?} ended with {code}: {ran:?}"),
        };
    }
    assert_eq!(tenants(place), ["acme"], "no tenant is left of {source}");
    said
}

#[test]
fn sources_that_cannot_be_imported() {
    let (place, _, _) = installed();
    let nowhere = place.path("nowhere");
    says(&not_taken(&place, nowhere.to_str().unwrap()), &["nowhere"]);

    let folder = place.path("photos");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("cat.jpg"), "no database").unwrap();
    says(&not_taken(&place, folder.to_str().unwrap()), &["memos"]);

    std::fs::write(folder.join("memos_prod.db"), "this is not what SQLite writes, but it is long enough to look")
        .unwrap();
    says(&not_taken(&place, folder.to_str().unwrap()), &["memos_prod.db"]);

    let (sample, _) = sample(&place, 41);
    let cut = place.path("cut");
    copy(&sample, &cut);
    // A database that lost its second half, its log included.
    for entry in std::fs::read_dir(&cut).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains(".db-") {
            std::fs::remove_file(&path).unwrap();
        } else if name.ends_with(".db") {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    says(&not_taken(&place, cut.to_str().unwrap()), &["damaged", "--salvage"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn missing_local_files_are_told_and_the_rest_is_imported() {
    let (place, _, _) = installed();
    let (sample, _) = sample(&place, 42);
    let mut removed = 0;
    for (path, _, _, _) in super::process::listing(&sample.join("assets")) {
        if path.is_file() && removed < 2 {
            std::fs::remove_file(path).unwrap();
            removed += 1;
        }
    }
    assert!(removed > 0, "the sample has local files");
    let ran = place.run(&["migrate", "run", sample.to_str().unwrap(), "--tenant", "newcomer"]);
    let report = ran.ended(3);
    let told = report["warnings"].as_array().unwrap().iter();
    let told = told.filter(|w| w["table"].as_str().is_some_and(|table| table == "attachment" || table == "resource"));
    assert!(told.count() >= removed, "each missing file is a warning: {report}");
    assert_eq!(tenants(&place), ["acme", "newcomer"]);
}

#[test]
fn slugs_passwords_and_tokens() {
    let (place, _, token) = installed();
    let password = place.file("password", PASSWORD);
    let create = |slug: &str, owner: &str, file: &str| {
        place.run(&["tenant", "create", slug, "--owner", owner, "--password-file", file])
    };
    says(&create("acme", "maria", &password).failed(6), &["acme", "exists"]);
    for slug in ["", "Über uns", "a/b", "-x", ".."] {
        let ran = create(slug, "maria", &password);
        assert_eq!(ran.code, 2, "{slug:?}: {ran:?}");
    }
    says(&create("other", "maria", place.path("no-such-file").to_str().unwrap()).failed(2), &["no-such-file"]);
    let empty = place.file("empty", "\n");
    says(&create("other", "maria", &empty).failed(2), &["empty"]);
    says(&place.run(&["restore", "run", "latest", "--as", "copy"]).failed(2), &["--tenant"]);
    says(&place.run(&["drill", "run", "--tenant", "acme", "--identity", "no-such-file"]).failed(2), &["no-such-file"]);
    let (sample, _) = sample(&place, 43);
    let taken = place.run(&["migrate", "run", sample.to_str().unwrap(), "--tenant", "acme"]);
    says(&taken.failed(6), &["acme", "exists"]);
    assert_eq!(tenants(&place), ["acme"]);

    place.run(&["tenant", "create", "other", "--owner", "maria", "--password-file", &password]).ok();
    let server = place.serve(&["--no-worker"]);
    let base = format!("{}/t/acme", server.url());
    let wrong = json!({"passwordCredentials": {"username": "maria", "password": "guessed"}});
    let stranger = json!({"passwordCredentials": {"username": "nobody", "password": "guessed"}});
    let answers = [&wrong, &stranger]
        .map(|body| Client::new(&base, None).send("POST", "/api/v1/auth/signin", Some(body)).unwrap());
    assert_eq!(
        answers.each_ref().map(|a| (a.status, a.text())),
        [(400, answers[0].text()), (400, answers[0].text())],
        "who exists is not told"
    );
    says(answers[0].json()["message"].as_str().unwrap_or_default(), &["password"]);

    let me = |token: &str, slug: &str| {
        Client::new(format!("{}/t/{slug}", server.url()), Some(token)).status("/api/v1/auth/me")
    };
    assert_eq!(me(&token, "acme"), 200);
    let garbage = me("memos_pat_00000000000000000000000000000000", "acme");
    assert_eq!(garbage, 401);
    assert_eq!(me(&token, "other"), garbage, "another tenant's token is garbage");
    let listed = place.run(&["token", "list", "--tenant", "acme", "--user", "maria"]).ok();
    let id = listed["items"][0]["id"]
        .as_str()
        .or(listed["items"][0]["token_id"].as_str())
        .unwrap_or_else(|| panic!("{listed}"));
    place.run(&["token", "revoke", id, "--tenant", "acme", "--user", "maria"]).ok();
    assert_eq!(me(&token, "acme"), garbage, "a revoked token is garbage");
    server.stop();
}

#[test]
fn stores_that_do_not_answer() {
    let (mut place, _, _) = installed();
    let folder = place.path("store");
    place.set("store_directory", place.file("no-folder", "a file where the store should be"));
    says(&place.run(&["backup", "run", "--tenant", "acme"]).failed(9), &["no-folder"]);
    place.set("store_directory", folder.display());

    place.unset("store_directory");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    place.set("store_endpoint", format!("http://{free}"));
    says(&place.run(&["backup", "run", "--tenant", "acme"]).failed(2), &["store_access_key_file"]);
    let key = place.file("key", "a key\n");
    place.set("store_access_key_file", &key);
    place.set("store_secret_key_file", &key);
    says(&place.run(&["backup", "run", "--tenant", "acme"]).failed(9), &[&free.to_string()]);
    assert_eq!(place.run(&["doctor"]).code, 4, "the doctor says so, too");
}

#[test]
fn wrong_keys_and_a_missing_bucket() {
    let embedded = Installation::embedded();
    let server = embedded.serve(&["--embedded", "--no-worker"]);
    let (url, _) = database();
    let mut place = Installation::on(&url);
    place.unset("store_directory");
    place.set("store_endpoint", server.ready["s3_url"].as_str().unwrap());
    let keys = embedded.data().join("keys");
    place.set("store_access_key_file", keys.join("s3-access.key").display());
    place.set("store_secret_key_file", place.file("wrong", "not the secret\n"));
    let ran = place.run(&["store", "probe"]);
    assert!(matches!(ran.code, 8 | 9), "{ran:?}");
    says(&ran.failed(ran.code), &["key"]);
    place.set("store_secret_key_file", keys.join("s3-secret.key").display());
    place.set("store_bucket", "no-such-bucket");
    says(&place.run(&["store", "probe"]).failed(9), &["no-such-bucket"]);
    server.stop();
}

/// The embedded database comes with a store of its own, which is for those who name none.
#[test]
fn a_store_that_is_named_is_the_one_that_is_used() {
    let mut place = Installation::embedded();
    let named = place.path("named");
    place.set("store_directory", named.display());
    place.tenant("acme");
    place.run(&["backup", "run", "--tenant", "acme"]).ok();
    assert!(named.join("t").is_dir() && named.join("k").is_dir(), "points and keys are there");
    place.unset("store_directory");
    place.set("store_endpoint", "http://127.0.0.1:9");
    for name in ["store_access_key_file", "store_secret_key_file"] {
        place.set(name, place.file(name, "something\n"));
    }
    place.run(&["backup", "run", "--tenant", "acme"]).failed(9);
}

#[test]
fn a_full_disk_under_the_store() {
    let (mut place, _, token) = installed();
    // A file system of 1 MB, where mounting is permitted.
    let small = place.path("small");
    std::fs::create_dir(&small).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        super::process::skipped("mounting is not permitted here");
        return;
    }
    let server = place.serve(&["--no-worker"]);
    let client = Client::new(format!("{}/t/acme", server.url()), Some(&token));
    for number in 0..3_u64 {
        let noise = domain::chance::Chance::seeded(number)
            .text(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/", 800_000);
        let body = json!({"filename": "noise.bin", "type": "application/octet-stream", "content": noise});
        client.post("/api/v1/attachments", &body);
    }
    server.stop();
    place.run(&["backup", "run", "--tenant", "acme"]).ok();
    copy(&place.path("store").join("k"), &small.join("k"));
    place.set("store_directory", small.display());
    let ran = place.run(&["backup", "run", "--tenant", "acme"]);
    let manifests =
        super::process::listing(&small).into_iter().filter(|entry| entry.0.ends_with("manifest.json")).count();
    let listed = place.run(&["backup", "list", "--tenant", "acme"]);
    // and under the files of a restore
    place.set("store_directory", place.path("store").display());
    for folder in ["k", "t"] {
        std::fs::remove_dir_all(small.join(folder)).ok();
    }
    let mut full = place.clone();
    full.set("files_url", format!("file://{}", small.display()));
    let restored = full.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "copy"]);
    std::process::Command::new("umount").arg(&small).status().unwrap();
    assert!(matches!(restored.code, 1 | 9), "{restored:?}");
    says(&restored.failed(restored.code), &["space"]);
    assert_eq!(tenants(&place), ["acme"], "no tenant is left of it");
    says(&place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "acme"]).failed(6), &["--as"]);
    place.run(&["restore", "run", "latest", "--tenant", "acme", "--as", "copy"]).ok();
    assert!(matches!(ran.code, 1 | 9), "{ran:?}");
    says(&ran.failed(ran.code), &["space"]);
    assert_eq!(manifests, 0, "without a manifest nothing counts");
    assert_eq!(listed.ok()["points"].as_array().map(Vec::len), Some(1), "the one before");
}

#[test]
fn addresses_and_folders_that_are_taken() {
    let (place, _, _) = installed();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = place.try_serve(&["--no-worker", "--listen", &address]).unwrap_err();
    says(&ran.failed(6), &[&address, "--listen"]);

    let embedded = Installation::embedded();
    let first = embedded.serve(&["--embedded", "--no-worker"]);
    let second = embedded.try_serve(&["--embedded", "--no-worker"]).unwrap_err();
    says(&second.failed(6), &["in use", "--data"]);
    assert_eq!(embedded.run(&["tenant", "list"]).ok()["items"], json!([]), "commands work beside it");
    first.stop();
}

#[test]
fn a_typo_in_the_settings() {
    let (place, _, _) = installed();
    let config = place.file("holdfast.toml", "databse_url = \"postgres://x@localhost/y\"\n");
    says(&place.run(&["config", "check", "--config", &config]).failed(2), &["databse_url", "database_url"]);
    let config = place.file("other.toml", "listen = \"not an address\"\n");
    says(&place.run(&["config", "check", "--config", &config]).failed(2), &["listen"]);
    for (line, named) in [
        ("retention = \"foo=2\"", "foo=2"),
        ("default_tenant = \"No Slug\"", "default_tenant"),
        ("keep_dumps_for = 4000000000", "keep_dumps_for"),
    ] {
        let config = place.file("refused-later.toml", &format!("{line}\n"));
        says(&place.run(&["config", "check", "--config", &config]).failed(2), &[named]);
    }
    says(&place.run(&["tenant", "show"]).failed(2), &["required", "<SLUG>"]);
    let forever = ["restore", "undo", "acme", "--yes", "--keep", "99999999d"];
    says(&place.run(&forever).failed(2), &["36500d"]);
    let mut wrong = place.clone();
    wrong.set("databse_url", "x");
    says(&wrong.run(&["config", "check"]).failed(2), &["HOLDFAST_DATABSE_URL"]);
    let people = place.say(&["config", "check", "--config", &config]);
    assert_eq!(
        (people.code, people.out.as_str(), people.err.lines().count()),
        (2, "", 1),
        "one sentence on stderr: {people:?}"
    );
}

#[test]
fn a_data_folder_of_another_major() {
    let place = Installation::embedded();
    place.run(&["tenant", "list"]).ok();
    let version = place.data().join("pg/PG_VERSION");
    let right = std::fs::read(&version).unwrap();
    std::fs::write(&version, "13\n").unwrap();
    let sentence = place.run(&["tenant", "list"]).failed(1);
    says(&sentence, &["PostgreSQL 13", "install"]);
    std::fs::write(&version, right).unwrap();
    place.run(&["tenant", "list"]).ok();
}

#[test]
fn a_database_that_is_not_there() {
    let mut place = Installation::on("postgres://holdfast@127.0.0.1:9/holdfast");
    says(&place.run(&["tenant", "list"]).failed(9), &["database", "doctor"]);
    place.set("database_url", "mysql://holdfast@localhost/holdfast");
    says(&place.run(&["tenant", "list"]).failed(2), &["postgres://"]);
}

/// Postgres goes in the middle: requests are answered with 503 in time, and it goes on when it is back.
#[test]
fn postgres_gone_in_the_middle() {
    let (place, superuser, token) = installed();
    let server = place.serve(&["--no-worker"]);
    let client = Client::new(format!("{}/t/acme", server.url()), Some(&token));
    let note = client.post("/api/v1/memos", &json!({"content": "before", "visibility": "PRIVATE"}));
    // No new sessions and no old ones, as when the server is gone; the shared one itself must stay for others.
    let other = Superuser { database: "postgres".to_owned(), ..superuser.clone() };
    other.sql(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", superuser.database));
    other.sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        superuser.database
    ));
    let began = std::time::Instant::now();
    let answer =
        client.send("POST", "/api/v1/memos", Some(&json!({"content": "during", "visibility": "PRIVATE"}))).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(began.elapsed() < Duration::from_secs(20), "in time: {:?}", began.elapsed());
    says(answer.json()["message"].as_str().unwrap_or_default(), &["again"]);
    assert!(!answer.text().contains("postgres"), "nothing of the inside: {}", answer.text());
    place.run(&["backup", "run", "--tenant", "acme"]).failed(9);
    other.sql(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", superuser.database));
    until(Duration::from_secs(20), "it goes on", || {
        client.status(&format!("/api/v1/{}", note["name"].as_str().unwrap())) == 200
    });
    let all = client.get("/api/v1/memos");
    assert_eq!(all["memos"].as_array().map(Vec::len), Some(1), "what was refused is not there: {all}");
    server.stop();
}

/// Whoever reads the log is gone, as when a log collector ends: requests are answered, and SIGTERM still ends it in order.
#[test]
fn a_log_that_nobody_reads() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let (place, _, token) = installed();
    let words = ["serve", "--json", "--no-worker", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let mut command = place.command(&words);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    drop((lines, server.stderr.take()));
    let client = Client::new(format!("{}/t/acme", ready["url"].as_str().unwrap()), Some(&token));
    for _ in 0..3 {
        client.get("/api/v1/memos");
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.id().cast_signed()), nix::sys::signal::SIGTERM).unwrap();
    let ended = super::process::wait(&mut server, Duration::from_secs(30));
    if ended.is_none() {
        server.kill().unwrap();
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}
