//! The replay itself.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use testkit::fixtures::fixture;

use super::compare::{Bindings, differences};
use super::exceptions::{EXCEPTIONS, NOT_YET, RIGHTLY};
use super::recording::{Exchange, group, write_order};
use crate::support::{Answer, Http, Installation};

/// The first ten are those that the promise is made of.
pub(super) const READS: &[&str] = &[
    "memo-get",
    "memo-list",
    "memo-sub",
    "memo-zoo",
    "attachments",
    "files",
    "auth",
    "users",
    "instance",
    "cel",
    "verbs",
    "cors",
    "connect-errors",
    "user-stats",
    "user-settings",
    "user-things",
    "link-metadata",
    "feeds",
];
/// The first seven are those that the promise is made of.
const WRITES: &[&str] = &[
    "memo-create",
    "memo-update",
    "comments",
    "reactions",
    "attachments",
    "signin",
    "refresh",
    "users",
    "user-settings",
    "shortcuts",
    "instance",
    "notifications",
];

/// Groups of reads that are not complete yet: reported, and never fewer equal than now.
const BEYOND: &[(&str, usize)] = &[("idp", 0)];

/// Who calls with which token.
pub(super) struct Callers(pub(super) HashMap<&'static str, String>);

impl Callers {
    pub(super) fn sign_in(http: &Http, truth: &Value) -> Self {
        Self::sign_in_as(http, truth, str::to_owned)
    }

    /// The same where people are called otherwise.
    pub(super) fn sign_in_as(http: &Http, truth: &Value, named: impl Fn(&str) -> String) -> Self {
        let people = [("owner", "maria"), ("admin", "zoe"), ("member", "li-lei")];
        let token = |username: &str| {
            let user = truth["users"].as_array().into_iter().flatten().find(|user| user["username"] == username);
            let password = user.and_then(|user| user["password"].as_str()).expect("a password in truth.json");
            http.sign_in(&named(username), password).0
        };
        Self(people.into_iter().map(|(role, username)| (role, token(username))).collect())
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (role, token)| text.replace(&format!("{{{{token:{role}}}}}"), token))
    }
}

fn ask(http: &Http, exchange: &Exchange, callers: &Callers, bindings: &Bindings) -> Answer {
    let request = &exchange.request;
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), bindings.fill(&callers.fill(value.as_str().unwrap_or_default()))))
        .collect();
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let body = match (&request.body, &request.body_text) {
        (Some(body), _) => {
            if !typed {
                headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            }
            Some(serde_json::to_vec(&bindings.fill_value(body)).unwrap())
        }
        (None, Some(text)) => Some(bindings.fill(text).into_bytes()),
        (None, None) => None,
    };
    http.send(&request.method, &bindings.fill(&request.path), &headers, body.as_deref())
}

/// The outcome of several groups.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) equal: usize,
    pub(super) asked: usize,
    right: Vec<String>,
    groups: Vec<(String, usize, usize)>,
    excepted: Vec<String>,
    not_yet: usize,
    unlisted: usize,
    now_equal: Vec<String>,
    report: String,
}

impl Tally {
    pub(super) fn replay(&mut self, http: &Http, callers: &Callers, name: &str, exchanges: &[Exchange]) {
        let mut bindings = Bindings::default();
        let mut equal = 0;
        for exchange in exchanges {
            let answer = ask(http, exchange, callers, &bindings);
            let differences = differences(exchange, &answer, &mut bindings);
            let id = exchange.id.as_str();
            let right = RIGHTLY.iter().find(|(known, ..)| *known == id);
            let listed = EXCEPTIONS.iter().find(|(known, _)| *known == id);
            let later = NOT_YET.contains(&id);
            if differences.is_empty() {
                equal += 1;
                if right.is_some() || listed.is_some() || later {
                    self.now_equal.push(id.to_owned());
                }
            } else if let Some((_, status, reason)) = right.filter(|(_, status, _)| *status == answer.status) {
                self.right.push(format!("{id}: {status} instead of {}: {reason}", exchange.response.status));
            } else if let Some((_, reason)) = listed {
                let first = differences[0].lines().next().unwrap_or_default();
                self.excepted.push(format!("{id}: {reason} ({first})"));
            } else if later {
                self.not_yet += 1;
            } else {
                self.unlisted += 1;
                self.tell(exchange, &differences);
            }
        }
        self.equal += equal;
        self.asked += exchanges.len();
        self.groups.push((name.to_owned(), equal, exchanges.len()));
        println!("{name}: {equal} of {}", exchanges.len());
    }

