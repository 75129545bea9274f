//! Server and worker under the restrictions of their units, on a machine where no systemd runs: an unprivileged user without a
//! capability in a user namespace, a file system that is read-only but for their own directories, a /tmp and a /proc of their
//! own, the units' system calls, address families and namespaces and no others. `confine.py` reads all that from the unit files
//! and says itself which lines it leaves out, and why. In there a tenant is made and served, and its drill passes.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Client;
use super::process::{Installation, Ran, program, skipped, until};
use super::reading::{Superuser, database};

const SERVER: &str = "holdfast.service";
const WORKER: &str = "holdfast-worker.service";

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A machine on which the units are installed, with the paths that they name.
struct Machine {
    place: Installation,
    database: Superuser,
    _store: runtime::s3::S3Server,
    _running: tokio::runtime::Runtime,
}

impl Machine {
    /// None where restrictions cannot be laid on anybody: then the test is skipped by name, and with `CI=true` fails.
    fn install() -> Option<Self> {
        for name in ["python3", "systemd-analyze", "ionice", "perl"] {
            program(name)?;
        }
        let (url, database) = database();
        let place = Installation::embedded();
        // its users are others than the one who looks after it
        std::fs::set_permissions(place.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for name in ["lib", "cache", "run/test", "credentials"] {
            std::fs::create_dir_all(place.path(name)).unwrap();
        }
        symlink(&database.host, place.path("postgresql")).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = place.path("s3");
        let store = runtime::s3::S3Server::start(&folder, listen, "the-access", "the-secret-key");
        let store = running.block_on(store).unwrap();
        let config = objects::S3Config::new(store.url(), "points", "the-access", "the-secret-key");
        running.block_on(objects::ObjectStore::s3(config).unwrap().create()).unwrap();
        let secrets =
            [("store_access_key", "the-access"), ("store_secret_key", "the-secret-key"), ("database_password", "none")];
        for (name, secret) in secrets {
            place.file(&format!("credentials/{name}"), secret);
        }
        let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
        let user = url.trim_start_matches("postgres://").split('@').next().unwrap();
        let port = database.port;
        let settings = format!(
            "database_url = \"postgres://{user}@localhost/{name}?host=/run/postgresql&port={port}\"\n\
             store_endpoint = \"{}\"\nstore_bucket = \"points\"\nfiles_url = \"file:///var/lib/holdfast/files\"\n\
             listen = \"127.0.0.1:0\"\ngrpc_listen = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n\
             worker_ops_listen = \"127.0.0.1:0\"\nbackup_changed_after = 0\n",
            store.url()
        );
        place.file("run/test/holdfast.toml", &settings);
        place.file("run/test/password", super::process::PASSWORD);
        let machine = Self { place, database, _store: store, _running: running };
        let possible = machine.program_of(WORKER, &["/bin/true"]);
        if possible.code == 125 {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "with CI=true this must be possible: {possible:?}");
            skipped(&possible.err);
            return None;
        }
        assert_eq!(possible.code, 0, "{possible:?}");
        Some(machine)
    }

    /// An installation whose commands are services of this unit.
    fn under(&self, unit: &str) -> Installation {
        let script = source("tests/it/journeys/confine.py").display().to_string();
        let unit = source("systemd").join(unit).display().to_string();
        let folder = self.place.folder.path().display().to_string();
        Installation { before: vec!["python3".to_owned(), script, unit, folder], ..self.place.clone() }
    }

    /// Runs another program as a service of this unit.
    fn program_of(&self, unit: &str, words: &[&str]) -> Ran {
        let done = self.under(unit).command(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
    }

    /// Runs a command as somebody who has the worker's rights.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Value {
        self.under(WORKER).run(&[words, &["--config", "/run/test/holdfast.toml"]].concat()).ok()
    }
}

/// What a service of a unit can do: each line is a word and whether it could.
const TRIES: &str = r#"
try() { word=$1; shift; if "$@" >/dev/null 2>&1; then echo "$word yes"; else echo "$word no"; fi; }
echo "user $(id -un)"
for set in CapInh CapPrm CapEff CapBnd CapAmb; do echo "$set $(sed -n "s/^$set:\t//p" /proc/self/status)"; done
echo "NoNewPrivs $(sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)"
echo "umask $(umask)"
try root-users-file test -r /root
for place in /etc /usr /var /run /dev /sys /; do try "write$place" touch "$place/written"; done
for place in /tmp /var/tmp /var/lib/holdfast /run/holdfast /var/cache/holdfast-worker; do try "write$place" touch "$place/written"; done
try see-tmp test -e "$SEEN"
try see-first-process test -e /proc/1
try see-memory test -e /proc/meminfo
try devices test -e /dev/kmsg
try mount-namespace unshare -U -m true
try network-namespace unshare -U -n true
try netlink perl -e 'socket(S, 16, 3, 0) or exit 1'
try host-name hostname other
try secret test -r /run/credentials/store_secret_key
try keys test -x /var/lib/holdfast-worker
try copy cp /bin/true /var/lib/holdfast/true
try set-uid chmod 4755 /var/lib/holdfast/true
try change-owner chown daemon /var/lib/holdfast/written
"#;

