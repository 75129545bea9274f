//! A note as a Markdown file.

/// A note file taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoteFile {
    /// The text.
    pub content: String,
}

/// The file.
pub fn note_file(note: &domain::note::Note) -> Vec<u8> {
    note.content.clone().into_bytes()
}

/// Its inverse.
pub fn parse_note_file(_bytes: &[u8]) -> Option<NoteFile> {
    None
}
