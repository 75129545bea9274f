//! `restore compare`: what one tenant has and another has not, in notes, members and settings.

use std::collections::BTreeMap;

use domain::id::NoteId;
use domain::tenant::Tenant;
use serde::Serialize;
use serde_json::Value;
use store::TenantScope;
use store::tenant::{members, notes, settings};

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::snapshot::shown_file;

/// Notes whose words are compared; beyond that, only that they differ is told.
const DIFFED: usize = 200;
/// Words of a text beyond which single words are not compared.
const WORDS: usize = 1_500;

/// What of one kind differs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Difference {
    /// In the second tenant only.
    pub added: Vec<String>,
    /// In both, and not the same.
    pub changed: Vec<Changed>,
    /// In the first tenant only.
    pub deleted: Vec<String>,
    /// In both, and the same.
    pub same: u64,
}

/// Something that both have.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// Which: uid, username or key.
    pub name: String,
    /// Words taken out as `[-…-]`, put in as `{+…+}`; what else changed when the text did not.
    pub diff: String,
}

/// What `restore compare` tells.
#[derive(Clone, Debug, Serialize)]
pub struct CompareReport {
    /// The first tenant.
    pub tenant: String,
    /// The second one.
    pub other: String,
    /// Notes, comments and archived ones included, by uid.
    pub notes: Difference,
    /// Members by username.
    pub members: Difference,
    /// Settings by key; values are not shown.
    pub settings: Difference,
}

impl Backup {
    /// What `other` has that `slug` has not, and the other way round.
    pub async fn compare_tenants(&self, slug: &str, other: &str) -> Result<CompareReport, Error> {
        let (one, two) = (self.scope_of(slug).await?, self.scope_of(other).await?);
        let notes = self.compare_notes(&one, &two).await?;
        let members = difference(self.people(&one).await?, self.people(&two).await?);
        let settings = difference(self.settings_of(&one).await?, self.settings_of(&two).await?);
        Ok(CompareReport { tenant: slug.to_owned(), other: other.to_owned(), notes, members, settings })
    }

    async fn scope_of(&self, slug: &str) -> Result<TenantScope, Error> {
        let tenant: std::sync::Arc<Tenant> = self.tenant(slug).await?;
        Ok(TenantScope::for_command(tenant, "restore compare"))
    }

    /// Hash of every note as a Markdown file, by uid.
    async fn hashes(&self, scope: &TenantScope) -> Result<BTreeMap<String, String>, Error> {
        let mut snapshot = self.store.open_snapshot(scope).await?;
        let (mut out, mut after) = (BTreeMap::new(), NoteId(i64::MIN));
        loop {
            let page = snapshot.notes_after(after, 1_000).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            out.extend(page.iter().map(|note| (note.uid.clone(), Hash::of(&shown_file(note)).to_string())));
        }
        snapshot.finish().await?;
        Ok(out)
    }

    async fn compare_notes(&self, one: &TenantScope, two: &TenantScope) -> Result<Difference, Error> {
        let mut out = difference(self.hashes(one).await?, self.hashes(two).await?);
        for changed in out.changed.iter_mut().take(DIFFED) {
            let (mut before, mut after) = (self.store.begin(one), self.store.begin(two));
            let before = notes::find_note(&mut before, &changed.name).await?;
            let after = notes::find_note(&mut after, &changed.name).await?;
            let (Some(before), Some(after)) = (before, after) else { continue };
            changed.diff = if before.content == after.content {
                "same text; visibility, pin, state, times, files or relations differ".to_owned()
            } else {
                words(&before.content, &after.content)
            };
        }
        Ok(out)
    }

    async fn people(&self, scope: &TenantScope) -> Result<BTreeMap<String, String>, Error> {
        let mut tx = self.store.begin(scope);
        let all = members::list_members(&mut tx, i64::MAX, 0).await?;
        let shown = |member: domain::member::Member| {
            let what = format!(
                "{} {} {} {} {} {}",
                member.role.as_str(),
                if member.archived { "archived" } else { "active" },
                member.email,
                member.display_name,
                member.description,
                Hash::of(member.avatar.as_bytes())
            );
            (member.username, what)
        };
        Ok(all.into_iter().map(shown).collect())
    }

