//! A filter asked about one note or attachment, in memory. Means the same as the SQL that `store` makes of it.

use super::case::{fold_ascii, fold_case};
use super::constant::calendar;
use super::old::member_number;
use super::{Filter, Flag, NumberField, Op, Part, TagTest, TagsTest, TextField, TextTest, TimeField};
use crate::note::{Note, Visibility};

/// What a filter may ask.
pub trait Facts {
    /// A text; empty where there is none.
    fn text(&self, field: TextField) -> &str;
    /// A number; none where there is none.
    fn number(&self, field: NumberField) -> Option<i64>;
    /// A property.
    fn flag(&self, flag: Flag) -> bool;
    /// The tags.
    fn tags(&self) -> &[String];
}

/// What a filter asks about a note.
#[derive(Clone, Debug)]
pub struct NoteFacts<'n> {
    /// The public id.
    pub uid: &'n str,
    /// The text.
    pub content: &'n str,
    /// The creator's username.
    pub creator: &'n str,
    /// The creator's row number.
    pub creator_id: i64,
    /// Who may read it.
    pub visibility: Visibility,
    /// Held at the top.
    pub pinned: bool,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
    /// What the text says about itself.
    pub derived: &'n crate::note::Derived,
}

impl<'n> From<&'n Note> for NoteFacts<'n> {
    fn from(note: &'n Note) -> Self {
        Self {
            uid: &note.uid,
            content: &note.content,
            creator: &note.creator,
            creator_id: note.creator_id.0,
            visibility: note.visibility,
            pinned: note.pinned,
            created_ts: note.created_ts,
            updated_ts: note.updated_ts,
            derived: &note.derived,
        }
    }
}

impl Facts for NoteFacts<'_> {
    fn text(&self, field: TextField) -> &str {
        match field {
            TextField::Content => self.content,
            TextField::Creator | TextField::CreatorName => self.creator,
            TextField::Visibility => self.visibility.as_str(),
            TextField::Uid => self.uid,
            TextField::Filename | TextField::Kind => "",
        }
    }

    fn number(&self, field: NumberField) -> Option<i64> {
        match field {
            NumberField::CreatorId => Some(self.creator_id),
            NumberField::ContentSize => i64::try_from(self.content.chars().count()).ok(),
            NumberField::TagsSize => i64::try_from(self.derived.tags.len()).ok(),
            NumberField::Time(TimeField::Created) => Some(self.created_ts),
            NumberField::Time(TimeField::Updated) => Some(self.updated_ts),
            NumberField::Part(field, part) => self.number(NumberField::Time(field)).map(|ts| part_of(ts, part)),
            NumberField::NoteId | NumberField::Time(TimeField::Uploaded) => None,
        }
    }

    fn flag(&self, flag: Flag) -> bool {
        match flag {
            Flag::Pinned => self.pinned,
            Flag::HasTaskList => self.derived.has_task_list,
            Flag::HasLink => self.derived.has_link,
            Flag::HasCode => self.derived.has_code,
            Flag::HasIncompleteTasks => self.derived.has_incomplete_tasks,
        }
    }

    fn tags(&self) -> &[String] {
        &self.derived.tags
    }
}

/// What a filter asks about an attachment.
#[derive(Clone, Debug)]
pub struct AttachmentFacts<'a> {
    /// File name.
    pub filename: &'a str,
    /// Media type.
    pub kind: &'a str,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Row number of its note.
    pub note_id: Option<i64>,
}

impl Facts for AttachmentFacts<'_> {
    fn text(&self, field: TextField) -> &str {
        match field {
            TextField::Filename => self.filename,
            TextField::Kind => self.kind,
            _ => "",
        }
    }

    fn number(&self, field: NumberField) -> Option<i64> {
        match field {
            NumberField::NoteId => self.note_id,
            NumberField::Time(TimeField::Uploaded) => Some(self.created_ts),
            NumberField::Part(TimeField::Uploaded, part) => Some(part_of(self.created_ts, part)),
            _ => None,
        }
    }

    fn flag(&self, _flag: Flag) -> bool {
        false
    }

    fn tags(&self) -> &[String] {
        &[]
    }
}

