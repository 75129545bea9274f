//! Notes in the wire's words, as far as the viewer may know.

use domain::id::MemberId;
use domain::note::{Card, CardAttachment, CardEnd, CardReaction, CardRelation, Note, RelationKind, Visibility};
use store::tenant::attachments::Attachment;
use store::tenant::reactions::Reaction;
use store::tenant::shares::Share;
use wire::{Timestamp, v1};

/// How much of a note is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Everything: relations with their snippets.
    Full,
    /// The answer to a new comment: everything but the parent, which the caller named himself.
    Created,
    /// In a list: relations without snippets.
    Listed,
    /// Through a share: neither relations nor parent.
    Shared,
}

/// `memos/{uid}`.
pub fn memo_name(uid: &str) -> String {
    format!("memos/{uid}")
}

/// `users/{username}`.
pub fn user_name(username: &str) -> String {
    format!("users/{username}")
}

/// The note as a message.
pub fn memo(note: &Note, viewer: Option<MemberId>, detail: Detail) -> v1::Memo {
    memo_of(note.clone(), viewer, detail)
}

/// The note as a message, its texts moved and not copied: for lists.
pub fn memo_of(note: Note, viewer: Option<MemberId>, detail: Detail) -> v1::Memo {
    let top = note.card.parent.as_ref();
    let shown_parent = top.filter(|_| matches!(detail, Detail::Full | Detail::Listed));
    let shown_parent = shown_parent.map(|parent| memo_name(&parent.uid));
    v1::Memo {
        name: memo_name(&note.uid),
        state: state(note.archived).into(),
        creator: user_name(&note.creator),
        create_time: Some(Timestamp::from_seconds(note.created_ts)),
        update_time: Some(Timestamp::from_seconds(note.updated_ts)),
        visibility: visibility(top.map_or(note.visibility, |top| top.visibility)).into(),
        attachments: note.card.attachments.iter().map(|file| attachment_of(&note.uid, file)).collect(),
        relations: if detail == Detail::Shared { Vec::new() } else { relations(&note, viewer, detail) },
        reactions: reactions(&note),
        parent: shown_parent,
        content: note.content,
        tags: note.derived.tags,
        pinned: note.pinned,
        property: Some(v1::memo::Property {
            has_link: note.derived.has_link,
            has_task_list: note.derived.has_task_list,
            has_code: note.derived.has_code,
            has_incomplete_tasks: note.derived.has_incomplete_tasks,
            title: note.derived.title,
        }),
        snippet: note.derived.snippet,
        location: note.location.map(|place| v1::Location {
            placeholder: place.placeholder,
            latitude: place.latitude,
            longitude: place.longitude,
        }),
    }
}

const fn state(archived: bool) -> v1::State {
    if archived { v1::State::Archived } else { v1::State::Normal }
}

/// The wire's word for who may read a note.
pub const fn visibility(visibility: Visibility) -> v1::Visibility {
    match visibility {
        Visibility::Private => v1::Visibility::Private,
        Visibility::Protected => v1::Visibility::Protected,
        Visibility::Public => v1::Visibility::Public,
    }
}

/// A note's relations that the viewer may know of: those that leave it, then those that reach it.
///
/// The original reads them from two different queries, so their order differs between one note and a list.
pub fn relations(note: &Note, viewer: Option<MemberId>, detail: Detail) -> Vec<v1::MemoRelation> {
    let mut seen: Vec<&CardRelation> =
        note.card.relations.iter().filter(|relation| super::access::sees_end(viewer, &relation.other)).collect();
    let listed = detail == Detail::Listed;
    seen.sort_by_key(|relation| {
        let id = relation.other.id.0;
        let upward = relation.outgoing && !listed;
        let kind = if listed { relation.kind == RelationKind::Comment } else { false };
        (!relation.outgoing, kind, if upward { id } else { -id })
    });
    seen.into_iter().map(|found| relation(note, found, listed)).collect()
}

