//! What systemd hears from the executable: that it serves, that it is alive, that it is about to end; and nothing from a
//! process that hangs or whose work cannot be done. Its units are `Type=notify` with `WatchdogSec=`.

use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::http::Client;
use super::process::{Installation, Service, until};
use super::reading::{Superuser, database};

/// After so long without a word systemd ends the service. What keeps it content comes three times as often.
const WATCHDOG: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(30);

/// The socket that systemd reads, and what was said to it.
struct Manager {
    path: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    /// Listens; commands of the second installation are told of it, as systemd tells a service.
    fn of(place: &Installation, name: &str) -> (Self, Installation) {
        let path = place.path(name);
        let socket = UnixDatagram::bind(&path).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                list.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        let mut watched = place.clone();
        // the process that is meant is the one that becomes ours
        let words = ["sh", "-c", "export WATCHDOG_PID=$$; exec \"$@\"", "sh"].map(str::to_owned);
        let told = [
            "env".to_owned(),
            format!("NOTIFY_SOCKET={}", path.display()),
            format!("WATCHDOG_USEC={}", WATCHDOG.as_micros()),
        ];
        watched.before = [told.to_vec(), words.to_vec()].concat();
        (Self { path, heard }, watched)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn count(&self, word: &str) -> usize {
        self.heard().iter().filter(|line| *line == word).count()
    }

    #[track_caller]
    fn hears(&self, word: &str) {
        until(PATIENCE, word, || self.count(word) > 0);
    }

    /// Signs of life from now on.
    #[track_caller]
    fn hears_life(&self) {
        let before = self.count("WATCHDOG=1");
        until(PATIENCE, "signs of life, again and again", || self.count("WATCHDOG=1") >= before + 3);
    }

    /// For the whole time after which systemd ends a service, nothing comes: it would be ended.
    #[track_caller]
    fn would_end_it(&self) {
        // what was on its way has been read when this has
        UnixDatagram::unbound().unwrap().send_to(b"a word of the test", &self.path).unwrap();
        until(PATIENCE, "what was on its way", || self.heard().last().is_some_and(|last| last == "a word of the test"));
        let before = self.heard();
        std::thread::sleep(WATCHDOG);
        assert_eq!(self.heard(), before, "not a word");
    }
}

/// A lock on a table, which everybody who wants to read it waits for.
struct Lock(Child, Superuser);

impl Lock {
    fn on(table: &str, database: &Superuser) -> Self {
        let text = format!("BEGIN; LOCK TABLE {table}; SELECT pg_sleep(120)");
        let mut command = database.command("psql");
        command.args(["-d", &database.database, "-Xqc", &text]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let lock = Self(child, database.clone());
        until(PATIENCE, "the lock is taken", || {
            lock.locks("mode = 'AccessExclusiveLock' AND granted AND relation > 16384") > 0
        });
        lock
    }

    fn locks(&self, which: &str) -> u64 {
        let own = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        self.1.sql(&format!("SELECT count(*) FROM pg_locks WHERE {own} AND {which}")).parse().unwrap()
    }

    #[track_caller]
    fn is_waited_for(&self) {
        until(PATIENCE, "somebody waits for the lock", || self.locks("NOT granted") > 0);
    }

    fn release(mut self) {
        let sleeping = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)' AND pid <> pg_backend_pid() \
                        AND datname = current_database()";
        self.1.sql(sleeping);
        self.0.wait().unwrap();
    }
}

fn stopped(service: &Service) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.process())).unwrap();
    stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
}

#[test]
fn a_server_tells_when_it_serves_that_it_lives_and_when_it_ends() {
    let (url, database) = database();
    let place = Installation::on(&url);
    let token = place.tenant("acme");
    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    let (manager, watched) = Manager::of(&place, "notify");

    // held up before it can serve: not a word
    let listen = format!("127.0.0.1:{}", super::journey::free_port(20_000));
    let lock = Lock::on("holdfast.login_shard", &database);
    let starting = {
        let listen = listen.clone();
        std::thread::spawn(move || watched.serve(&["--no-worker", "--listen", &listen]))
    };
    lock.is_waited_for();
    assert!(TcpStream::connect(&listen).is_err(), "nobody listens yet");
    assert_eq!(manager.heard(), [""; 0], "it is not ready");
    lock.release();
    manager.hears("READY=1");
    let client = Client::new(format!("http://{listen}/t/acme"), Some(&token));
    assert_eq!(client.status("/api/v1/memos"), 200, "who is told that it is ready is served");
    let mut server = starting.join().unwrap();
    manager.hears_life();

    // a process that hangs
    server.signal("STOP", false);
    until(PATIENCE, "it stands still", || stopped(&server));
    manager.would_end_it();
    server.signal("CONT", false);
    manager.hears_life();

    // on its way out, with a request under way
    let lock = Lock::on(&format!("{schema}.note"), &database);
    let writing = std::thread::spawn(move || {
        client.send("POST", "/api/v1/memos", Some(&json!({"content": "the last", "visibility": "PRIVATE"}))).unwrap()
    });
    lock.is_waited_for();
    server.signal("TERM", false);
    manager.hears("STOPPING=1");
    assert!(!writing.is_finished(), "told at once, not after the last request");
    assert_eq!(server.ended(Duration::ZERO), None, "it waits for the request");
    lock.release();
    let answer = writing.join().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.ended(PATIENCE), Some(0), "{}", server.said());
    assert_eq!((manager.heard()[0].as_str(), manager.count("READY=1"), manager.count("STOPPING=1")), ("READY=1", 1, 1));
}

#[test]
fn a_worker_that_cannot_work_gives_no_sign_of_life() {
    let (url, database) = database();
    let place = Installation::on(&url);
    place.tenant("acme");
    let (manager, watched) = Manager::of(&place, "notify");
    let lock = Lock::on("holdfast.login_shard", &database);
    let mut worker = watched.worker(&[]);
    lock.is_waited_for();
    assert_eq!(manager.heard(), [""; 0], "it is not ready");
    lock.release();
    manager.hears("READY=1");
    manager.hears_life();

    // as when the database is gone; the shared server must stay for others
    let other = Superuser { database: "postgres".to_owned(), ..database.clone() };
    other.sql(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", database.database));
    other.sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        database.database
    ));
    until(PATIENCE, "it says so", || worker.said().contains("does not answer itself"));
    manager.would_end_it();
    other.sql(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", database.database));
    manager.hears_life();

    worker.signal("TERM", false);
    manager.hears("STOPPING=1");
    assert_eq!(worker.ended(PATIENCE), Some(0), "{}", worker.said());
    assert_eq!((manager.heard()[0].as_str(), manager.count("READY=1"), manager.count("STOPPING=1")), ("READY=1", 1, 1));

    // what was meant for another process is not answered by ours
    let (manager, mut foreign) = Manager::of(&place, "notify-another");
    let words = foreign.before.iter().position(|word| word.contains("WATCHDOG_PID")).unwrap();
    foreign.before[words] = "export WATCHDOG_PID=1; exec \"$@\"".to_owned();
    let worker = foreign.worker(&[]);
    manager.hears("READY=1");
    manager.would_end_it();
    worker.stop();
}
