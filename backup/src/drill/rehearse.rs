//! The served copy, used: sign-in, list, search, file, write, delete, and every note read by its creator.

use std::collections::{BTreeSet, HashMap};

use futures_util::{FutureExt, StreamExt};

use super::client::Client;
use super::people::People;
use super::report::Check;
use crate::error::Error;
use crate::format::copytext::{Columns, field};
use crate::format::hash::Hash;
use crate::format::sealed::Sealed;
use crate::restore::Fetch;

/// Notes asked for at the same time.
const TOGETHER: usize = 16;
/// Differences told one by one; the rest is counted.
const TOLD: usize = 10;

/// What the point says of notes and files, to ask the copy for.
#[derive(Default)]
pub(super) struct Wanted {
    /// Creator and Markdown hash of each note.
    notes: Vec<(String, i64, Hash)>,
    /// Uid, name, uploader and hash of the files.
    files: Vec<(String, String, i64, Hash)>,
    /// Someone whose list shows a note, since he wrote one that is neither a comment nor archived.
    lister: Option<i64>,
    /// A word of a note and who wrote it, to search for.
    word: Option<(String, i64)>,
}

impl Wanted {
    /// Reads it from the point.
    pub(super) async fn read(fetch: &Fetch, sealed: &Sealed) -> Result<Self, Error> {
        let mut hashes = HashMap::new();
        for name in &sealed.note_hashes {
            let text = fetch.bytes(name).await?;
            for line in lines(&text) {
                let mut parts = line.split(|byte| *byte == b'\t');
                let uid = parts.next().and_then(field).unwrap_or_default();
                let hash = parts.next().and_then(|hash| std::str::from_utf8(hash).ok()?.parse::<Hash>().ok());
                if let Some(hash) = hash {
                    hashes.insert(uid, hash);
                }
            }
        }
        let mut out = Self::default();
        for table in &sealed.tables {
            let columns = Columns::new(table.columns.iter().map(|column| column.name.as_str()));
            for piece in table.pieces.iter().filter(|_| matches!(table.name.as_str(), "note" | "attachment")) {
                let text = fetch.bytes(&piece.name).await?;
                for line in lines(&text) {
                    if table.name == "note" { out.note(&columns, line, &hashes) } else { out.file(&columns, line) }
                }
            }
        }
        Ok(out)
    }