fn relation(note: &Note, found: &CardRelation, listed: bool) -> v1::MemoRelation {
    let end = |uid: &str, snippet: &str| {
        let snippet = if listed { String::new() } else { snippet.to_owned() };
        Some(v1::memo_relation::Memo { name: memo_name(uid), snippet })
    };
    let own = end(&note.uid, &note.derived.snippet);
    let other = end(&found.other.uid, &found.other.snippet);
    let kind = match found.kind {
        RelationKind::Reference => v1::memo_relation::Type::Reference,
        RelationKind::Comment => v1::memo_relation::Type::Comment,
    };
    let (memo, related_memo) = if found.outgoing { (own, other) } else { (other, own) };
    v1::MemoRelation { memo, related_memo, r#type: kind.into() }
}

/// A note's reactions, oldest first.
pub fn reactions(note: &Note) -> Vec<v1::Reaction> {
    note.card.reactions.iter().map(|found| reaction_of(&note.uid, found)).collect()
}

fn reaction_of(uid: &str, found: &CardReaction) -> v1::Reaction {
    v1::Reaction {
        name: format!("memos/{uid}/reactions/{}", found.id),
        creator: user_name(&found.creator),
        content_id: memo_name(uid),
        reaction_type: found.reaction.clone(),
        create_time: Some(Timestamp::from_seconds(found.created_ts)),
    }
}

/// A reaction just stored by `creator`.
pub fn reaction(uid: &str, creator: &str, found: &Reaction) -> v1::Reaction {
    v1::Reaction {
        name: format!("memos/{uid}/reactions/{}", found.id),
        creator: user_name(creator),
        content_id: memo_name(uid),
        reaction_type: found.reaction.clone(),
        create_time: Some(Timestamp::from_seconds(found.created_ts)),
    }
}

/// A note's files, in their order.
pub fn attachments(note: &Note) -> Vec<v1::Attachment> {
    note.card.attachments.iter().map(|file| attachment_of(&note.uid, file)).collect()
}

fn attachment_of(uid: &str, file: &CardAttachment) -> v1::Attachment {
    v1::Attachment {
        name: format!("attachments/{}", file.uid),
        create_time: Some(Timestamp::from_seconds(file.created_ts)),
        filename: file.filename.clone(),
        content: Vec::new(),
        external_link: file.external_link.clone(),
        r#type: file.kind.clone(),
        size: file.size,
        memo: Some(memo_name(uid)),
        motion_media: file.motion.as_ref().map(motion),
    }
}

fn motion(found: &domain::note::MotionMedia) -> v1::MotionMedia {
    let family = v1::MotionMediaFamily::from_str_name(&found.family).unwrap_or_default();
    let role = v1::MotionMediaRole::from_str_name(&found.role).unwrap_or_default();
    v1::MotionMedia {
        family: family.into(),
        role: role.into(),
        group_id: found.group_id.clone(),
        presentation_timestamp_us: found.presentation_timestamp_us,
        has_embedded_video: found.has_embedded_video,
    }
}

/// A file as a message.
pub fn attachment(file: &Attachment) -> v1::Attachment {
    v1::Attachment {
        name: format!("attachments/{}", file.uid),
        create_time: Some(Timestamp::from_seconds(file.created_ts)),
        filename: file.filename.clone(),
        content: Vec::new(),
        external_link: file.external_link.clone(),
        r#type: file.kind.clone(),
        size: file.size,
        memo: file.note.as_ref().map(|holder| memo_name(&holder.uid)),
        motion_media: crate::files::motion::of_payload(&file.payload).as_ref().map(motion),
    }
}

/// A share as a message.
pub fn share(uid: &str, found: &Share) -> v1::MemoShare {
    v1::MemoShare {
        name: format!("memos/{uid}/shares/{}", found.token),
        create_time: Some(Timestamp::from_seconds(found.created_ts)),
        expire_time: found.expires_ts.map(Timestamp::from_seconds),
    }
}

/// The other end of a card's relation, for pages.
pub fn ends(card: &Card, viewer: Option<MemberId>, outgoing: bool) -> Vec<&CardEnd> {
    card.relations
        .iter()
        .filter(|found| found.outgoing == outgoing && super::access::sees_end(viewer, &found.other))
        .map(|found| &found.other)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::NoteId;
    use domain::note::Derived;

    fn end(id: i64, visibility: Visibility) -> CardEnd {
        CardEnd {
            id: NoteId(id),
            uid: format!("n{id}"),
            creator_id: MemberId(1),
            visibility,
            archived: false,
            snippet: format!("s{id}"),
        }
    }

    fn note() -> Note {
        let relation = |kind, outgoing, id, visibility| CardRelation { kind, outgoing, other: end(id, visibility) };
        let card = Card {
            relations: vec![
                relation(RelationKind::Reference, true, 3, Visibility::Public),
                relation(RelationKind::Reference, true, 9, Visibility::Private),
                relation(RelationKind::Comment, false, 5, Visibility::Public),
                relation(RelationKind::Reference, false, 4, Visibility::Public),
                relation(RelationKind::Comment, false, 6, Visibility::Protected),
            ],
            ..Card::default()
        };
        Note {
            id: NoteId(1),
            uid: "me".to_owned(),
            creator_id: MemberId(1),
            creator: "ann".to_owned(),
            created_ts: 0,
            updated_ts: 0,
            archived: false,
            content: String::new(),
            visibility: Visibility::Public,
            pinned: false,
            derived: Derived { snippet: "own".to_owned(), ..Derived::default() },
            location: None,
            card,
        }
    }

    fn others(viewer: Option<i64>, detail: Detail) -> Vec<String> {
        relations(&note(), viewer.map(MemberId), detail)
            .into_iter()
            .filter_map(|found| {
                let (memo, related) = (found.memo?, found.related_memo?);
                Some(if memo.name == "memos/me" { related.name } else { memo.name })
            })
            .collect()
    }

    #[test]
    fn relations_are_ordered_as_recorded() {
        let one = |ids: &[i64]| ids.iter().map(|id| format!("memos/n{id}")).collect::<Vec<_>>();
        assert_eq!(others(Some(1), Detail::Full), one(&[3, 9, 6, 5, 4]));
        assert_eq!(others(Some(1), Detail::Listed), one(&[9, 3, 4, 6, 5]));
        assert_eq!(others(Some(2), Detail::Full), one(&[3, 6, 5, 4]));
        assert_eq!(others(None, Detail::Full), one(&[3, 5, 4]));
    }

    #[test]
    fn lists_have_no_snippets_of_relations() {
        let listed = memo(&note(), None, Detail::Listed);
        assert!(listed.relations.iter().all(|found| found.memo.as_ref().is_some_and(|end| end.snippet.is_empty())));
        assert!(memo(&note(), None, Detail::Shared).relations.is_empty());
    }
}
