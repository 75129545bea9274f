//! Looking at a tenant through the API as its members do, and at a point with `age` and `zstd` alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::http::{Client, escaped};
use super::process::{Installation, tool};

/// SHA-256 in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Everything that one member can read: notes in every state, comments under comments, files by their hash.
pub(super) fn everything(client: &Client) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut waiting = client.pages("/api/v1/memos?state=NORMAL", "memos");
    waiting.extend(client.pages("/api/v1/memos?state=ARCHIVED", "memos"));
    while let Some(note) = waiting.pop() {
        let name = note["name"].as_str().unwrap().to_owned();
        for file in note["attachments"].as_array().into_iter().flatten() {
            if file["externalLink"].as_str().unwrap_or_default().is_empty() {
                let (name, filename) = (file["name"].as_str().unwrap(), file["filename"].as_str().unwrap());
                let answer = client.send("GET", &format!("/file/{name}/{}", escaped(filename)), None).unwrap();
                all.insert(name.to_owned(), json!({"status": answer.status, "sha256": sha256(&answer.body)}));
            }
        }
        waiting.extend(client.pages(&format!("/api/v1/{name}/comments"), "memos"));
        let reactions = client.get(&format!("/api/v1/{name}/reactions"));
        all.insert(name, json!({"note": note, "reactions": reactions}));
    }
    let users = client.send("GET", "/api/v1/users?pageSize=100", None).unwrap();
    all.insert("users".to_owned(), json!({"status": users.status, "body": users.text()}));
    all
}

/// What each of these people can read.
pub(super) fn everybodys(base: &str, people: &[(String, String)]) -> BTreeMap<String, BTreeMap<String, Value>> {
    let one = |(name, password): &(String, String)| (name.clone(), everything(&Client::sign_in(base, name, password)));
    people.iter().map(one).collect()
}

/// Panics with the first difference, not with two whole tenants.
#[track_caller]
pub(super) fn assert_same(
    before: &BTreeMap<String, BTreeMap<String, Value>>,
    after: &BTreeMap<String, BTreeMap<String, Value>>,
) {
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "the same people");
    for (person, one) in before {
        let other = &after[person];
        let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(one), names(other), "what {person} can read");
        for (name, value) in one {
            assert_eq!(value, &other[name], "{name} as {person} reads it");
        }
    }
}

/// A sample folder written by the executable, and its people who may sign in, the owner first.
pub(super) fn sample(place: &Installation, seed: u64) -> (PathBuf, Vec<(String, String)>) {
    let folder = place.path(&format!("sample-{seed}"));
    let made = place.run(&["migrate", "sample", folder.to_str().unwrap(), "--seed", &seed.to_string()]).ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let people = made["people"].as_array().unwrap().iter().filter(|person| person["archived"] != true);
    let people = people.map(|person| (text(&person["username"]), text(&person["password"]))).collect();
    (folder, people)
}

/// A point opened without any code of ours: the bytes of its streams by name, and the sealed part.
pub(super) struct Opened {
    pub(super) sealed: Value,
    pub(super) streams: BTreeMap<String, Vec<u8>>,
}

/// Opens the point `manifest` (a key) in the folder `store` with an identity for `holder`.
pub(super) fn open_point(place: &Installation, store: &Path, manifest: &str, holder: &str, identity: &Path) -> Opened {
    let manifest: Value = serde_json::from_slice(&std::fs::read(store.join(manifest)).unwrap()).unwrap();
    let wrapped = manifest["keys"].as_array().unwrap().iter().find(|key| key["holder"] == holder).unwrap();
    let key = decrypted(identity, &store.join(wrapped["key"].as_str().unwrap()));
    let key_file = place.path("tenant.key");
    std::fs::write(&key_file, key).unwrap();
    let scratch = place.path("scratch.age");
    let unpacked = |bytes: &[u8]| {
        std::fs::write(&scratch, bytes).unwrap();
        let plain = decrypted(&key_file, &scratch);
        std::fs::write(&scratch, plain).unwrap();
        tool(Command::new("zstd").args(["-dqc"]).arg(&scratch))
    };
    let sealed = base64::engine::general_purpose::STANDARD.decode(manifest["sealed"].as_str().unwrap()).unwrap();
    let sealed = serde_json::from_slice(&unpacked(&sealed)).unwrap();
    let mut streams = BTreeMap::new();
    for object in manifest["objects"].as_array().unwrap() {
        let bytes = std::fs::read(store.join(object["key"].as_str().unwrap())).unwrap();
        assert_eq!(sha256(&bytes), object["sha256_stored"], "as sha256sum tells it");
        let members = object["members"].as_array().cloned().unwrap_or_default();
        if members.is_empty() {
            streams.insert(object["name"].as_str().unwrap().to_owned(), unpacked(&bytes));
        }
        for member in members {
            let from = member["offset"].as_u64().unwrap() as usize;
            let to = from + member["bytes_stored"].as_u64().unwrap() as usize;
            streams.insert(member["name"].as_str().unwrap().to_owned(), unpacked(&bytes[from..to]));
        }
    }
    Opened { sealed, streams }
}

fn decrypted(identity: &Path, file: &Path) -> Vec<u8> {
    tool(Command::new("age").arg("-d").arg("-i").arg(identity).arg(file))
}

/// A database of a test's own on the shared server, as the product's setting names it.
pub(super) fn database() -> (String, Superuser) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = runtime.block_on(testkit::pg::TestDatabase::create());
    let (host, port) = (made.config.host.clone(), made.config.port);
    let url = format!("postgres://{}@localhost/{}?host={}&port={port}", made.config.user, made.name, escaped(&host));
    (url, Superuser { host, port, database: made.name })
}

/// Someone who may do anything to a database, with `psql`.
#[derive(Clone, Debug)]
pub(super) struct Superuser {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
}

impl Superuser {
    /// That of the embedded server of a data folder.
    pub(super) fn of(data: &Path) -> Self {
        let address: Value =
            serde_json::from_slice(&std::fs::read(data.join("run/postgres.json")).expect("a running server")).unwrap();
        Self {
            host: address["socket_dir"].as_str().unwrap().to_owned(),
            port: u16::try_from(address["port"].as_u64().unwrap()).unwrap(),
            database: address["database"].as_str().unwrap().to_owned(),
        }
    }

    /// A program of Postgres that connects as the superuser.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", &self.host, "-p", &self.port.to_string(), "-U", "postgres"]);
        command
    }

    /// Runs statements; what they print, unaligned.
    #[track_caller]
    pub(super) fn sql(&self, text: &str) -> String {
        let mut command = self.command("psql");
        command.args(["-d", &self.database, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text]);
        String::from_utf8(tool(&mut command)).unwrap().trim_end().to_owned()
    }

    /// A fingerprint of every table of the schemas that match: `schema.table|rows|hash`.
    #[track_caller]
    pub(super) fn fingerprints(&self, schemas: &str) -> Vec<String> {
        let tables = self.sql(&format!(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND n.nspname ~ '{schemas}' ORDER BY 1"
        ));
        let of = |table: &str| {
            format!(
                "SELECT '{table}', count(*), md5(coalesce(string_agg(md5(t::text), '' ORDER BY t::text), '')) FROM {table} t"
            )
        };
        let all: Vec<String> = tables.lines().map(of).collect();
        // Many tables are read by several processes, whose rows come as they are ready.
        self.sql(&format!("{} ORDER BY 1", all.join(" UNION ALL "))).lines().map(str::to_owned).collect()
    }
}