    fn note(&mut self, columns: &Columns, line: &[u8], hashes: &HashMap<String, Hash>) {
        let uid = columns.value(line, "uid").unwrap_or_default();
        let creator = columns.value(line, "creator_id").and_then(|id| id.parse().ok()).unwrap_or_default();
        if let Some(hash) = hashes.get(&uid) {
            self.notes.push((uid, creator, *hash));
        }
        let listed =
            columns.value(line, "parent_id").is_none() && columns.value(line, "archived").as_deref() == Some("f");
        if listed {
            self.lister.get_or_insert(creator);
        }
        if self.word.is_none() && listed {
            let content = columns.value(line, "content").unwrap_or_default();
            let word = content.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| (4..=40).contains(&word.len()));
            self.word = word.map(|word| (word.to_owned(), creator));
        }
    }

    fn file(&mut self, columns: &Columns, line: &[u8]) {
        let value = |name: &str| columns.value(line, name).unwrap_or_default();
        if let (Ok(hash), Ok(creator)) = (value("sha256").parse::<Hash>(), value("creator_id").parse()) {
            self.files.push((value("uid"), value("filename"), creator, hash));
        }
    }

    /// What so many notes on the first page of a list say: whoever wrote a note that lists show must be shown one. Where every
    /// note is a comment or archived, or there is none, a list may be empty.
    fn judge_list(&self, notes: usize) -> (bool, String) {
        let told = format!("{notes} notes on the first page");
        match self.lister {
            Some(_) if notes == 0 => (false, format!("{told} of someone who wrote some")),
            _ => (true, told),
        }
    }

    /// Everyone who wrote or uploaded something.
    pub(super) fn writers(&self) -> BTreeSet<i64> {
        let notes = self.notes.iter().map(|(_, creator, _)| *creator);
        notes.chain(self.files.iter().map(|(_, _, creator, _)| *creator)).collect()
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn check<T, E: std::fmt::Display>(
    name: &str,
    outcome: &Result<T, E>,
    seen: impl FnOnce(&T) -> (bool, String),
) -> Check {
    let (passed, message) = match outcome {
        Ok(value) => seen(value),
        Err(error) => (false, error.to_string()),
    };
    Check { name: name.to_owned(), passed, message }
}

/// Ordinary use by the drill member. The token of the sign-in, where it worked.
pub(super) async fn sign_in(client: &Client, people: &People) -> Check {
    let outcome = client.sign_in(&people.username, &people.password).await;
    let wrong = client.sign_in(&people.username, "not the password").await;
    check("sign_in", &outcome, |_| (wrong.is_err(), "signed in; a wrong password was refused".to_owned()))
}

/// List, search, file, write, delete.
pub(super) async fn use_it(client: &Client, people: &People, wanted: &Wanted) -> Vec<Check> {
    let mut out = Vec::new();
    let own = client.sign_in(&people.username, &people.password).await.unwrap_or_default();
    let lister = wanted.lister.and_then(|member| people.tokens.get(&member));
    let listed = client.list(lister.or(people.tokens.values().next()).unwrap_or(&own), None).await;
    out.push(check("list", &listed, |notes| wanted.judge_list(notes.len())));
    if let Some((word, creator)) = &wanted.word {
        let token = people.tokens.get(creator).cloned().unwrap_or_default();
        let found = client.list(&token, Some(&format!("content.contains(\"{word}\")"))).await;
        out.push(check("search", &found, |notes| (!notes.is_empty(), format!("{} notes found", notes.len()))));
    }
    if let Some((uid, filename, creator, hash)) = wanted.files.first() {
        let token = people.tokens.get(creator).cloned().unwrap_or_default();
        let file = client.file(&token, uid, filename).await;
        out.push(check("file", &file, |bytes| {
            (Hash::of(bytes) == *hash, format!("attachment {uid}: {} bytes", bytes.len()))
        }));
    }
    out.push(write_and_delete(client, &own).await);
    out
}

async fn write_and_delete(client: &Client, token: &str) -> Check {
    let text = "Written by a drill, in the copy only.";
    let steps = async {
        let name = client.create(token, text).await?;
        let same = client.content(token, &name).await? == text;
        client.delete(token, &name).await?;
        let gone = client.content(token, &name).await.is_err();
        Ok::<_, super::client::Failure>(same && gone)
    };
    check("write_and_delete", &steps.await, |right| (*right, "written, read, deleted, gone".to_owned()))
}

/// Reads every note as its creator and compares its Markdown file. How many were equal, and what differed.
pub(super) async fn compare_notes(client: &Client, people: &People, wanted: &Wanted) -> (u64, Vec<String>) {
    let (mut compared, mut wrong) = (0, Vec::new());
    for some in wanted.notes.chunks(TOGETHER * 32) {
        let questions: Vec<_> = some
            .iter()
            .map(|(uid, creator, hash)| {
                let token = people.tokens.get(creator).cloned().unwrap_or_default();
                compare_note(client.clone(), token, uid.clone(), *hash).boxed()
            })
            .collect();
        let mut answers = futures_util::stream::iter(questions).buffer_unordered(TOGETHER);
        while let Some(difference) = answers.next().await {
            compared += 1;
            wrong.extend(difference);
        }
    }
    let more = wrong.len().saturating_sub(TOLD);
    wrong.truncate(TOLD);
    if more > 0 {
        wrong.push(format!("and {more} more notes"));
    }
    (compared, wrong)
}

async fn compare_note(client: Client, token: String, uid: String, hash: Hash) -> Option<String> {
    match client.note_file(&token, &uid).await {
        Ok(file) if Hash::of(&file) == hash => None,
        Ok(_) => Some(format!("note {uid} is not what it was")),
        Err(error) => Some(format!("note {uid}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a point of these notes asks for: each with its creator, whether it is a comment, and whether it is archived.
    fn wanted(notes: &[(i64, bool, bool)]) -> Wanted {
        let columns = Columns::new(["uid", "creator_id", "parent_id", "archived", "content"].into_iter());
        let mut out = Wanted::default();
        for (at, (creator, comment, archived)) in notes.iter().enumerate() {
            let (parent, archived) = (if *comment { "1" } else { "\\N" }, if *archived { "t" } else { "f" });
            let line = format!("n-{at}\t{creator}\t{parent}\t{archived}\tsome words");
            out.note(&columns, line.as_bytes(), &HashMap::new());
        }
        out
    }

    #[test]
    fn an_empty_list_passes_only_where_nobody_wrote_what_lists_show() {
        for nothing in [&[][..], &[(1, true, false)], &[(1, false, true), (2, true, true)]] {
            let wanted = wanted(nothing);
            assert!(wanted.lister.is_none() && wanted.judge_list(0).0, "{nothing:?}");
        }
        // members one and three have nothing in a list of theirs but what others show them
        let some = wanted(&[(1, false, true), (3, true, false), (2, false, false), (3, false, false)]);
        assert_eq!((some.lister, some.judge_list(0).0, some.judge_list(1).0), (Some(2), false, true));
    }
}
