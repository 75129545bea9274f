//! What hangs on notes: relations, reactions and files, brought into the scratch database by the note's number.

use std::collections::BTreeSet;

use super::Import;
use crate::error::Error;
use crate::map::attachments::{map_attachment, payload_rest};
use crate::map::notes::{emoji, relation_kind};
use crate::map::uid_for;
use crate::reader::rows::{Record, SourceAttachment, SourceMemo, ask};
use crate::reader::scratch::{Attachment, Reaction};

/// The public id of a note: its own, unless it has none or an earlier note has the same. `seen` remembers those that
/// several notes share. The second value is the report's word for a change.
pub(super) fn settled_uid(
    memo: &SourceMemo,
    seed: &str,
    shared: &BTreeSet<String>,
    seen: &mut BTreeSet<String>,
) -> (String, Option<&'static str>) {
    let made = || uid_for(seed, "memo", memo.id.unwrap_or_default());
    match &memo.uid {
        None => (made(), None),
        Some(uid) if shared.contains(uid) && !seen.insert(uid.clone()) => (made(), Some("duplicate_uid")),
        Some(uid) => (uid.clone(), None),
    }
}

impl Import<'_> {
    /// Every row of a table at once: for tables whose rows are few or short.
    pub(super) fn records(&mut self, table: &str, columns: &[&'static str], order: &str) -> Result<Vec<Record>, Error> {
        let mut rows = Vec::new();
        if self.reader.shape.has_table(table) {
            self.reader.each(table, &ask(columns), order, self.findings, &mut |_, record| {
                rows.push(record);
                Ok(())
            })?;
        }
        Ok(rows)
    }

    pub(super) fn gather_relations(&mut self) -> Result<(), Error> {
        for mut record in self.records("memo_relation", &["memo_id", "related_memo_id", "type"], "")? {
            let (note, related) = (record.int("memo_id"), record.int("related_memo_id"));
            let word = record.text("type");
            self.settle(&record)?;
            let ends = note.zip(related).filter(|(note, related)| self.is_note(*note) && self.is_note(*related));
            match (ends, relation_kind(&word)) {
                (Some((note, related)), Some(kind)) => drop(self.scratch.add_relation(note, related, kind)?),
                (None, _) => self.set_aside(&record, "orphan_relation", "one end of the relation does not exist")?,
                (_, None) => self.set_aside(&record, "unknown_relation", "the kind of the relation is unknown")?,
            }
        }
        self.scratch.settle_parents()?;
        for note in self.scratch.break_circles()? {
            self.findings.warn(
                "circle_of_comments",
                "memo_relation",
                note,
                "the memo comments on itself through others; it became a note of its own",
            );
        }
        Ok(())
    }

    pub(super) fn gather_reactions(&mut self) -> Result<(), Error> {
        let columns = ["id", "created_ts", "creator_id", "content_id", "memo_id", "reaction_type"];
        let by_number = self.reader.shape.has("reaction", "memo_id");
        for mut record in self.records("reaction", &columns, "id")? {
            let target =
                if by_number { record.int("memo_id") } else { self.reaction_target(&record.text("content_id"))? };
            let row = Reaction {
                id: record.int("id").unwrap_or_default(),
                note_id: target.unwrap_or_default(),
                creator_id: self.members.creator(record.int("creator_id")),
                reaction: emoji(&record.text("reaction_type")).to_owned(),
                created_ts: record.time("created_ts"),
            };
            self.settle(&record)?;
            if !target.is_some_and(|note| self.is_note(note)) {
                self.set_aside(&record, "orphan_reaction", "the memo reacted to does not exist")?;
            } else if self.scratch.add_reaction(&row)? {
                self.used(row.id);
            } else {
                self.set_aside(&record, "duplicate_reaction", "the same member reacted the same way twice")?;
            }
        }
        Ok(())
    }

    /// `memos/<uid>` or, up to 0.23, `memos/<number>`; an exact uid wins.
    fn reaction_target(&self, content_id: &str) -> Result<Option<i64>, Error> {
        let name = content_id.strip_prefix("memos/").unwrap_or(content_id);
        Ok(self.reader.note_by_uid(name)?.or_else(|| name.parse().ok()))
    }

    pub(super) fn gather_attachments(&mut self) -> Result<(), Error> {
        let Some(table) = self.files else { return Ok(()) };
        let links = self.file_links()?;
        let mut rows = Vec::new();
        let asked = SourceAttachment::asked(&self.reader.shape, table);
        self.reader.each(table, &asked, "id", self.findings, &mut |_, record| {
            rows.push(record);
            Ok(())
        })?;
        let mut next = rows.iter_mut().filter_map(|record| record.opt_int("id")).max().unwrap_or_default();
        for mut record in rows {
            let source = SourceAttachment::read(&mut record);
            self.settle(&record)?;
            if let Some(rest) = payload_rest(&source.payload) {
                self.scratch.keep(table, &record.key(), &serde_json::json!({ "payload": rest }))?;
            }
            let uid =
                source.uid.clone().unwrap_or_else(|| uid_for(&self.seed, "attachment", source.id.unwrap_or_default()));
            let mut row = map_attachment(&source, uid, &self.members, &self.reader.staged.folder, table, self.findings);
            let linked = links.iter().filter(|(file, _)| Some(*file) == source.id).map(|(_, note)| *note);
            let mut notes: Vec<i64> = row.note_id.into_iter().chain(linked).collect();
            notes.dedup();
            self.drop_missing_notes(&mut notes, table, row.id);
            row.note_id = notes.first().copied();
            self.add_file(row.clone(), table, &record)?;
            for note in notes.iter().skip(1) {
                next += 1;
                self.findings.warn(
                    "shared_file",
                    table,
                    row.id,
                    format!("the file hangs on several memos; memo {note} got a copy of its row"),
                );
                let copy = Attachment {
                    id: next,
                    uid: uid_for(&self.seed, "copied attachment", next),
                    note_id: Some(*note),
                    ..row.clone()
                };
                self.add_file(copy, table, &record)?;
            }
        }
        Ok(())
    }

    fn drop_missing_notes(&mut self, notes: &mut Vec<i64>, table: &str, file: i64) {
        let gone: Vec<i64> = notes.iter().copied().filter(|note| *note != 0 && !self.is_note(*note)).collect();
        for note in &gone {
            self.findings.warn(
                "orphan_file",
                table,
                file,
                format!("memo {note} of this file does not exist; the file hangs on no memo now"),
            );
        }
        notes.retain(|note| *note != 0 && !gone.contains(note));
    }

    fn add_file(&mut self, mut row: Attachment, table: &str, record: &Record) -> Result<(), Error> {
        if !self.scratch.add_attachment(&row)? {
            let taken = row.uid.clone();
            row.uid = uid_for(&self.seed, "attachment", row.id);
            if !self.scratch.add_attachment(&row)? {
                return self.set_aside(record, "duplicate_id", "another file has this number");
            }
            self.findings.warn(
                "duplicate_uid",
                table,
                row.id,
                format!("the uid {taken} belongs to an earlier file; this one is {}", row.uid),
            );
        }
        self.used(row.id);
        Ok(())
    }

    /// (file, memo) pairs of `memo_resource`, which existed up to 0.15.
    fn file_links(&mut self) -> Result<Vec<(i64, i64)>, Error> {
        let mut links = Vec::new();
        for mut record in self.records("memo_resource", &["resource_id", "memo_id"], "resource_id, memo_id")? {
            let pair = record.int("resource_id").zip(record.int("memo_id"));
            self.settle(&record)?;
            links.extend(pair);
        }
        Ok(links)
    }
}
