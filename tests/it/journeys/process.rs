//! Running the executable: commands that end, and servers that stay.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No command of a test takes longer than this, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The executable under test.
pub(super) fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_holdfast")
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    /// Every line of stdout as a document.
    pub(super) fn lines(&self) -> Vec<Value> {
        let document = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}\n{self:?}"));
        self.out.lines().filter(|line| !line.trim().is_empty()).map(document).collect()
    }

    /// The last document.
    pub(super) fn json(&self) -> Value {
        self.lines().pop().unwrap_or_else(|| panic!("nothing on stdout: {self:?}"))
    }

    /// The last document of a command that had to end with `code`.
    #[track_caller]
    pub(super) fn ended(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self.json()
    }

    /// The document of a command that had to end well.
    #[track_caller]
    pub(super) fn ok(&self) -> Value {
        self.ended(0)
    }

    /// A failure: its code, and its sentence with what to do next.
    #[track_caller]
    pub(super) fn failed(&self, code: i32) -> String {
        let error = &self.ended(code)["error"];
        let sentence = error["message"].as_str().unwrap_or_else(|| panic!("no error in {self:?}"));
        assert!(sentence.len() > 10 && !sentence.contains('\n'), "one sentence: {sentence:?}");
        assert!(!sentence.contains("panicked") && !sentence.contains("Os {"), "for people: {sentence:?}");
        format!("{sentence}; {}", error["next"].as_str().unwrap_or_default())
    }
}

/// An installation that tests speak to: a data folder, and the settings given by the environment.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    pub(super) folder: Arc<tempfile::TempDir>,
    pub(super) settings: Vec<(String, String)>,
    /// Words before every command, such as those of `unshare`.
    pub(super) before: Vec<String>,
}

impl Installation {
    /// With the embedded default.
    pub(super) fn embedded() -> Self {
        let folder = Arc::new(tempfile::Builder::new().prefix("hf-journey-").tempdir().unwrap());
        Self { folder, settings: Vec::new(), before: Vec::new() }
    }

    /// On a database that is there already, with a folder as backup store.
    pub(super) fn on(database_url: &str) -> Self {
        let mut new = Self::embedded();
        for name in ["store", "files"] {
            std::fs::create_dir(new.path(name)).unwrap();
        }
        new.set("database_url", database_url);
        new.set("store_directory", new.path("store").display());
        new.set("files_url", format!("file://{}", new.path("files").display()));
        new
    }

    /// A setting, by its key in the file.
    pub(super) fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        let name = format!("HOLDFAST_{}", key.to_uppercase());
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_string()));
    }

    pub(super) fn unset(&mut self, key: &str) {
        let name = format!("HOLDFAST_{}", key.to_uppercase());
        self.settings.retain(|(known, _)| *known != name);
    }

    /// A path in the installation's own folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// A file with text in it.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The executable with our settings and nobody else's.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut line: Vec<&str> = self.before.iter().map(String::as_str).collect();
        line.push(executable());
        line.extend(words);
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOLDFAST_") {
                command.env_remove(name);
            }
        }
        command.env("HOLDFAST_DATA", self.data()).envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end, with `--json`.
    pub(super) fn run(&self, words: &[&str]) -> Ran {
        self.run_within(words, PATIENCE)
    }

    /// The same for one that may take longer.
    pub(super) fn run_within(&self, words: &[&str], patience: Duration) -> Ran {
        let mut words = words.to_vec();
        words.push("--json");
        finish(&mut self.command(&words), &words.join(" "), patience)
    }

    /// Runs it as people do, without `--json`.
    pub(super) fn say(&self, words: &[&str]) -> Ran {
        finish(&mut self.command(words), &words.join(" "), PATIENCE)
    }

    /// Starts a server and waits until it says that it is ready.
    pub(super) fn serve(&self, words: &[&str]) -> Service {
        self.try_serve(words).unwrap_or_else(|ran| panic!("the server ended: {ran:?}"))
    }

    /// The same, or how it ended.
    pub(super) fn try_serve(&self, words: &[&str]) -> Result<Service, Ran> {
        let mut line = vec!["serve", "--json"];
        line.extend(words);
        if !words.contains(&"--listen") {
            line.extend(["--listen", "127.0.0.1:0"]);
        }
        line.extend(["--ops-listen", "127.0.0.1:0"]);
        Service::start(self.command(&line), true)
    }

    /// Starts what stays and says nothing when it is ready.
    pub(super) fn start(&self, words: &[&str]) -> Service {
        Service::start(self.command(words), false).unwrap()
    }

    /// Starts a worker.
    pub(super) fn worker(&self, words: &[&str]) -> Service {
        let mut line = vec!["worker"];
        line.extend(words);
        self.start(&line)
    }

    /// A tenant with its owner `maria`, open; gives back the owner's token.
    pub(super) fn tenant(&self, slug: &str) -> String {
        let password = self.file("password", PASSWORD);
        self.run(&["tenant", "create", slug, "--owner", "maria", "--password-file", &password]).ok();
        self.token(slug, "maria")
    }

    /// A new token of a member.
    pub(super) fn token(&self, slug: &str, user: &str) -> String {
        let made = self.run(&["token", "create", "--tenant", slug, "--user", user]).ok();
        made["token"].as_str().unwrap_or_else(|| panic!("no token in {made}")).to_owned()
    }
}

