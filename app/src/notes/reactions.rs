//! Reactions to notes.

use domain::note::Note;
use store::tenant::reactions::{self, Reaction};
use store::tenant::{cards, notes};

use super::{Desk, Error, access, input, service};
use crate::live::Kind;

/// Adds the caller's reaction to a note he may read; the same again changes nothing. Guests do not react.
pub async fn upsert(desk: &Desk<'_>, uid: &str, reaction: &str) -> Result<Reaction, Error> {
    desk.member()?;
    input::refuse_nul("reaction_type", reaction)?;
    let mut tx = desk.begin();
    let note = notes::find_note_to_change(&mut tx, uid, false).await?.ok_or_else(Error::no_note)?;
    access::may_see_parts(desk, &note)?;
    let member = desk.author()?;
    let stored = reactions::upsert_reaction(&mut tx, note.id, member.id, reaction, desk.now()).await?;
    cards::refresh_cards(&mut tx, &[note.id]).await?;
    tx.commit().await?;
    desk.tell(Kind::Reacted, &note);
    Ok(stored)
}

/// Takes a reaction away: its creator and admins may. One that does not exist is refused like a stranger's.
pub async fn delete(desk: &Desk<'_>, uid: &str, id: i64) -> Result<(), Error> {
    let member = desk.member()?;
    let mut tx = desk.begin();
    tx.touch().await?;
    let uid = &match uid {
        // Before 0.26 a reaction was named by its number alone.
        "-" => {
            let known = reactions::find_reaction(&mut tx, id).await?.ok_or(Error::Denied)?;
            notes::find_note_by_id(&mut tx, known.note_id).await?.ok_or(Error::Denied)?.uid
        }
        uid => uid.to_owned(),
    };
    let note = notes::find_note_locked(&mut tx, uid).await?.ok_or(Error::Denied)?;
    let found = reactions::find_reaction(&mut tx, id).await?.filter(|found| found.note_id == note.id);
    let reaction = found.ok_or(Error::Denied)?;
    if reaction.creator_id != member.id && !desk.actor.is_admin() {
        return Err(Error::Denied);
    }
    reactions::delete_reaction(&mut tx, id).await?;
    cards::refresh_cards(&mut tx, &[note.id]).await?;
    tx.commit().await?;
    desk.tell(Kind::ReactionDeleted, &note);
    Ok(())
}

/// The note whose reactions a list shows.
pub async fn list(desk: &Desk<'_>, uid: &str) -> Result<Note, Error> {
    desk.member()?;
    service::get_for_parts(desk, uid).await
}
