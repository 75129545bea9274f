//! What a feed says of one note, whatever its format.

use super::{Channel, Entry};

/// The longest title in bytes.
const TITLE: usize = 100;

impl Entry {
    /// The address of the note's page.
    pub(super) fn link(&self, channel: &Channel) -> String {
        format!("{}/memos/{}", channel.origin, self.note.uid)
    }

    /// The first line without the marks of a heading, cut at a word.
    pub(super) fn title(&self) -> String {
        let line = self.note.content.split('\n').next().unwrap_or_default();
        let line = line.trim().trim_start_matches('#').trim();
        if line.is_empty() {
            return "Memo".to_owned();
        }
        if line.len() <= TITLE {
            return line.to_owned();
        }
        let end = (0..=TITLE).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        let cut = line.get(..end).unwrap_or_default();
        let cut = cut.rfind(' ').filter(|at| *at > 0).and_then(|at| cut.get(..at)).unwrap_or(cut);
        format!("{cut}...")
    }

    /// Safe HTML of the note.
    pub(super) fn html(&self) -> String {
        markdown::feed_html(&self.note.content)
    }

    /// The first file: address, size, type.
    pub(super) fn enclosure(&self, channel: &Channel) -> Option<(String, i64, &str)> {
        let file = self.note.card.attachments.first()?;
        let link = if file.external_link.is_empty() {
            format!("{}/file/attachments/{}/{}", channel.origin, file.uid, file.filename)
        } else {
            file.external_link.clone()
        };
        Some((link, file.size, file.kind.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{MemberId, NoteId};
    use domain::note::{Card, Derived, Note, Visibility};

    use super::*;

    fn title(content: &str) -> String {
        let note = Note {
            id: NoteId(1),
            uid: "n".to_owned(),
            creator_id: MemberId(1),
            creator: "ann".to_owned(),
            created_ts: 0,
            updated_ts: 0,
            archived: false,
            content: content.to_owned(),
            visibility: Visibility::Public,
            pinned: false,
            derived: Derived::default(),
            location: None,
            card: Card::default(),
        };
        Entry { note, author: "Ann".to_owned() }.title()
    }

    #[test]
    fn titles_are_cut_as_recorded() {
        assert_eq!(title("# Orchard Saddle\n\ntext"), "Orchard Saddle");
        assert_eq!(title("#a/b #c"), "a/b #c");
        assert_eq!(title("#"), "Memo");
        assert_eq!(title("line one archive\r\nx"), "line one archive");
        assert_eq!(title(&"x".repeat(120)), format!("{}...", "x".repeat(100)));
        assert_eq!(title(&"word ".repeat(40)), format!("{}...", "word ".repeat(20).trim_end()));
        assert_eq!(title(&"漢".repeat(50)).chars().count(), 33 + 3);
    }
}