    async fn settings_of(&self, scope: &TenantScope) -> Result<BTreeMap<String, String>, Error> {
        let keys = ["GENERAL", "MEMO_RELATED", "TAGS", "STORAGE", "NOTIFICATION", "AI"].map(str::to_owned);
        let mut tx = self.store.begin(scope);
        let all = settings::list_settings(&mut tx, &keys).await?;
        Ok(all.into_iter().map(|(key, value): (String, Value)| (key, value.to_string())).collect())
    }
}

fn difference(mut one: BTreeMap<String, String>, two: BTreeMap<String, String>) -> Difference {
    let mut out = Difference::default();
    for (name, after) in two {
        match one.remove(&name) {
            None => out.added.push(name),
            Some(before) if before == after => out.same += 1,
            Some(_) => out.changed.push(Changed { name, diff: "differs".to_owned() }),
        }
    }
    out.deleted.extend(one.into_keys());
    out
}

/// A text against another, word by word.
fn words(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split_whitespace().collect(), after.split_whitespace().collect());
    if old.len() > WORDS || new.len() > WORDS {
        return format!("{} words before, {} after", old.len(), new.len());
    }
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_mid, new_mid) = (
        old_rest.get(..old_rest.len() - end).unwrap_or_default(),
        new_rest.get(..new_rest.len() - end).unwrap_or_default(),
    );
    let mut out: Vec<String> = Vec::new();
    if let Some(last) = old.get(..start).and_then(<[&str]>::last) {
        out.push(if start > 1 { format!("… {last}") } else { (*last).to_owned() });
    }
    out.extend(steps(old_mid, new_mid));
    if let Some(first) = old_rest.get(old_rest.len() - end..).and_then(<[&str]>::first) {
        out.push(if end > 1 { format!("{first} …") } else { (*first).to_owned() });
    }
    if out.is_empty() { "only white space differs".to_owned() } else { out.join(" ") }
}

/// The longest common words of both, with what is between them.
fn steps(old: &[&str], new: &[&str]) -> Vec<String> {
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    let at = |row: usize, column: usize| row * width + column;
    let get = |table: &[u32], row: usize, column: usize| table.get(at(row, column)).copied().unwrap_or_default();
    for (row, word) in old.iter().enumerate().rev() {
        for (column, other) in new.iter().enumerate().rev() {
            let best = if word == other {
                get(&longest, row + 1, column + 1) + 1
            } else {
                get(&longest, row + 1, column).max(get(&longest, row, column + 1))
            };
            if let Some(cell) = longest.get_mut(at(row, column)) {
                *cell = best;
            }
        }
    }
    let (mut out, mut out_words, mut in_words) = (Vec::new(), Vec::new(), Vec::new());
    let (mut row, mut column) = (0, 0);
    let flush = |out: &mut Vec<String>, taken: &mut Vec<&str>, put: &mut Vec<&str>| {
        if !taken.is_empty() {
            out.push(format!("[-{}-]", taken.join(" ")));
            taken.clear();
        }
        if !put.is_empty() {
            out.push(format!("{{+{}+}}", put.join(" ")));
            put.clear();
        }
    };
    loop {
        match (old.get(row), new.get(column)) {
            (Some(word), Some(other)) if word == other => {
                flush(&mut out, &mut out_words, &mut in_words);
                out.push((*word).to_owned());
                (row, column) = (row + 1, column + 1);
            }
            (Some(word), other)
                if other.is_none() || get(&longest, row + 1, column) >= get(&longest, row, column + 1) =>
            {
                out_words.push(*word);
                row += 1;
            }
            (_, Some(other)) => {
                in_words.push(*other);
                column += 1;
            }
            _ => break,
        }
    }
    flush(&mut out, &mut out_words, &mut in_words);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_taken_out_and_put_in_are_marked() {
        assert_eq!(words("one two three four", "one two 3 four"), "… two [-three-] {+3+} four");
        assert_eq!(words("a", "a b c"), "a {+b c+}");
        assert_eq!(words("a b c d e", "a c x e"), "a [-b-] c [-d-] {+x+} e");
        assert_eq!(words("a  b", "a b"), "… b");
        assert_eq!(words("x", ""), "[-x-]");
    }
}
