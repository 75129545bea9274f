//! A note as a page shows it.

use domain::note::{CardEnd, Note, RelationKind, Visibility};
use markdown::{HtmlOptions, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::notes::Desk;

/// A note ready for the template.
pub(super) struct NoteCard {
    pub(super) uid: String,
    pub(super) creator: String,
    pub(super) stamp: String,
    pub(super) when: String,
    pub(super) visibility: &'static str,
    pub(super) pinned: bool,
    pub(super) archived: bool,
    pub(super) html: String,
    pub(super) files: Vec<FileLink>,
    pub(super) reactions: Vec<ReactionCount>,
    pub(super) comments: usize,
    pub(super) mine: bool,
}

/// A file of a note.
pub(super) struct FileLink {
    pub(super) url: String,
    pub(super) name: String,
    pub(super) size: String,
    pub(super) image: bool,
}

/// Reactions of one kind.
pub(super) struct ReactionCount {
    pub(super) sign: String,
    pub(super) count: usize,
    pub(super) who: String,
}

pub(super) const fn words(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Private => "only me",
        Visibility::Protected => "this workspace",
        Visibility::Public => "public",
    }
}

/// 2026-11-22 14:35 UTC.
pub(super) fn moment(seconds: i64) -> String {
    let shape = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&shape).ok()).unwrap_or_default()
}

pub(super) fn bytes(count: i64) -> String {
    match count {
        ..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

impl NoteCard {
    pub(super) fn new(desk: &Desk<'_>, base: &str, note: &Note) -> Self {
        let options = HtmlOptions { tag_prefix: format!("{base}?tag="), member_prefix: String::new() };
        let stamp = OffsetDateTime::from_unix_timestamp(note.created_ts).ok().and_then(|at| at.format(&Rfc3339).ok());
        let files = note.card.attachments.iter().map(|file| FileLink {
            url: if file.external_link.is_empty() {
                format!("{base}file/attachments/{}/{}", file.uid, utf8_percent_encode(&file.filename, NON_ALPHANUMERIC))
            } else {
                file.external_link.clone()
            },
            name: file.filename.clone(),
            size: bytes(file.size),
            image: file.external_link.is_empty() && matches!(file.kind.as_str(), "image/png" | "image/jpeg" | "image/gif" | "image/webp"),
        });
        let comments = note.card.relations.iter().filter(|one| !one.outgoing && one.kind == RelationKind::Comment);
        Self {
            uid: note.uid.clone(),
            creator: note.creator.clone(),
            stamp: stamp.unwrap_or_default(),
            when: moment(note.created_ts),
            visibility: words(note.visibility),
            pinned: note.pinned,
            archived: note.archived,
            html: html(&note.content, &options),
            files: files.collect(),
            reactions: counted(note),
            comments: comments.filter(|one| seen(desk, &one.other)).count(),
            mine: desk.actor.member_id() == Some(note.creator_id),
        }
    }
}

/// Whether the reader may know of the note at the other end.
fn seen(desk: &Desk<'_>, other: &CardEnd) -> bool {
    let reader = desk.actor.member_id();
    reader == Some(other.creator_id) || (!other.archived && (other.visibility == Visibility::Public || (reader.is_some() && other.visibility == Visibility::Protected)))
}

fn counted(note: &Note) -> Vec<ReactionCount> {
    let mut out: Vec<ReactionCount> = Vec::new();
    for reaction in &note.card.reactions {
        match out.iter_mut().find(|known| known.sign == reaction.reaction) {
            Some(known) => {
                known.count += 1;
                known.who.push_str(", ");
                known.who.push_str(&reaction.creator);
            }
            None => out.push(ReactionCount { sign: reaction.reaction.clone(), count: 1, who: reaction.creator.clone() }),
        }
    }
    out
}
