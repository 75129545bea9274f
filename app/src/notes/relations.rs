//! References from note to note.

use std::collections::HashSet;

use domain::id::NoteId;
use domain::note::{Note, Visibility};
use store::TenantTx;
use store::tenant::{cards, feed, notes, relations};

use super::{Desk, Error, access};
use crate::live::Kind;

/// The notes with these public ids, which must exist for the caller.
async fn resolve(tx: &mut TenantTx, desk: &Desk<'_>, uids: &[String]) -> Result<Vec<NoteId>, Error> {
    let mut found = Vec::with_capacity(uids.len());
    for uid in uids {
        let note = notes::find_note(tx, uid).await?.ok_or_else(Error::no_note)?;
        match access::may_read(desk, &note) {
            Ok(()) => found.push(note.id),
            Err(_) => return Err(Error::no_note()),
        }
    }
    Ok(found)
}

/// Adds the references of a note that has none yet; gives the notes whose cards change. Needs [`cards::lock_many`].
pub(super) async fn add_references(
    tx: &mut TenantTx,
    desk: &Desk<'_>,
    note: &Note,
    uids: &[String],
) -> Result<Vec<NoteId>, Error> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    let related = resolve(tx, desk, uids).await?;
    lock_rows(tx, &related).await?;
    relations::replace_references(tx, note.id, &related).await?;
    Ok(related.into_iter().filter(|id| *id != note.id).collect())
}

async fn lock_rows(tx: &mut TenantTx, ids: &[NoteId]) -> Result<(), Error> {
    let ordered: HashSet<NoteId> = ids.iter().copied().collect();
    let mut ordered: Vec<NoteId> = ordered.into_iter().collect();
    ordered.sort_unstable();
    for id in ordered {
        cards::lock_note(tx, id).await?;
    }
    Ok(())
}

/// Replaces the references that leave `note`, inside a unit of work that holds [`cards::lock_many`].
pub(super) async fn replace(tx: &mut TenantTx, desk: &Desk<'_>, note: NoteId, uids: &[String]) -> Result<(), Error> {
    let before = relations::list_references(tx, note).await?;
    let mut after = Vec::with_capacity(uids.len());
    for uid in uids {
        let related = notes::find_note(tx, uid).await?.ok_or_else(Error::no_note)?;
        // One that is there already may stay, even when it has become unreadable for who asks.
        if !before.contains(&related.id) && access::may_read(desk, &related).is_err() {
            return Err(Error::no_note());
        }
        after.push(related.id);
    }
    let mut changed: Vec<NoteId> = before.into_iter().chain(after.iter().copied()).chain([note]).collect();
    changed.sort_unstable();
    changed.dedup();
    lock_rows(tx, &changed).await?;
    relations::replace_references(tx, note, &after).await?;
    Ok(cards::refresh_cards(tx, &changed).await?)
}

/// Replaces the references that leave the note with `uid`.
pub async fn set(desk: &Desk<'_>, uid: &str, related: &[String]) -> Result<(), Error> {
    desk.member()?;
    let mut tx = desk.begin();
    let note = notes::find_note_to_change(&mut tx, uid, true).await?.ok_or_else(Error::no_note)?;
    access::may_change(desk, &note)?;
    replace(&mut tx, desk, note.id, related).await?;
    notes::touch_note(&mut tx, note.id, desk.now()).await?;
    tx.commit().await?;
    desk.tell(Kind::Updated, &note);
    Ok(())
}

/// The note whose relations a list shows. Whoever may not read the note itself sees no relation of it, but no error; one
/// that is put away shows them as the notes at their other ends do.
pub async fn list(desk: &Desk<'_>, uid: &str) -> Result<Option<Note>, Error> {
    desk.member()?;
    let note = feed::read_note(desk.store, desk.scope, uid).await?.ok_or_else(Error::no_note)?;
    match access::may_read(desk, &note) {
        Ok(()) => Ok(Some(note)),
        Err(Error::Denied) => Ok(None),
        Err(Error::NotFound(_)) => {
            let audience = note.card.parent.as_ref().map_or(note.visibility, |top| top.visibility);
            Ok((audience != Visibility::Private).then_some(note))
        }
        Err(other) => Err(other),
    }
}
