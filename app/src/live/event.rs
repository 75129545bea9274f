//! One event: what happened to which note, and who may know.

use bytes::Bytes;
use domain::id::MemberId;
use domain::note::{Note, Visibility};
use serde::{Deserialize, Serialize};

use crate::notes::view::memo_name;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A note was written.
    #[serde(rename = "memo.created")]
    Created,
    /// A note or comment was changed.
    #[serde(rename = "memo.updated")]
    Updated,
    /// A note or comment was deleted.
    #[serde(rename = "memo.deleted")]
    Deleted,
    /// A note was commented on; the event names that note.
    #[serde(rename = "memo.comment.created")]
    Commented,
    /// A reaction was added.
    #[serde(rename = "reaction.upserted")]
    Reacted,
    /// A reaction was taken away.
    #[serde(rename = "reaction.deleted")]
    ReactionDeleted,
}

/// An event with everything that decides who may know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    #[serde(rename = "k")]
    kind: Kind,
    #[serde(rename = "n")]
    uid: String,
    /// The note above, of comments.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// Of the note at the top of the thread.
    #[serde(rename = "v")]
    visibility: Visibility,
    /// The creator of the note at the top of the thread.
    #[serde(rename = "w")]
    owner: MemberId,
}

/// As clients read it.
#[derive(Serialize)]
struct Shown<'a> {
    r#type: Kind,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a String>,
}

impl Event {
    /// What happened to `note` as it is now, or was before it was deleted.
    pub fn of(kind: Kind, note: &Note) -> Self {
        let top = note.card.parent.as_ref();
        // Memos names the parent of a comment in every event but these.
        let silent = matches!(kind, Kind::Deleted | Kind::Commented);
        Self {
            kind,
            uid: note.uid.clone(),
            parent: top.filter(|_| !silent).map(|top| top.uid.clone()),
            visibility: top.map_or(note.visibility, |top| top.visibility),
            owner: top.map_or(note.creator_id, |top| top.creator_id),
        }
    }

    /// Whether this member may know: of private notes only their owner and admins.
    pub(super) fn may_be_known(&self, member: MemberId, is_admin: bool) -> bool {
        self.visibility != Visibility::Private || is_admin || self.owner == member
    }

    /// The bytes of the event in a stream.
    pub(super) fn frame(&self) -> Bytes {
        let shown = Shown { r#type: self.kind, name: memo_name(&self.uid), parent: None };
        let parent = self.parent.as_deref().map(memo_name);
        let text = serde_json::to_string(&Shown { parent: parent.as_ref(), ..shown }).unwrap_or_default();
        Bytes::from(format!("data: {text}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_recorded_and_private_ones_are_kept() {
        let event = Event {
            kind: Kind::Reacted,
            uid: "c1".to_owned(),
            parent: Some("p".to_owned()),
            visibility: Visibility::Private,
            owner: MemberId(1),
        };
        let frame = "data: {\"type\":\"reaction.upserted\",\"name\":\"memos/c1\",\"parent\":\"memos/p\"}\n\n";
        assert_eq!(event.frame(), frame.as_bytes());
        let knows = |member, admin| event.may_be_known(MemberId(member), admin);
        assert!(knows(1, false) && knows(2, true) && !knows(2, false));
        let text = serde_json::to_string(&event).expect("JSON");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("an event"), event);
    }
}
