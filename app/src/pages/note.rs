//! One note: read, commented on, edited, deleted.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::note::Visibility;
use serde::Deserialize;
use web::{Result, Signed, Visit, page};
use wire::page::Page;

use super::feed::text;
use super::frame::{Frame, answer, desk};
use super::view::NoteCard;
use crate::notes::service::{self, Draft};
use crate::notes::update::{self, Change};
use crate::notes::{Error, access, comments};
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
    older: String,
}

#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage {
    frame: Frame,
    problem: Option<String>,
    uid: String,
    content: String,
    visibility: &'static str,
    visibilities: [(&'static str, &'static str); 3],
    pinned: bool,
}

const VISIBILITIES: [(&str, &str); 3] = [("PRIVATE", "Only me"), ("PROTECTED", "Everyone in this workspace"), ("PUBLIC", "Public")];

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

/// A changed note.
#[derive(Deserialize)]
pub(super) struct EditForm {
    content: String,
    visibility: String,
    #[serde(default)]
    pinned: String,
}

pub(super) async fn show(visit: Visit, state: Data<AppState>, uid: Path<String>, part: Query<Part>, request: HttpRequest) -> Result<HttpResponse> {
    let desk = desk(&state, &visit);
    let note = match service::get(&desk, &uid).await {
        Err(Error::SignInFirst | Error::NotSignedIn) => {
            return Ok(page::see_other(&format!("{}?next={}", visit.place.path(page::SIGN_IN), page::encode(&format!("/memos/{uid}")))));
        }
        other => other?,
    };
    let from = Page::read(PAGE, &part.page).map_err(|e| web::Error::invalid(e.to_string()))?;
    let listed = comments::list(&desk, &uid, from).await?;
    let base = visit.place.base.as_str();
    let older = if listed.next_page_token.is_empty() { String::new() } else { format!("{base}memos/{uid}?page={}", page::encode(&listed.next_page_token)) };
    let shown = NotePage {
        frame: Frame::new(&visit, "note", page::flash(&request)),
        title: if note.derived.title.is_empty() { note.derived.snippet.clone() } else { note.derived.title.clone() },
        parent: note.card.parent.as_ref().map(|parent| parent.uid.clone()),
        note: NoteCard::new(&desk, base, &note),
        comments: listed.notes.iter().map(|comment| NoteCard::new(&desk, base, comment)).collect(),
        comments_allowed: visit.actor.member_id().is_some(),
        older,
    };
    answer(&request, &visit, &shown)
}

/// Links of Memos before 0.26.
pub(super) async fn old_link(visit: Visit, uid: Path<String>) -> HttpResponse {
    page::see_other(&visit.place.path(&format!("memos/{}", page::encode(&uid))))
}

pub(super) async fn comment(signed: Signed, state: Data<AppState>, uid: Path<String>, form: Form<CommentForm>) -> Result<HttpResponse> {
    let desk = desk(&state, &signed.visit);
    let draft = Draft { content: text(&form.content), ..Draft::default() };
    comments::create(&desk, &uid, &draft).await?;
    Ok(page::see_other(&format!("{}memos/{uid}#comments", signed.visit.place.base)))
}

pub(super) async fn edit(signed: Signed, state: Data<AppState>, uid: Path<String>, request: HttpRequest) -> Result<HttpResponse> {
    let desk = desk(&state, &signed.visit);
    let note = service::get(&desk, &uid).await?;
    access::may_change(&desk, &note)?;
    let shown = EditPage {
        frame: Frame::new(&signed.visit, "note", None),
        problem: None,
        uid: note.uid,
        content: note.content,
        visibility: note.visibility.as_str(),
        visibilities: VISIBILITIES,
        pinned: note.pinned,
    };
    answer(&request, &signed.visit, &shown)
}

pub(super) async fn save(signed: Signed, state: Data<AppState>, uid: Path<String>, form: Form<EditForm>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    let desk = desk(&state, visit);
    let visibility: Visibility = form.visibility.parse().map_err(|e: domain::id::InvalidId| web::Error::invalid(e.to_string()))?;
    let content = text(&form.content);
    let change = Change {
        content: Some(content.clone()),
        visibility: Some(visibility),
        pinned: Some(form.pinned == "yes"),
        updated_ts: Some(desk.now()),
        ..Change::default()
    };
    match update::update(&desk, &uid, &change).await {
        Ok(_) => Ok(page::see_other(&format!("{}memos/{uid}", visit.place.base))),
        Err(problem @ Error::Invalid(_)) => {
            let again = EditPage {
                frame: Frame::new(visit, "note", None),
                problem: Some(problem.to_string()),
                uid: uid.into_inner(),
                content,
                visibility: visibility.as_str(),
                visibilities: VISIBILITIES,
                pinned: form.pinned == "yes",
            };
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn delete(signed: Signed, state: Data<AppState>, uid: Path<String>) -> Result<HttpResponse> {
    let desk = desk(&state, &signed.visit);
    service::delete(&desk, &uid).await?;
    let base = &signed.visit.place.base;
    Ok(page::see_other_saying(base, "Deleted.", base))
}
