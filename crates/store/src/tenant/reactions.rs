//! Reactions to notes.

use domain::id::{MemberId, NoteId};

use crate::{Error, TenantTx, Type};

/// A reaction as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// Row number, which is also its public id.
    pub id: i64,
    /// What it is a reaction to.
    pub note_id: NoteId,
    /// Who reacted.
    pub creator_id: MemberId,
    /// Usually an emoji.
    pub reaction: String,
    /// Seconds since 1970.
    pub created_ts: i64,
}

/// Adds a reaction, or finds the same one again: a member reacts to a note with one text once.
pub async fn upsert_reaction(
    tx: &mut TenantTx,
    note: NoteId,
    creator: MemberId,
    reaction: &str,
    now: i64,
) -> Result<Reaction, Error> {
    let rows = tx
        .query(
            "INSERT INTO reaction (id, note_id, creator_id, reaction, created_ts)
             VALUES (nextval('id_seq'), $1, $2, $3, $4)
             ON CONFLICT (note_id, creator_id, reaction) DO UPDATE SET reaction = excluded.reaction
             RETURNING id, created_ts",
            &[(&note.0, Type::INT8), (&creator.0, Type::INT8), (&reaction, Type::TEXT), (&now, Type::INT8)],
        )
        .await?;
    let row = rows.first().ok_or(Error::NotFound("reaction"))?;
    Ok(Reaction {
        id: row.get(0),
        note_id: note,
        creator_id: creator,
        reaction: reaction.to_owned(),
        created_ts: row.get(1),
    })
}

/// The reaction with this number.
pub async fn find_reaction(tx: &mut TenantTx, id: i64) -> Result<Option<Reaction>, Error> {
    let row = tx
        .query_opt(
            "SELECT id, note_id, creator_id, reaction, created_ts FROM reaction WHERE id = $1",
            &[(&id, Type::INT8)],
        )
        .await?;
    Ok(row.map(|row| Reaction {
        id: row.get(0),
        note_id: NoteId(row.get(1)),
        creator_id: MemberId(row.get(2)),
        reaction: row.get(3),
        created_ts: row.get(4),
    }))
}

/// Removes a reaction; `NotFound` when it is gone already.
pub async fn delete_reaction(tx: &mut TenantTx, id: i64) -> Result<(), Error> {
    match tx.execute("DELETE FROM reaction WHERE id = $1", &[(&id, Type::INT8)]).await? {
        0 => Err(Error::NotFound("reaction")),
        _ => Ok(()),
    }
}
