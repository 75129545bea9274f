//! Reading, listing, writing and deleting notes.

use domain::filter::{self, OldFilter};
use domain::id::NoteId;
use domain::note::{Card, Location, Note, RelationKind, Visibility};
use store::TenantTx;
use store::tenant::feed::{self, FeedQuery, Order};
use store::tenant::webhooks::queue_event;
use store::tenant::{attachments as attachment_rows, cards, filter_sql, notes, relations as relation_rows};
use wire::page::Page;

use super::{Desk, Error, access, attachments, input, mentions, order, relations};
use crate::live::Kind;
use crate::webhooks;

/// One note, if the caller may read it.
pub async fn get(desk: &Desk<'_>, uid: &str) -> Result<Note, Error> {
    desk.enter()?;
    let note = feed::read_note(desk.store, desk.scope, uid).await?.ok_or_else(Error::no_note)?;
    access::may_read(desk, &note)?;
    Ok(note)
}

/// One note, if the caller may see what hangs on it.
pub(super) async fn get_for_parts(desk: &Desk<'_>, uid: &str) -> Result<Note, Error> {
    desk.enter()?;
    let note = feed::read_note(desk.store, desk.scope, uid).await?.ok_or_else(Error::no_note)?;
    access::may_see_parts(desk, &note)?;
    Ok(note)
}

/// The same inside a unit of work.
pub async fn find_readable(tx: &mut TenantTx, desk: &Desk<'_>, uid: &str) -> Result<Note, Error> {
    let note = notes::find_note(tx, uid).await?.ok_or_else(Error::no_note)?;
    access::may_read(desk, &note)?;
    Ok(note)
}

/// Which notes a list asks for.
#[derive(Clone, Debug)]
pub struct ListInput<'a> {
    /// Which part.
    pub page: Page,
    /// The caller's own archive instead of the feed.
    pub archived: bool,
    /// As the client wrote it.
    pub order_by: &'a str,
    /// As the client wrote it.
    pub filter: &'a str,
    /// Whose words the filter is in.
    pub tongue: Tongue,
}

/// How much of what older clients write is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tongue {
    /// What says by itself that it is old.
    #[default]
    Either,
    /// Nothing: a session of 0.30 is answered as 0.30.0 would.
    Today,
    /// Everything.
    Old,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The notes.
    pub notes: Vec<Note>,
    /// Where to go on; empty at the end.
    pub next_page_token: String,
}

/// Notes (never comments) that the caller may see.
pub async fn list(desk: &Desk<'_>, wanted: &ListInput<'_>) -> Result<Listed, Error> {
    desk.enter()?;
    let mut order = order::parse(wanted.order_by)?;
    let (mut archived, mut page) = (wanted.archived, wanted.page);
    let mut parsed = None;
    if !wanted.filter.is_empty() {
        let understood = understood(wanted, desk.now())?;
        archived = understood.archived.unwrap_or(archived);
        order.pinned_first |= understood.pinned_first;
        order.ascending |= understood.oldest_first;
        page.limit = understood.limit.map_or(page.limit, |limit| limit.clamp(1, 1000));
        parsed = understood.filter;
    }
    let condition = parsed.map(|parsed| filter_sql::compile_list(&parsed));
    if archived && desk.actor.member_id().is_none() {
        return Ok(Listed { notes: Vec::new(), next_page_token: String::new() });
    }
    let query = FeedQuery {
        viewer: desk.viewer(),
        archived,
        order,
        filter: condition.as_ref(),
        limit: page.limit + 1,
        offset: page.offset,
    };
    let found = feed::list_notes(desk.store, desk.scope, &query).await?;
    Ok(cut(found, page))
}

/// The filter in the present language, or, where the caller may speak it, in that of older clients.
fn understood(wanted: &ListInput<'_>, now: i64) -> Result<OldFilter, Error> {
    let read = if wanted.tongue == Tongue::Today { filter::parse_today } else { filter::parse };
    let refused = match read(wanted.filter, now) {
        Ok(filter) => return Ok(OldFilter { filter: Some(filter), ..OldFilter::default() }),
        Err(error) => error,
    };
    let old = if wanted.tongue == Tongue::Old { filter::parse_old(wanted.filter, now).ok() } else { None };
    old.ok_or_else(|| Error::invalid(format!("invalid filter: {refused}")))
}

