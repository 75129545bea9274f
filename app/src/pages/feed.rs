//! The feed: a composer, a search, notes newest first.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use web::{Result, Signed, Visit, page};
use wire::page::Page;

use super::form::{Keeper, Sent};
use super::frame::{Frame, answer, desk, roomy, trust};
use super::upload;
use super::view::{Look, NoteCard};
use crate::instance::settings::memo_related;
use crate::notes::service::{self, Draft, ListInput, Tongue};
use crate::notes::{Desk, Error};
use crate::state::AppState;

/// Notes on one page.
const PAGE: i32 = 20;

#[derive(Template)]
#[template(path = "feed.html")]
struct FeedPage {
    frame: Frame,
    writes: bool,
    problem: Option<String>,
    content: String,
    visibility: String,
    q: String,
    tag: String,
    archived: bool,
    notes: Vec<NoteCard>,
    /// This page, for forms that come back to it.
    here: String,
    older: String,
    trust: Option<String>,
}

/// What is looked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    q: String,
    tag: String,
    page: String,
    show: String,
    /// A member's username: only their notes.
    by: String,
}

impl Wanted {
    fn address(&self, base: &str, page: &str) -> String {
        let query =
            [("show", self.show.as_str()), ("q", &self.q), ("tag", &self.tag), ("by", &self.by), ("page", page)];
        let pairs: Vec<_> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
        if pairs.is_empty() {
            return base.to_owned();
        }
        format!("{base}?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    }

    fn is_archive(&self) -> bool {
        self.show == "archive"
    }
}

/// A note that was not stored, and why.
#[derive(Default)]
struct Unsaved {
    problem: Option<String>,
    content: String,
    visibility: String,
}

/// The reactions that the tenant offers; none to those who may not react.
pub(super) async fn offered(desk: &Desk<'_>) -> Result<Vec<String>> {
    if desk.author().is_err() {
        return Ok(Vec::new());
    }
    let mut tx = desk.begin();
    let setting = memo_related(&mut tx).await?;
    tx.commit().await?;
    Ok(setting.reactions)
}

async fn build(
    visit: &Visit,
    state: &AppState,
    wanted: &Wanted,
    unsaved: Unsaved,
    said: Option<String>,
) -> Result<FeedPage> {
    let desk = desk(state, visit);
    let filter = filter_of(wanted);
    let from = Page::read(PAGE, &wanted.page).map_err(|e| web::Error::invalid(e.to_string()))?;
    let order_by = if wanted.is_archive() { "create_time desc" } else { "pinned desc, create_time desc" };
    let input =
        ListInput { page: from, archived: wanted.is_archive(), order_by, filter: &filter, tongue: Tongue::default() };
    let listed = service::list(&desk, &input).await?;
    let base = visit.place.base.as_str();
    let offered = offered(&desk).await?;
    let look = Look { base, writable: visit.place.is_writable(), offered: &offered };
    Ok(FeedPage {
        frame: Frame::new(visit, if wanted.is_archive() { "archive" } else { "feed" }, said),
        writes: visit.actor.may_write_notes() && look.writable && !wanted.is_archive(),
        problem: unsaved.problem,
        content: unsaved.content,
        visibility: unsaved.visibility,
        q: wanted.q.clone(),
        tag: wanted.tag.clone(),
        archived: wanted.is_archive(),
        notes: listed.notes.iter().map(|note| NoteCard::new(&desk, &look, note)).collect(),
        here: wanted.address(base, &wanted.page),
        older: match listed.next_page_token.as_str() {
            "" => String::new(),
            token => wanted.address(base, token),
        },
        trust: trust(state, visit).await,
    })
}

pub(super) async fn show(
    visit: Visit,
    state: Data<AppState>,
    wanted: Query<Wanted>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    if visit.is_shut_out() {
        return Ok(page::see_other(&visit.place.path(page::SIGN_IN)));
    }
    let shown = build(&visit, &state, &wanted, Unsaved::default(), page::flash(&request)).await?;
    answer(&request, &visit, &shown)
}

/// The search as a filter: every word must be in the text.
fn filter_of(wanted: &Wanted) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let words = wanted.q.split_whitespace();
    let mut parts: Vec<String> = words.map(|word| format!("content.contains({})", quoted(word))).collect();
    if !wanted.tag.is_empty() {
        parts.push(format!("tag in [{}]", quoted(&wanted.tag)));
    }
    if !wanted.by.is_empty() {
        parts.push(format!("creator == {}", quoted(&format!("users/{}", wanted.by))));
    }
    parts.join(" && ")
}

pub(super) async fn create(
    signed: Signed,
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    roomy(&state, visit)?;
    let desk = desk(&state, visit);
    let mut sent = Sent::read(&request, payload, Keeper { desk: &desk, files: &state.files }).await?;
    match store(&desk, &state, &mut sent).await {
        Ok(()) => Ok(page::see_other_saying(&visit.place.base, "Saved.", &visit.place.base)),
        Err(problem @ Error::Invalid(_)) => {
            let unsaved = Unsaved {
                problem: Some(problem.to_string()),
                content: sent.text("content"),
                visibility: sent.field("visibility").to_owned(),
            };
            let again = build(visit, &state, &Wanted::default(), unsaved, None).await?;
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
        Err(error) => Err(error.into()),
    }
}

async fn store(desk: &Desk<'_>, state: &AppState, sent: &mut Sent) -> Result<(), Error> {
    if let Some(refused) = sent.refused.take() {
        return Err(refused);
    }
    let content = sent.text("content");
    if content.trim().is_empty() && sent.files.is_empty() {
        return Err(Error::invalid("Write something, or add a file."));
    }
    let attachments = upload::store_all(desk, &state.files, std::mem::take(&mut sent.files)).await?;
    let visibility = sent.field("visibility").parse().ok();
    let draft = Draft { content, visibility, attachments: attachments.clone(), ..Draft::default() };
    match service::create(desk, &draft).await {
        Ok(_) => Ok(()),
        Err(error) => Err(upload::take_back(desk, &attachments, error).await),
    }
}
