//! Cards: what a list shows beside a note's own text, stored with the note's row.
//!
//! A card is always a function of the tables, and [`refresh_cards`] is that function: whoever changes a file, a
//! reaction, a relation or a comment recomputes the cards it touches in the same transaction. A plain new note needs
//! none of this, since its card is `{}`.
//!
//! # Order rules (an import builds cards with [`REBUILD_ALL`], so they hold there too)
//! * attachments: `position`, then newest `updated_ts` first, then lowest `id` (an import may leave every position 0)
//! * reactions: `id` ascending
//! * relations: outgoing ones first, by the other note's `id` ascending; then incoming ones by the other note's `id`
//!   descending; where both ends are equal, COMMENT before REFERENCE
//! * the other end (and `parent`) carries its own `id`, `uid` and `snippet`, but `creator_id` and `visibility` of the
//!   note at the top of its thread, for that note decides who may know of a comment; `archived` when either is
//!
//! # Locks
//! Two writers that recompute the same card must not miss each other's rows, so a card's note is locked by a statement
//! *before* the one that recomputes it. Whoever touches more than one card first calls [`lock_many`]; whoever touches
//! exactly one locks that note's row only. The first kind waits for the second, never the other way round.

use crate::{Error, TenantTx, Type};
use domain::id::{MemberId, NoteId};

/// The end of a relation as JSON; `o` is its note's row.
macro_rules! end_json {
    () => {
        "(WITH RECURSIVE up AS (
            SELECT o.parent_id, o.creator_id, o.visibility, o.archived, 0 AS depth
            UNION ALL
            SELECT p.parent_id, p.creator_id, p.visibility, p.archived, up.depth + 1
            FROM up JOIN note p ON p.id = up.parent_id WHERE up.depth < 64)
          SELECT jsonb_build_object('id', o.id, 'uid', o.uid, 'snippet', o.snippet,
            'creator_id', up.creator_id, 'visibility', up.visibility, 'archived', o.archived OR up.archived)
          FROM up ORDER BY up.depth DESC LIMIT 1)"
    };
}

