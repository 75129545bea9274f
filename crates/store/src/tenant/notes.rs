//! Notes and comments: rows, lists, and what goes with a note when it is deleted.
//!
//! A list or a get reads one table (joined with `member` for the creator's present name); what hangs on a note comes
//! with it as its card (see [`super::cards`]).

use domain::id::{AttachmentId, MemberId, NoteId};
use domain::note::{Card, Derived, Location, Note, Visibility};
use tokio_postgres::types::{Json, ToSql};

use super::cards::LOCK_MANY;
use crate::tx::Param;
use crate::{Error, Hot, Row, Statement, Store, TenantScope, TenantTx, Type};

/// What every read of a note selects, from `note n LEFT JOIN member m ON m.id = n.creator_id`.
macro_rules! columns {
    () => {
        "n.id, n.uid, n.creator_id, coalesce(m.username, ''), n.created_ts, n.updated_ts, n.archived, n.pinned, \
         n.visibility, n.content, n.tags, n.snippet, n.title, n.has_link, n.has_task_list, n.has_code, \
         n.has_incomplete_tasks, n.location, n.card"
    };
}
pub(crate) use columns;

const BY_UID: &str =
    concat!("SELECT ", columns!(), " FROM note n LEFT JOIN member m ON m.id = n.creator_id WHERE n.uid = $1");
const BY_UID_LOCKED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM note n LEFT JOIN member m ON m.id = n.creator_id WHERE n.uid = $1 FOR UPDATE OF n"
);
const BY_ID: &str =
    concat!("SELECT ", columns!(), " FROM note n LEFT JOIN member m ON m.id = n.creator_id WHERE n.id = $1");
const COMMENTS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM (SELECT id FROM note WHERE parent_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3) page
      JOIN note n ON n.id = page.id LEFT JOIN member m ON m.id = n.creator_id
      ORDER BY n.created_ts DESC, n.id DESC"
);

/// A note from a row that selected [`columns`].
pub(crate) fn note_of(row: &Row) -> Result<Note, Error> {
    let id: i64 = row.try_get(0)?;
    let visibility: &str = row.try_get(8)?;
    let visibility: Visibility = visibility.parse().map_err(|_| Error::Corrupt {
        table: "note",
        id: id.to_string(),
        what: "unknown visibility".to_owned(),
    })?;
    let card: Json<Card> = row.try_get(18)?;
    // A place that cannot be read is none: it must not hide the note, or the list that the note is in.
    let location: Option<Json<Location>> = row.try_get(17).unwrap_or(None);
    Ok(Note {
        id: NoteId(id),
        uid: row.try_get(1)?,
        creator_id: MemberId(row.try_get(2)?),
        creator: row.try_get(3)?,
        created_ts: row.try_get(4)?,
        updated_ts: row.try_get(5)?,
        archived: row.try_get(6)?,
        pinned: row.try_get(7)?,
        visibility,
        content: row.try_get(9)?,
        derived: Derived {
            tags: row.try_get(10)?,
            snippet: row.try_get(11)?,
            title: row.try_get(12)?,
            has_link: row.try_get(13)?,
            has_task_list: row.try_get(14)?,
            has_code: row.try_get(15)?,
            has_incomplete_tasks: row.try_get(16)?,
        },
        location: location.map(|location| location.0),
        card: card.0,
    })
}

/// The note with this public id.
pub async fn find_note(tx: &mut TenantTx, uid: &str) -> Result<Option<Note>, Error> {
    tx.query_opt(BY_UID, &[(&uid, Type::TEXT)]).await?.as_ref().map(note_of).transpose()
}

/// The note with this public id, its row locked for the rest of the unit of work.
pub async fn find_note_locked(tx: &mut TenantTx, uid: &str) -> Result<Option<Note>, Error> {
    tx.query_opt(BY_UID_LOCKED, &[(&uid, Type::TEXT)]).await?.as_ref().map(note_of).transpose()
}

