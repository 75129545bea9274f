//! What tells a member that someone commented on his note or mentioned him.

use domain::id::{MemberId, NoteId};
use domain::note::CardEnd;
use tokio_postgres::types::Json;

use crate::{Error, Row, TenantTx, Type};

/// A notification with the two notes it speaks of, as far as they still exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Row number, which is also its public id.
    pub id: i64,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Who caused it.
    pub sender_id: MemberId,
    /// Whose it is.
    pub receiver_id: MemberId,
    /// Read and put away.
    pub archived: bool,
    /// `MEMO_COMMENT` or `MEMO_MENTION`.
    pub kind: String,
    /// The comment, or the note with the mention.
    pub note: Option<CardEnd>,
    /// The note commented on.
    pub related: Option<CardEnd>,
}

const SELECT: &str = "SELECT t.id, t.created_ts, t.sender_id, t.receiver_id, t.archived, t.kind,
  (SELECT jsonb_build_object('id', o.id, 'uid', o.uid, 'snippet', o.snippet, 'archived', o.archived,
     'creator_id', coalesce((o.card->'parent'->>'creator_id')::bigint, o.creator_id),
     'visibility', coalesce(o.card->'parent'->>'visibility', o.visibility)) FROM note o WHERE o.id = t.note_id),
  (SELECT jsonb_build_object('id', o.id, 'uid', o.uid, 'snippet', o.snippet, 'archived', o.archived,
     'creator_id', coalesce((o.card->'parent'->>'creator_id')::bigint, o.creator_id),
     'visibility', coalesce(o.card->'parent'->>'visibility', o.visibility)) FROM note o WHERE o.id = t.related_id)
  FROM notification t";

fn notification_of(row: &Row) -> Notification {
    Notification {
        id: row.get(0),
        created_ts: row.get(1),
        sender_id: MemberId(row.get(2)),
        receiver_id: MemberId(row.get(3)),
        archived: row.get(4),
        kind: row.get(5),
        note: row.get::<_, Option<Json<CardEnd>>>(6).map(|end| end.0),
        related: row.get::<_, Option<Json<CardEnd>>>(7).map(|end| end.0),
    }
}

/// A notification to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewNotification<'a> {
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Who caused it.
    pub sender_id: MemberId,
    /// `MEMO_COMMENT` or `MEMO_MENTION`.
    pub kind: &'a str,
    /// The comment, or the note with the mention.
    pub note_id: NoteId,
    /// The note commented on.
    pub related_id: Option<NoteId>,
}

/// Tells each of `receivers`, and asks for a mail to those who have an address where the tenant sends mails.
pub async fn insert_notifications(
    tx: &mut TenantTx,
    receivers: &[MemberId],
    new: &NewNotification<'_>,
) -> Result<(), Error> {
    if receivers.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = receivers.iter().map(|member| member.0).collect();
    tx.query(
        "WITH told AS (INSERT INTO notification (id, created_ts, sender_id, receiver_id, kind, note_id, related_id)
           SELECT nextval('id_seq'), $2, $3, u.id, $4, $5, $6 FROM unnest($1::bigint[]) AS u(id)
           RETURNING id, receiver_id)
         SELECT count(holdfast_outgoing.ask('mail', told.id)) FROM told
           JOIN setting s ON s.key = 'NOTIFICATION' AND s.value->'email'->'enabled' = 'true'
           JOIN member m ON m.id = told.receiver_id AND m.email <> '' AND NOT m.archived",
        &[
            (&ids, Type::INT8_ARRAY),
            (&new.created_ts, Type::INT8),
            (&new.sender_id.0, Type::INT8),
            (&new.kind, Type::TEXT),
            (&new.note_id.0, Type::INT8),
            (&new.related_id.map(|note| note.0), Type::INT8),
        ],
    )
    .await?;
    Ok(())
}

/// Everything told to `receiver`, newest first; of the same second in the order of telling.
pub async fn list_notifications(tx: &mut TenantTx, receiver: MemberId) -> Result<Vec<Notification>, Error> {
    let sql = format!("{SELECT} WHERE t.receiver_id = $1 ORDER BY t.created_ts DESC, t.id");
    let rows = tx.query(&sql, &[(&receiver.0, Type::INT8)]).await?;
    Ok(rows.iter().map(notification_of).collect())
}

/// One notification.
pub async fn find_notification(tx: &mut TenantTx, id: i64) -> Result<Option<Notification>, Error> {
    let row = tx.query_opt(&format!("{SELECT} WHERE t.id = $1"), &[(&id, Type::INT8)]).await?;
    Ok(row.as_ref().map(notification_of))
}

/// Puts a notification away, or takes it back.
pub async fn archive_notification(tx: &mut TenantTx, id: i64, archived: bool) -> Result<(), Error> {
    let changed = tx
        .execute("UPDATE notification SET archived = $2 WHERE id = $1", &[(&id, Type::INT8), (&archived, Type::BOOL)])
        .await?;
    if changed == 0 { Err(Error::NotFound("notification")) } else { Ok(()) }
}

/// Removes a notification.
pub async fn delete_notification(tx: &mut TenantTx, id: i64) -> Result<(), Error> {
    match tx.execute("DELETE FROM notification WHERE id = $1", &[(&id, Type::INT8)]).await? {
        0 => Err(Error::NotFound("notification")),
        _ => Ok(()),
    }
}
