//! The same recordings on a database with other people, ids, words and another host: what is answered depends on none of them.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use domain::chance::Chance;
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
/// Words that mean something in HTML, or in the placeholders of the recordings.
const HTML: &[&str] = &["iframe", "summary", "details", "section", "repeat", "network", "varying", "length"];
/// Groups of writes that are replayed; the others write about themselves.
const WRITES: &[&str] = &["write-memo-create", "write-memo-update", "write-comments", "write-reactions"];

/// What is called otherwise, each by a name of the same length. Without regular expressions, which take minutes here when
/// they are built without optimisation.
struct Renames {
    /// By the first byte, the longest name first.
    pairs: HashMap<u8, Vec<(String, String)>>,
}

impl Renames {
    fn new(names: Vec<(String, String)>) -> Self {
        let mut pairs: HashMap<u8, Vec<(String, String)>> = HashMap::new();
        for (old, new) in names {
            pairs.entry(old.as_bytes()[0]).or_default().push((old, new));
        }
        for bucket in pairs.values_mut() {
            bucket.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        }
        Self { pairs }
    }

    fn apply(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(letter) = rest.chars().next() {
            let bucket = self.pairs.get(&rest.as_bytes()[0]);
            let found = bucket.and_then(|bucket| bucket.iter().find(|(old, _)| rest.starts_with(old.as_str())));
            match found {
                Some((old, new)) => {
                    out.push_str(new);
                    rest = &rest[old.len()..];
                }
                None => {
                    out.push(letter);
                    rest = &rest[letter.len_utf8()..];
                }
            }
        }
        out
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

/// Words of ASCII letters.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphabetic()).filter(|word| !word.is_empty())
}

/// What the API itself says: names of members, messages, paths.
fn said(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                out.extend(tokens(key).map(str::to_lowercase));
                if let (true, Some(text)) = (matches!(key.as_str(), "message" | "path" | "text"), inner.as_str()) {
                    out.extend(tokens(text).map(str::to_lowercase));
                }
                said(inner, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| said(item, out)),
        _ => {}
    }
}

/// Words of notes that nothing but texts of notes has: neither the API nor a message, and in small letters only.
fn words(memos: &[String], recordings: &[(String, String)], chance: &Chance) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut all: BTreeSet<&str> = BTreeSet::new();
    for (_, text) in recordings {
        said(&serde_json::from_str(text).unwrap(), &mut taken);
        all.extend(tokens(text));
    }
    all.extend(memos.iter().flat_map(|memo| tokens(memo)));
    let fits = |word: &str| {
        word.len() >= 6
            && word.bytes().all(|letter| letter.is_ascii_lowercase())
            && !HTML.contains(&word)
            && !taken.iter().any(|other| other.contains(word))
            // One word within another would be exchanged in a part of it only.
            && all.iter().all(|other| {
                *other == word || other.len() < 3 || !(other.to_lowercase().contains(word) || word.contains(*other))
            })
    };
    let candidates: BTreeSet<&str> = memos.iter().flat_map(|memo| tokens(memo)).collect();
    let mut found: Vec<String> = candidates.into_iter().filter(|word| fits(word)).map(str::to_owned).collect();
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
    // Passwords stay what they were.
    let callers = Callers::sign_in_as(&http, &truth, |name| renames.apply(name));
    let mut tally = Tally::default();
    for (name, text) in &recordings {
        let exchanges: Vec<Exchange> = serde_json::from_str(&renames.apply(text)).unwrap();
        tally.replay(&http, &callers, name, &exchanges);
    }
    println!(
        "renamed: {} names and words exchanged in {changed} texts, host {host}",
        renames.pairs.values().map(Vec::len).sum::<usize>()
    );
    tally.conclude("under other names");
    tally.check();
}
