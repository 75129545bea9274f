//! Second pass: every row goes through the mapping to the outlet, table by table.

use std::collections::BTreeSet;

use domain::note::Card;

use super::hang::settled_uid;
use super::{Import, Outlet, set_aside, settle};
use crate::error::Error;
use crate::map::notes::{Hanging, ReadyNote, archived, card, lost_location, payload_rest, visibility};
use crate::reader::rows::SourceMemo;
use crate::reader::scratch::{Place, Scratch};
use crate::report::Findings;
use crate::table;

impl Import<'_> {
    pub(super) fn emit(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        for member in self.members.rows() {
            outlet.row(&table::MEMBER, member.cells())?;
        }
        self.emit_notes(outlet)?;
        self.scratch.each_relation(&mut |note, related, kind| {
            outlet.row(&table::NOTE_RELATION, vec![note.into(), related.into(), kind.as_str().into()])
        })?;
        self.emit_attachments(outlet)?;
        self.scratch.each_reaction(&mut |row| {
            outlet.row(
                &table::REACTION,
                vec![
                    row.id.into(),
                    row.note_id.into(),
                    row.creator_id.into(),
                    row.reaction.into(),
                    row.created_ts.into(),
                ],
            )
        })?;
        self.emit_shares(outlet)?;
        self.emit_settings(outlet)?;
        self.emit_providers(outlet)?;
        self.emit_identities(outlet)?;
        self.emit_notifications(outlet)?;
        self.scratch.each_kept(&mut |id, source, key, value| {
            outlet.row(&table::IMPORT_REMAINDER, vec![id.into(), source.into(), key.into(), value.into()])
        })
    }

    fn emit_notes(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        let asked = SourceMemo::asked(&self.reader.shape);
        let (reader, scratch, members) = (self.reader, &self.scratch, &self.members);
        let (seed, shared, pins) = (&self.seed, &self.shared_uids, &self.pins);
        let mut seen = BTreeSet::new();
        let mut done = vec![false; self.notes.len()];
        let numbers = &self.notes;
        let inside = outlet.looks_inside();
        let mut anything = vec![false; numbers.len()];
        self.scratch.each_hanging(&mut |note| {
            if let Ok(at) = numbers.binary_search(&note) {
                anything[at] = true;
            }
            Ok(())
        })?;
        reader.each("memo", &asked, "id", self.findings, &mut |findings, mut record| {
            let memo = SourceMemo::read(&mut record);
            settle(findings, scratch, &record)?;
            let place = memo.id.and_then(|id| numbers.binary_search(&id).ok());
            let first = place.is_some_and(|at| !std::mem::replace(&mut done[at], true));
            let Some(id) = memo.id.filter(|_| first) else {
                return set_aside(
                    findings,
                    scratch,
                    &record,
                    "duplicate_id",
                    "the memo has no number, or another memo's",
                );
            };
            if let Some(rest) = payload_rest(&memo.payload) {
                scratch.keep("memo", &id.to_string(), &serde_json::json!({ "payload": rest }))?;
            }
            if let Some(place) = lost_location(&memo, findings) {
                scratch.keep("memo", &id.to_string(), &serde_json::json!({ "location": place }))?;
            }
            let (uid, changed) = settled_uid(&memo, seed, shared, &mut seen);
            if let Some(code) = changed {
                findings.warn(code, "memo", id, format!("an earlier memo has the same uid; this one is {uid}"));
                scratch.keep("memo", &id.to_string(), &serde_json::json!({ "uid": memo.uid }))?;
            }
            let creator = members.creator(memo.creator_id)?;
            for user in pins.get(&id).into_iter().flatten().filter(|user| **user != creator) {
                scratch.keep(
                    "memo_organizer",
                    &id.to_string(),
                    &serde_json::json!({ "memo_id": id, "user_id": user, "pinned": 1 }),
                )?;
            }
            // Most notes have nothing hanging on them: they are not asked about.
            let anything = place.is_some_and(|at| anything[at]);
            let parent = if anything { scratch.parent_of(id)? } else { None };
            let card = if anything && inside { card(hanging(scratch, id)?, members) } else { Card::default() };
            let pinned = memo.pinned || pins.contains_key(&id);
            tell_of_space(&memo, id, scratch, findings)?;
            let (visibility, archived) = (visibility(&memo, findings), archived(&memo, findings));
            outlet.note(ReadyNote { memo, visibility, archived, uid, creator, parent, pinned, card })
        })
    }

    fn emit_attachments(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        let reader = self.reader;
        self.scratch.each_attachment(&mut |row| match row.place {
            Place::Nowhere => {
                outlet.row(&table::ATTACHMENT, crate::map::attachments::attachment_cells(&row, row.size, "", ""))
            }
            _ => outlet.file(reader, row),
        })
    }
}

fn tell_of_space(memo: &SourceMemo, id: i64, scratch: &Scratch, findings: &mut Findings) -> Result<(), Error> {
    let Some(space) = memo.space_id else { return Ok(()) };
    let seen = if memo.visibility == "SPACE" { "; it is its author's alone now" } else { "" };
    let message = format!("the memo is in the space {space}, which has no place here{seen}");
    findings.warn("space", "memo", id, message);
    scratch.keep("memo", &id.to_string(), &serde_json::json!({ "space_id": space, "visibility": memo.visibility }))
}

fn hanging(scratch: &Scratch, note: i64) -> Result<Hanging, Error> {
    Ok(Hanging {
        attachments: scratch.attachments(note)?,
        reactions: scratch.reactions(note)?,
        leaving: scratch.leaving(note)?,
        reaching: scratch.reaching(note)?,
        parent: scratch.parent_of(note)?.map(|parent| scratch.end(parent)).transpose()?.flatten(),
    })
}
