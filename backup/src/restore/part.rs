//! One note, one member's notes or one attachment of a point, back into the live tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::id::NoteId;
use domain::tenant::Tenant;
use serde::Serialize;
use serde_json::json;
use store::graft::{attachment_exists, insert_row, known_members};
use store::tenant::cards::{lock_around, lock_many, refresh_cards};
use store::tenant::notes::{find_keys, find_note_by_id};
use store::{AuditEvent, TenantScope};

use super::load::load_file;
use super::{Fetch, Opened, Place, table_of};
use crate::context::Backup;
use crate::error::Error;
use crate::format::copytext::{Columns, fields};
use crate::format::sealed::{PieceEntry, Sealed, TableEntry};

/// What is to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The note of that uid, with comments, reactions and files.
    Note(String),
    /// Every note of the member of that username that is not there any more.
    Member(String),
    /// The attachment of that uid.
    Attachment(String),
}

/// What `restore note|member|attachment` tells.
#[derive(Clone, Debug, Serialize)]
pub struct PartReport {
    /// The live tenant.
    pub tenant: String,
    /// The point.
    pub from: String,
    /// Uids of the notes that came back, comments included.
    pub notes: Vec<String>,
    /// Notes of the point that were there already, and were left as they are.
    pub present: Vec<String>,
    /// Reactions that came back.
    pub reactions: u64,
    /// Attachments that came back.
    pub attachments: u64,
    /// What someone should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A row as it is in the point.
struct Row {
    line: Vec<u8>,
}

/// The tables of a point that notes are made of, as far as they are wanted.
#[derive(Default)]
struct Found {
    rows: BTreeMap<&'static str, Vec<Row>>,
    notes: BTreeMap<i64, String>,
    creators: BTreeSet<i64>,
    files: BTreeSet<String>,
}

impl Backup {
    /// Brings a part of a point back. What is there already stays as it is.
    pub async fn restore_part(&self, point: &str, slug: &str, part: &Part, actor: &str) -> Result<PartReport, Error> {
        let tenant = self.tenant(slug).await?;
        let opened = self.open_point(&self.source(), point).await?;
        opened.must_be_of_a_tenant()?;
        if opened.clear.tenant != tenant.id {
            return Err(Error::Refused(format!("point {point} is not of tenant {slug} but of {}", opened.clear.slug)));
        }
        let survey = survey(&opened, part).await?;
        let roots = roots(&opened, part, &survey).await?;
        let mut report = PartReport {
            tenant: slug.to_owned(),
            from: point.to_owned(),
            notes: Vec::new(),
            present: Vec::new(),
            reactions: 0,
            attachments: 0,
            warnings: Vec::new(),
        };
        let scope = TenantScope::for_command(Arc::clone(&tenant), "restore part");
        let wanted = self.absent(&scope, part, roots, &mut report).await?;
        let found = gather(&opened, part, &wanted, &survey).await?;
        self.bring_files(&opened, &tenant, &found, &mut report).await?;
        self.insert(&scope, &opened, found, (part, actor), &mut report).await?;
        Ok(report)
    }

    /// Leaves out notes that are there.
    async fn absent(
        &self,
        scope: &TenantScope,
        part: &Part,
        roots: BTreeMap<i64, String>,
        report: &mut PartReport,
    ) -> Result<BTreeMap<i64, String>, Error> {
        let mut tx = self.store.begin(scope);
        if let Part::Attachment(uid) = part {
            if attachment_exists(&mut tx, uid).await? {
                return Err(there("attachment_uid_key"));
            }
            return Ok(roots);
        }
        let uids: Vec<String> = roots.values().cloned().collect();
        let present: BTreeSet<String> = find_keys(&mut tx, &uids).await?.into_iter().map(|key| key.uid).collect();
        if matches!(part, Part::Note(_)) && !present.is_empty() {
            return Err(there("note_uid_key"));
        }
        report.present = present.iter().cloned().collect();
        Ok(roots.into_iter().filter(|(_, uid)| !present.contains(uid)).collect())
    }

