//! One note: read, commented on, reacted to, pinned, put away, deleted.

use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use web::{Result, Signed, Visit, page};
use wire::page::Page;

use super::feed::offered;
use super::frame::{Frame, answer, back, desk, roomy, writable};
use super::view::{Look, NoteCard};
use crate::notes::service::{self, Draft};
use crate::notes::update::{self, Change};
use crate::notes::{Error, comments, reactions};
use crate::state::AppState;

/// Comments on one page.
const PAGE: i32 = 50;

#[derive(Template)]
#[template(path = "note.html")]
struct NotePage {
    frame: Frame,
    title: String,
    parent: Option<String>,
    note: NoteCard,
    comments: Vec<NoteCard>,
    comments_allowed: bool,
    /// This page, for forms that come back to it.
    here: String,
    older: String,
}

/// Which part of the comments.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    page: String,
}

/// A comment.
#[derive(Deserialize)]
pub(super) struct CommentForm {
    content: String,
}

/// A reaction that is added, or taken away when it is there already.
#[derive(Deserialize)]
pub(super) struct ReactionForm {
    reaction: String,
    #[serde(default)]
    back: String,
}

/// Where a note is kept: `pin`, `unpin`, `archive`, `restore`.
#[derive(Deserialize)]
pub(super) struct PlaceForm {
    place: String,
    #[serde(default)]
    back: String,
}

/// Browsers send line ends as CR LF; notes keep LF, as every other client writes them.
fn text(sent: &str) -> String {
    sent.replace("\r\n", "\n")
}

pub(super) async fn show(
    visit: Visit,
    state: Data<AppState>,
    uid: Path<String>,
    part: Query<Part>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let desk = desk(&state, &visit);
    let note = match service::get(&desk, &uid).await {
        Err(Error::SignInFirst | Error::NotSignedIn) => {
            let next = page::encode(&format!("/memos/{uid}"));
            return Ok(page::see_other(&format!("{}?next={next}", visit.place.path(page::SIGN_IN))));
        }
        other => other?,
    };
    let from = Page::read(PAGE, &part.page).map_err(|e| web::Error::invalid(e.to_string()))?;
    let listed = comments::list(&desk, &uid, from).await?;
    let base = visit.place.base.as_str();
    let address = |token: &str| match token {
        "" => String::new(),
        token => format!("{base}memos/{uid}?page={}", page::encode(token)),
    };
    let offered = offered(&desk).await?;
    let look = Look { base, writable: visit.place.is_writable(), offered: &offered };
    let title = if note.derived.title.is_empty() { &note.derived.snippet } else { &note.derived.title };
    let shown = NotePage {
        frame: Frame::new(&visit, "note", page::flash(&request)),
        title: if title.trim().is_empty() { "Note".to_owned() } else { title.clone() },
        parent: note.card.parent.as_ref().map(|parent| parent.uid.clone()),
        note: NoteCard::new(&desk, &look, &note),
        comments: listed.notes.iter().map(|comment| NoteCard::new(&desk, &look, comment)).collect(),
        comments_allowed: visit.actor.member_id().is_some() && look.writable,
        here: format!("{base}memos/{uid}"),
        older: address(&listed.next_page_token),
    };
    answer(&request, &visit, &shown)
}

pub(super) async fn comment(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    form: Form<CommentForm>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    roomy(&state, visit)?;
    let desk = desk(&state, visit);
    let content = text(&form.content);
    if content.trim().is_empty() {
        return Err(web::Error::invalid("a comment needs a word or two"));
    }
    let made = comments::create(&desk, &uid, &Draft { content, ..Draft::default() }).await?;
    let location = format!("{}memos/{}#n-{}", visit.place.base, page::encode(&uid), made.uid);
    Ok(page::see_other_saying(&location, "Your comment is saved.", &visit.place.base))
}

pub(super) async fn react(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    form: Form<ReactionForm>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    roomy(&state, visit)?;
    let desk = desk(&state, visit);
    let note = service::get(&desk, &uid).await?;
    let me = desk.member()?.id;
    let there = note.card.reactions.iter().find(|one| one.creator_id == me && one.reaction == form.reaction);
    match there {
        Some(mine) => reactions::delete(&desk, &uid, mine.id).await?,
        None if form.reaction.is_empty() => return Err(web::Error::invalid("choose a reaction")),
        None => reactions::upsert(&desk, &uid, &form.reaction).await.map(drop)?,
    }
    Ok(page::see_other(&at_note(&form.back, visit, &uid)))
}

pub(super) async fn put(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    form: Form<PlaceForm>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let (change, said) = match form.place.as_str() {
        "pin" => (Change { pinned: Some(true), ..Change::default() }, "Pinned: it stays at the top."),
        "unpin" => (Change { pinned: Some(false), ..Change::default() }, "Unpinned."),
        "archive" => (Change { archived: Some(true), ..Change::default() }, "Archived: you find it under Archive."),
        "restore" => (Change { archived: Some(false), ..Change::default() }, "Back among the notes."),
        _ => return Err(web::Error::invalid("a note can be pinned, unpinned, archived or restored")),
    };
    update::update(&desk(&state, visit), &uid, &change).await?;
    let location = back(&form.back, &format!("{}memos/{}", visit.place.base, page::encode(&uid)));
    Ok(page::see_other_saying(&location, said, &visit.place.base))
}

/// The page that a form came from, at the note it was about.
fn at_note(named: &str, visit: &Visit, uid: &str) -> String {
    let uid = page::encode(uid);
    format!("{}#n-{uid}", back(named, &format!("{}memos/{uid}", visit.place.base)))
}

pub(super) async fn delete(signed: Signed, state: Data<AppState>, uid: Path<String>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let desk = desk(&state, visit);
    let parent = service::get(&desk, &uid).await?.card.parent;
    service::delete(&desk, &uid).await?;
    let location =
        parent.map_or_else(|| visit.place.base.clone(), |parent| visit.place.path(&format!("memos/{}", parent.uid)));
    Ok(page::see_other_saying(&location, "Deleted.", &visit.place.base))
}