    fn tell(&mut self, exchange: &Exchange, differences: &[String]) {
        let request = &exchange.request;
        let body =
            request.body.as_ref().map(Value::to_string).or_else(|| request.body_text.clone()).unwrap_or_default();
        let body: String = body.chars().take(300).collect();
        let via = &exchange.transport;
        writeln!(self.report, "\n{} ({via}) {} {} {body}", exchange.id, request.method, request.path).unwrap();
        for difference in differences.iter().take(8) {
            writeln!(self.report, "    {difference}").unwrap();
        }
        if differences.len() > 8 {
            writeln!(self.report, "    … {} more", differences.len() - 8).unwrap();
        }
    }

    pub(super) fn conclude(&self, what: &str) {
        let answered = self.equal + self.right.len() + self.excepted.len();
        println!("{what}: {answered} of {} answered as they should be", self.asked);
        println!(
            "  {} equal, {} rightly where the original is broken, {} exceptions, {} not offered yet",
            self.equal,
            self.right.len(),
            self.excepted.len(),
            self.not_yet
        );
        for line in &self.right {
            println!("  rightly {line}");
        }
        for line in &self.excepted {
            println!("  exception {line}");
        }
        if !self.report.is_empty() {
            println!("{what} that differ without being listed: {}{}", self.unlisted, self.report);
        }
    }

    /// Of the exchanges of these groups, of which there are so many, at least so many are equal.
    fn at_least(&self, names: &[&str], least: usize, all: usize) {
        let among = self.groups.iter().filter(|(name, ..)| names.contains(&name.as_str()));
        let (equal, asked) = among.fold((0, 0), |(equal, asked), group| (equal + group.1, asked + group.2));
        println!("  {equal} of {asked} equal in {}", names.join(", "));
        assert_eq!(asked, all, "the recordings are others");
        assert!(equal >= least, "{equal} of {asked} are equal, and {least} have to be");
    }

    pub(super) fn check(&self) {
        assert_eq!(self.unlisted, 0, "answers differ and are no listed exceptions");
        assert!(self.now_equal.is_empty(), "no exceptions any more, take them off the list: {:?}", self.now_equal);
    }
}

pub(super) fn truth(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_exchanges_of_memos_are_answered_equally() {
    let (Some(memos), Some(recordings)) = (fixture("memos-0.30.0"), fixture("recordings-0.30.0")) else { return };
    let installation = Installation::create().await;
    installation.import(&memos, "rec");
    installation.must(&[
        "tenant",
        "set",
        "rec",
        "--public-url",
        "https://notes.example.com",
        "--host",
        "notes.example.com",
    ]);
    let server = installation.serve();
    let http = server.by_host("notes.example.com");
    let callers = Callers::sign_in(&http, &truth(&memos));

    let mut reads = Tally::default();
    for name in READS {
        reads.replay(&http, &callers, name, &group(&recordings, &format!("read-{name}")));
    }
    let mut beyond = Tally::default();
    for (name, least) in BEYOND {
        let before = beyond.equal;
        beyond.replay(&http, &callers, name, &group(&recordings, &format!("read-{name}")));
        assert!(beyond.equal - before >= *least, "{name}: fewer answers are equal than were");
    }
    let mut writes = Tally::default();
    let order = write_order(&recordings);
    for name in order.iter().filter_map(|name| name.strip_prefix("write-")).filter(|name| WRITES.contains(name)) {
        writes.replay(&http, &callers, name, &group(&recordings, &format!("write-{name}")));
    }
    if std::env::var_os("HOLDFAST_REPLAY_ALL").is_some() {
        beyond.conclude("beyond");
    }
    reads.conclude("reads");
    writes.conclude("writes");
    reads.at_least(&READS[..10], 490, 516);
    writes.at_least(&WRITES[..7], 200, 218);
    reads.check();
    writes.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_workspace_answers_as_recorded() {
    let (Some(memos), Some(recordings)) = (fixture("memos-0.30.0"), fixture("recordings-0.30.0")) else { return };
    let installation = Installation::create().await;
    installation.import(&memos, "rec");
    installation.must(&["tenant", "set", "rec", "--host", "notes.example.com"]);
    let server = installation.serve();
    let http = server.by_host("notes.example.com");
    let callers = Callers::sign_in(&http, &truth(&memos));
    let mut tally = Tally::default();
    tally.replay(&http, &callers, "private-mode", &group(&recordings, "private-private-mode"));
    tally.conclude("private mode");
    tally.check();
}