/// The newest public notes, for feeds.
pub async fn list_newest_public(desk: &Desk<'_>, limit: i64) -> Result<Vec<Note>, Error> {
    let query = FeedQuery {
        viewer: feed::Viewer::Anonymous,
        archived: false,
        order: Order::default(),
        filter: None,
        limit,
        offset: 0,
    };
    Ok(feed::list_notes(desk.store, desk.scope, &query).await?)
}

/// A page from rows that were asked for with one more than it holds.
pub(super) fn cut(mut found: Vec<Note>, page: Page) -> Listed {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    Listed { notes: found, next_page_token: if more { page.next_token() } else { String::new() } }
}

/// A note as a client wants it stored.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The public id the client chose, or empty.
    pub uid: String,
    /// The text.
    pub content: String,
    /// Who may read it; private when not said. A comment has its parent's.
    pub visibility: Option<Visibility>,
    /// Seconds since 1970; now when not said.
    pub created_ts: Option<i64>,
    /// Seconds since 1970; now when not said.
    pub updated_ts: Option<i64>,
    /// Where.
    pub location: Option<Location>,
    /// Public ids of the files it shall have, in order.
    pub attachments: Vec<String>,
    /// Public ids of the notes it refers to.
    pub references: Vec<String>,
}

/// Stores a note.
pub async fn create(desk: &Desk<'_>, draft: &Draft) -> Result<Note, Error> {
    desk.author()?;
    let note = drafted(desk, draft, None)?;
    let plain = draft.attachments.is_empty()
        && draft.references.is_empty()
        && !input::is_long(&draft.content)
        && !mentions::are_in(&draft.content);
    if plain {
        let id = notes::insert_note_once(desk.store, desk.scope, &row_of(&note), desk.now())
            .await
            .map_err(|e| taken(e, &note.uid))?;
        desk.tell(Kind::Created, &note);
        return Ok(Note { id, ..note });
    }
    let mut tx = desk.begin();
    tx.touch().await?;
    if !draft.references.is_empty() {
        cards::lock_many(&mut tx).await?;
    }
    let note = insert(&mut tx, desk, draft, note).await?;
    mentions::notify_mentioned(&mut tx, desk, &note, &[], None).await?;
    queue_event(&mut tx, note.id, note.creator_id, webhooks::CREATED, desk.now()).await?;
    tx.commit().await?;
    desk.tell(Kind::Created, &note);
    Ok(note)
}

/// The note that a draft describes, below `parent` when it is a comment; nothing is stored yet.
pub(super) fn drafted(desk: &Desk<'_>, draft: &Draft, parent: Option<&Note>) -> Result<Note, Error> {
    let author = desk.member()?;
    input::refuse_nul("content", &draft.content)?;
    if let Some(location) = &draft.location {
        input::check_place(location)?;
    }
    let uid = input::chosen_uid(&draft.uid)?.map_or_else(|| desk.chance.uid(), str::to_owned);
    let now = desk.now();
    let visibility = match parent {
        None => draft.visibility.unwrap_or(Visibility::Private),
        Some(parent) => parent.card.parent.as_ref().map_or(parent.visibility, |top| top.visibility),
    };
    Ok(Note {
        id: NoteId(0),
        uid,
        creator_id: author.id,
        creator: author.username.clone(),
        created_ts: draft.created_ts.unwrap_or(now),
        updated_ts: draft.updated_ts.unwrap_or(now),
        archived: false,
        content: draft.content.clone(),
        visibility,
        pinned: false,
        derived: markdown::derive(&draft.content),
        location: draft.location.clone(),
        card: Card::default(),
    })
}