/// Begins a change of the note with this public id, in one flight: marks the tenant as changed, takes
/// [`super::cards::lock_many`] where the change touches more than one card, and gives the note, its row locked.
pub async fn find_note_to_change(tx: &mut TenantTx, uid: &str, many: bool) -> Result<Option<Note>, Error> {
    let params: [Param<'_>; 1] = [(&uid, Type::TEXT)];
    let all = [Statement { sql: LOCK_MANY, params: &[] }, Statement { sql: BY_UID_LOCKED, params: &params }];
    let answers = tx.touch_with(if many { &all } else { &all[1..] }).await?;
    answers.last().and_then(|rows| rows.first()).map(note_of).transpose()
}

/// The note with this number.
pub async fn find_note_by_id(tx: &mut TenantTx, id: NoteId) -> Result<Option<Note>, Error> {
    tx.query_opt(BY_ID, &[(&id.0, Type::INT8)]).await?.as_ref().map(note_of).transpose()
}

/// The note with this number, which must be there.
pub async fn get_note_by_id(tx: &mut TenantTx, id: NoteId) -> Result<Note, Error> {
    find_note_by_id(tx, id).await?.ok_or(Error::NotFound("memo"))
}

/// Comments on `parent`: the page is counted from the newest row, and sorted by creation, newest first. Archived
/// comments are part of the count (so a page may look short) and come along: the caller leaves them out.
pub async fn list_comments(tx: &mut TenantTx, parent: NoteId, limit: i64, offset: i64) -> Result<Vec<Note>, Error> {
    let params: [Param<'_>; 3] = [(&parent.0, Type::INT8), (&limit, Type::INT8), (&offset, Type::INT8)];
    tx.query(COMMENTS, &params).await?.iter().map(note_of).collect()
}

/// Who and what a note is found by when only its number and rights matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    /// Row number.
    pub id: NoteId,
    /// Public id.
    pub uid: String,
    /// Its creator.
    pub creator_id: MemberId,
}

/// The notes among `uids` that exist, in no order.
pub async fn find_keys(tx: &mut TenantTx, uids: &[String]) -> Result<Vec<NoteKey>, Error> {
    let rows =
        tx.query("SELECT id, uid, creator_id FROM note WHERE uid = ANY($1)", &[(&uids, Type::TEXT_ARRAY)]).await?;
    Ok(rows
        .iter()
        .map(|row| NoteKey { id: NoteId(row.get(0)), uid: row.get(1), creator_id: MemberId(row.get(2)) })
        .collect())
}

/// A note to be stored. Its card starts empty.
#[derive(Clone, Debug)]
pub struct NewNote<'a> {
    /// Public id, drawn or checked by the caller.
    pub uid: &'a str,
    /// Who writes it.
    pub creator_id: MemberId,
    /// Set for a comment.
    pub parent_id: Option<NoteId>,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
    /// Who may read it.
    pub visibility: Visibility,
    /// The text, without NUL.
    pub content: &'a str,
    /// What the text says about itself.
    pub derived: &'a Derived,
    /// Where, if given.
    pub location: Option<&'a Location>,
}

/// `$s` is what stands before the names of relations.
macro_rules! insert {
    ($s:literal) => {
        concat!(
            "INSERT INTO ",
            $s,
            "note (id, uid, creator_id, parent_id, created_ts, updated_ts, visibility, content, tags, snippet, title,
  has_link, has_task_list, has_code, has_incomplete_tasks, location)
  VALUES (nextval('",
            $s,
            "id_seq'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
        )
    };
}
const INSERT: &str = concat!(insert!(""), " RETURNING id");
const INSERT_HOT: Hot = Hot {
    name: "insert note",
    text: concat!(insert!("{s}."), " RETURNING {s}.note_made($16, id, creator_id, $17)"),
    proof: None,
};

/// Parameters of [`INSERT`], held together so that they can travel in one flight with other statements.
struct InsertValues<'a> {
    new: &'a NewNote<'a>,
    parent: Option<i64>,
    visibility: &'static str,
    location: Option<Json<&'a Location>>,
}

impl<'a> InsertValues<'a> {
    fn of(new: &'a NewNote<'a>) -> Self {
        Self {
            new,
            parent: new.parent_id.map(|parent| parent.0),
            visibility: new.visibility.as_str(),
            location: new.location.map(Json),
        }
    }

    fn params(&self) -> [Param<'_>; 15] {
        let (new, derived) = (self.new, self.new.derived);
        [
            (&new.uid, Type::TEXT),
            (&new.creator_id.0, Type::INT8),
            (&self.parent, Type::INT8),
            (&new.created_ts, Type::INT8),
            (&new.updated_ts, Type::INT8),
            (&self.visibility, Type::TEXT),
            (&new.content, Type::TEXT),
            (&derived.tags, Type::TEXT_ARRAY),
            (&derived.snippet, Type::TEXT),
            (&derived.title, Type::TEXT),
            (&derived.has_link, Type::BOOL),
            (&derived.has_task_list, Type::BOOL),
            (&derived.has_code, Type::BOOL),
            (&derived.has_incomplete_tasks, Type::BOOL),
            (&self.location, Type::JSONB),
        ]
    }
}

fn inserted(rows: &[Row]) -> Result<NoteId, Error> {
    rows.first().map(|row| NoteId(row.get(0))).ok_or(Error::NotFound("memo"))
}

/// Stores a note inside a larger unit of work. A taken public id is a conflict on `note_uid_key`.
pub async fn insert_note(tx: &mut TenantTx, new: &NewNote<'_>) -> Result<NoteId, Error> {
    inserted(&tx.query(INSERT, &InsertValues::of(new).params()).await?)
}

