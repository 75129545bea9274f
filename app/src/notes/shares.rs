//! Links that show one note to whoever holds the token.

use domain::note::Note;
use store::TenantTx;
use store::tenant::notes;
use store::tenant::shares::{self, NewShare, Share};

use super::{Desk, Error, access};

async fn changeable(tx: &mut TenantTx, desk: &Desk<'_>, uid: &str) -> Result<Note, Error> {
    desk.member()?;
    let note = notes::find_note(tx, uid).await?.ok_or_else(Error::no_note)?;
    access::may_change(desk, &note)?;
    Ok(note)
}

/// Makes a share of a note until `expires_ts` (seconds since 1970), or for good.
pub async fn create(desk: &Desk<'_>, uid: &str, expires_ts: Option<i64>) -> Result<Share, Error> {
    let member = desk.author()?;
    let now = desk.now();
    if expires_ts.is_some_and(|at| at <= now) {
        return Err(Error::invalid("expire_time must be in the future"));
    }
    let mut tx = desk.begin();
    tx.touch().await?;
    let note = changeable(&mut tx, desk, uid).await?;
    let token = desk.chance.uid();
    let new = NewShare { token: &token, note_id: note.id, creator_id: member.id, created_ts: now, expires_ts };
    shares::insert_share(&mut tx, &new).await?;
    tx.commit().await?;
    Ok(Share { id: 0, note_id: note.id, creator_id: member.id, created_ts: now, expires_ts, token })
}

/// The shares of a note.
pub async fn list(desk: &Desk<'_>, uid: &str) -> Result<Vec<Share>, Error> {
    let mut tx = desk.begin();
    let note = changeable(&mut tx, desk, uid).await?;
    let found = shares::list_shares(&mut tx, note.id).await?;
    tx.commit().await?;
    Ok(found)
}

/// Takes a share back.
pub async fn delete(desk: &Desk<'_>, uid: &str, token: &str) -> Result<(), Error> {
    let mut tx = desk.begin();
    tx.touch().await?;
    let note = changeable(&mut tx, desk, uid).await?;
    match shares::delete_share(&mut tx, note.id, token).await {
        Err(store::Error::NotFound(_)) => Err(Error::NotFound("memo share not found".into())),
        Err(other) => Err(other.into()),
        Ok(()) => Ok(tx.commit().await?),
    }
}

/// The note or comment that a share shows; to anyone, also in private mode. What is gone, over or archived answers as if it
/// had never been.
pub async fn get_shared(desk: &Desk<'_>, token: &str) -> Result<Note, Error> {
    let gone = || Error::NotFound("not found".into());
    if token.is_empty() || token.contains('\0') {
        return Err(gone());
    }
    let mut tx = desk.begin();
    let share = shares::find_share(&mut tx, token).await?.ok_or_else(gone)?;
    let note = notes::find_note_by_id(&mut tx, share.note_id).await?.ok_or_else(gone)?;
    tx.commit().await?;
    let over = share.expires_ts.is_some_and(|at| at <= desk.now());
    if over || note.archived { Err(gone()) } else { Ok(note) }
}

/// Whether `token` opens the note with this number now: what file links with a share token ask.
pub async fn opens(tx: &mut TenantTx, desk: &Desk<'_>, token: &str, note: domain::id::NoteId) -> Result<bool, Error> {
    if token.is_empty() || token.contains('\0') {
        return Ok(false);
    }
    let share = shares::find_share(tx, token).await?;
    Ok(share.is_some_and(|share| share.note_id == note && share.expires_ts.is_none_or(|at| at > desk.now())))
}
