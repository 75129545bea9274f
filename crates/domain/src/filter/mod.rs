//! The filter language of the notes list: the part of CEL that Memos 0.30 understands, read by a small parser of ours.
//!
//! Text → tokens (`lex`) → tree (`parse`) → typed [`Filter`] with its constants folded (`check`). A filter is then
//! either compiled to SQL (crate `store`) or asked about one note in memory ([`Filter::matches`]); both mean the same.
//! Length, depth and number of nodes are limited, so that no text can cost more than it is worth.

mod case;
mod check;
mod constant;
mod lex;
mod matches;
mod old;
mod parse;
mod pattern;

#[cfg(test)]
mod tests;

pub use case::{cases_of, fold_ascii, fold_case};
pub use constant::{CALENDAR_BEGIN, CALENDAR_END};
pub use matches::{AttachmentFacts, Facts, NoteFacts, part_of};
pub use old::{OldFilter, member_number, parse_old, parse_today};
pub use pattern::Pattern;

/// Longest filter, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;
/// Deepest nesting of parentheses, lists, calls and signs.
pub const MAX_DEPTH: usize = 64;
/// Most nodes of the tree.
pub const MAX_NODES: usize = 2048;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {position})")]
pub struct FilterError {
    /// Character of the text at which the trouble begins, from 1.
    pub position: usize,
    /// What is wrong, in lower case.
    pub message: String,
}

/// A condition on a note or an attachment.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// True or false whatever is asked about.
    Always(bool),
    /// The opposite.
    Not(Box<Filter>),
    /// Every one of them.
    All(Vec<Filter>),
    /// One of them at least.
    Any(Vec<Filter>),
    /// A yes-or-no property.
    Flag(Flag),
    /// A test of a text.
    Text(TextField, TextTest),
    /// A comparison of a number.
    Number(NumberField, Op, i64),
    /// A number that is one of those given.
    NumberIn(NumberField, Vec<i64>),
    /// The attachment is on no note.
    Unused,
    /// A test of the tags.
    Tags(TagsTest),
}

/// A yes-or-no property of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Held at the top.
    Pinned,
    /// Has a checkbox.
    HasTaskList,
    /// Has an explicit link.
    HasLink,
    /// Has code.
    HasCode,
    /// Has an unchecked task.
    HasIncompleteTasks,
}

/// A text to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextField {
    /// The note's text.
    Content,
    /// `users/{username}` of the note's creator; `users/{number}` finds the member with that number too.
    Creator,
    /// `users/{username}` of the note's creator, and nothing else.
    CreatorName,
    /// PRIVATE, PROTECTED or PUBLIC.
    Visibility,
    /// The note's public id; only older clients ask for it.
    Uid,
    /// The attachment's file name.
    Filename,
    /// The attachment's media type.
    Kind,
}

/// How a text is tested. Contains, starts and ends ignore case, in every script.
#[derive(Clone, Debug, PartialEq)]
pub enum TextTest {
    /// Compared byte by byte.
    Compare(Op, String),
    /// Equal to one of them.
    OneOf(Vec<String>),
    /// Has it inside.
    Contains(String),
    /// Begins with it.
    StartsWith(String),
    /// Ends with it.
    EndsWith(String),
    /// Has a match of the pattern inside.
    Matches(Pattern),
}

/// A number to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberField {
    /// Row number of the note's creator.
    CreatorId,
    /// Row number of the attachment's note; unequal to everything when there is none.
    NoteId,
    /// Characters of the note's text.
    ContentSize,
    /// Number of tags.
    TagsSize,
    /// Seconds since 1970.
    Time(TimeField),
    /// A part of that time in UTC.
    Part(TimeField, Part),
}

/// A moment of a note or attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    /// When the note was written.
    Created,
    /// When it was last changed.
    Updated,
    /// When the attachment was uploaded.
    Uploaded,
}

/// A part of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// 2024.
    FullYear,
    /// 0 to 11.
    Month,
    /// Day of the month, from 1.
    Date,
    /// Day of the month, from 0.
    DayOfMonth,
    /// 0 is Sunday.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    /// 0 to 23.
    Hours,
    /// 0 to 59.
    Minutes,
    /// 0 to 59.
    Seconds,
}

/// A test of the list of tags. Tags are compared without regard to the case of ASCII letters, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagsTest {
    /// Has this very tag.
    Has(String),
    /// Has one of these, or a tag below one of these (`travel` finds `travel/japan`).
    Under(Vec<String>),
    /// Some tag passes.
    Exists(TagTest),
    /// There are tags, and all pass.
    All(TagTest),
    /// Exactly one passes.
    ExistsOne(TagTest),
    /// Has all of these.
    HasAll(Vec<String>),
    /// Has at least one of these.
    HasAny(Vec<String>),
    /// Has all of these and no other.
    Same(Vec<String>),
}

/// A test of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagTest {
    /// Is it.
    Equals(String),
    /// Begins with it.
    StartsWith(String),
    /// Ends with it.
    EndsWith(String),
    /// Has it inside.
    Contains(String),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Op {
    /// The operator in SQL.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// The same comparison with its sides exchanged.
    pub(crate) const fn flipped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    /// Whether `left op right` holds.
    pub fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
        }
    }
}

/// Reads a filter of notes. `now` is seconds since 1970: what the variable `now` means.
pub fn parse(text: &str, now: i64) -> Result<Filter, FilterError> {
    check::filter(text, now, check::About::Notes)
}

/// Reads a filter of attachments (`filename`, `mime_type`, `create_time`, `memo_id`).
pub fn parse_attachments(text: &str, now: i64) -> Result<Filter, FilterError> {
    check::filter(text, now, check::About::Attachments)
}

/// Reads the one filter of users there is, `username == "x"`; gives the username.
pub fn parse_users(text: &str) -> Result<String, FilterError> {
    check::username(text)
}
