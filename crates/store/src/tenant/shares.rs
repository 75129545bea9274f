//! Links that show one note to whoever holds the token.

use domain::id::{MemberId, NoteId};

use crate::{Error, Row, TenantTx, Type};

/// A share as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Row number.
    pub id: i64,
    /// The public secret.
    pub token: String,
    /// The note shown.
    pub note_id: NoteId,
    /// Who shared it.
    pub creator_id: MemberId,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970; none = never.
    pub expires_ts: Option<i64>,
}

fn share_of(row: &Row) -> Share {
    Share {
        id: row.get(0),
        token: row.get(1),
        note_id: NoteId(row.get(2)),
        creator_id: MemberId(row.get(3)),
        created_ts: row.get(4),
        expires_ts: row.get(5),
    }
}

/// A share to be stored.
#[derive(Clone, Debug)]
pub struct NewShare<'a> {
    /// The public secret, drawn by the caller.
    pub token: &'a str,
    /// The note shown.
    pub note_id: NoteId,
    /// Who shares it.
    pub creator_id: MemberId,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970; none = never.
    pub expires_ts: Option<i64>,
}

/// Stores a share.
pub async fn insert_share(tx: &mut TenantTx, new: &NewShare<'_>) -> Result<(), Error> {
    tx.query(
        "INSERT INTO note_share (id, token, note_id, creator_id, created_ts, expires_ts)
         VALUES (nextval('id_seq'), $1, $2, $3, $4, $5)",
        &[
            (&new.token, Type::TEXT),
            (&new.note_id.0, Type::INT8),
            (&new.creator_id.0, Type::INT8),
            (&new.created_ts, Type::INT8),
            (&new.expires_ts, Type::INT8),
        ],
    )
    .await?;
    Ok(())
}

/// The shares of one note, oldest first.
pub async fn list_shares(tx: &mut TenantTx, note: NoteId) -> Result<Vec<Share>, Error> {
    let rows = tx
        .query(
            "SELECT id, token, note_id, creator_id, created_ts, expires_ts FROM note_share WHERE note_id = $1 ORDER BY id",
            &[(&note.0, Type::INT8)],
        )
        .await?;
    Ok(rows.iter().map(share_of).collect())
}

/// The share with this token.
pub async fn find_share(tx: &mut TenantTx, token: &str) -> Result<Option<Share>, Error> {
    let row = tx
        .query_opt(
            "SELECT id, token, note_id, creator_id, created_ts, expires_ts FROM note_share WHERE token = $1",
            &[(&token, Type::TEXT)],
        )
        .await?;
    Ok(row.as_ref().map(share_of))
}

/// Removes a share of `note`; `NotFound` when there is no such share.
pub async fn delete_share(tx: &mut TenantTx, note: NoteId, token: &str) -> Result<(), Error> {
    let gone = tx
        .execute(
            "DELETE FROM note_share WHERE note_id = $1 AND token = $2",
            &[(&note.0, Type::INT8), (&token, Type::TEXT)],
        )
        .await?;
    if gone == 0 { Err(Error::NotFound("share")) } else { Ok(()) }
}
