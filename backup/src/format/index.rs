//! The lines of `note_hashes`: what each note's Markdown file hashes to, and, so that one note can be found without its table
//! being read, which row it is, below which note, and whose.

use domain::note::Note;

use super::copytext::{Columns, escaped};
use super::hash::Hash;

/// Its fields, as in COPY text. Points from before 2026-11-23 end after the second.
const FIELDS: [&str; 5] = ["uid", "sha256", "id", "parent_id", "creator_id"];

/// A note as its line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// Its uid.
    pub uid: String,
    /// The row's number.
    pub id: i64,
    /// The row of the note that it is a comment on.
    pub parent: Option<i64>,
    /// The row of the member who wrote it.
    pub creator: Option<i64>,
}

/// The line of a note. `parent`: the row of the note that it is a comment on, as its own row says.
pub fn line(note: &Note, parent: Option<&str>, file: Hash) -> String {
    let (id, creator) = (note.id.0, note.creator_id.0);
    format!("{}\t{file}\t{id}\t{}\t{creator}\n", escaped(&note.uid), parent.unwrap_or("\\N"))
}

/// Reads lines of one stream; none of them when one does not say which row it is.
pub fn read(text: &[u8]) -> Option<Vec<Indexed>> {
    let columns = Columns::new(FIELDS.into_iter());
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let number = |name: &str| columns.value(line, name)?.parse().ok();
            Some(Indexed {
                uid: columns.value(line, "uid")?,
                id: number("id")?,
                parent: number("parent_id"),
                creator: number("creator_id"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_line_tells_which_row_it_is_and_an_older_one_does_not() {
        let columns = Columns::new(
            ["id", "creator_id", "uid", "parent_id", "created_ts", "updated_ts", "visibility"].into_iter(),
        );
        let hash = Hash::of(b"x");
        let lines: String = [&b"7\t1\ta\\tb\t\\N\t1\t1\tPRIVATE"[..], b"9\t2\tc\t7\t1\t1\tPRIVATE"]
            .into_iter()
            .map(|row| {
                let note = columns.note(row, &HashMap::new()).unwrap();
                line(&note, columns.value(row, "parent_id").as_deref(), hash)
            })
            .collect();
        let read_back = read(lines.as_bytes()).unwrap();
        let one = |uid: &str, id, parent, creator| Indexed { uid: uid.to_owned(), id, parent, creator };
        assert_eq!(read_back, [one("a\tb", 7, None, Some(1)), one("c", 9, Some(7), Some(2))]);
        assert!(lines.starts_with(&format!("a\\tb\t{hash}\t7\t\\N\t1\n")), "{lines}");
        assert_eq!(read(format!("a\t{hash}\n").as_bytes()), None);
        assert_eq!(read(b""), Some(Vec::new()));
    }
}
