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
/// Names of a kind that an outline lists; beyond, they are only counted.
const LISTED: usize = 5_000;

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

/// A comparison without any content: names and counts. What pages keep of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outline {
    /// The first tenant.
    pub tenant: String,
    /// The second one.
    pub other: String,
    /// The schemas that they had: after a swap they have others.
    pub schemas: [String; 2],
    /// Notes by uid.
    pub notes: Names,
    /// Members by username.
    pub members: Names,
    /// Settings by key.
    pub settings: Names,
}

/// What of one kind differs, by name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Names {
    /// In the second tenant only.
    pub added: Vec<String>,
    /// In both, and not the same; and for what is no note, in what.
    pub changed: Vec<Changed>,
    /// In the first tenant only.
    pub deleted: Vec<String>,
    /// How many of each there are, also beyond those listed.
    pub counts: [usize; 3],
    /// In both, and the same.
    pub same: u64,
}

impl From<Difference> for Names {
    fn from(mut all: Difference) -> Self {
        let counts = [all.added.len(), all.changed.len(), all.deleted.len()];
        all.added.truncate(LISTED);
        all.changed.truncate(LISTED);
        all.deleted.truncate(LISTED);
        Self { added: all.added, changed: all.changed, deleted: all.deleted, counts, same: all.same }
    }
}

impl Backup {
    /// What `other` has that `slug` has not, and the other way round.
    pub async fn compare_tenants(&self, slug: &str, other: &str) -> Result<CompareReport, Error> {
        let (one, two) = (self.scope_of(slug).await?, self.scope_of(other).await?);
        let mut report = self.compare_names(&one, &two).await?;
        self.add_words(&one, &two, &mut report.notes).await?;
        Ok(report)
    }

    /// The same without any content of either.
    pub async fn outline_tenants(&self, slug: &str, other: &str) -> Result<Outline, Error> {
        let (one, two) = (self.scope_of(slug).await?, self.scope_of(other).await?);
        let CompareReport { tenant, other, notes, members, settings } = self.compare_names(&one, &two).await?;
        let schemas = [&one, &two].map(|scope| scope.tenant().schema.to_string());
        Ok(Outline { tenant, other, schemas, notes: notes.into(), members: members.into(), settings: settings.into() })
    }

    async fn compare_names(&self, one: &TenantScope, two: &TenantScope) -> Result<CompareReport, Error> {
        let any = |_: &String, _: &String| "differs".to_owned();
        let notes = difference(self.hashes(one).await?, self.hashes(two).await?, any);
        let members = difference(self.people(one).await?, self.people(two).await?, fields);
        let settings = difference(self.settings_of(one).await?, self.settings_of(two).await?, any);
        let slug = |scope: &TenantScope| scope.tenant().slug.to_string();
        Ok(CompareReport { tenant: slug(one), other: slug(two), notes, members, settings })
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

    async fn add_words(&self, one: &TenantScope, two: &TenantScope, notes: &mut Difference) -> Result<(), Error> {
        for changed in notes.changed.iter_mut().take(DIFFED) {
            let (mut before, mut after) = (self.store.begin(one), self.store.begin(two));
            let before = notes::find_note(&mut before, &changed.name).await?;
            let after = notes::find_note(&mut after, &changed.name).await?;
            let (Some(before), Some(after)) = (before, after) else { continue };
            changed.diff = if before.content == after.content {
                "same text; visibility, pin, state, times, files or relations differ".to_owned()
            } else {
                domain::diff::line(&before.content, &after.content)
            };
        }
        Ok(())
    }

    async fn people(&self, scope: &TenantScope) -> Result<BTreeMap<String, Fields>, Error> {
        let mut tx = self.store.begin(scope);
        let all = members::list_members(&mut tx, i64::MAX, 0).await?;
        let shown = |member: domain::member::Member| {
            let what = [
                ("role", member.role.as_str().to_owned()),
                ("state", if member.archived { "archived" } else { "active" }.to_owned()),
                ("e-mail", member.email),
                ("name", member.display_name),
                ("description", member.description),
                ("picture", member.avatar),
            ];
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

/// What is compared of a member.
type Fields = [(&'static str, String); 6];

/// Names of the fields that differ.
fn fields(before: &Fields, after: &Fields) -> String {
    let differ = before.iter().zip(after).filter(|(one, two)| one != two);
    differ.map(|((name, _), _)| *name).collect::<Vec<_>>().join(", ")
}

fn difference<V: PartialEq>(
    mut one: BTreeMap<String, V>,
    two: BTreeMap<String, V>,
    told: impl Fn(&V, &V) -> String,
) -> Difference {
    let mut out = Difference::default();
    for (name, after) in two {
        match one.remove(&name) {
            None => out.added.push(name),
            Some(before) if before == after => out.same += 1,
            Some(before) => out.changed.push(Changed { diff: told(&before, &after), name }),
        }
    }
    out.deleted.extend(one.into_keys());
    out
}