/// The restrictions are there: without them the rest proves nothing.
fn is_restricted(machine: &Machine, unit: &str, yes: &[&str]) {
    let tries = format!("SEEN={}\n{TRIES}", machine.place.folder.path().display());
    let told = machine.program_of(unit, &["/bin/sh", "-c", &tries]);
    assert_eq!(told.code, 0, "{told:?}");
    let facts: Vec<(&str, &str)> = told.out.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    let fact = |name: &str| facts.iter().find(|(word, _)| *word == name).map(|(_, value)| *value);
    assert_eq!(
        (fact("user"), fact("NoNewPrivs"), fact("umask")),
        (Some("daemon"), Some("1"), Some("0077")),
        "{facts:?}"
    );
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(fact(set), Some("0000000000000000"), "{set}");
    }
    let could: Vec<&str> = facts.iter().filter(|(_, value)| *value == "yes").map(|(word, _)| *word).collect();
    assert_eq!(could, yes, "what a service of {unit} can do");
    assert!(facts.iter().filter(|(_, value)| *value == "no").count() >= 14, "{facts:?}");
}

#[test]
fn a_drill_passes_under_the_restrictions_of_the_units() {
    let Some(machine) = Machine::install() else { return };
    let own = ["write/tmp", "write/var/tmp", "write/var/lib/holdfast"];
    is_restricted(&machine, SERVER, &[&own[..], &["secret", "copy"]].concat());
    let more = ["write/run/holdfast", "write/var/cache/holdfast-worker"];
    let network = ["network-namespace", "netlink", "secret", "keys", "copy"];
    is_restricted(&machine, WORKER, &[&own[..], &more, &network].concat());

    // the worker first: it makes what the server only uses
    let password = ["--password-file", "/run/test/password"];
    machine.run(&[&["tenant", "create", "acme", "--owner", "maria"], &password[..]].concat());
    let worker = machine.under(WORKER).start(&[]);
    let words = ["--no-worker", "--config", "/run/test/holdfast.toml", "--grpc-listen", "127.0.0.1:0"];
    let server = machine.under(SERVER).serve(&words);
    let base = format!("{}/t/acme", server.url());
    let client = Client::sign_in(&base, "maria", super::process::PASSWORD);
    for number in 0..12 {
        let text = format!("note {number} #under/units");
        client.post("/api/v1/memos", &json!({"content": text, "visibility": "PRIVATE"}));
    }
    let noise = domain::chance::Chance::seeded(7).text(b"0123456789abcdef", 40_000);
    let body = json!({"filename": "noise.bin", "type": "application/octet-stream", "content": noise});
    let file = client.post("/api/v1/attachments", &body)["name"].as_str().unwrap().to_owned();
    assert_eq!(client.send("GET", &format!("/file/{file}/noise.bin"), None).unwrap().status, 200);

    let point = machine.run(&["backup", "run", "--tenant", "acme"]);
    assert_eq!((&point["state"], &point["notes"], &point["files"]), (&"verified".into(), &12.into(), &1.into()));
    let set = machine.run(&["schedule", "set", "drill", "--tenant", "acme", "--cron", "*/10 * * * * *"]);
    until(Duration::from_secs(30), "a drill is due", || {
        machine.database.sql("SELECT count(*) FROM holdfast.job WHERE kind = 'drill'") != "0"
    });
    machine.run(&["schedule", "remove", &set["id"].to_string()]);
    let ended = "SELECT count(*) FROM holdfast.job WHERE kind = 'drill' AND state IN ('queued', 'running')";
    until(Duration::from_secs(120), "the drill has ended", || machine.database.sql(ended) == "0");
    let drills = machine.run(&["drill", "list", "--tenant", "acme"]);
    let drill = drills["drills"][0]["drill"].as_str().unwrap_or_else(|| panic!("{drills}: {}", worker.said()));
    let report = machine.run(&["drill", "show", drill]);
    assert_eq!(report["verdict"], "pass", "{report}");
    assert_eq!(report["isolation"]["network"], "namespace", "{}", report["isolation"]);
    assert_eq!((&report["notes_compared"], &report["files_compared"]), (&12.into(), &1.into()));
    assert!(report["faults"].as_array().unwrap().iter().all(|fault| fault["detected"] == true), "{}", report["faults"]);

    server.stop();
    worker.stop();
    the_keys_are_the_workers(&machine);
}

/// The identity that opens points lies where only the worker gets.
fn the_keys_are_the_workers(machine: &Machine) {
    let read = ["/bin/cat", "/var/lib/holdfast-worker/keys/drill.key"];
    assert_ne!(machine.program_of(SERVER, &read).code, 0);
    assert_eq!(machine.program_of(WORKER, &read).code, 0);
}
