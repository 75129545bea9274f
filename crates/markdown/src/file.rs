//! A note as a Markdown file: a few lines of front matter, then the text, byte for byte.
//!
//! The file holds what the note's creator sees, and nothing that changes without the note: it is hashed when a point is
//! taken and made again from the restored server's answers, and both must be equal. Every value in the front matter is
//! one line and valid both as YAML and, after its key, as JSON; `---` on a line of its own ends it for certain.

use domain::note::{CardEnd, Location, Note, RelationKind, Visibility};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const FENCE: &str = "---\n";

/// A note file taken apart, or about to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NoteFile {
    /// Public id.
    pub uid: String,
    /// Username of the creator.
    pub creator: String,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
    /// Who may read it.
    pub visibility: Visibility,
    /// In the archive.
    pub archived: bool,
    /// Held at the top.
    pub pinned: bool,
    /// Tags as stored.
    pub tags: Vec<String>,
    /// Where, if given.
    pub location: Option<Location>,
    /// Files in their order.
    pub attachments: Vec<FileAttachment>,
    /// Public ids of the notes it refers to and its creator may see, sorted.
    pub relations: Vec<String>,
    /// Public id of the note it comments on, if its creator may see that.
    pub parent: Option<String>,
    /// The text.
    pub content: String,
}

/// A file of a note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAttachment {
    /// Public id.
    pub uid: String,
    /// File name as uploaded.
    pub filename: String,
    /// Media type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes.
    pub size: i64,
    /// A link elsewhere, or empty.
    #[serde(rename = "link", default, skip_serializing_if = "String::is_empty")]
    pub external_link: String,
}

/// Why bytes are no note file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The first line is not `---`, or no other such line ends the front matter.
    #[error("not a note file: no front matter between two lines of ---")]
    NoFrontMatter,
    /// The text is not UTF-8.
    #[error("the note file is not UTF-8")]
    NotText(#[from] std::str::Utf8Error),
    /// A line without a colon, or a value that cannot be read.
    #[error("line {line} of the front matter cannot be read")]
    Line {
        /// From 1, the fence counted.
        line: usize,
        /// Why its value cannot be read, if that is the reason.
        source: Option<serde_json::Error>,
    },
    /// A key that every note file has is missing.
    #[error("the front matter has no {0}")]
    Missing(&'static str),
}

/// The file of `note`; the same note always gives the same bytes.
pub fn note_file(note: &Note) -> Vec<u8> {
    NoteFile::of(note).render()
}

/// Takes a note file apart: the inverse of [`NoteFile::render`]. Unknown keys are passed over.
pub fn parse_note_file(bytes: &[u8]) -> Result<NoteFile, FileError> {
    let text = std::str::from_utf8(bytes)?;
    let mut rest = text.strip_prefix(FENCE).ok_or(FileError::NoFrontMatter)?;
    let mut found = Found::default();
    let mut number = 1;
    loop {
        let (line, more) = rest.split_once('\n').ok_or(FileError::NoFrontMatter)?;
        number += 1;
        rest = more;
        if line == "---" {
            return found.complete(rest.to_owned());
        }
        let (key, value) = line.split_once(':').ok_or(FileError::Line { line: number, source: None })?;
        found.take(key, value.trim(), number)?;
    }
}

impl NoteFile {
    /// What the file of `note` says.
    pub fn of(note: &Note) -> Self {
        let seen = |end: &CardEnd| {
            end.creator_id == note.creator_id || (!end.archived && end.visibility != Visibility::Private)
        };
        let mut relations: Vec<String> = note
            .card
            .relations
            .iter()
            .filter(|one| one.outgoing && one.kind == RelationKind::Reference && seen(&one.other))
            .map(|one| one.other.uid.clone())
            .collect();
        relations.sort_unstable();
        let attachments = note.card.attachments.iter().map(|file| FileAttachment {
            uid: file.uid.clone(),
            filename: file.filename.clone(),
            kind: file.kind.clone(),
            size: file.size,
            external_link: file.external_link.clone(),
        });
        Self {
            uid: note.uid.clone(),
            creator: note.creator.clone(),
            created_ts: note.created_ts,
            updated_ts: note.updated_ts,
            visibility: note.visibility,
            archived: note.archived,
            pinned: note.pinned,
            tags: note.derived.tags.clone(),
            location: note.location.clone(),
            attachments: attachments.collect(),
            relations,
            parent: note.card.parent.as_ref().filter(|parent| seen(parent)).map(|parent| parent.uid.clone()),
            content: note.content.clone(),
        }
    }

    /// The bytes of the file.
    pub fn render(&self) -> Vec<u8> {
        let mut out = String::with_capacity(self.content.len() + 400);
        out.push_str(FENCE);
        let mut line = |key: &str, value: &str| {
            out.push_str(key);
            out.push_str(": ");
            out.push_str(value);
            out.push('\n');
        };
        line("uid", &json(&self.uid));
        line("creator", &json(&self.creator));
        line("created", &moment(self.created_ts));
        line("updated", &moment(self.updated_ts));
        line("visibility", self.visibility.as_str());
        line("state", if self.archived { "ARCHIVED" } else { "NORMAL" });
        line("pinned", if self.pinned { "true" } else { "false" });
        line("tags", &json(&self.tags));
        if let Some(location) = &self.location {
            line("location", &json(location));
        }
        if !self.attachments.is_empty() {
            line("attachments", &json(&self.attachments));
        }
        if !self.relations.is_empty() {
            line("relations", &json(&self.relations));
        }
        if let Some(parent) = &self.parent {
            line("parent", &json(parent));
        }
        out.push_str(FENCE);
        out.push_str(&self.content);
        out.into_bytes()
    }
}

/// Text and numbers always have a JSON form.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// RFC 3339 in UTC; plain seconds for years that it cannot write.
fn moment(seconds: i64) -> String {
    let written = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&Rfc3339).ok());
    written.unwrap_or_else(|| seconds.to_string())
}

