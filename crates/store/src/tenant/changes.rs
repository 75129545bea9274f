//! A plain change of a note as one planned statement: found, allowed, written, told to webhooks and read back in one
//! flight, like a plain new note.
//!
//! What follows from a change elsewhere is not done here. So the statement changes nothing where something would follow:
//! where the text, the audience or the archive changes of a note that other notes' cards show, or of a comment. That is
//! asked of the row as it is when it is locked, so a relation or comment made at the same moment is seen.

use domain::id::MemberId;
use domain::note::{Derived, Location, Note, Visibility};
use tokio_postgres::types::{Json, ToSql};

use super::notes::{columns, note_of};
use crate::hot::marking;
use crate::{Error, Hot, Store, TenantScope};

const CHANGE_HOT: Hot = Hot {
    name: "change note",
    text: marking!(concat!(
        ", changed AS (UPDATE {s}.note AS n SET content = coalesce($4::text, n.content), tags = coalesce($5::text[], n.tags),
  snippet = coalesce($6::text, n.snippet), title = coalesce($7::text, n.title),
  has_link = coalesce($8::boolean, n.has_link), has_task_list = coalesce($9::boolean, n.has_task_list),
  has_code = coalesce($10::boolean, n.has_code),
  has_incomplete_tasks = coalesce($11::boolean, n.has_incomplete_tasks),
  visibility = coalesce($12::text, n.visibility), pinned = coalesce($13::boolean, n.pinned),
  archived = coalesce($14::boolean, n.archived), created_ts = coalesce($15::bigint, n.created_ts),
  updated_ts = coalesce($16::bigint, n.updated_ts),
  location = CASE WHEN $17::boolean THEN $18::jsonb ELSE n.location END
  WHERE n.uid = $1 AND (n.creator_id = $2 OR $3::boolean)
    AND NOT ($19::boolean AND (n.parent_id IS NOT NULL OR n.card ? 'relations'))
  RETURNING n.*) SELECT ",
        columns!(),
        ", {s}.queue_event(n.id, n.creator_id, 'memos.memo.updated', $20) FROM changed n LEFT JOIN {s}.member m ON m.id = n.creator_id"
    )),
    proof: None,
};

/// What of a note is to change; what is none stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainChange<'a> {
    /// The text, without NUL, and what it says about itself.
    pub content: Option<(&'a str, &'a Derived)>,
    /// Who may read it.
    pub visibility: Option<Visibility>,
    /// Held at the top.
    pub pinned: Option<bool>,
    /// Put away.
    pub archived: Option<bool>,
    /// Seconds since 1970.
    pub created_ts: Option<i64>,
    /// Seconds since 1970.
    pub updated_ts: Option<i64>,
    /// Where; none inside takes it away.
    pub location: Option<Option<&'a Location>>,
}

/// Who changes a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hand {
    /// The member.
    pub member: MemberId,
    /// Whether he may change what others wrote.
    pub any: bool,
}

/// Changes a note as a whole unit of work, queues at `now` what its creator's webhooks are told, and gives it back as it
/// is then. None, and nothing done, when there is no such note, when this hand may not change it, or when more follows
/// from the change than this does.
pub async fn change_note_once(
    store: &Store,
    scope: &TenantScope,
    uid: &str,
    hand: Hand,
    change: &PlainChange<'_>,
    now: i64,
) -> Result<Option<Note>, Error> {
    let (content, derived) = (change.content.map(|(text, _)| text), change.content.map(|(_, derived)| derived));
    let tags = derived.map(|derived| derived.tags.as_slice());
    let (snippet, title) =
        (derived.map(|derived| derived.snippet.as_str()), derived.map(|derived| derived.title.as_str()));
    let flag = |of: fn(&Derived) -> bool| derived.map(of);
    let flags = [
        flag(|derived| derived.has_link),
        flag(|derived| derived.has_task_list),
        flag(|derived| derived.has_code),
        flag(|derived| derived.has_incomplete_tasks),
    ];
    let visibility = change.visibility.map(Visibility::as_str);
    let places = change.location.is_some();
    let location = change.location.flatten().map(Json);
    let shows = change.content.is_some() || change.visibility.is_some() || change.archived.is_some();
    let params: [&(dyn ToSql + Sync); 20] = [
        &uid,
        &hand.member.0,
        &hand.any,
        &content,
        &tags,
        &snippet,
        &title,
        &flags[0],
        &flags[1],
        &flags[2],
        &flags[3],
        &visibility,
        &change.pinned,
        &change.archived,
        &change.created_ts,
        &change.updated_ts,
        &places,
        &location,
        &shows,
        &now,
    ];
    store.write_hot(scope, CHANGE_HOT, &params).await?.first().map(note_of).transpose()
}
