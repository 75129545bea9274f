//! A note and what hangs on it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{AttachmentId, InvalidId, MemberId, NoteId};

/// Who may read a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Visibility {
    /// Its creator.
    Private,
    /// Every member of the tenant.
    Protected,
    /// Everyone, if the tenant has a public URL; otherwise every member.
    Public,
}

impl Visibility {
    /// The word in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "PRIVATE",
            Self::Protected => "PROTECTED",
            Self::Public => "PUBLIC",
        }
    }
}

impl FromStr for Visibility {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "PRIVATE" => Ok(Self::Private),
            "PROTECTED" => Ok(Self::Protected),
            "PUBLIC" => Ok(Self::Public),
            _ => Err(InvalidId("visibility: PRIVATE, PROTECTED or PUBLIC")),
        }
    }
}

/// What the text of a note says about itself; computed when the text changes, never given by a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Derived {
    /// Tags in document order, without repeats.
    pub tags: Vec<String>,
    /// The first 64 characters as plain text.
    pub snippet: String,
    /// Text of a level-1 heading that opens the note, else empty.
    pub title: String,
    /// Has an explicit link.
    pub has_link: bool,
    /// Has a task checkbox.
    pub has_task_list: bool,
    /// Has code.
    pub has_code: bool,
    /// Has an unchecked task.
    pub has_incomplete_tasks: bool,
}

/// A place given to a note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Shown text.
    #[serde(default)]
    pub placeholder: String,
    /// Degrees.
    #[serde(default)]
    pub latitude: f64,
    /// Degrees.
    #[serde(default)]
    pub longitude: f64,
}

/// What a list shows beside a note's own text: stored with its row, rewritten in the transaction that changes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// Files in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<CardAttachment>,
    /// Reactions, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<CardReaction>,
    /// Relations that leave the note, then those that reach it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<CardRelation>,
    /// The note this one comments on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<CardEnd>,
}

/// A file on a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardAttachment {
    /// Row number.
    pub id: AttachmentId,
    /// Public id.
    pub uid: String,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// File name as uploaded.
    pub filename: String,
    /// Media type.
    pub kind: String,
    /// Bytes.
    pub size: i64,
    /// A link elsewhere, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub external_link: String,
    /// Motion photo data as in the wire message, or null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion: Option<MotionMedia>,
}

/// One half, or the container, of a moving photo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MotionMedia {
    /// `APPLE_LIVE_PHOTO` or `ANDROID_MOTION_PHOTO`.
    pub family: String,
    /// `STILL`, `VIDEO` or `CONTAINER`.
    pub role: String,
    /// Shared by the halves.
    pub group_id: String,
    /// Microseconds.
    pub presentation_timestamp_us: i64,
    /// The file holds the film.
    pub has_embedded_video: bool,
}

/// A reaction on a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardReaction {
    /// Row number, which is also its public id.
    pub id: i64,
    /// Who reacted.
    pub creator_id: MemberId,
    /// Their username now (a rename rewrites it).
    pub creator: String,
    /// Usually an emoji.
    pub reaction: String,
    /// Seconds since 1970.
    pub created_ts: i64,
}

/// The other end of a relation, with what decides whether a reader may know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardEnd {
    /// Row number.
    pub id: NoteId,
    /// Public id.
    pub uid: String,
    /// Its creator.
    pub creator_id: MemberId,
    /// Who may read it.
    pub visibility: Visibility,
    /// Archived notes are seen by their creator only.
    pub archived: bool,
    /// Its snippet.
    pub snippet: String,
}

/// How one note relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RelationKind {
    /// The author linked it.
    Reference,
    /// The first comments on the second.
    Comment,
}

impl RelationKind {
    /// The word in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "REFERENCE",
            Self::Comment => "COMMENT",
        }
    }
}

/// A relation on a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardRelation {
    /// REFERENCE or COMMENT.
    pub kind: RelationKind,
    /// True when it leaves this note, false when it reaches it.
    pub outgoing: bool,
    /// The note at the other end.
    pub other: CardEnd,
}

/// A note as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Row number.
    pub id: NoteId,
    /// Public id.
    pub uid: String,
    /// Who wrote it.
    pub creator_id: MemberId,
    /// Their username now.
    pub creator: String,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970; an edit moves it only when asked to.
    pub updated_ts: i64,
    /// Archived notes leave the feed.
    pub archived: bool,
    /// The text, Markdown.
    pub content: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// Held at the top by its creator.
    pub pinned: bool,
    /// What the text says about itself.
    pub derived: Derived,
    /// Where, if given.
    pub location: Option<Location>,
    /// What a list shows beside the text.
    pub card: Card,
}
