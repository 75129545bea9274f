//! Two tenants compared: which notes, members and settings only one of them has or both have differently.
//!
//! Names and counts are kept with the job that found them; what the notes say is read when it is looked at.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::diff::{self, Piece};
use domain::note::Note;
use domain::tenant::{Tenant, TenantState};
use jobs::{CompareTenants, kind};
use serde::Deserialize;
use store::control::overview::Wanted;
use store::tenant::notes::find_note;
use store::{TenantScope, TenantTx};
use time::OffsetDateTime;
use web::{Error, OperatorVisit, Result, page};

use super::actions::{self, by};
use super::pages::{answer, found, frame};
use super::runs::{JobBox, Jobs};
use super::view::{Frame, ago, moment};
use crate::Admin;

/// Notes on one page.
const PAGE: usize = 20;
/// Words of a note that only one has.
const WORDS: usize = 60;

/// What a comparison found, without content.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Outline {
    schemas: [String; 2],
    notes: Names,
    members: Names,
    settings: Names,
    #[serde(skip)]
    at: Option<OffsetDateTime>,
}

/// What of one kind differs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    added: Vec<String>,
    changed: Vec<Changed>,
    deleted: Vec<String>,
    counts: [usize; 3],
    same: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Changed {
    name: String,
    diff: String,
}

impl Outline {
    /// The newest comparison of these two; none when they have changed places since.
    pub(super) async fn newest(admin: &Admin, one: &Tenant, two: &Tenant) -> Result<Option<Self>> {
        let field = Some(("other", two.slug.as_str()));
        let wanted = Wanted { kind: kind::COMPARE, tenant: one.id, field, done: true };
        let Some(job) = admin.store.control().newest_job(&wanted).await? else { return Ok(None) };
        let read = job.result.and_then(|value| serde_json::from_value::<Self>(value).ok());
        let present = [&one.schema, &two.schema].map(ToString::to_string);
        let read = read.filter(|outline| outline.schemas == present);
        Ok(read.map(|outline| Self { at: Some(job.created_at), ..outline }))
    }

    /// In a sentence.
    pub(super) fn sentence(&self, slug: &str, other: &str, now: OffsetDateTime) -> String {
        let [added, changed, deleted] = self.notes.counts;
        let when = self.at.map_or_else(String::new, |at| format!(" (compared {})", ago(at, now)));
        format!("Notes: {added} only in {other}, {changed} changed, {deleted} only in {slug}{when}")
    }
}

/// Which part of a comparison.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    show: String,
    page: usize,
}

/// In which way a note differs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Changed,
    Deleted,
    Added,
}

impl How {
    const ALL: [Self; 3] = [Self::Changed, Self::Deleted, Self::Added];

    const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Added => "added",
        }
    }
}

/// A part of a text: its words and what they are wrapped in.
struct Part {
    tag: &'static str,
    text: String,
}

/// A note that differs.
struct NoteLine {
    how: &'static str,
    uid: String,
    title: String,
    by: String,
    /// What is to be said besides the words.
    remark: String,
    parts: Vec<Part>,
}