    /// Files first: then no row refers to a file that is not there.
    async fn bring_files(
        &self,
        opened: &Opened,
        tenant: &Tenant,
        found: &Found,
        report: &mut PartReport,
    ) -> Result<(), Error> {
        let place = Place::beside(tenant.id);
        for storage_key in &found.files {
            let to = place.file(storage_key);
            let entry = opened.sealed.files.iter().find(|file| file.storage_key == *storage_key);
            match entry {
                _ if self.files.exists(&to).await? => {}
                Some(file) => {
                    load_file(Arc::clone(&opened.fetch), self.files.objects().clone(), file.name.clone(), to).await?;
                }
                None => {
                    report.warnings.push(format!("file {storage_key} was already missing when the point was taken"));
                }
            }
        }
        Ok(())
    }

    async fn insert(
        &self,
        scope: &TenantScope,
        opened: &Opened,
        mut found: Found,
        (part, actor): (&Part, &str),
        report: &mut PartReport,
    ) -> Result<(), Error> {
        let place = Place::beside(scope.tenant().id);
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        lock_many(&mut tx).await?;
        let creators: Vec<i64> = found.creators.iter().copied().collect();
        let known = known_members(&mut tx, &creators).await?;
        for id in creators.iter().filter(|id| !known.contains(id)) {
            report.warnings.push(format!("member {id}, who wrote some of it, is not there any more"));
        }
        for name in ORDER {
            let Some(entry) = opened.sealed.tables.iter().find(|table| table.name == name) else { continue };
            let (table, columns) = (table_of(entry), columns_of(entry));
            for row in found.rows.remove(name).unwrap_or_default() {
                let mut values = fields(&row.line);
                let uid = columns.value(&row.line, "uid").unwrap_or_default();
                if let Some(at) = columns.position("storage_key")
                    && let Some(Some(key)) = values.get_mut(at)
                    && !key.is_empty()
                {
                    *key = place.file(key);
                }
                if let (Part::Attachment(_), Some(note)) = (part, number(&columns, &row.line, "note_id"))
                    && find_note_by_id(&mut tx, NoteId(note)).await?.is_none()
                    && let Some(value) = columns.position("note_id").and_then(|at| values.get_mut(at))
                {
                    *value = None;
                    report.warnings.push("its note is not there any more, so it hangs on none".to_owned());
                }
                let new = insert_row(&mut tx, &table, &values).await?;
                match name {
                    "note" if new => report.notes.push(uid),
                    "reaction" => report.reactions += u64::from(new),
                    "attachment" => report.attachments += u64::from(new),
                    _ => {}
                }
            }
        }
        let mut touched: BTreeSet<i64> = found.notes.keys().copied().collect();
        let ids: Vec<NoteId> = touched.iter().copied().map(NoteId).collect();
        touched.extend(lock_around(&mut tx, &ids).await?.into_iter().map(|id| id.0));
        let all: Vec<NoteId> = touched.into_iter().map(NoteId).collect();
        refresh_cards(&mut tx, &all).await?;
        let object = match part {
            Part::Note(name) | Part::Member(name) | Part::Attachment(name) => name,
        };
        let detail = json!({ "point": report.from, "notes": report.notes.len(), "attachments": report.attachments });
        tx.audit(&AuditEvent { actor, event: "restore.part", object, detail }).await?;
        Ok(tx.commit().await?)
    }
}

/// Parents before what hangs on them.
const ORDER: [&str; 5] = ["note", "attachment", "reaction", "note_relation", "note_share"];

fn there(constraint: &str) -> Error {
    Error::Store(store::Error::Conflict { constraint: constraint.to_owned() })
}

fn columns_of(entry: &TableEntry) -> Columns {
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

fn number(columns: &Columns, line: &[u8], name: &str) -> Option<i64> {
    columns.value(line, name)?.parse().ok()
}

/// A note of the point, as far as it is needed to find what is asked for.
struct Surveyed {
    uid: String,
    parent: Option<i64>,
    creator: Option<i64>,
}

/// Every note of the point by its id: the one time that all of them are read.
async fn survey(opened: &Opened, part: &Part) -> Result<BTreeMap<i64, Surveyed>, Error> {
    let mut notes = BTreeMap::new();
    if matches!(part, Part::Attachment(_)) {
        return Ok(notes);
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

/// The notes that are asked for, without what hangs on them.
async fn roots(opened: &Opened, part: &Part, survey: &BTreeMap<i64, Surveyed>) -> Result<BTreeMap<i64, String>, Error> {
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
async fn gather(
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
                rows.push(Row { line: line.to_vec() });
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
