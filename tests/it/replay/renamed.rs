//! The same recordings on a database with other people, ids, words and another host: what is answered depends on none of them.

use std::collections::BTreeSet;
use std::path::Path;

use domain::chance::Chance;
use regex::Regex;
use rusqlite::types::Value as Cell;
use serde_json::Value;
use testkit::fixtures::fixture;

use super::recording::{Exchange, write_order};
use super::run::{Callers, READS, Tally};
use crate::support::Installation;

const SEED: u64 = 20_261_122;
const HOST: &str = "notes.example.com";
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz";
/// Words that are exchanged for others.
const WORDS: usize = 25;
/// Words that mean something in HTML.
const HTML: &[&str] = &["iframe", "summary", "details", "section"];
/// Groups of writes that are replayed; the others write about themselves.
const WRITES: &[&str] = &["write-memo-create", "write-memo-update", "write-comments", "write-reactions"];

/// What is called otherwise, each by a name of the same length.
struct Renames {
    pairs: Vec<(String, String)>,
    pattern: Regex,
}

impl Renames {
    fn new(pairs: Vec<(String, String)>) -> Self {
        let mut names: Vec<&str> = pairs.iter().map(|(old, _)| old.as_str()).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let names: Vec<String> = names.into_iter().map(regex::escape).collect();
        let pattern = Regex::new(&names.join("|")).unwrap();
        Self { pairs, pattern }
    }

    fn of<'a>(&'a self, name: &'a str) -> &'a str {
        self.pairs.iter().find(|(old, _)| old == name).map_or(name, |(_, new)| new)
    }

    fn apply(&self, text: &str) -> String {
        self.pattern.replace_all(text, |found: &regex::Captures<'_>| self.of(&found[0]).to_owned()).into_owned()
    }
}

/// Random letters in place of letters; signs stay.
fn other(name: &str, chance: &Chance) -> String {
    name.chars()
        .map(|letter| if letter.is_alphanumeric() { chance.text(LETTERS, 1) } else { letter.to_string() })
        .collect()
}

fn titled(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

/// Words of notes that nothing but texts of notes has: neither the API nor a message, and in small letters only.
fn words(memos: &[String], recordings: &[(String, String)], chance: &Chance) -> Vec<String> {
    let form = Regex::new(r"[A-Za-z]{6,}").unwrap();
    let everywhere: String =
        recordings.iter().map(|(_, text)| text.as_str()).chain(memos.iter().map(String::as_str)).collect();
    let small = everywhere.to_lowercase();
    let key = Regex::new(r#""([A-Za-z_]+)":"#).unwrap();
    let message = Regex::new(r#""(?:message|path|text)": ?"((?:[^"\\]|\\.)*)""#).unwrap();
    let taken: String = key
        .captures_iter(&everywhere)
        .chain(message.captures_iter(&everywhere))
        .map(|found| found[1].to_lowercase() + "\n")
        .collect();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for memo in memos {
        for word in form.find_iter(memo).map(|word| word.as_str()) {
            let is_small = word.bytes().all(|letter| letter.is_ascii_lowercase());
            let always_small = small.matches(word).count() == everywhere.matches(word).count();
            if is_small && always_small && !taken.contains(word) && !HTML.contains(&word) {
                found.insert(word.to_owned());
            }
        }
    }
    let mut found: Vec<String> = found.into_iter().collect();
    // One word within another would be exchanged in a part of it only.
    let all = found.clone();
    found.retain(|word| {
        !all.iter().any(|other| other != word && (other.contains(word.as_str()) || word.contains(other.as_str())))
    });
    while found.len() > WORDS {
        found.remove(usize::try_from(chance.below(found.len() as u64)).unwrap());
    }
    found
}

fn texts_of_notes(folder: &Path) -> Vec<String> {
    let database = rusqlite::Connection::open(folder.join("memos_prod.db")).unwrap();
    let mut statement = database.prepare("SELECT content FROM memo").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn renames(folder: &Path, truth: &Value, recordings: &[(String, String)]) -> Renames {
    let chance = Chance::seeded(SEED);
    let list = |key: &str, field: &str| -> Vec<String> {
        truth[key].as_array().into_iter().flatten().filter_map(|one| one[field].as_str()).map(str::to_owned).collect()
    };
    let mut names = list("users", "username");
    names.extend(list("memos", "uid").into_iter().filter(|uid| uid.len() > 20));
    names.push(HOST.trim_end_matches(".example.com").to_owned() + ".example");
    names.extend(words(&texts_of_notes(folder), recordings, &chance));
    let mut pairs = Vec::new();
    for name in names {
        let new = match name.strip_suffix(".example") {
            Some(first) => other(first, &chance) + ".example",
            None => other(&name, &chance),
        };
        // Names stand in texts in capitals, too.
        if name.bytes().all(|letter| letter.is_ascii_lowercase()) {
            pairs.push((titled(&name), titled(&new)));
            pairs.push((name.to_uppercase(), new.to_uppercase()));
        }
        pairs.push((name, new));
    }
    Renames::new(pairs)
}

/// Every text of the database under its new names; but where files lie.
fn rename_database(folder: &Path, renames: &Renames) -> usize {
    let database = rusqlite::Connection::open(folder.join("memos_prod.db")).unwrap();
    let names = |sql: &str| -> Vec<String> {
        database.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut changed = 0;
    for table in names("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
        for column in names(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            if column == "reference" || column == "password_hash" {
                continue;
            }
            let sql = format!("SELECT rowid, \"{column}\" FROM \"{table}\"");
            let rows: Vec<(i64, Cell)> = database
                .prepare(&sql)
                .unwrap()
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            for (id, cell) in rows {
                let Cell::Text(text) = cell else { continue };
                let new = renames.apply(&text);
                if new != text {
                    let sql = format!("UPDATE \"{table}\" SET \"{column}\" = ?1 WHERE rowid = ?2");
                    changed += database.execute(&sql, rusqlite::params![new, id]).unwrap();
                }
            }
        }
    }
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_hold_under_other_names_and_hosts() {
    let (Some(memos), Some(folder)) = (fixture("memos-0.30.0"), fixture("recordings-0.30.0")) else { return };
    let order = write_order(&folder);
    let groups = READS
        .iter()
        .map(|name| format!("read-{name}"))
        .chain(order.into_iter().filter(|name| WRITES.contains(&name.as_str())));
    let recordings: Vec<(String, String)> = groups
        .map(|name| {
            let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
            (name, text)
        })
        .collect();
    let truth: Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
    let renames = renames(&memos, &truth, &recordings);
    let copy = testkit::fixtures::copy_of(&memos);
    let changed = rename_database(copy.path(), &renames);

    let installation = Installation::create().await;
    installation.import(copy.path(), "rec");
    let host = renames.apply(HOST);
    installation.must(&["tenant", "set", "rec", "--public-url", &format!("https://{host}"), "--host", &host]);
    let server = installation.serve();
    let http = server.by_host(&host);
    let truth: Value = serde_json::from_str(&renames.apply(&truth.to_string())).unwrap();
    let callers = Callers::sign_in_as(&http, &truth, |name| renames.of(name).to_owned());
    let mut tally = Tally::default();
    for (name, text) in &recordings {
        let exchanges: Vec<Exchange> = serde_json::from_str(&renames.apply(text)).unwrap();
        tally.replay(&http, &callers, name, &exchanges);
    }
    println!("renamed: {} names and words exchanged in {changed} texts, host {host}", renames.pairs.len());
    tally.conclude("under other names");
    tally.check();
}
