//! Markdown: what a note's text says about itself, its safe HTML, and the note as a Markdown file.

/// What the text of a note says about itself.
pub fn derive(_content: &str) -> domain::note::Derived {
    domain::note::Derived::default()
}

/// Usernames mentioned in the text, in order, without repeats.
pub fn mentions(_content: &str) -> Vec<String> {
    Vec::new()
}
