//! What webhooks are told: queued in the transaction of the change, delivered by jobs, kept as a log.

use domain::id::{MemberId, NoteId};
use serde_json::Value;

use crate::tx::Param;
use crate::{Error, Row, TenantTx, Type};

const QUEUE: &str = "SELECT queue_event($1, $2, $3, $4)";

/// Parameters of [`QUEUE`].
fn event<'a>(note: &'a NoteId, member: &'a MemberId, activity: &'a &str, now: &'a i64) -> [Param<'a>; 4] {
    [(&note.0, Type::INT8), (&member.0, Type::INT8), (activity, Type::TEXT), (now, Type::INT8)]
}

/// Queues what happened to `note`, as it is at this point of the transaction, for the webhooks of `member`.
pub async fn queue_event(
    tx: &mut TenantTx,
    note: NoteId,
    member: MemberId,
    activity: &str,
    now: i64,
) -> Result<(), Error> {
    tx.query(QUEUE, &event(&note, &member, &activity, &now)).await.map(|_| ())
}

/// The same as the last thing of a unit of work, which it makes last.
pub async fn queue_event_and_commit(
    tx: TenantTx,
    note: NoteId,
    member: MemberId,
    activity: &str,
    now: i64,
) -> Result<(), Error> {
    tx.finish_with(QUEUE, &event(&note, &member, &activity, &now)).await
}

/// A message to a webhook that waits to be delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Row number; messages about one note are delivered in this order.
    pub id: i64,
    /// What the receiver knows it by.
    pub message_id: String,
    /// Whose webhook it is.
    pub member_id: MemberId,
    /// The webhook.
    pub webhook_id: String,
    /// What happened.
    pub activity: String,
    /// Username of the note's creator.
    pub creator: String,
    /// The note's row as it was.
    pub snapshot: Value,
    /// Which try this is, from 1.
    pub attempts: i32,
}

fn delivery_of(row: &Row) -> Delivery {
    Delivery {
        id: row.get(0),
        message_id: row.get(1),
        member_id: MemberId(row.get(2)),
        webhook_id: row.get(3),
        activity: row.get(4),
        creator: row.get(5),
        snapshot: row.get(6),
        attempts: row.get(7),
    }
}

/// Whether a message still waits.
pub async fn is_waiting(tx: &mut TenantTx, id: i64) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM webhook_delivery WHERE id = $1 AND state = 'waiting'";
    Ok(tx.query_opt(sql, &[(&id, Type::INT8)]).await?.is_some())
}

/// Takes the oldest waiting message of the same webhook and note as message `id`, held until `busy_until`; none while
/// another worker holds it.
pub async fn claim_oldest(tx: &mut TenantTx, id: i64, now: i64, busy_until: i64) -> Result<Option<Delivery>, Error> {
    let sql = "UPDATE webhook_delivery SET busy_until = $3, attempts = attempts + 1 WHERE busy_until <= $2 AND id = (
         SELECT min(d.id) FROM webhook_delivery d JOIN webhook_delivery asked ON asked.id = $1
         WHERE d.webhook_id = asked.webhook_id AND d.note_id = asked.note_id AND d.state = 'waiting')
       AND state = 'waiting'
       RETURNING id, message_id, member_id, webhook_id, activity, creator, snapshot, attempts";
    let params: [Param<'_>; 3] = [(&id, Type::INT8), (&now, Type::INT8), (&busy_until, Type::INT8)];
    Ok(tx.query_opt(sql, &params).await?.as_ref().map(delivery_of))
}

/// What came of a try.
#[derive(Clone, Debug)]
pub struct Tried<'a> {
    /// `waiting`, `delivered` or `failed`.
    pub state: &'static str,
    /// The status of the answer, if there was one.
    pub status: Option<i32>,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Notes what came of a try; the snapshot of a message that has ended is dropped.
pub async fn record_try(tx: &mut TenantTx, id: i64, tried: &Tried<'_>) -> Result<(), Error> {
    let sql = "UPDATE webhook_delivery SET state = $2, status = $3, error = $4, busy_until = 0,
       ended_ts = CASE WHEN $2 = 'waiting' THEN NULL ELSE $5::bigint END,
       snapshot = CASE WHEN $2 = 'waiting' THEN snapshot ELSE jsonb_build_object('uid', snapshot->'uid') END WHERE id = $1";
    let params: [Param<'_>; 5] = [
        (&id, Type::INT8),
        (&tried.state, Type::TEXT),
        (&tried.status, Type::INT4),
        (&tried.error, Type::TEXT),
        (&tried.now, Type::INT8),
    ];
    tx.query(sql, &params).await.map(|_| ())
}

/// A line of the delivery log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// What the receiver knows it by.
    pub message_id: String,
    /// The webhook.
    pub webhook_id: String,
    /// Public id of the note.
    pub note: String,
    /// What happened.
    pub activity: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: String,
    /// Tries so far.
    pub attempts: i32,
    /// The status of the last answer, if there was one.
    pub status: Option<i32>,
    /// What went wrong last.
    pub error: Option<String>,
    /// Seconds since 1970.
    pub created_ts: i64,
}

/// The newest messages to a member's webhooks.
pub async fn list_log(tx: &mut TenantTx, member: MemberId, limit: i64) -> Result<Vec<Logged>, Error> {
    let sql = "SELECT message_id, webhook_id, coalesce(snapshot->>'uid', ''), activity, state, attempts, status, error,
       created_ts FROM webhook_delivery WHERE member_id = $1 ORDER BY id DESC LIMIT $2";
    let rows = tx.query(sql, &[(&member.0, Type::INT8), (&limit, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| Logged {
            message_id: row.get(0),
            webhook_id: row.get(1),
            note: row.get(2),
            activity: row.get(3),
            state: row.get(4),
            attempts: row.get(5),
            status: row.get(6),
            error: row.get(7),
            created_ts: row.get(8),
        })
        .collect())
}

/// Forgets messages that ended before `before`.
pub async fn forget_ended(tx: &mut TenantTx, before: i64) -> Result<(), Error> {
    let sql = "DELETE FROM webhook_delivery WHERE state <> 'waiting' AND ended_ts < $1";
    tx.query(sql, &[(&before, Type::INT8)]).await.map(|_| ())
}