/// The card of the note `n` as an SQL expression.
macro_rules! card_json {
    () => {
        concat!(
            "jsonb_strip_nulls(jsonb_build_object(
  'attachments', (SELECT jsonb_agg(jsonb_build_object('id', a.id, 'uid', a.uid, 'created_ts', a.created_ts,
      'filename', a.filename, 'kind', a.kind, 'size', a.size, 'external_link', a.external_link,
      'motion', CASE WHEN jsonb_typeof(a.payload->'motionMedia') = 'object' THEN jsonb_build_object(
        'family', coalesce(a.payload->'motionMedia'->>'family', ''),
        'role', coalesce(a.payload->'motionMedia'->>'role', ''),
        'group_id', coalesce(a.payload->'motionMedia'->>'groupId', ''),
        'presentation_timestamp_us', coalesce((a.payload->'motionMedia'->>'presentationTimestampUs')::bigint, 0),
        'has_embedded_video', coalesce((a.payload->'motionMedia'->>'hasEmbeddedVideo')::boolean, false)) END)
      ORDER BY a.position, a.updated_ts DESC, a.id)
    FROM attachment a WHERE a.note_id = n.id),
  'reactions', (SELECT jsonb_agg(jsonb_build_object('id', r.id, 'creator_id', r.creator_id,
      'creator', coalesce(m.username, ''), 'reaction', r.reaction, 'created_ts', r.created_ts) ORDER BY r.id)
    FROM reaction r LEFT JOIN member m ON m.id = r.creator_id WHERE r.note_id = n.id),
  'relations', (SELECT jsonb_agg(jsonb_build_object('kind', e.kind, 'outgoing', e.outgoing, 'other', e.other)
      ORDER BY e.outgoing DESC, CASE WHEN e.outgoing THEN e.id ELSE -e.id END, e.kind)
    FROM (SELECT r.kind, true AS outgoing, o.id, ",
            end_json!(),
            " AS other FROM note_relation r JOIN note o ON o.id = r.related_id WHERE r.note_id = n.id
      UNION ALL SELECT r.kind, false, o.id, ",
            end_json!(),
            " FROM note_relation r JOIN note o ON o.id = r.note_id WHERE r.related_id = n.id) e),
  'parent', (SELECT ",
            end_json!(),
            " FROM note o WHERE o.id = n.parent_id)))"
        )
    };
}

const REFRESH: &str = concat!("UPDATE note n SET card = ", card_json!(), " WHERE n.id = ANY($1)");

/// Builds the card of every note that has one, after rows were loaded with empty cards. One statement without
/// parameters; needs the indexes of `note_relation`, `attachment` and `reaction`.
pub const REBUILD_ALL: &str = concat!(
    "WITH wanted AS MATERIALIZED (
  SELECT note_id AS id FROM attachment WHERE note_id IS NOT NULL
  UNION SELECT note_id FROM reaction UNION SELECT note_id FROM note_relation UNION SELECT related_id FROM note_relation
  UNION SELECT id FROM note WHERE parent_id IS NOT NULL)
UPDATE note n SET card = ",
    card_json!(),
    " FROM wanted w WHERE n.id = w.id"
);

/// 0x63617264 is "card": a class of its own among advisory locks.
pub(super) const LOCK_MANY: &str = "SELECT pg_advisory_xact_lock(1667330660, hashtext(current_schema()))";

/// Notes whose cards mention one of `$1` or a comment below it.
const AROUND: &str = "WITH RECURSIVE tree AS (
  SELECT unnest($1::bigint[]) AS id UNION SELECT c.id FROM note c JOIN tree ON c.parent_id = tree.id)
SELECT n.id FROM note n WHERE n.id IN (
  SELECT r.related_id FROM note_relation r JOIN tree ON r.note_id = tree.id
  UNION SELECT r.note_id FROM note_relation r JOIN tree ON r.related_id = tree.id
  UNION SELECT c.id FROM note c JOIN tree ON c.parent_id = tree.id)
ORDER BY n.id FOR UPDATE";

/// Builds the card of every note anew, when cards are in doubt.
pub async fn rebuild_all(tx: &mut TenantTx) -> Result<(), Error> {
    lock_many(tx).await?;
    tx.query("SELECT id FROM note ORDER BY id FOR UPDATE", &[]).await?;
    tx.query(concat!("UPDATE note n SET card = ", card_json!()), &[]).await?;
    Ok(())
}

/// Lets one writer at a time change cards of several notes in this tenant; call it before locking any row.
pub async fn lock_many(tx: &mut TenantTx) -> Result<(), Error> {
    tx.query(LOCK_MANY, &[]).await?;
    Ok(())
}

/// Recomputes the cards of `notes` from the tables. Their rows must be locked by an earlier statement.
pub async fn refresh_cards(tx: &mut TenantTx, notes: &[NoteId]) -> Result<(), Error> {
    if notes.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = notes.iter().map(|note| note.0).collect();
    tx.query(REFRESH, &[(&ids, Type::INT8_ARRAY)]).await?;
    Ok(())
}

/// The notes whose cards mention one of `notes` (or a comment below one), locked. Needs [`lock_many`].
pub async fn lock_around(tx: &mut TenantTx, notes: &[NoteId]) -> Result<Vec<NoteId>, Error> {
    let ids: Vec<i64> = notes.iter().map(|note| note.0).collect();
    let rows = tx.query(AROUND, &[(&ids, Type::INT8_ARRAY)]).await?;
    Ok(rows.iter().map(|row| NoteId(row.get(0))).collect())
}

/// Locks the row of one note; false when there is none.
pub async fn lock_note(tx: &mut TenantTx, note: NoteId) -> Result<bool, Error> {
    let row = tx.query_opt("SELECT 1 FROM note WHERE id = $1 FOR UPDATE", &[(&note.0, Type::INT8)]).await?;
    Ok(row.is_some())
}

/// Rewrites the cards that show `member`'s username, after it changed. Calls [`lock_many`] itself.
pub async fn rename_member(tx: &mut TenantTx, member: MemberId) -> Result<(), Error> {
    lock_many(tx).await?;
    let rows = tx
        .query(
            "SELECT n.id FROM note n WHERE n.id IN (SELECT note_id FROM reaction WHERE creator_id = $1)
             ORDER BY n.id FOR UPDATE",
            &[(&member.0, Type::INT8)],
        )
        .await?;
    let notes: Vec<NoteId> = rows.iter().map(|row| NoteId(row.get(0))).collect();
    refresh_cards(tx, &notes).await
}
