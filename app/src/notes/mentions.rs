//! Who is told when a note or comment names him.

use domain::id::{MemberId, NoteId};
use domain::note::{CardEnd, Note, Visibility};
use store::TenantTx;
use store::tenant::members;
use store::tenant::notifications::{NewNotification, insert_notifications};

use super::{Desk, Error};

/// The word for a mention.
pub const MENTION: &str = "MEMO_MENTION";
/// The word for a comment.
pub const COMMENT: &str = "MEMO_COMMENT";

/// Whether a text names somebody.
pub(super) fn are_in(text: &str) -> bool {
    text.contains('@') && !markdown::mentions(text).is_empty()
}

/// Tells the members whom `note` mentions and who can read it; not its author, not `told` (who hears of it anyway), and
/// none of those whom the text before an edit named already.
pub async fn notify_mentioned(
    tx: &mut TenantTx,
    desk: &Desk<'_>,
    note: &Note,
    before: &[String],
    told: Option<MemberId>,
) -> Result<(), Error> {
    if !note.content.contains('@') {
        return Ok(());
    }
    let named: Vec<String> =
        markdown::mentions(&note.content).into_iter().filter(|name| !before.contains(name)).collect();
    if named.is_empty() {
        return Ok(());
    }
    let mut receivers: Vec<MemberId> = members::list_members_by_name(tx, &named)
        .await?
        .into_iter()
        .filter(|member| !member.archived && can_read(note, member.id))
        .map(|member| member.id)
        .filter(|id| *id != note.creator_id && Some(*id) != told)
        .collect();
    receivers.sort_unstable();
    receivers.dedup();
    let new = NewNotification {
        created_ts: desk.now(),
        sender_id: note.creator_id,
        kind: MENTION,
        note_id: note.id,
        related_id: note.card.parent.as_ref().map(|parent| parent.id),
    };
    Ok(insert_notifications(tx, &receivers, &new).await?)
}

/// Tells the author of `parent` that someone commented on it. Returns who was told.
pub async fn notify_commented(
    tx: &mut TenantTx,
    desk: &Desk<'_>,
    comment: NoteId,
    parent: &Note,
) -> Result<Option<MemberId>, Error> {
    let Some(author) = desk.actor.member_id() else { return Ok(None) };
    let private = parent.card.parent.as_ref().map_or(parent.visibility, |top| top.visibility) == Visibility::Private;
    if private || author == parent.creator_id {
        return Ok(None);
    }
    let new = NewNotification {
        created_ts: desk.now(),
        sender_id: author,
        kind: COMMENT,
        note_id: comment,
        related_id: Some(parent.id),
    };
    insert_notifications(tx, &[parent.creator_id], &new).await?;
    Ok(Some(parent.creator_id))
}

fn can_read(note: &Note, member: MemberId) -> bool {
    let top: Option<&CardEnd> = note.card.parent.as_ref();
    let (visibility, owner) = top.map_or((note.visibility, note.creator_id), |top| (top.visibility, top.creator_id));
    visibility != Visibility::Private || owner == member
}
