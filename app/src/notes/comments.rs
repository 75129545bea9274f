//! Comments: notes below a note, whose visibility they share.

use domain::note::Note;
use store::tenant::notes;
use store::tenant::webhooks::{queue_event, queue_event_and_commit};
use wire::page::Page;

use super::service::{self, Draft, Listed};
use super::{Desk, Error, access, mentions};
use crate::live::Kind;
use crate::webhooks;

/// Stores a comment on the note with `uid`, which the caller must be able to read. Guests may comment.
pub async fn create(desk: &Desk<'_>, uid: &str, draft: &Draft) -> Result<Note, Error> {
    desk.member()?;
    let mut tx = desk.begin();
    let parent = notes::find_note_to_change(&mut tx, uid, true).await?.ok_or_else(Error::no_note)?;
    access::may_read(desk, &parent)?;
    let comment = service::insert_comment(&mut tx, desk, draft, &parent).await?;
    let told = mentions::notify_commented(&mut tx, desk, comment.id, &parent).await?;
    mentions::notify_mentioned(&mut tx, desk, &comment, &[], told).await?;
    queue_event(&mut tx, comment.id, comment.creator_id, webhooks::CREATED, desk.now()).await?;
    queue_event_and_commit(tx, comment.id, parent.creator_id, webhooks::COMMENTED, desk.now()).await?;
    desk.tell(Kind::Commented, &parent);
    Ok(comment)
}

/// The comments on a note. The pages are counted with the archived ones, which are then left out.
pub async fn list(desk: &Desk<'_>, uid: &str, page: Page) -> Result<Listed, Error> {
    let parent = service::get(desk, uid).await?;
    let mut tx = desk.begin();
    let found = notes::list_comments(&mut tx, parent.id, page.limit + 1, page.offset).await?;
    tx.commit().await?;
    // Counted from the newest row: the one too many is the oldest row, wherever it stands by time.
    let mut kept = found;
    let mut next_page_token = String::new();
    if i64::try_from(kept.len()).unwrap_or(i64::MAX) > page.limit {
        let oldest = kept.iter().map(|note| note.id).min();
        kept.retain(|note| Some(note.id) != oldest);
        next_page_token = page.next_token();
    }
    kept.retain(|note| !note.archived);
    Ok(Listed { notes: kept, next_page_token })
}
