//! What of a point belongs to the part that is asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Fetch, Opened};
use super::Part;
use crate::error::Error;
use crate::format::copytext::Columns;
use crate::format::index::{self, Indexed};
use crate::format::sealed::{PieceEntry, Sealed, TableEntry};

/// The rows of a point that are wanted, as lines by table.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: BTreeMap<&'static str, Vec<Vec<u8>>>,
    pub(super) notes: BTreeMap<i64, String>,
    pub(super) creators: BTreeSet<i64>,
    pub(super) files: BTreeSet<String>,
}

/// Parents before what hangs on them.
pub(super) const ORDER: [&str; 5] = ["note", "attachment", "reaction", "note_relation", SHARES];
/// Links that show a note to whoever holds them.
pub(super) const SHARES: &str = "note_share";

pub(super) fn columns_of(entry: &TableEntry) -> Columns {
    Columns::new(entry.columns.iter().map(|column| column.name.as_str()))
}

/// Every row of a table of the point, one piece at a time.
async fn each_row(fetch: &Fetch, sealed: &Sealed, table: &str, each: impl FnMut(&Columns, &[u8])) -> Result<(), Error> {
    some_rows(fetch, sealed, table, |_| true, each).await
}

/// The rows of those pieces that are wanted.
async fn some_rows(
    fetch: &Fetch,
    sealed: &Sealed,
    table: &str,
    wanted: impl Fn(&PieceEntry) -> bool,
    mut each: impl FnMut(&Columns, &[u8]),
) -> Result<(), Error> {
    let Some(entry) = sealed.tables.iter().find(|entry| entry.name == table) else { return Ok(()) };
    let columns = columns_of(entry);
    for piece in entry.pieces.iter().filter(|piece| wanted(piece)) {
        let text = fetch.bytes(&piece.name).await?;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            each(&columns, line);
        }
    }
    Ok(())
}

pub(super) fn number(columns: &Columns, line: &[u8], name: &str) -> Option<i64> {
    columns.value(line, name)?.parse().ok()
}

/// A note of the point, as far as it is needed to find what is asked for.
pub(super) struct Surveyed {
    uid: String,
    parent: Option<i64>,
    creator: Option<i64>,
}

/// Every note of the point by its id: as the lines beside the notes' hashes tell it. Points from before those did are read row
/// by row.
pub(super) async fn survey(opened: &Opened, part: &Part) -> Result<BTreeMap<i64, Surveyed>, Error> {
    let mut notes = BTreeMap::new();
    if matches!(part, Part::Attachment(_)) {
        return Ok(notes);
    }
    if let Some(all) = by_index(opened).await? {
        return Ok(all);
    }
    each_row(&opened.fetch, &opened.sealed, "note", |columns, line| {
        let note = Surveyed {
            uid: columns.value(line, "uid").unwrap_or_default(),
            parent: number(columns, line, "parent_id"),
            creator: number(columns, line, "creator_id"),
        };
        notes.insert(number(columns, line, "id").unwrap_or_default(), note);
    })
    .await?;
    Ok(notes)
}

/// The same without reading the table of notes; none when a line of the point does not say enough.
async fn by_index(opened: &Opened) -> Result<Option<BTreeMap<i64, Surveyed>>, Error> {
    let mut notes = BTreeMap::new();
    for name in &opened.sealed.note_hashes {
        let text = opened.fetch.bytes(name).await?;
        let Some(lines) = index::read(&text) else { return Ok(None) };
        notes.extend(
            lines.into_iter().map(|Indexed { uid, id, parent, creator }| (id, Surveyed { uid, parent, creator })),
        );
    }
    Ok((notes.len() as u64 == opened.sealed.notes).then_some(notes))
}

/// The notes that are asked for, without what hangs on them.
pub(super) async fn roots(
    opened: &Opened,
    part: &Part,
    survey: &BTreeMap<i64, Surveyed>,
) -> Result<BTreeMap<i64, String>, Error> {
    let (fetch, sealed) = (&opened.fetch, &opened.sealed);
    let missing = |what: &str, name: &str| Error::NotInPoint(format!("{what} {name}"), opened.clear.point.to_string());
    let mut member = None;
    if let Part::Member(name) = part {
        each_row(fetch, sealed, "member", |columns, line| {
            if columns.value(line, "username").as_deref() == Some(name) {
                member = number(columns, line, "id");
            }
        })
        .await?;
        if member.is_none() {
            return Err(missing("member", name));
        }
    }
    let mine = |note: &Surveyed| match part {
        Part::Note(wanted) => *wanted == note.uid,
        Part::Member(_) => note.parent.is_none() && note.creator == member,
        Part::Attachment(_) => false,
    };
    let wanted: BTreeMap<i64, String> =
        survey.iter().filter(|(_, note)| mine(note)).map(|(id, note)| (*id, note.uid.clone())).collect();
    if let Part::Note(uid) = part
        && wanted.is_empty()
    {
        return Err(missing("note", uid));
    }
    Ok(wanted)
}

/// The rows of the wanted notes and of what hangs on them.
pub(super) async fn gather(
    opened: &Opened,
    part: &Part,
    wanted: &BTreeMap<i64, String>,
    survey: &BTreeMap<i64, Surveyed>,
) -> Result<Found, Error> {
    let (fetch, sealed) = (&opened.fetch, &opened.sealed);
    let mut found = Found { notes: wanted.clone(), ..Found::default() };
    // comments of comments: until nothing is added any more
    loop {
        let hangs = |note: &Surveyed| note.parent.is_some_and(|parent| found.notes.contains_key(&parent));
        let more: Vec<(i64, String)> = survey
            .iter()
            .filter(|(id, note)| hangs(note) && !found.notes.contains_key(id))
            .map(|(id, note)| (*id, note.uid.clone()))
            .collect();
        if more.is_empty() {
            break;
        }
        found.notes.extend(more);
    }
    for table in ORDER {
        let mut rows = Vec::new();
        // of the notes, only the pieces that those are in
        let ids: Vec<i64> = found.notes.keys().copied().collect();
        let near = |piece: &PieceEntry| match piece.ids {
            Some((low, high)) if table == "note" => ids.iter().any(|id| (low..=high).contains(id)),
            _ => true,
        };
        some_rows(fetch, sealed, table, near, |columns, line| {
            let hangs = |name: &str| number(columns, line, name).is_some_and(|id| found.notes.contains_key(&id));
            let mine = match (table, part) {
                ("note", _) => hangs("id"),
                ("attachment", Part::Attachment(uid)) => columns.value(line, "uid").as_deref() == Some(uid),
                ("note_relation", _) => hangs("note_id") || hangs("related_id"),
                _ => hangs("note_id"),
            };
            if mine {
                found.creators.extend(number(columns, line, "creator_id"));
                if table == "attachment" {
                    found.files.extend(columns.value(line, "storage_key").filter(|key| !key.is_empty()));
                }
                if let (Part::Attachment(_), Some(note)) = (part, number(columns, line, "note_id")) {
                    found.notes.insert(note, String::new());
                }
                rows.push(line.to_vec());
            }
        })
        .await?;
        if let (Part::Attachment(uid), "attachment", true) = (part, table, rows.is_empty()) {
            return Err(Error::NotInPoint(format!("attachment {uid}"), opened.clear.point.to_string()));
        }
        if !(matches!(part, Part::Attachment(_)) && table != "attachment") {
            found.rows.insert(table, rows);
        }
    }
    Ok(found)
}
