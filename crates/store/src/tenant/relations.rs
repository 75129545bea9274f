//! Relations between notes.

use domain::id::NoteId;
use domain::note::RelationKind;

use crate::{Error, TenantTx, Type};

/// Replaces the references that leave `note`; a comment's relation to its parent stays.
pub async fn replace_references(tx: &mut TenantTx, note: NoteId, related: &[NoteId]) -> Result<(), Error> {
    tx.query("DELETE FROM note_relation WHERE note_id = $1 AND kind = 'REFERENCE'", &[(&note.0, Type::INT8)]).await?;
    if related.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = related.iter().map(|note| note.0).collect();
    tx.query(
        "INSERT INTO note_relation (note_id, related_id, kind)
         SELECT $1, u.id, 'REFERENCE' FROM unnest($2::bigint[]) AS u(id) WHERE u.id <> $1 ON CONFLICT DO NOTHING",
        &[(&note.0, Type::INT8), (&ids, Type::INT8_ARRAY)],
    )
    .await?;
    Ok(())
}

/// Adds one relation; adding it again changes nothing.
pub async fn insert_relation(
    tx: &mut TenantTx,
    note: NoteId,
    related: NoteId,
    kind: RelationKind,
) -> Result<(), Error> {
    tx.query(
        "INSERT INTO note_relation (note_id, related_id, kind) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        &[(&note.0, Type::INT8), (&related.0, Type::INT8), (&kind.as_str(), Type::TEXT)],
    )
    .await?;
    Ok(())
}

/// The notes that `note` refers to now.
pub async fn list_references(tx: &mut TenantTx, note: NoteId) -> Result<Vec<NoteId>, Error> {
    let rows = tx
        .query(
            "SELECT related_id FROM note_relation WHERE note_id = $1 AND kind = 'REFERENCE' ORDER BY related_id",
            &[(&note.0, Type::INT8)],
        )
        .await?;
    Ok(rows.iter().map(|row| NoteId(row.get(0))).collect())
}