/// Of owners that tests make.
pub(super) const PASSWORD: &str = "correct horse battery";

/// Runs a command to its end.
pub(super) fn finish(command: &mut Command, what: &str, patience: Duration) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = gather(child.stdout.take().unwrap());
    let err = gather(child.stderr.take().unwrap());
    let status = wait(&mut child, patience).unwrap_or_else(|| {
        child.kill().ok();
        panic!("`{what}` did not end in {patience:?}")
    });
    let text = |from: Receiver<String>| from.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
    Ran { code: status.code().unwrap_or(-1), out: text(out), err: text(err) }
}

fn gather(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).ok();
        sender.send(String::from_utf8_lossy(&bytes).into_owned()).ok();
    });
    receiver
}

/// Waits for the end of a child, at most so long.
pub(super) fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `holds` is true; panics with `what` after `patience`.
#[track_caller]
pub(super) fn until(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < end, "after {patience:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A process that stays until it is told to end. It leads a group of its own.
#[derive(Debug)]
pub(super) struct Service {
    child: Child,
    /// The ready line, of servers.
    pub(super) ready: Value,
    said: Arc<Mutex<String>>,
}

impl Service {
    fn start(mut command: Command, with_ready: bool) -> Result<Self, Ran> {
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        let (err, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let mut said = heard.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        let mut service = Self { child, ready: Value::Null, said };
        let mut out = String::new();
        loop {
            if !with_ready {
                break;
            }
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let document: Value = serde_json::from_str(&line).unwrap_or_default();
                    if document["event"] == "ready" {
                        service.ready = document;
                        break;
                    }
                    out.push_str(&line);
                    out.push('\n');
                }
                Err(_) => {
                    let code = service.ended(Duration::from_secs(5)).unwrap_or(-1);
                    std::thread::sleep(Duration::from_millis(50));
                    return Err(Ran { code, out, err: service.said() });
                }
            }
        }
        Ok(service)
    }

    pub(super) fn url(&self) -> String {
        self.ready["url"].as_str().expect("a url in the ready line").to_owned()
    }

    pub(super) fn process(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What it wrote to stderr.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// A signal by name; to the process, or to its whole group.
    pub(super) fn signal(&self, name: &str, group: bool) {
        let target = if group { format!("-{}", self.process()) } else { self.process().to_string() };
        Command::new("kill").args([&format!("-{name}"), "--", &target]).status().unwrap();
    }

    /// The code it ended with, within `patience`.
    pub(super) fn ended(&mut self, patience: Duration) -> Option<i32> {
        wait(&mut self.child, patience).map(|status| status.code().unwrap_or(-1))
    }

    /// Asks it to end and wants 0.
    #[track_caller]
    pub(super) fn stop(mut self) {
        self.signal("TERM", false);
        let code = self.ended(Duration::from_secs(60));
        assert_eq!(code, Some(0), "an orderly end; stderr: {}", self.said());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.signal("TERM", false);
            if wait(&mut self.child, Duration::from_secs(30)).is_none() {
                self.signal("KILL", true);
                self.child.wait().ok();
            }
        }
    }
}

/// A program of the system, or none: then the test is reported as skipped by name (with `CI=true` it fails).
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "with CI=true {name} must be installed");
        skipped(&format!("{name} is not installed"));
    }
    found
}

pub(super) use testkit::fixtures::skipped;

/// Runs a tool of the system; its stdout.
#[track_caller]
pub(super) fn tool(command: &mut Command) -> Vec<u8> {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Names, lengths and times of everything in a folder.
pub(super) fn listing(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let facts = path.metadata().unwrap();
            let bytes = if facts.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
            if facts.is_dir() {
                folders.push(path.clone());
            }
            all.push((path, facts.len(), facts.modified().unwrap(), bytes));
        }
    }
    all.sort();
    all
}
