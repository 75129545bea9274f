//! Changing a note: its text, its files, who may read it.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::note::{Note, Visibility};
use web::{Result, Signed, page};

use super::form::{Keeper, Sent};
use super::frame::{Frame, answer, desk, roomy, writable};
use super::upload;
use super::view::{FileLink, files};
use crate::notes::update::{self, Change};
use crate::notes::{Desk, Error, access, service};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage {
    frame: Frame,
    problem: Option<String>,
    /// The stored text, when somebody changed it meanwhile.
    theirs: Option<String>,
    uid: String,
    is_comment: bool,
    content: String,
    visibility: &'static str,
    visibilities: [(&'static str, &'static str); 3],
    pinned: bool,
    files: Vec<FileLink>,
    /// When the note that the form shows was changed last, in seconds since 1970.
    seen: i64,
}

const VISIBILITIES: [(&str, &str); 3] =
    [("PRIVATE", "Only me"), ("PROTECTED", "Everyone in this workspace"), ("PUBLIC", "Public")];

fn build(signed: &Signed, note: &Note) -> EditPage {
    EditPage {
        frame: Frame::new(&signed.visit, "note", None),
        problem: None,
        theirs: None,
        uid: note.uid.clone(),
        is_comment: note.card.parent.is_some(),
        content: note.content.clone(),
        visibility: note.visibility.as_str(),
        visibilities: VISIBILITIES,
        pinned: note.pinned,
        files: files(&signed.visit.place.base, note),
        seen: note.updated_ts,
    }
}

async fn changeable(desk: &Desk<'_>, uid: &str) -> Result<Note, Error> {
    let note = service::get(desk, uid).await?;
    access::may_change(desk, &note)?;
    Ok(note)
}

pub(super) async fn show(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    writable(&signed.visit)?;
    let note = changeable(&desk(&state, &signed.visit), &uid).await?;
    answer(&request, &signed.visit, &build(&signed, &note))
}

pub(super) async fn save(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    roomy(&state, visit)?;
    let desk = desk(&state, visit);
    let mut sent = Sent::read(&request, payload, Keeper { desk: &desk, files: &state.files }).await?;
    let note = changeable(&desk, &uid).await?;
    let meanwhile = sent.field("seen").parse().is_ok_and(|seen: i64| seen != note.updated_ts);
    let unsaved = if meanwhile {
        (StatusCode::CONFLICT, "This note was changed meanwhile, in another window or by someone else. Below is your text, not saved yet: saving now replaces the other.".to_owned())
    } else {
        match store(&desk, &state, &note, &mut sent).await {
            Ok(()) => {
                let location = format!("{}memos/{}", visit.place.base, page::encode(&uid));
                return Ok(page::see_other_saying(&location, "Saved.", &visit.place.base));
            }
            Err(problem @ Error::Invalid(_)) => (StatusCode::UNPROCESSABLE_ENTITY, problem.to_string()),
            Err(error) => return Err(error.into()),
        }
    };
    let (status, problem) = unsaved;
    let visibility = sent.field("visibility").parse().unwrap_or(note.visibility);
    let again = EditPage {
        problem: Some(problem),
        theirs: meanwhile.then(|| note.content.clone()),
        content: sent.text("content"),
        visibility: visibility.as_str(),
        pinned: sent.field("pinned") == "yes",
        ..build(&signed, &note)
    };
    page::show_once(status, &again)
}

async fn store(desk: &Desk<'_>, state: &AppState, note: &Note, sent: &mut Sent) -> Result<(), Error> {
    let visibility: Visibility =
        sent.field("visibility").parse().map_err(|e: domain::id::InvalidId| Error::invalid(e.to_string()))?;
    if let Some(refused) = sent.refused.take() {
        return Err(refused);
    }
    let content = sent.text("content");
    let added = upload::store_all(desk, &state.files, std::mem::take(&mut sent.files)).await?;
    let dropped = sent.all("drop");
    let attachments = (!added.is_empty() || !dropped.is_empty()).then(|| {
        let kept = note.card.attachments.iter().map(|file| file.uid.clone());
        kept.filter(|uid| !dropped.contains(&uid.as_str())).chain(added.iter().cloned()).collect::<Vec<_>>()
    });
    let left = attachments.as_ref().map_or(note.card.attachments.len(), Vec::len);
    if content.trim().is_empty() && left == 0 {
        return Err(Error::invalid("A note needs a text or a file. To be rid of it, delete it below."));
    }
    let change = Change {
        content: Some(content),
        visibility: Some(visibility),
        pinned: Some(sent.field("pinned") == "yes"),
        updated_ts: Some(desk.now()),
        attachments,
        ..Change::default()
    };
    match update::update(desk, &note.uid, &change).await {
        Ok(_) => Ok(()),
        Err(error) => Err(upload::take_back(desk, &added, error).await),
    }
}
