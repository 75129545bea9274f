//! A note's Markdown file as its creator sees the note through the API, so that a restored server's answers can be
//! compared with it byte for byte.

use domain::id::MemberId;
use domain::note::{CardEnd, Note, RelationKind, Visibility};
use markdown::NoteFile;

/// The bytes of [`shown`].
pub(crate) fn shown_file(note: &Note) -> Vec<u8> {
    shown(note).render()
}

/// The file of a note. A comment is as visible as the note it hangs on; its parent is always named to its creator.
pub(crate) fn shown(note: &Note) -> NoteFile {
    let mut file = NoteFile::of(note);
    if let Some(parent) = &note.card.parent {
        file.visibility = parent.visibility;
        file.parent = Some(parent.uid.clone());
    }
    let mut relations: Vec<String> = note
        .card
        .relations
        .iter()
        .filter(|one| one.outgoing && one.kind == RelationKind::Reference && sees(note.creator_id, &one.other))
        .map(|one| one.other.uid.clone())
        .collect();
    relations.sort_unstable();
    file.relations = relations;
    file
}

fn sees(viewer: MemberId, end: &CardEnd) -> bool {
    end.visibility != Visibility::Private || end.creator_id == viewer
}