/// Stores a plain note as a whole unit of work in one message: the row, the writer's lock, the mark of a change, and what its
/// creator's webhooks are told at `now`.
pub async fn insert_note_once(
    store: &Store,
    scope: &TenantScope,
    new: &NewNote<'_>,
    now: i64,
) -> Result<NoteId, Error> {
    let values = InsertValues::of(new);
    let mut params: Vec<&(dyn ToSql + Sync)> = values.params().map(|(value, _)| value).to_vec();
    let lock = scope.lock_key();
    params.extend([&lock as &(dyn ToSql + Sync), &now]);
    inserted(&store.add_hot(scope, INSERT_HOT, &params).await?)
}

/// Writes every changeable column of `note` back (not its card).
pub async fn update_note(tx: &mut TenantTx, note: &Note) -> Result<(), Error> {
    let (visibility, derived, location) = (note.visibility.as_str(), &note.derived, note.location.as_ref().map(Json));
    let params: [Param<'_>; 16] = [
        (&note.id.0, Type::INT8),
        (&note.created_ts, Type::INT8),
        (&note.updated_ts, Type::INT8),
        (&note.archived, Type::BOOL),
        (&note.pinned, Type::BOOL),
        (&visibility, Type::TEXT),
        (&note.content, Type::TEXT),
        (&derived.tags, Type::TEXT_ARRAY),
        (&derived.snippet, Type::TEXT),
        (&derived.title, Type::TEXT),
        (&derived.has_link, Type::BOOL),
        (&derived.has_task_list, Type::BOOL),
        (&derived.has_code, Type::BOOL),
        (&derived.has_incomplete_tasks, Type::BOOL),
        (&location, Type::JSONB),
        (&note.uid, Type::TEXT),
    ];
    let sql = "UPDATE note SET created_ts = $2, updated_ts = $3, archived = $4, pinned = $5, visibility = $6,
      content = $7, tags = $8, snippet = $9, title = $10, has_link = $11, has_task_list = $12, has_code = $13,
      has_incomplete_tasks = $14, location = $15, uid = $16 WHERE id = $1";
    match tx.execute(sql, &params).await? {
        0 => Err(Error::NotFound("memo")),
        _ => Ok(()),
    }
}

/// Gives the comments below `note` its visibility.
pub async fn spread_visibility(tx: &mut TenantTx, note: NoteId, visibility: Visibility) -> Result<(), Error> {
    tx.query(
        "WITH RECURSIVE below AS (
           SELECT id FROM note WHERE parent_id = $1 UNION SELECT c.id FROM note c JOIN below ON c.parent_id = below.id)
         UPDATE note SET visibility = $2 WHERE id IN (SELECT id FROM below) AND visibility <> $2",
        &[(&note.0, Type::INT8), (&visibility.as_str(), Type::TEXT)],
    )
    .await?;
    Ok(())
}

/// Moves the time of the last change.
pub async fn touch_note(tx: &mut TenantTx, note: NoteId, now: i64) -> Result<(), Error> {
    tx.query("UPDATE note SET updated_ts = $2 WHERE id = $1", &[(&note.0, Type::INT8), (&now, Type::INT8)]).await?;
    Ok(())
}

/// `note` and every comment below it, their rows locked. Needs [`super::cards::lock_many`].
pub async fn list_thread(tx: &mut TenantTx, note: NoteId) -> Result<Vec<NoteId>, Error> {
    let rows = tx
        .query(
            "WITH RECURSIVE tree AS (
               SELECT $1::bigint AS id UNION SELECT c.id FROM note c JOIN tree ON c.parent_id = tree.id)
             SELECT n.id FROM note n JOIN tree ON tree.id = n.id ORDER BY n.id FOR UPDATE OF n",
            &[(&note.0, Type::INT8)],
        )
        .await?;
    Ok(rows.iter().map(|row| NoteId(row.get(0))).collect())
}

/// Deletes notes with everything that hangs on them: files (rows), reactions, relations, shares. The caller has listed
/// the threads, holds [`super::cards::lock_many`] and refreshes the cards around. Returns the deleted files.
pub async fn delete_notes(tx: &mut TenantTx, notes: &[NoteId]) -> Result<Vec<AttachmentId>, Error> {
    let ids: Vec<i64> = notes.iter().map(|note| note.0).collect();
    let params: [Param<'_>; 1] = [(&ids, Type::INT8_ARRAY)];
    let statement = |sql: &'static str| Statement { sql, params: &params };
    let answers = tx
        .query_all(&[
            statement("DELETE FROM attachment WHERE note_id = ANY($1) RETURNING id"),
            statement("DELETE FROM reaction WHERE note_id = ANY($1)"),
            statement("DELETE FROM note_relation WHERE note_id = ANY($1) OR related_id = ANY($1)"),
            statement("DELETE FROM note_share WHERE note_id = ANY($1)"),
            statement("DELETE FROM note WHERE id = ANY($1)"),
        ])
        .await?;
    Ok(answers.first().map_or(&[][..], Vec::as_slice).iter().map(|row| AttachmentId(row.get(0))).collect())
}
