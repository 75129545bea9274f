//! What a real Memos 0.30.0 answered, asked of Holdfast over the same imported data.
//!
//! Equal means: the same status, the same body (an unset message is `null` there and left out here), the same headers as
//! far as they were recorded. Texts of parsers differ, their status and code do not. Every difference that is meant has
//! a row with its reason in `exceptions.rs`; any other fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

mod compare;
mod exceptions;
mod house;
mod http;
mod recording;

use std::collections::BTreeMap;

use compare::Bindings;
use house::House;
use recording::Exchange;

const READS: [&str; 10] =
    ["memo-get", "memo-list", "memo-sub", "memo-zoo", "attachments", "files", "auth", "users", "instance", "cel"];
const WRITES: [&str; 7] = ["signin", "refresh", "memo-create", "memo-update", "comments", "reactions", "attachments"];

/// How the exchanges of some groups went.
#[derive(Default)]
struct Tally {
    equal: usize,
    all: usize,
    meant: Vec<String>,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, exchange: &Exchange, outcome: Result<(), String>) {
        self.all += 1;
        match (outcome, exceptions::reason(&exchange.id)) {
            (Ok(()), _) => self.equal += 1,
            (Err(_), Some(reason)) => self.meant.push(format!("{}: {reason}", exchange.id)),
            (Err(difference), None) => {
                let request = format!("{} {} as {}", exchange.verb, exchange.path, exchange.caller);
                self.wrong.push(format!("{}: {request}\n      {difference}", exchange.id));
            }
        }
    }

    fn report(&self, kind: &str) {
        println!("{kind}: {} of {} equal, {} meant to differ", self.equal, self.all, self.meant.len());
        for line in &self.meant {
            println!("  meant  {line}");
        }
        for line in &self.wrong {
            println!("  WRONG  {line}");
        }
    }
}

async fn replay(house: &House, kind: &str, groups: &[&str], tally: &mut Tally) {
    for group in groups {
        let Some(exchanges) = recording::load(&format!("{kind}-{group}")) else { continue };
        let mut bound = Bindings::default();
        for exchange in &exchanges {
            let outcome = house.play(exchange, &mut bound).await;
            tally.add(exchange, outcome);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_exchanges_replay_equal() {
    let Some(house) = House::with_fixture("memos-0.30.0").await else { return };
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for (kind, groups) in [("read", &READS[..]), ("write", &WRITES[..])] {
        let tally = tallies.entry(kind).or_default();
        replay(&house, kind, groups, tally).await;
        tally.report(kind);
    }
    house.stop().await;
    let (reads, writes) = (&tallies["read"], &tallies["write"]);
    assert_eq!((reads.all, writes.all), (516, 218), "the recordings are not those this test was made for");
    assert!(reads.wrong.is_empty() && writes.wrong.is_empty(), "answers differ that must not; see above");
    assert!(reads.equal >= 490 && writes.equal >= 200, "{} reads, {} writes", reads.equal, writes.equal);
}
