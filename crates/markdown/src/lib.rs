//! Markdown: what a note's text says about itself, its safe HTML, and the note as a Markdown file.
//!
//! What is derived equals what Memos 0.30.0 answered for the same text, byte for byte: tags in its older grammar,
//! flags, title and snippet. `scan` reads the text once into a flat list of events; `derive` folds that list.

mod derive;
mod feed;
pub mod file;
mod folder;
mod html;
mod inline;
mod plain;
mod scan;
mod tag;

pub use derive::{derive, mentions};
pub use feed::feed_html;
pub use file::{FileAttachment, FileError, NoteFile, note_file, parse_note_file};
pub use folder::{Home, file_path, note_path, safe_name};
pub use html::{HtmlOptions, html};