/// A part of a moment in UTC; `seconds` since 1970.
pub fn part_of(seconds: i64, part: Part) -> i64 {
    let at = calendar(seconds);
    match part {
        Part::FullYear => at.year().into(),
        Part::Month => i64::from(u8::from(at.month())) - 1,
        Part::Date => at.day().into(),
        Part::DayOfMonth => i64::from(at.day()) - 1,
        Part::DayOfWeek => at.weekday().number_days_from_sunday().into(),
        Part::DayOfYear => i64::from(at.ordinal()) - 1,
        Part::Hours => at.hour().into(),
        Part::Minutes => at.minute().into(),
        Part::Seconds => at.second().into(),
    }
}

impl Filter {
    /// Whether the filter lets `facts` through.
    pub fn matches(&self, facts: &impl Facts) -> bool {
        match self {
            Self::Always(answer) => *answer,
            Self::Not(inner) => !inner.matches(facts),
            Self::All(parts) => parts.iter().all(|part| part.matches(facts)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(facts)),
            Self::Flag(flag) => facts.flag(*flag),
            Self::Text(TextField::Creator, test) => creator(test, facts, true),
            Self::Text(TextField::CreatorName, test) => creator(test, facts, false),
            Self::Text(field, test) => text(test, facts.text(*field)),
            Self::Number(field, op, value) => match facts.number(*field) {
                Some(number) => op.holds(&number, value),
                None => *op == Op::Ne,
            },
            Self::NumberIn(field, values) => facts.number(*field).is_some_and(|number| values.contains(&number)),
            Self::Unused => facts.number(NumberField::NoteId).is_none(),
            Self::Tags(test) => tags(test, facts.tags()),
        }
    }
}

fn text(test: &TextTest, text: &str) -> bool {
    match test {
        TextTest::Compare(op, value) => op.holds(text.as_bytes(), value.as_bytes()),
        TextTest::OneOf(values) => values.iter().any(|value| value == text),
        TextTest::Contains(value) => fold_case(text).contains(&fold_case(value)),
        TextTest::StartsWith(value) => fold_case(text).starts_with(&fold_case(value)),
        TextTest::EndsWith(value) => fold_case(text).ends_with(&fold_case(value)),
        TextTest::Matches(pattern) => pattern.is_match(text),
    }
}

fn creator(test: &TextTest, facts: &impl Facts, numbers: bool) -> bool {
    let is = |value: &String| {
        value.strip_prefix("users/").filter(|name| !name.is_empty()).is_some_and(|name| {
            name == facts.text(TextField::Creator)
                || numbers && member_number(name).is_some_and(|id| facts.number(NumberField::CreatorId) == Some(id))
        })
    };
    match test {
        TextTest::Compare(Op::Ne, value) => !is(value),
        TextTest::Compare(_, value) => is(value),
        TextTest::OneOf(values) => values.iter().any(is),
        _ => false,
    }
}

fn tags(test: &TagsTest, tags: &[String]) -> bool {
    let has = |value: &String| tags.iter().any(|tag| tag.eq_ignore_ascii_case(value));
    let count = |test: &TagTest| tags.iter().filter(|tag| one_tag(test, tag)).count();
    match test {
        TagsTest::Has(value) => has(value),
        TagsTest::Under(values) => values.iter().any(|value| {
            has(value) || tags.iter().any(|tag| fold_ascii(tag).starts_with(&format!("{}/", fold_ascii(value))))
        }),
        TagsTest::Exists(test) => count(test) > 0,
        TagsTest::All(test) => !tags.is_empty() && count(test) == tags.len(),
        TagsTest::ExistsOne(test) => count(test) == 1,
        TagsTest::HasAll(values) => values.iter().all(has),
        TagsTest::HasAny(values) => values.iter().any(has),
        TagsTest::Same(values) => {
            values.iter().all(has) && tags.iter().all(|tag| values.iter().any(|value| tag.eq_ignore_ascii_case(value)))
        }
    }
}

fn one_tag(test: &TagTest, tag: &str) -> bool {
    let tag = fold_ascii(tag);
    match test {
        TagTest::Equals(value) => tag == fold_ascii(value),
        TagTest::StartsWith(value) => tag.starts_with(&fold_ascii(value)),
        TagTest::EndsWith(value) => tag.ends_with(&fold_ascii(value)),
        TagTest::Contains(value) => tag.contains(&fold_ascii(value)),
    }
}