fn row_of(note: &Note) -> notes::NewNote<'_> {
    notes::NewNote {
        uid: &note.uid,
        creator_id: note.creator_id,
        parent_id: None,
        created_ts: note.created_ts,
        updated_ts: note.updated_ts,
        visibility: note.visibility,
        content: &note.content,
        derived: &note.derived,
        location: note.location.as_ref(),
    }
}

fn taken(error: store::Error, uid: &str) -> Error {
    if error.is_conflict("note_uid_key") {
        return Error::Exists(format!("memo with ID {uid:?} already exists"));
    }
    Error::Store(error)
}

/// Stores a drafted note with its files and references, and reads it back with its card.
async fn insert(tx: &mut TenantTx, desk: &Desk<'_>, draft: &Draft, note: Note) -> Result<Note, Error> {
    if input::is_long(&draft.content) {
        input::check_length(tx, &draft.content).await?;
    }
    let id = notes::insert_note(tx, &row_of(&note)).await.map_err(|e| taken(e, &note.uid))?;
    if draft.attachments.is_empty() && draft.references.is_empty() {
        return Ok(Note { id, ..note });
    }
    let note = Note { id, ..note };
    attach(tx, desk, draft, &note).await?;
    let mut changed = relations::add_references(tx, desk, &note, &draft.references).await?;
    changed.push(id);
    cards::refresh_cards(tx, &changed).await?;
    Ok(notes::get_note_by_id(tx, id).await?)
}

async fn attach(tx: &mut TenantTx, desk: &Desk<'_>, draft: &Draft, note: &Note) -> Result<(), Error> {
    if draft.attachments.is_empty() {
        return Ok(());
    }
    let files = attachments::resolve(tx, note, &draft.attachments).await.map_err(|why| why.in_part("attachments"))?;
    Ok(attachment_rows::replace_attachments(tx, note.id, &files, desk.now()).await?)
}

/// Stores a comment below `parent`, whose thread the caller has locked, and reads it back with its card.
pub(super) async fn insert_comment(
    tx: &mut TenantTx,
    desk: &Desk<'_>,
    draft: &Draft,
    parent: &Note,
) -> Result<Note, Error> {
    let note = drafted(desk, draft, Some(parent))?;
    if input::is_long(&draft.content) {
        input::check_length(tx, &draft.content).await?;
    }
    let row = notes::NewNote { parent_id: Some(parent.id), ..row_of(&note) };
    let id = notes::insert_note(tx, &row).await.map_err(|e| taken(e, &note.uid))?;
    let note = Note { id, ..note };
    relation_rows::insert_relation(tx, id, parent.id, RelationKind::Comment).await?;
    attach(tx, desk, draft, &note).await?;
    let mut changed = relations::add_references(tx, desk, &note, &draft.references).await?;
    changed.extend([id, parent.id]);
    cards::refresh_cards(tx, &changed).await?;
    Ok(notes::get_note_by_id(tx, id).await?)
}

/// Deletes a note with its comments, and everything that hangs on them.
pub async fn delete(desk: &Desk<'_>, uid: &str) -> Result<(), Error> {
    desk.member()?;
    let mut tx = desk.begin();
    tx.touch().await?;
    cards::lock_many(&mut tx).await?;
    let note = notes::find_note(&mut tx, uid).await?.ok_or_else(Error::no_note)?;
    access::may_change(desk, &note)?;
    queue_event(&mut tx, note.id, note.creator_id, webhooks::DELETED, desk.now()).await?;
    delete_threads(&mut tx, note.id).await?;
    tx.commit().await?;
    desk.tell(Kind::Deleted, &note);
    Ok(())
}

async fn delete_threads(tx: &mut TenantTx, note: NoteId) -> Result<(), Error> {
    let thread = notes::list_thread(tx, note).await?;
    let around: Vec<NoteId> =
        cards::lock_around(tx, &thread).await?.into_iter().filter(|other| !thread.contains(other)).collect();
    notes::delete_notes(tx, &thread).await?;
    Ok(cards::refresh_cards(tx, &around).await?)
}
