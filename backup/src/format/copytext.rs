//! Reading single rows of Postgres' COPY text format: fields between tabs, `\N` for null, backslash escapes.

use std::collections::HashMap;

use domain::id::{MemberId, NoteId};
use domain::note::{Derived, Note};

/// The fields of a row; `None` is null.
pub fn fields(line: &[u8]) -> Vec<Option<String>> {
    line.split(|byte| *byte == b'\t').map(field).collect()
}

/// One field without its escapes; `None` is null.
pub fn field(raw: &[u8]) -> Option<String> {
    if raw == br"\N" {
        return None;
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = memchr::memchr(b'\\', rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(plain);
        let Some((letter, after)) = escape.get(1..).and_then(<[u8]>::split_first) else { return Some(text(out)) };
        out.push(match letter {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            other => *other,
        });
        rest = after;
    }
    out.extend_from_slice(rest);
    Some(text(out))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned())
}

/// A value as a field of COPY text.
pub fn escaped(value: &str) -> String {
    if !value.bytes().any(|byte| byte == b'\\' || (0x08..=0x0d).contains(&byte)) {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len() + 8);
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            other => out.push(other),
        }
    }
    out
}

/// The elements of a one-dimensional text array as Postgres writes it: `{a,"b c",NULL}`.
pub fn array(text: &str) -> Vec<String> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let mut out = Vec::new();
    let mut letters = inner.chars();
    let (mut current, mut quoted, mut begun) = (String::new(), false, false);
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '\\' => current.extend(letters.next()),
            ',' if !quoted => {
                out.push(std::mem::take(&mut current));
                begun = false;
            }
            other => current.push(other),
        }
    }
    if begun || !current.is_empty() {
        out.push(current);
    }
    out
}

/// The rows of one table, read by the names of its columns.
#[derive(Clone, Debug)]
pub struct Columns {
    names: Vec<String>,
}

impl Columns {
    /// `columns`: names in the order of the COPY text.
    pub fn new<'a>(columns: impl Iterator<Item = &'a str>) -> Self {
        Self { names: columns.map(str::to_owned).collect() }
    }

    /// Where a column is.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }

    /// The value of one column in a row.
    pub fn value(&self, line: &[u8], name: &str) -> Option<String> {
        field(line.split(|byte| *byte == b'\t').nth(self.position(name)?)?)
    }

    /// The note of a row; `None` when a column it cannot do without is missing or odd. `creators`: usernames by id.
    pub fn note(&self, line: &[u8], creators: &HashMap<i64, String>) -> Option<Note> {
        let values: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
        let raw = |name: &str| values.get(self.position(name)?).copied();
        let text = |name: &str| raw(name).and_then(field);
        let number = |name: &str| std::str::from_utf8(raw(name)?).ok()?.parse::<i64>().ok();
        let flag = |name: &str| raw(name) == Some(b"t");
        let json = |name: &str| text(name).unwrap_or_else(|| "null".to_owned());
        Some(Note {
            id: NoteId(number("id")?),
            uid: text("uid")?,
            creator_id: MemberId(number("creator_id")?),
            creator: creators.get(&number("creator_id")?).cloned().unwrap_or_default(),
            created_ts: number("created_ts")?,
            updated_ts: number("updated_ts")?,
            archived: flag("archived"),
            pinned: flag("pinned"),
            visibility: text("visibility")?.parse().ok()?,
            content: text("content").unwrap_or_default(),
            derived: Derived {
                tags: text("tags").map(|tags| array(&tags)).unwrap_or_default(),
                snippet: text("snippet").unwrap_or_default(),
                title: text("title").unwrap_or_default(),
                has_link: flag("has_link"),
                has_task_list: flag("has_task_list"),
                has_code: flag("has_code"),
                has_incomplete_tasks: flag("has_incomplete_tasks"),
            },
            location: serde_json::from_str(&json("location")).ok().flatten(),
            card: serde_json::from_str(&json("card")).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_lose_their_escapes() {
        let line = b"1\tone\\ttwo\\\\three\\nfour\t\\N\t";
        let expected = [Some("1"), Some("one\ttwo\\three\nfour"), None, Some("")];
        assert_eq!(fields(line), expected.map(|field| field.map(str::to_owned)));
    }

    #[test]
    fn arrays_of_every_shape() {
        assert_eq!(array("{}"), Vec::<String>::new());
        assert_eq!(array(r#"{a,"b c","d\"e\\f","",ä}"#), ["a", "b c", "d\"e\\f", "", "ä"]);
    }

    #[test]
    fn a_note_is_read_by_column_names() {
        let columns = Columns::new(
            ["content", "id", "uid", "creator_id", "created_ts", "updated_ts", "visibility", "pinned", "tags", "more"]
                .into_iter(),
        );
        let note = columns
            .note(b"a\\nb\t7\tu-1\t3\t10\t20\tPUBLIC\tt\t{x}\t?", &HashMap::from([(3, "ann".to_owned())]))
            .unwrap();
        assert_eq!((note.id.0, note.content.as_str(), note.pinned, note.creator.as_str()), (7, "a\nb", true, "ann"));
        assert!(columns.note(b"a\t7", &HashMap::new()).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn escapes_come_back(text in "[ -~\\n\\t\\r\\u{8}\\u{b}\\u{c}é😀]{0,60}") {
            prop_assert_eq!(field(escaped(&text).as_bytes()), Some(text));
        }
    }
}
