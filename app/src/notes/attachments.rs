//! The files of a note.

use domain::id::AttachmentId;
use domain::note::Note;
use store::TenantTx;
use store::tenant::{attachments, cards, notes};

use super::{Desk, Error, access, service};
use crate::live::Kind;

/// The files with these public ids, which must belong to the note's creator and hang on no other note.
pub(super) async fn resolve(tx: &mut TenantTx, note: &Note, uids: &[String]) -> Result<Vec<AttachmentId>, Error> {
    let found = attachments::find_attachments(tx, uids).await?;
    let mut files: Vec<AttachmentId> = Vec::with_capacity(uids.len());
    for uid in uids {
        let file = found
            .iter()
            .find(|file| file.uid == *uid)
            .ok_or_else(|| Error::NotFound(format!("attachment not found: {uid}").into()))?;
        if file.creator_id != note.creator_id {
            return Err(Error::DeniedBecause("cannot attach another user's attachment"));
        }
        if file.note.as_ref().is_some_and(|holder| holder.id != note.id) {
            return Err(Error::Precondition("attachment is already linked to another memo"));
        }
        if !files.contains(&file.id) {
            files.push(file.id);
        }
    }
    Ok(files)
}

/// Replaces the files of a locked note; those left out are deleted.
pub(super) async fn replace(tx: &mut TenantTx, desk: &Desk<'_>, note: &Note, uids: &[String]) -> Result<(), Error> {
    let files = resolve(tx, note, uids).await?;
    attachments::replace_attachments(tx, note.id, &files, desk.now()).await?;
    Ok(cards::refresh_cards(tx, &[note.id]).await?)
}

/// Replaces the files of the note with `uid`.
pub async fn set(desk: &Desk<'_>, uid: &str, files: &[String]) -> Result<(), Error> {
    desk.member()?;
    let mut tx = desk.begin();
    let note = notes::find_note_to_change(&mut tx, uid, false).await?.ok_or_else(Error::no_note)?;
    access::may_change(desk, &note)?;
    replace(&mut tx, desk, &note, files).await?;
    notes::touch_note(&mut tx, note.id, desk.now()).await?;
    tx.commit().await?;
    desk.tell(Kind::Updated, &note);
    Ok(())
}

/// Puts one more file behind those of the note with `uid`.
pub async fn add(desk: &Desk<'_>, uid: &str, file: &str) -> Result<(), Error> {
    desk.member()?;
    let mut tx = desk.begin();
    let note = notes::find_note_to_change(&mut tx, uid, false).await?.ok_or_else(Error::no_note)?;
    access::may_change(desk, &note)?;
    let present = note.card.attachments.iter().map(|present| present.uid.clone());
    let files: Vec<String> = present.chain([file.to_owned()]).collect();
    replace(&mut tx, desk, &note, &files).await?;
    notes::touch_note(&mut tx, note.id, desk.now()).await?;
    tx.commit().await?;
    desk.tell(Kind::Updated, &note);
    Ok(())
}

/// The note whose files a list shows.
pub async fn list(desk: &Desk<'_>, uid: &str) -> Result<Note, Error> {
    desk.member()?;
    service::get_for_parts(desk, uid).await
}
