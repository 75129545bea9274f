//! Kills at any moment lose nothing that was acknowledged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::chance::Chance;

use super::http::Client;
use super::process::{Installation, Service, until};
use super::reading::{Superuser, sha256};
use super::writers::{Acknowledged, Writers};

/// At least so many acknowledgements between kills.
const BETWEEN: usize = 100;

/// Whom a kill hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Server,
    Worker,
    Postgres,
    /// One process of Postgres that serves a connection: the server ends all others then.
    Backend,
    /// Everything at once, as when the power goes.
    Everything,
}

/// What runs on the data folder.
struct Site {
    place: Installation,
    port: u16,
    server: Option<Service>,
    worker: Option<Service>,
}

impl Site {
    fn start_server(&mut self) {
        let listen = format!("127.0.0.1:{}", self.port);
        // The port may be held by connections of the killed server for a moment.
        for _ in 0..50 {
            match self.place.try_serve(&["--embedded", "--no-worker", "--listen", &listen]) {
                Ok(server) => {
                    self.server = Some(server);
                    return;
                }
                Err(ran) if ran.code == 6 => std::thread::sleep(Duration::from_millis(200)),
                Err(ran) => panic!("the server does not come back: {ran:?}"),
            }
        }
        panic!("the server does not come back: its address or folder stays taken");
    }

    fn start_worker(&mut self) {
        self.worker = Some(self.place.worker(&[]));
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn postmaster(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.place.data().join("pg/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    fn kill(&mut self, victim: Victim, chance: &Chance) {
        let postmaster = self.postmaster().filter(|process| running(*process));
        match victim {
            Victim::Server => self.server.take().unwrap().signal_and_reap(),
            Victim::Worker => self.worker.take().unwrap().signal_and_reap(),
            Victim::Postgres => postmaster.into_iter().for_each(shoot),
            Victim::Backend => {
                let children = postmaster.map(children).unwrap_or_default();
                if let Some(child) = children.get(chance.u64() as usize % children.len().max(1)) {
                    shoot(*child);
                }
            }
            Victim::Everything => {
                // Stopped first, so that none of them sees another die and tidies up.
                let all: Vec<i32> = postmaster
                    .into_iter()
                    .flat_map(|p| [vec![p], children(p)].concat())
                    .chain([self.server.as_ref().unwrap().process(), self.worker.as_ref().unwrap().process()])
                    .collect();
                for process in &all {
                    signal(*process, nix::sys::signal::SIGSTOP);
                }
                all.iter().copied().for_each(shoot);
                self.server.take().unwrap().signal_and_reap();
                self.worker.take().unwrap().signal_and_reap();
            }
        }
    }

    /// Starts again what a supervisor would start again.
    fn revive(&mut self) {
        if self.server.is_none() {
            self.start_server();
        }
        // A worker ends when the owner of the data folder is gone; then it is started again, too.
        if self.worker.as_mut().is_none_or(|worker| worker.ended(Duration::ZERO).is_some()) {
            self.start_worker();
        }
        assert!(
            self.server.as_mut().unwrap().ended(Duration::ZERO).is_none(),
            "the server stays: {}",
            self.server.as_ref().unwrap().said()
        );
    }
}

impl Service {
    fn signal_and_reap(mut self) {
        self.signal("KILL", true);
        assert!(self.ended(Duration::from_secs(20)).is_some(), "a killed process ends");
    }
}

pub(super) fn signal(process: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), signal).ok();
}

fn shoot(process: i32) {
    signal(process, nix::sys::signal::SIGKILL);
}

