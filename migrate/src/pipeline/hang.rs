//! What hangs on notes: relations, reactions and files, brought into the scratch database by the note's number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Import;
use crate::error::Error;
use crate::map::attachments::{map_attachment, payload_rest, second_place};
use crate::map::notes::{emoji, relation_kind};
use crate::map::{last_of, uid_for};
use crate::reader::FILE_TABLES;
use crate::reader::rows::{Ask, Record, SourceAttachment, SourceMemo, ask};
use crate::reader::scratch::{Attachment, Reaction};
use crate::report::Findings;

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
    /// Every row of a table, one at a time; nothing when there is no such table.
    pub(super) fn stream(
        &mut self,
        table: &str,
        asked: &[Ask],
        order: &str,
        visit: &mut dyn FnMut(&mut Self, Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.reader.shape.has_table(table) {
            return Ok(());
        }
        let reader = self.reader;
        let mut unreadable = Findings::default();
        let read = reader.each(table, asked, order, &mut unreadable, &mut |_, record| visit(self, record));
        self.findings.join(unreadable);
        read
    }

    pub(super) fn gather_relations(&mut self) -> Result<(), Error> {
        let asked = ask(&["memo_id", "related_memo_id", "type"]);
        self.stream("memo_relation", &asked, "", &mut |this, mut record| {
            let (note, related) = (record.int("memo_id"), record.int("related_memo_id"));
            let word = record.text("type");
            this.settle(&record)?;
            let ends = note.zip(related).filter(|(note, related)| this.is_note(*note) && this.is_note(*related));
            match (ends, relation_kind(&word)) {
                (Some((note, related)), Some(kind)) => {
                    if this.scratch.add_relation(note, related, kind)? {
                        return Ok(());
                    }
                    this.set_aside(&record, "duplicate_relation", "the same relation is there already")
                }
                (None, _) => this.set_aside(&record, "orphan_relation", "one end of the relation does not exist"),
                (_, None) => this.set_aside(&record, "unknown_relation", "the kind of the relation is unknown"),
            }
        })?;
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
        let asked = ask(&["id", "created_ts", "creator_id", "content_id", "memo_id", "reaction_type"]);
        let by_number = self.reader.shape.has("reaction", "memo_id");
        self.stream("reaction", &asked, "id", &mut |this, mut record| {
            let target =
                if by_number { record.int("memo_id") } else { this.reaction_target(&record.text("content_id"))? };
            let row = Reaction {
                id: record.int("id").unwrap_or_default(),
                note_id: target.unwrap_or_default(),
                creator_id: this.members.creator(record.int("creator_id"))?,
                reaction: emoji(&record.text("reaction_type")).to_owned(),
                created_ts: record.time("created_ts"),
            };
            this.settle(&record)?;
            if !target.is_some_and(|note| this.is_note(note)) {
                return this.set_aside(&record, "orphan_reaction", "the memo reacted to does not exist");
            }
            if this.scratch.add_reaction(&row)? {
                this.used(row.id);
                return Ok(());
            }
            this.set_aside(&record, "duplicate_reaction", "the same member reacted the same way twice")
        })
    }

    /// `memos/<uid>` or, up to 0.23, `memos/<number>`; an exact uid wins.
    fn reaction_target(&self, content_id: &str) -> Result<Option<i64>, Error> {
        let name = content_id.strip_prefix("memos/").unwrap_or(content_id);
        Ok(self.reader.note_by_uid(name)?.or_else(|| name.parse().ok()))
    }

    pub(super) fn gather_attachments(&mut self) -> Result<(), Error> {
        let links = self.file_links()?;
        let mut next = 0;
        for table in FILE_TABLES {
            next = next.max(last_of(&self.reader.numbers(table, "id")?));
        }
        for table in self.reader.shape.all_tables(&FILE_TABLES) {
            self.gather_table_of_files(table, &links, &mut next)?;
        }
        self.links_of_no_file(&links)
    }

    fn links_of_no_file(&mut self, links: &BTreeMap<i64, Vec<i64>>) -> Result<(), Error> {
        let mut there = BTreeSet::new();
        if !links.is_empty() {
            for table in FILE_TABLES {
                there.extend(self.reader.numbers(table, "id")?);
            }
        }
        for (file, notes) in links.iter().filter(|(file, _)| !there.contains(file)) {
            for note in notes {
                let key = format!("{file} {note}");
                let message = format!("the file {file} on memo {note} does not exist; the row was kept aside");
                self.findings.warn("orphan_file", "memo_resource", &key, message);
                self.scratch.keep("memo_resource", &key, &json!({ "resource_id": file, "memo_id": note }))?;
            }
        }
        Ok(())
    }

    fn gather_table_of_files(
        &mut self,
        table: &'static str,
        links: &BTreeMap<i64, Vec<i64>>,
        next: &mut i64,
    ) -> Result<(), Error> {
        let asked = SourceAttachment::asked(&self.reader.shape, table);
        self.stream(table, &asked, "id", &mut |this, mut record| {
            let source = SourceAttachment::read(&mut record);
            this.settle(&record)?;
            if let Some(rest) = payload_rest(&source.payload) {
                this.scratch.keep(table, &record.key(), &json!({ "payload": rest }))?;
            }
            if let Some(link) = second_place(&source) {
                this.scratch.keep(table, &record.key(), &json!({ "external_link": link }))?;
            }
            let id = source.id.unwrap_or_default();
            let uid = source.uid.clone().unwrap_or_else(|| uid_for(&this.seed, "attachment", id));
            let mut row = map_attachment(&source, uid, &this.members, this.reader, table, this.findings)?;
            let linked = links.get(&id).into_iter().flatten().copied();
            let mut notes: Vec<i64> = row.note_id.into_iter().chain(linked).collect();
            notes.dedup();
            this.drop_missing_notes(&mut notes, table, row.id);
            row.note_id = notes.first().copied();
            this.add_file(row.clone(), table, &record)?;
            for note in notes.iter().skip(1) {
                *next += 1;
                let message = format!("the file hangs on several memos; memo {note} got a copy of its row");
                this.findings.warn("shared_file", table, row.id, message);
                let uid = uid_for(&this.seed, "copied attachment", *next);
                this.add_file(Attachment { id: *next, uid, note_id: Some(*note), ..row.clone() }, table, &record)?;
            }
            Ok(())
        })
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

    /// File → memos, of `memo_resource`, which existed up to 0.15.
    fn file_links(&mut self) -> Result<BTreeMap<i64, Vec<i64>>, Error> {
        let mut links: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let asked = ask(&["resource_id", "memo_id"]);
        self.stream("memo_resource", &asked, "resource_id, memo_id", &mut |this, mut record| {
            let (file, note) = (record.int("resource_id"), record.int("memo_id"));
            this.settle(&record)?;
            match file.zip(note) {
                Some((file, note)) => links.entry(file).or_default().push(note),
                None => this.set_aside(&record, "orphan_file", "the row does not say which file is on which memo")?,
            }
            Ok(())
        })?;
        Ok(links)
    }
}
