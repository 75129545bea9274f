//! What a member leaves behind when he is removed for good: notes, comments, files, reactions, shares.

use domain::id::{MemberId, NoteId};

use super::{cards, notes};
use crate::tx::Param;
use crate::{Error, Statement, TenantTx, Type};

/// How much was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Notes and comments, those of others below his notes included.
    pub notes: usize,
    /// Attachments' rows.
    pub attachments: usize,
}

/// Removes what `member` made, and brings the cards of the notes around it up to date. Needs [`cards::lock_many`].
pub async fn delete_works(tx: &mut TenantTx, member: MemberId) -> Result<Gone, Error> {
    let rows = tx
        .query(
            "WITH RECURSIVE tree AS (
               SELECT id FROM note WHERE creator_id = $1
               UNION SELECT c.id FROM note c JOIN tree ON c.parent_id = tree.id)
             SELECT n.id FROM note n JOIN tree ON tree.id = n.id ORDER BY n.id FOR UPDATE OF n",
            &[(&member.0, Type::INT8)],
        )
        .await?;
    let threads: Vec<NoteId> = rows.iter().map(|row| NoteId(row.get(0))).collect();
    let mut around = cards::lock_around(tx, &threads).await?;
    let rows = tx
        .query(
            "SELECT n.id FROM note n WHERE n.id IN (SELECT note_id FROM reaction WHERE creator_id = $1)
             OR n.id IN (SELECT note_id FROM attachment WHERE creator_id = $1) ORDER BY n.id FOR UPDATE",
            &[(&member.0, Type::INT8)],
        )
        .await?;
    around.extend(rows.iter().map(|row| NoteId(row.get(0))));
    around.sort_unstable();
    around.dedup();
    around.retain(|note| threads.binary_search(note).is_err());

    let mut attachments = notes::delete_notes(tx, &threads).await?.len();
    let params: [Param<'_>; 1] = [(&member.0, Type::INT8)];
    let statement = |sql: &'static str| Statement { sql, params: &params };
    let answers = tx
        .query_all(&[
            statement("DELETE FROM attachment WHERE creator_id = $1 RETURNING id"),
            statement("DELETE FROM reaction WHERE creator_id = $1"),
            statement("DELETE FROM note_share WHERE creator_id = $1"),
            statement("DELETE FROM notification WHERE sender_id = $1 OR receiver_id = $1"),
        ])
        .await?;
    attachments += answers.first().map_or(0, Vec::len);
    cards::refresh_cards(tx, &around).await?;
    Ok(Gone { notes: threads.len(), attachments })
}
