//! Writers in a process of their own: eight threads that write notes and files without pause, and put down each
//! acknowledgement with its hash, on disk before the next request.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use serde_json::json;

use super::http::Client;
use super::reading::sha256;

/// How many write at the same time.
const WRITERS: u64 = 8;
/// Where they write, and as whom: address, token, folder of their logs, seed.
const ORDER: &str = "JOURNEY_WRITERS";

/// The other process.
pub(super) struct Writers {
    child: Child,
    folder: PathBuf,
}

/// What was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    /// `memos/…` or `attachments/…`.
    pub(super) name: String,
    /// Of the note's text or the file's bytes.
    pub(super) sha256: String,
}

impl Writers {
    /// This test program once more, as writers.
    pub(super) fn start(base: &str, token: &str, folder: &Path, seed: u64) -> Self {
        std::fs::create_dir(folder).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journeys::writers::the_writers_of_the_kill_test", "--ignored", "--nocapture"])
            .env(ORDER, format!("{base} {token} {} {seed}", folder.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder: folder.to_owned() }
    }

    /// Every acknowledgement so far; a last line without an end was never finished.
    pub(super) fn acknowledged(&self) -> Vec<Acknowledged> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let (name, sha256) = line.trim_end().split_once(' ').unwrap();
                all.push(Acknowledged { name: name.to_owned(), sha256: sha256.to_owned() });
            }
        }
        all
    }

    /// Ends them, wherever they are.
    pub(super) fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
#[ignore = "the other process of the kill test"]
fn the_writers_of_the_kill_test() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let words: Vec<&str> = order.split(' ').collect();
    let [base, token, folder, seed] = words[..] else { panic!("{order}") };
    let seed: u64 = seed.parse().unwrap();
    let client = Client::new(base, Some(token));
    let threads: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, log) = (client.clone(), Path::new(folder).join(writer.to_string()));
            std::thread::spawn(move || write_on(&client, &log, seed, writer))
        })
        .collect();
    for thread in threads {
        thread.join().ok();
    }
}

/// Writes until the process is killed. A write that was not acknowledged is not tried again: it may be there or not.
fn write_on(client: &Client, log: &Path, seed: u64, writer: u64) {
    let mut log = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let chance = domain::chance::Chance::seeded(seed ^ (writer << 40));
    let noise: Vec<u8> = (0..125_000).flat_map(|_| chance.u64().to_le_bytes()).collect();
    for turn in 0_u64.. {
        let done =
            if turn % 20 == 19 { file(client, &noise, writer, turn) } else { note(client, &chance, writer, turn) };
        match done {
            Some(done) => put_down(&mut log, &done),
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn put_down(log: &mut File, done: &Acknowledged) {
    log.write_all(format!("{} {}\n", done.name, done.sha256).as_bytes()).unwrap();
    log.sync_data().unwrap();
}

fn note(client: &Client, chance: &domain::chance::Chance, writer: u64, turn: u64) -> Option<Acknowledged> {
    let words = chance.text(b"abcdefghij      \n#", 20 + (chance.u64() % 400) as usize);
    let content = format!("writer {writer} turn {turn}: {words} ✓ 记事");
    let answer =
        client.send("POST", "/api/v1/memos", Some(&json!({"content": content, "visibility": "PRIVATE"}))).ok()?;
    acknowledged(&answer, content.as_bytes())
}

/// A file of 1 MB, each another one.
fn file(client: &Client, noise: &[u8], writer: u64, turn: u64) -> Option<Acknowledged> {
    let mut bytes = noise.to_vec();
    bytes[..8].copy_from_slice(&writer.to_be_bytes());
    bytes[8..16].copy_from_slice(&turn.to_be_bytes());
    let content = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let body = json!({"filename": "noise.bin", "type": "application/octet-stream", "content": content});
    let answer = client.send("POST", "/api/v1/attachments", Some(&body)).ok()?;
    acknowledged(&answer, &bytes)
}

fn acknowledged(answer: &super::http::Answer, bytes: &[u8]) -> Option<Acknowledged> {
    if answer.status != 200 {
        return None;
    }
    let name = answer.json()["name"].as_str()?.to_owned();
    Some(Acknowledged { name, sha256: sha256(bytes) })
}
