//! First pass: who exists, which notes exist, and what hangs on them, into memory where it is small and into the
//! scratch database where it is not.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Import;
use crate::error::Error;
use crate::map::members::map_members;
use crate::map::user_settings::{OldView, OldWebhook};
use crate::map::views::old_filter;
use crate::map::{last_of, uid_for};
use crate::reader::rows::{Record, SourceMemo, SourceUser, ask, parse_json};

/// Columns that name a member without whom the row would be lost.
const CREATORS: [(&str, &str); 6] = [
    ("memo", "creator_id"),
    ("attachment", "creator_id"),
    ("resource", "creator_id"),
    ("reaction", "creator_id"),
    ("memo_share", "creator_id"),
    ("inbox", "sender_id"),
];

impl Import<'_> {
    /// `cards` tells whether cards will be made.
    pub(super) fn gather(&mut self, cards: bool) -> Result<(), Error> {
        self.seed = self.source_secret();
        self.gather_members()?;
        self.notes = self.numbers_of_notes()?;
        self.shared_uids = self.reader.shared_uids()?;
        let mut last = last_of(&self.notes).max(last_of(&[self.reader.last_number()]));
        for table in ["reaction", "memo_share", "idp", "user_identity", "inbox", "attachment", "resource"] {
            last = last.max(last_of(&self.reader.numbers(table, "id")?));
        }
        self.used(last);
        self.gather_pins()?;
        self.gather_webhooks()?;
        self.gather_tags()?;
        self.gather_views()?;
        self.gather_activities()?;
        self.gather_relations()?;
        self.gather_reactions()?;
        self.gather_attachments()?;
        if cards {
            self.gather_ends()?;
        }
        self.gather_strangers()
    }

    /// Numbers of the notes that will be there: where rows are damaged or their numbers are none, by reading each whole.
    fn numbers_of_notes(&self) -> Result<Vec<i64>, Error> {
        if !self.reader.salvage && !self.reader.lacks_number("memo", "id")? {
            return self.reader.numbers("memo", "id");
        }
        let mut found = BTreeSet::new();
        let asked = SourceMemo::asked(&self.reader.shape);
        self.reader.each("memo", &asked, "id", &mut crate::report::Findings::default(), &mut |_, mut record| {
            found.extend(record.int("id"));
            Ok(())
        })?;
        Ok(found.into_iter().collect())
    }

    fn source_secret(&self) -> String {
        let settings = self.reader.settings();
        settings.get("BASIC").or_else(|| settings.get("secret-session")).cloned().unwrap_or_default()
    }

    fn gather_members(&mut self) -> Result<(), Error> {
        let mut users = Vec::new();
        let (mut odd, mut seen, mut doubled) = (Vec::new(), BTreeSet::new(), Vec::new());
        let asked = SourceUser::asked(&self.reader.shape);
        self.reader.each("user", &asked, "id", self.findings, &mut |_, mut record| {
            users.push(SourceUser::read(&mut record));
            if users.last().is_some_and(|user| !seen.insert(user.id)) {
                doubled.push(record.clone());
            }
            if !record.odd.is_empty() {
                odd.push(record);
            }
            Ok(())
        })?;
        for record in &odd {
            self.settle(record)?;
        }
        for record in &doubled {
            self.scratch.keep("user", &record.key(), &record.as_json())?;
        }
        if users.is_empty() {
            self.findings.error(
                "empty_source",
                "user",
                "",
                "the database has no users; is this the right file? if a -wal file belongs to it, copy both",
            );
        }
        let known: BTreeSet<i64> = users.iter().filter_map(|user| user.id).collect();
        let mut missing = BTreeSet::new();
        let mut nobody = false;
        for (table, column) in CREATORS {
            for id in self.reader.numbers(table, column)? {
                // The system's own messages come from number 0; they need no member.
                if !known.contains(&id) && (table, id) != ("inbox", 0) {
                    missing.insert(id);
                }
            }
            nobody |= self.reader.lacks_number(table, column)?;
        }
        let missing: Vec<i64> = missing.into_iter().collect();
        self.members = map_members(users, &missing, nobody, self.findings);
        let last = self.members.rows().map(|member| member.id).max().unwrap_or_default();
        self.used(last);
        Ok(())
    }

    /// Pins were each member's own until 0.24; a note is pinned when anybody had pinned it.
    fn gather_pins(&mut self) -> Result<(), Error> {
        if !self.reader.shape.has_table("memo_organizer") {
            return Ok(());
        }
        let by_note = self.reader.shape.has("memo", "pinned");
        let asked = ask(&["memo_id", "user_id", "pinned"]);
        self.stream("memo_organizer", &asked, "memo_id, user_id", &mut |this, mut record| {
            let pinned = record.int("pinned").is_some_and(|n| n != 0);
            let (note, user) = (record.int("memo_id"), record.int("user_id"));
            this.settle(&record)?;
            let (Some(note), Some(user), true) = (note, user, pinned) else { return Ok(()) };
            if !this.is_note(note) {
                return this.set_aside(&record, "orphan_pin", "the pinned memo does not exist");
            }
            if by_note {
                return this.scratch.keep("memo_organizer", &note.to_string(), &record.as_json());
            }
            this.pins.entry(note).or_default().push(user);
            Ok(())
        })
    }

    fn gather_webhooks(&mut self) -> Result<(), Error> {
        let asked = ask(&["id", "creator_id", "row_status", "name", "url", "created_ts", "updated_ts"]);
        self.stream("webhook", &asked, "id", &mut |this, mut record| {
            let id = record.int("id").unwrap_or_default();
            let creator = record.int("creator_id").unwrap_or_default();
            let archived = record.text("row_status") == "ARCHIVED";
            let hook = OldWebhook {
                id: hex::encode(&uid_for(&this.seed, "webhook", id).as_bytes()[..8]),
                title: record.text("name"),
                url: record.text("url"),
            };
            this.settle(&record)?;
            if archived || !this.members.has(creator) {
                let why = "the webhook was archived or its creator does not exist";
                return this.set_aside(&record, "webhook_aside", why);
            }
            this.webhooks.entry(creator).or_default().push(hook);
            Ok(())
        })
    }

    /// Tags that members registered up to 0.21, used in a note or not.
    fn gather_tags(&mut self) -> Result<(), Error> {
        self.stream("tag", &ask(&["creator_id", "name"]), "", &mut |this, mut record| {
            let (creator, name) = (record.int("creator_id").unwrap_or_default(), record.text("name"));
            this.settle(&record)?;
            if !this.members.has(creator) {
                return this.set_aside(&record, "orphan_setting", "the user who registered this tag does not exist");
            }
            this.tags.entry(creator).or_default().push(name);
            Ok(())
        })
    }

    /// Saved views of releases up to 0.15; the original rows are kept aside too.
    fn gather_views(&mut self) -> Result<(), Error> {
        let asked = ask(&["id", "creator_id", "row_status", "title", "payload", "created_ts", "updated_ts"]);
        self.stream("shortcut", &asked, "id", &mut |this, mut record| {
            let id = record.opt_int("id").unwrap_or_default();
            let creator = record.int("creator_id").unwrap_or_default();
            let (title, payload) = (record.text("title"), record.json("payload"));
            let archived = record.text("row_status") == "ARCHIVED";
            this.settle(&record)?;
            this.scratch.keep("shortcut", &record.key(), &record.as_json())?;
            if archived || !this.members.has(creator) {
                return Ok(());
            }
            let Some(filter) = old_filter(&payload) else {
                this.findings.warn(
                    "view_not_translated",
                    "shortcut",
                    id,
                    format!("the saved view {title:?} cannot be said as a filter of today; its row was kept aside"),
                );
                return Ok(());
            };
            let view = OldView { id: hex::encode(&uid_for(&this.seed, "shortcut", id).as_bytes()[..8]), title, filter };
            this.views.entry(creator).or_default().push(view);
            Ok(())
        })
    }

    fn gather_activities(&mut self) -> Result<(), Error> {
        let asked = ask(&["id", "creator_id", "created_ts", "type", "level", "payload"]);
        self.stream("activity", &asked, "id", &mut |this, mut record| {
            let id = record.opt_int("id").unwrap_or_default();
            if record.opt_text("type").as_deref() == Some("MEMO_COMMENT") {
                let payload = record.opt_text("payload").and_then(|text| parse_json(&text));
                this.activities.insert(id, payload.unwrap_or(Json::Null));
            } else {
                this.scratch.keep("activity", &id.to_string(), &record.as_json())?;
            }
            this.settle(&record)
        })
    }

    /// What cards show of the notes at either end of a relation.
    fn gather_ends(&mut self) -> Result<(), Error> {
        if !self.reader.shape.has_table("memo_relation") {
            return Ok(());
        }
        let related = self.scratch.related()?;
        let asked = SourceMemo::asked(&self.reader.shape);
        let mut seen = BTreeSet::new();
        let (scratch, members, seed, shared) = (&self.scratch, &self.members, &self.seed, &self.shared_uids);
        let mut keep = |mut record: Record| -> Result<(), Error> {
            let memo = SourceMemo::read(&mut record);
            let Some(id) = memo.id else { return Ok(()) };
            let uid = super::hang::settled_uid(&memo, seed, shared, &mut seen).0;
            if related.binary_search(&id).is_ok() {
                let creator = members.creator(memo.creator_id)?;
                scratch.add_end(&crate::map::notes::card_end(&memo, uid, creator))?;
            }
            Ok(())
        };
        let reader = self.reader;
        if related.is_empty() {
            return Ok(());
        }
        // Which of several notes keeps a uid depends on all before it; a damaged table is read from end to end anyway.
        if shared.is_empty() && !reader.salvage && reader.found_by_id("memo") {
            return reader.each_of("memo", &asked, &related, &mut keep);
        }
        let mut told = crate::report::Findings::default();
        reader.each("memo", &asked, "id", &mut told, &mut |_, record| keep(record))
    }
}
