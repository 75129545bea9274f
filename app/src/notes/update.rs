//! Changing a note.

use domain::note::{Location, Note, Visibility};
use store::TenantTx;
use store::tenant::changes::{Hand, PlainChange, change_note_once};
use store::tenant::webhooks::queue_event_and_commit;
use store::tenant::{cards, notes};

use super::{Desk, Error, access, attachments, input, mentions, relations};
use crate::live::Kind;
use crate::webhooks;

/// What shall change; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The text.
    pub content: Option<String>,
    /// Who may read it; without effect on a comment.
    pub visibility: Option<Visibility>,
    /// Held at the top.
    pub pinned: Option<bool>,
    /// Put away.
    pub archived: Option<bool>,
    /// Seconds since 1970.
    pub created_ts: Option<i64>,
    /// Seconds since 1970. The time of change moves only when asked to, and when files or references are replaced.
    pub updated_ts: Option<i64>,
    /// Where; none inside takes it away.
    pub location: Option<Option<Location>>,
    /// Public ids of the files, in order; the others are deleted.
    pub attachments: Option<Vec<String>>,
    /// Public ids of the notes it refers to.
    pub references: Option<Vec<String>>,
}

impl Change {
    /// Whether other notes' cards may show what changes.
    const fn shows_elsewhere(&self) -> bool {
        self.content.is_some() || self.visibility.is_some() || self.archived.is_some()
    }

    const fn replaces(&self) -> bool {
        self.attachments.is_some() || self.references.is_some()
    }

    /// Whether nothing changes at all.
    pub const fn is_empty(&self) -> bool {
        !self.shows_elsewhere()
            && !self.replaces()
            && self.pinned.is_none()
            && self.created_ts.is_none()
            && self.updated_ts.is_none()
            && self.location.is_none()
    }
}

/// Changes a note; gives it back as it is now.
pub async fn update(desk: &Desk<'_>, uid: &str, change: &Change) -> Result<Note, Error> {
    desk.member()?;
    let mut tx = desk.begin();
    if change.is_empty() {
        let note = notes::find_note(&mut tx, uid).await?.ok_or_else(Error::no_note)?;
        access::may_change(desk, &note)?;
        tx.commit().await?;
        return Ok(note);
    }
    if let Some(note) = at_once(desk, uid, change).await? {
        desk.tell(Kind::Updated, &note);
        return Ok(note);
    }
    let many = change.shows_elsewhere() || change.references.is_some();
    let mut note = notes::find_note_to_change(&mut tx, uid, many).await?.ok_or_else(Error::no_note)?;
    access::may_change(desk, &note)?;
    let named_before = if change.content.is_some() { markdown::mentions(&note.content) } else { Vec::new() };
    let was = note.visibility;
    apply(&mut tx, desk, &mut note, change).await?;
    notes::update_note(&mut tx, &note).await?;
    if was != note.visibility {
        notes::spread_visibility(&mut tx, note.id, note.visibility).await?;
    }
    let note = follow(&mut tx, desk, note, change).await?;
    if change.content.is_some() {
        mentions::notify_mentioned(&mut tx, desk, &note, &named_before, None).await?;
    }
    queue_event_and_commit(tx, note.id, note.creator_id, webhooks::UPDATED, desk.now()).await?;
    desk.tell(Kind::Updated, &note);
    Ok(note)
}

/// The change as one statement, where nothing follows from it elsewhere. None sends the caller the long way, which also
/// finds out why a change is refused.
async fn at_once(desk: &Desk<'_>, uid: &str, change: &Change) -> Result<Option<Note>, Error> {
    let member = desk.member()?;
    let text = change.content.as_deref().unwrap_or_default();
    let place = change.location.as_ref().and_then(Option::as_ref);
    let more = change.replaces()
        || input::is_long(text)
        || text.contains('\0')
        || place.is_some_and(|place| input::check_place(place).is_err())
        || mentions::are_in(text);
    if more || !desk.actor.may_write_notes() {
        return Ok(None);
    }
    let derived = change.content.as_deref().map(markdown::derive);
    let plain = PlainChange {
        content: change.content.as_deref().zip(derived.as_ref()),
        visibility: change.visibility,
        pinned: change.pinned,
        archived: change.archived,
        created_ts: change.created_ts,
        updated_ts: change.updated_ts,
        location: change.location.as_ref().map(Option::as_ref),
    };
    let hand = Hand { member: member.id, any: desk.actor.is_admin() };
    Ok(change_note_once(desk.store, desk.scope, uid, hand, &plain, desk.now()).await?)
}

async fn apply(tx: &mut TenantTx, desk: &Desk<'_>, note: &mut Note, change: &Change) -> Result<(), Error> {
    if let Some(content) = &change.content {
        input::refuse_nul("content", content)?;
        if input::is_long(content) {
            input::check_length(tx, content).await?;
        }
        note.derived = markdown::derive(content);
        note.content.clone_from(content);
    }
    if let Some(visibility) = change.visibility {
        // A comment is read by whoever reads its thread.
        note.visibility = note.card.parent.as_ref().map_or(visibility, |top| top.visibility);
    }
    if let Some(location) = &change.location {
        if let Some(place) = location {
            input::check_place(place)?;
        }
        note.location.clone_from(location);
    }
    note.pinned = change.pinned.unwrap_or(note.pinned);
    note.archived = change.archived.unwrap_or(note.archived);
    note.created_ts = change.created_ts.unwrap_or(note.created_ts);
    let moved = if change.replaces() { desk.now() } else { note.updated_ts };
    note.updated_ts = change.updated_ts.unwrap_or(moved);
    Ok(())
}

/// Replaces files and references, and brings the cards up to date: its own, and those that mention it.
async fn follow(tx: &mut TenantTx, desk: &Desk<'_>, note: Note, change: &Change) -> Result<Note, Error> {
    if let Some(files) = &change.attachments {
        attachments::replace(tx, desk, &note, files).await.map_err(|why| why.in_part("attachments"))?;
    }
    if let Some(references) = &change.references {
        relations::replace(tx, desk, note.id, references).await?;
    }
    if change.shows_elsewhere() && !note.card.relations.is_empty() {
        let around = cards::lock_around(tx, &[note.id]).await?;
        cards::refresh_cards(tx, &around).await?;
    }
    if change.replaces() { Ok(notes::get_note_by_id(tx, note.id).await?) } else { Ok(note) }
}