fn running(process: i32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

/// What any of its threads has started.
pub(super) fn children(process: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let started = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let words = started.collect::<Vec<_>>().join(" ");
    words.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The settings that durability rests on, asked from the running database.
fn assert_durable(place: &Installation) {
    let database = Superuser::of(&place.data());
    for setting in ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"] {
        assert_eq!(database.sql(&format!("SHOW {setting}")), "on", "{setting}");
    }
    assert_eq!(database.sql("SHOW jit"), "off");
}

fn kills(count: usize, seed: u64) {
    println!("seed {seed}, {count} kills");
    let chance = Chance::seeded(seed);
    let mut place = Installation::embedded();
    place.set("log_filter", "warn");
    let token = place.tenant("acme");
    let mut site = Site { port: super::journey::free_port(20_000), place, server: None, worker: None };
    site.start_server();
    site.start_worker();
    assert_durable(&site.place);
    site.place.run(&["schedule", "set", "backup", "--all", "--cron", "*/10 * * * * *"]).ok();
    let base = format!("{}/t/acme", site.url());
    let mut writers = Writers::start(&base, &token, &site.place.path("acknowledged"), seed);

    let victims = [Victim::Server, Victim::Postgres, Victim::Everything, Victim::Worker, Victim::Backend];
    let first = chance.u64() as usize;
    let mut hit = BTreeSet::new();
    for number in 0..count {
        let known = writers.acknowledged().len();
        until(Duration::from_secs(120), "a hundred acknowledgements after a kill", || {
            writers.acknowledged().len() >= known + BETWEEN
        });
        // At any moment, not always after a round number of writes.
        std::thread::sleep(Duration::from_millis(chance.u64() % 400));
        let victim = victims[(first + number) % victims.len()];
        let began = Instant::now();
        site.kill(victim, &chance);
        site.revive();
        hit.insert(victim);
        println!("kill {}: {victim:?}, back after {:.1} s", number + 1, began.elapsed().as_secs_f64());
    }
    let known = writers.acknowledged().len();
    until(Duration::from_secs(120), "writing goes on after the last kill", || {
        writers.acknowledged().len() >= known + BETWEEN
    });
    writers.stop();
    assert!(count < victims.len() || hit.len() == victims.len(), "everybody was hit: {hit:?}");

    let all = writers.acknowledged();
    assert!(all.len() >= BETWEEN * (count + 1));
    assert_all_there(&Client::new(&base, Some(&token)), &all);
    assert_durable(&site.place);
    println!("{} acknowledged writes, all of them there with their hash", all.len());

    // And a point taken now holds them, too: after a hundred kills with several hundred files of 1 MB, all read back.
    site.worker.take().unwrap().stop();
    let point = site.place.run_within(&["backup", "run", "--tenant", "acme"], Duration::from_secs(900)).ok();
    let notes = all.iter().filter(|one| one.name.starts_with("memos/")).count() as u64;
    assert!(point["notes"].as_u64() >= Some(notes), "{notes} acknowledged: {point}");
    site.server.take().unwrap().stop();
}

/// Asks for each acknowledged write through the API.
fn assert_all_there(client: &Client, all: &[Acknowledged]) {
    let mut lost = Vec::new();
    for one in all {
        let found = if one.name.starts_with("memos/") {
            let answer = client.send("GET", &format!("/api/v1/{}", one.name), None).unwrap();
            (answer.status == 200).then(|| sha256(answer.json()["content"].as_str().unwrap().as_bytes()))
        } else {
            let answer = client.send("GET", &format!("/file/{}/noise.bin", one.name), None).unwrap();
            (answer.status == 200).then(|| sha256(&answer.body))
        };
        if found.as_ref() != Some(&one.sha256) {
            lost.push((one.clone(), found));
        }
    }
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged writes are not there as acknowledged: {:?}",
        lost.len(),
        all.len(),
        lost.first()
    );
}

#[test]
fn ten_kills_lose_nothing() {
    kills(10, 20_261_122);
}

#[test]
#[ignore = "a hundred kills: make soak"]
fn soak_a_hundred_kills_lose_nothing() {
    let seed = std::env::var("HOLDFAST_SOAK_SEED").ok().and_then(|seed| seed.parse().ok());
    kills(100, seed.unwrap_or(20_261_122));
}
