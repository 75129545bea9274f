//! A member's notifications.

use domain::member::Member;
use store::TenantTx;
use store::tenant::notifications::{self, Notification};

use super::{Desk, Error, access};

/// Refuses everyone but the member himself.
pub fn only_self(desk: &Desk<'_>, username: &str) -> Result<(), Error> {
    if desk.member()?.username == username { Ok(()) } else { Err(Error::Denied) }
}

/// What the member was told, newest first, without what he may no longer read.
pub async fn list(desk: &Desk<'_>) -> Result<Vec<Notification>, Error> {
    let member = desk.member()?;
    let mut tx = desk.begin();
    let found = notifications::list_notifications(&mut tx, member.id).await?;
    tx.commit().await?;
    Ok(found.into_iter().map(|one| hide(member, one)).collect())
}

async fn own(tx: &mut TenantTx, desk: &Desk<'_>, id: i64) -> Result<Notification, Error> {
    let member = desk.member()?;
    let missing = || Error::NotFound("notification not found".into());
    let found = notifications::find_notification(tx, id).await?.ok_or_else(missing)?;
    if found.receiver_id == member.id { Ok(hide(member, found)) } else { Err(Error::Denied) }
}

/// Puts a notification away, or takes it back.
pub async fn archive(desk: &Desk<'_>, id: i64, archived: bool) -> Result<Notification, Error> {
    let mut tx = desk.begin();
    tx.touch().await?;
    let found = own(&mut tx, desk, id).await?;
    notifications::archive_notification(&mut tx, id, archived).await?;
    tx.commit().await?;
    Ok(Notification { archived, ..found })
}

/// Removes a notification.
pub async fn delete(desk: &Desk<'_>, id: i64) -> Result<(), Error> {
    let mut tx = desk.begin();
    tx.touch().await?;
    own(&mut tx, desk, id).await?;
    notifications::delete_notification(&mut tx, id).await?;
    Ok(tx.commit().await?)
}

/// Leaves out the notes that the member may not read any more.
fn hide(member: &Member, mut one: Notification) -> Notification {
    let readable = |end: &domain::note::CardEnd| access::sees_end(Some(member.id), end);
    one.note = one.note.filter(readable);
    one.related = one.related.filter(readable);
    one
}