fn seconds(text: &str, line: usize) -> Result<i64, FileError> {
    let plain = text.parse::<i64>().ok();
    plain
        .or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp))
        .ok_or(FileError::Line { line, source: None })
}

#[derive(Default)]
struct Found {
    uid: Option<String>,
    creator: Option<String>,
    created_ts: Option<i64>,
    updated_ts: Option<i64>,
    visibility: Option<Visibility>,
    archived: bool,
    pinned: bool,
    tags: Vec<String>,
    location: Option<Location>,
    attachments: Vec<FileAttachment>,
    relations: Vec<String>,
    parent: Option<String>,
}

impl Found {
    fn take(&mut self, key: &str, value: &str, line: usize) -> Result<(), FileError> {
        fn read<T: DeserializeOwned>(value: &str, line: usize) -> Result<T, FileError> {
            serde_json::from_str(value).map_err(|source| FileError::Line { line, source: Some(source) })
        }
        match key {
            "uid" => self.uid = Some(read(value, line)?),
            "creator" => self.creator = Some(read(value, line)?),
            "created" => self.created_ts = Some(seconds(value, line)?),
            "updated" => self.updated_ts = Some(seconds(value, line)?),
            "visibility" => {
                self.visibility = Some(value.parse().map_err(|_| FileError::Line { line, source: None })?);
            }
            "state" => self.archived = value == "ARCHIVED",
            "pinned" => self.pinned = value == "true",
            "tags" => self.tags = read(value, line)?,
            "location" => self.location = Some(read(value, line)?),
            "attachments" => self.attachments = read(value, line)?,
            "relations" => self.relations = read(value, line)?,
            "parent" => self.parent = Some(read(value, line)?),
            _ => {}
        }
        Ok(())
    }

    fn complete(self, content: String) -> Result<NoteFile, FileError> {
        Ok(NoteFile {
            uid: self.uid.ok_or(FileError::Missing("uid"))?,
            creator: self.creator.ok_or(FileError::Missing("creator"))?,
            created_ts: self.created_ts.ok_or(FileError::Missing("created"))?,
            updated_ts: self.updated_ts.ok_or(FileError::Missing("updated"))?,
            visibility: self.visibility.ok_or(FileError::Missing("visibility"))?,
            archived: self.archived,
            pinned: self.pinned,
            tags: self.tags,
            location: self.location,
            attachments: self.attachments,
            relations: self.relations,
            parent: self.parent,
            content,
        })
    }
}