/// A link to a part of the list.
struct Tab {
    show: &'static str,
    words: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    frame: Frame,
    slug: String,
    other: String,
    other_state: &'static str,
    /// The second was restored from a point of the first, never opened, and may take its place.
    swappable: bool,
    jobs: Vec<JobBox>,
    follows: bool,
    compared: Option<String>,
    same: u64,
    differs: usize,
    unlisted: usize,
    tabs: Vec<Tab>,
    show: String,
    newer: Option<usize>,
    older: Option<usize>,
    notes: Vec<NoteLine>,
    members: Vec<(&'static str, String, String)>,
    members_same: u64,
    settings: Vec<(&'static str, String, String)>,
    settings_same: u64,
}

/// What two tenants have differently.
pub(super) async fn show(
    visit: OperatorVisit,
    admin: Data<Admin>,
    path: Path<(String, String)>,
    wish: Query<Wish>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let (slug, other) = path.into_inner();
    let (one, two) = both(&admin, &slug, &other).await?;
    let wanted = Wanted { kind: kind::COMPARE, tenant: one.tenant().id, field: Some(("other", &other)), done: false };
    let under_way = admin.store.control().newest_job(&wanted).await?;
    let jobs: Vec<JobBox> = under_way.iter().map(JobBox::from).collect();
    let follows = jobs.iter().any(|job| !job.ended);
    let Jobs { jobs, .. } = Jobs { jobs, follows }.news();
    let outline = Outline::newest(&admin, one.tenant(), two.tenant()).await?;
    let from = admin.store.restored_from(two.tenant().id).await?;
    let outline = outline.unwrap_or_default();
    let listed = listed(&outline.notes, &wish.show);
    let first = wish.page.saturating_mul(PAGE).min(listed.len());
    let shown = listed.get(first..listed.len().min(first + PAGE)).unwrap_or_default();
    let page = ComparePage {
        frame: frame(&visit, "recovery", &request),
        other_state: two.tenant().state.as_str(),
        swappable: two.tenant().state == TenantState::Closed && from.is_some_and(|(of, _)| of == one.tenant().id),
        jobs,
        follows,
        compared: outline.at.map(|at| format!("{} ({})", moment(at), ago(at, admin.clock.now()))),
        same: outline.notes.same,
        differs: outline.notes.counts.iter().sum(),
        unlisted: outline.notes.counts.iter().sum::<usize>().saturating_sub(outline.notes.listed()),
        tabs: tabs(&outline.notes, &wish.show),
        newer: (first > 0).then(|| wish.page.saturating_sub(1)),
        older: (first + PAGE < listed.len()).then_some(wish.page + 1),
        notes: read(&admin, &one, &two, shown).await?,
        members: others(&outline.members),
        members_same: outline.members.same,
        settings: others(&outline.settings),
        settings_same: outline.settings.same,
        show: How::ALL.iter().map(|how| how.word()).find(|word| *word == wish.show).unwrap_or_default().to_owned(),
        slug,
        other,
    };
    answer(&request, &page)
}

async fn both(admin: &Admin, slug: &str, other: &str) -> Result<(TenantScope, TenantScope)> {
    if slug == other {
        return Err(Error::not_found("a tenant is not compared with itself"));
    }
    let (one, two) = (found(admin, slug).await?, found(admin, other).await?);
    Ok((TenantScope::for_command(one, "console compare"), TenantScope::for_command(two, "console compare")))
}

impl Names {
    fn listed(&self) -> usize {
        self.added.len() + self.changed.len() + self.deleted.len()
    }
}

/// The notes of the part that is wished for: changed ones first.
fn listed<'a>(notes: &'a Names, show: &str) -> Vec<(How, &'a str)> {
    let changed = notes.changed.iter().map(|one| (How::Changed, one.name.as_str()));
    let deleted = notes.deleted.iter().map(|name| (How::Deleted, name.as_str()));
    let added = notes.added.iter().map(|name| (How::Added, name.as_str()));
    let known = How::ALL.iter().any(|how| how.word() == show);
    changed.chain(deleted).chain(added).filter(|(how, _)| !known || how.word() == show).collect()
}

fn tabs(notes: &Names, show: &str) -> Vec<Tab> {
    let [added, changed, deleted] = notes.counts;
    let all = [("", "All", added + changed + deleted), ("changed", "Changed", changed)];
    let sides = [("deleted", "Deleted", deleted), ("added", "Added", added)];
    let known = How::ALL.iter().any(|how| how.word() == show);
    all.into_iter()
        .chain(sides)
        .map(|(of, name, count)| Tab {
            show: of,
            words: format!("{name} {count}"),
            here: of == show || (of.is_empty() && !known),
        })
        .collect()
}

/// Members or settings that differ: in which way, which, and in what.
fn others(names: &Names) -> Vec<(&'static str, String, String)> {
    let changed = names.changed.iter().map(|one| (How::Changed.word(), one.name.clone(), one.diff.clone()));
    let deleted = names.deleted.iter().map(|name| (How::Deleted.word(), name.clone(), String::new()));
    let added = names.added.iter().map(|name| (How::Added.word(), name.clone(), String::new()));
    changed.chain(deleted).chain(added).collect()
}

/// Reads the notes of one page from both.
async fn read(admin: &Admin, one: &TenantScope, two: &TenantScope, shown: &[(How, &str)]) -> Result<Vec<NoteLine>> {
    if shown.is_empty() {
        return Ok(Vec::new());
    }
    let (mut before, mut after) = (admin.store.begin(one), admin.store.begin(two));
    let mut out = Vec::new();
    for (how, uid) in shown {
        let old = find_in(&mut before, uid).await?;
        let new = find_in(&mut after, uid).await?;
        out.push(note_line(*how, uid, old.as_ref(), new.as_ref()));
    }
    Ok(out)
}

async fn find_in(tx: &mut TenantTx, uid: &str) -> Result<Option<Note>> {
    Ok(find_note(tx, uid).await?)
}

fn note_line(how: How, uid: &str, old: Option<&Note>, new: Option<&Note>) -> NoteLine {
    let (remark, parts) = match (old, new) {
        (Some(old), Some(new)) if old.content == new.content => {
            let remark = "The same words; visibility, pin, state, times, files or relations differ.";
            (remark.to_owned(), Vec::new())
        }
        (Some(old), Some(new)) => match diff::words(&old.content, &new.content) {
            Ok(pieces) if pieces.is_empty() => ("Only white space differs.".to_owned(), Vec::new()),
            Ok(pieces) => (String::new(), pieces.into_iter().map(part).collect()),
            Err((old, new)) => (format!("Too long to be compared by words: {old} before, {new} after."), Vec::new()),
        },
        (Some(old), None) => (String::new(), vec![Part { tag: "del", text: begins(&old.content) }]),
        (None, Some(new)) => (String::new(), vec![Part { tag: "ins", text: begins(&new.content) }]),
        (None, None) => ("Neither has it any more.".to_owned(), Vec::new()),
    };
    let note = new.or(old);
    let title =
        note.map(|note| if note.derived.title.is_empty() { &note.derived.snippet } else { &note.derived.title });
    NoteLine {
        how: how.word(),
        uid: uid.to_owned(),
        title: title.filter(|title| !title.is_empty()).cloned().unwrap_or_else(|| uid.to_owned()),
        by: note.map(|note| note.creator.clone()).unwrap_or_default(),
        remark,
        parts,
    }
}

fn part(piece: Piece) -> Part {
    match piece {
        Piece::Same(text) => Part { tag: "span", text },
        Piece::Out(text) => Part { tag: "del", text },
        Piece::In(text) => Part { tag: "ins", text },
        Piece::Left => Part { tag: "span", text: "…".to_owned() },
    }
}

/// The first words of a text.
fn begins(text: &str) -> String {
    let mut words = text.split_whitespace();
    let mut out = words.by_ref().take(WORDS).collect::<Vec<_>>().join(" ");
    if words.next().is_some() {
        out.push_str(" …");
    }
    out
}

/// Asks for a comparison.
pub(super) async fn ask(
    visit: OperatorVisit,
    admin: Data<Admin>,
    path: Path<(String, String)>,
) -> Result<HttpResponse> {
    let (slug, other) = path.into_inner();
    let (one, _) = both(&admin, &slug, &other).await?;
    let message =
        CompareTenants { tenant: one.tenant().id, slug: slug.clone(), other: other.clone(), trigger: by(&visit) };
    let object = format!("{slug} {other}");
    let added = actions::ask(&visit, &admin, "compare.asked", &object, &message).await?;
    Ok(actions::back(added, &format!("{}/compare/{}", actions::of_tenant(&slug), page::encode(&other))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_its_tabs_follow_what_is_wished_for() {
        let text = r#"{"added": ["a"], "changed": [{"name": "c", "diff": "differs"}], "deleted": ["d", "e"], "counts": [1, 1, 2]}"#;
        let names: Names = serde_json::from_str(text).unwrap();
        let all: Vec<&str> = listed(&names, "nonsense").into_iter().map(|(_, name)| name).collect();
        assert_eq!(all, ["c", "d", "e", "a"]);
        assert_eq!(listed(&names, "deleted").len(), 2);
        let told: Vec<String> = tabs(&names, "added")
            .into_iter()
            .map(|tab| format!("{}{}", tab.words, if tab.here { "*" } else { "" }))
            .collect();
        assert_eq!(told, ["All 4", "Changed 1", "Deleted 2", "Added 1*"]);
        assert_eq!(begins(&"w ".repeat(61)).split(' ').count(), 61);
    }
}
