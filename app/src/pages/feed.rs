//! The feed: a composer, a search, notes newest first.

use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use web::{Result, Signed, Visit, page};
use wire::page::Page;

use super::frame::{Frame, answer, desk};
use super::view::NoteCard;
use crate::notes::service::{self, Draft, ListInput};
use crate::state::AppState;

/// Notes on one page.
const PAGE: i32 = 20;

#[derive(Template)]
#[template(path = "feed.html")]
struct FeedPage {
    frame: Frame,
    writes: bool,
    private: bool,
    q: String,
    tag: String,
    notes: Vec<NoteCard>,
    older: String,
}

/// What is looked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    q: String,
    tag: String,
    page: String,
}

/// A new note.
#[derive(Deserialize)]
pub(super) struct NewNote {
    content: String,
    #[serde(default)]
    visibility: String,
}

pub(super) async fn show(visit: Visit, state: Data<AppState>, wanted: Query<Wanted>, request: HttpRequest) -> Result<HttpResponse> {
    if visit.is_shut_out() {
        return Ok(page::see_other(&visit.place.path(page::SIGN_IN)));
    }
    let desk = desk(&state, &visit);
    let filter = filter_of(&wanted);
    let from = Page::read(PAGE, &wanted.page).map_err(|e| web::Error::invalid(e.to_string()))?;
    let input = ListInput { page: from, archived: false, order_by: "pinned desc, create_time desc", filter: &filter };
    let listed = service::list(&desk, &input).await?;
    let base = visit.place.base.as_str();
    let older = if listed.next_page_token.is_empty() {
        String::new()
    } else {
        let query = [("q", &wanted.q), ("tag", &wanted.tag), ("page", &listed.next_page_token)];
        let pairs = query.iter().filter(|(_, value)| !value.is_empty());
        format!("{base}?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    };
    let shown = FeedPage {
        frame: Frame::new(&visit, "feed", page::flash(&request)),
        writes: visit.actor.may_write_notes(),
        private: visit.place.is_private(),
        q: wanted.q.clone(),
        tag: wanted.tag.clone(),
        notes: listed.notes.iter().map(|note| NoteCard::new(&desk, base, note)).collect(),
        older,
    };
    answer(&request, &visit, &shown)
}

/// The search as a filter: every word must be in the text.
fn filter_of(wanted: &Wanted) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut parts: Vec<String> = wanted.q.split_whitespace().map(|word| format!("content.contains({})", quoted(word))).collect();
    if !wanted.tag.is_empty() {
        parts.push(format!("tag in [{}]", quoted(&wanted.tag)));
    }
    parts.join(" && ")
}

pub(super) async fn create(signed: Signed, state: Data<AppState>, form: Form<NewNote>) -> Result<HttpResponse> {
    let desk = desk(&state, &signed.visit);
    let draft = Draft { content: text(&form.content), visibility: form.visibility.parse().ok(), ..Draft::default() };
    service::create(&desk, &draft).await?;
    let base = &signed.visit.place.base;
    Ok(page::see_other_saying(base, "Saved.", base))
}

/// Browsers send line ends as CR LF; notes keep LF, as every other client writes them.
pub(super) fn text(sent: &str) -> String {
    sent.replace("\r\n", "\n")
}
