//! The short tables: shares, settings, tokens, providers, identities, notices.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Import, Outlet};
use crate::error::Error;
use crate::map::inbox::told;
use crate::map::providers::{provider_cells, provider_uid};
use crate::map::settings::map_settings;
use crate::map::tokens::TokenRow;
use crate::map::uid_for;
use crate::map::user_settings::{OldRows, map_member_settings};
use crate::reader::fingerprint::version_parts;
use crate::reader::rows::{Record, ask};
use crate::table;

impl Import<'_> {
    pub(super) fn emit_shares(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        let mut tokens = BTreeSet::new();
        let asked = ask(&["id", "uid", "memo_id", "creator_id", "created_ts", "expires_ts"]);
        self.stream("memo_share", &asked, "id", &mut |this, mut record| {
            let id = record.int("id");
            let note = record.int("memo_id");
            let token = record.text("uid");
            let creator = this.members.creator(record.int("creator_id"))?;
            let (created, expires) = (record.time("created_ts"), record.opt_time("expires_ts"));
            this.settle(&record)?;
            let Some(note) = note.filter(|note| this.is_note(*note)) else {
                return this.set_aside(&record, "orphan_share", "the shared memo does not exist");
            };
            if !tokens.insert(token.clone()) {
                return this.set_aside(&record, "duplicate_share", "another share has the same token");
            }
            let id = this.number("memo_share", id);
            outlet.row(
                &table::NOTE_SHARE,
                vec![id.into(), token.into(), note.into(), creator.into(), created.into(), expires.into()],
            )
        })
    }

    pub(super) fn emit_settings(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        let mut storages = Vec::new();
        if self.reader.shape.has_table("storage") {
            self.reader.each_as_json("storage", self.findings, &mut |_, row| {
                storages.push(row);
                Ok(())
            })?;
        }
        let settings = map_settings(&self.settings_read()?, &storages);
        let tokens = self.emit_member_settings(outlet, settings.kept.get("TAGS"))?;
        for name in &settings.unknown {
            self.findings.warn(
                "unknown_setting",
                "system_setting",
                name,
                "no known release of Memos has this setting; it was kept aside",
            );
        }
        for name in &settings.broken {
            self.findings.warn("invalid_json", "system_setting", name, "the setting is not JSON; it was kept aside");
        }
        for (name, original) in &settings.aside {
            self.scratch.keep("system_setting", name, original)?;
        }
        for (key, value) in settings.kept {
            outlet.row(&table::SETTING, vec![key.into(), value.into()])?;
        }
        self.emit_tokens(outlet, tokens)
    }

    /// Name → value; odd ones are told here. A canary image left two tables of them, and a file without its index may hold
    /// a name twice: the later row counts.
    fn settings_read(&mut self) -> Result<BTreeMap<String, String>, Error> {
        let mut found = BTreeMap::new();
        for table in ["instance_setting", "system_setting"] {
            self.stream(table, &ask(&["name", "value"]), "", &mut |this, mut record| {
                let (name, value) = (record.text("name"), record.text("value"));
                this.settle(&record)?;
                match found.insert(name.clone(), value.clone()) {
                    Some(before) if before != value => this.earlier_setting(table, &name, &before),
                    _ => Ok(()),
                }
            })?;
        }
        Ok(found)
    }

    fn earlier_setting(&mut self, table: &str, key: &str, value: &str) -> Result<(), Error> {
        let why = "the setting is there twice; the later row counts, the earlier one was kept aside";
        self.findings.warn("duplicate_setting", table, key, why);
        self.scratch.keep(table, key, &Json::String(value.to_owned()))
    }

    fn emit_member_settings(
        &mut self,
        outlet: &mut dyn Outlet,
        instance_tags: Option<&Json>,
    ) -> Result<Vec<TokenRow>, Error> {
        let mut by_member: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
        self.stream("user_setting", &ask(&["user_id", "key", "value"]), "", &mut |this, mut record| {
            let member = record.int("user_id").unwrap_or_default();
            let (key, value) = (record.text("key"), record.text("value"));
            this.settle(&record)?;
            if !this.members.has(member) {
                return this.set_aside(&record, "orphan_setting", "the user of this setting does not exist");
            }
            let same = format!("{member} {key}");
            match by_member.entry(member).or_default().insert(key, value.clone()) {
                Some(before) if before != value => this.earlier_setting("user_setting", &same, &before),
                _ => Ok(()),
            }
        })?;
        // 0.30 gave every user a copy of the instance's tags; older files get the same here.
        let before_030 =
            self.reader.marker().and_then(|marker| version_parts(&marker)).is_some_and(|parts| parts < vec![0, 30]);
        let tags = instance_tags.filter(|_| before_030);
        let mut tokens = Vec::new();
        let members: Vec<i64> = self.members.rows().filter(|member| !member.stand_in).map(|member| member.id).collect();
        for member in members {
            let rows = by_member.remove(&member).unwrap_or_default();
            let old = OldRows {
                webhooks: self.webhooks.remove(&member).unwrap_or_default(),
                views: self.views.remove(&member).unwrap_or_default(),
                tags: self.tags.remove(&member).unwrap_or_default(),
            };
            let mapped = map_member_settings(member, &rows, &old, tags);
            for (list, code, why) in [
                (&mapped.unknown, "unknown_setting", "no known release of Memos has this setting; it was kept aside"),
                (&mapped.broken, "invalid_json", "the setting is not JSON; it was kept aside"),
                (
                    &mapped.unparsed,
                    "view_needs_attention",
                    "a saved view has a filter that is not understood; it was kept as it is, but shows nothing",
                ),
            ] {
                for key in list {
                    self.findings.warn(code, "user_setting", format!("{member} {key}"), why);
                }
            }
            for (key, original) in &mapped.aside {
                self.scratch.keep("user_setting", &format!("{member} {key}"), original)?;
            }
            for (key, value) in mapped.kept {
                outlet.row(&table::MEMBER_SETTING, vec![member.into(), key.into(), value.into()])?;
            }
            tokens.extend(mapped.tokens);
        }
        Ok(tokens)
    }

    /// Token hashes are unique in a tenant: Memos may have stored the very same signed token twice.
    fn emit_tokens(&mut self, outlet: &mut dyn Outlet, tokens: Vec<TokenRow>) -> Result<(), Error> {
        let mut by_hash: BTreeMap<String, usize> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let mut kept: Vec<TokenRow> = Vec::new();
        for mut token in tokens {
            if let Some(at) = by_hash.get(&token.token_hash) {
                let first = &mut kept[*at];
                if first.description.is_empty() {
                    first.description = token.description;
                } else if !token.description.is_empty() && token.description != first.description {
                    self.scratch.keep(
                        "user_setting",
                        &format!("{} token", token.member_id),
                        &serde_json::json!({ "description": token.description }),
                    )?;
                }
                continue;
            }
            if !ids.insert(token.token_id.clone()) {
                token.token_id = uid_for(&token.token_hash, "token", token.member_id);
                ids.insert(token.token_id.clone());
            }
            by_hash.insert(token.token_hash.clone(), kept.len());
            kept.push(token);
        }
        kept.iter().try_for_each(|token| outlet.row(&table::ACCESS_TOKEN, token.cells()))
    }

    pub(super) fn emit_providers(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        let mut uids = BTreeSet::new();
        let asked = ask(&["id", "uid", "name", "type", "identifier_filter", "config"]);
        self.stream("idp", &asked, "id", &mut |this, mut record| {
            let id = record.int("id");
            let id = this.number("idp", id);
            let mut uid = provider_uid(id, &record.opt_text("uid").unwrap_or_default());
            if !uids.insert(uid.clone()) {
                uid = uid_for(&this.seed, "idp", id);
                let message = format!("another provider has the same uid; this one is {uid}");
                this.findings.warn("duplicate_uid", "idp", id, message);
            }
            let cells = provider_cells(id, uid, &mut record);
            this.settle(&record)?;
            outlet.row(&table::IDENTITY_PROVIDER, cells)
        })
    }

    pub(super) fn emit_identities(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        let asked = ask(&["id", "user_id", "provider", "extern_uid", "created_ts", "updated_ts"]);
        self.stream("user_identity", &asked, "id", &mut |this, mut record| {
            let id = record.int("id");
            let member = record.int("user_id").unwrap_or_default();
            let (provider, external) = (record.text("provider"), record.text("extern_uid"));
            let (created, updated) = (record.time("created_ts"), record.time("updated_ts"));
            this.settle(&record)?;
            if !this.members.has(member) {
                return this.set_aside(&record, "orphan_identity", "the user of this identity does not exist");
            }
            // One account per provider and member, one member per account.
            let by_account = seen.insert((provider.clone(), external.clone(), None));
            if !seen.insert((provider.clone(), String::new(), Some(member))) || !by_account {
                return this.set_aside(&record, "duplicate_identity", "this identity is linked already");
            }
            let id = this.number("user_identity", id);
            outlet.row(
                &table::MEMBER_IDENTITY,
                vec![id.into(), member.into(), provider.into(), external.into(), created.into(), updated.into()],
            )
        })
    }

    pub(super) fn emit_notifications(&mut self, outlet: &mut dyn Outlet) -> Result<(), Error> {
        let asked = ask(&["id", "created_ts", "sender_id", "receiver_id", "status", "message"]);
        self.stream("inbox", &asked, "id", &mut |this, mut record| {
            let id = record.int("id");
            let sender = record.int("sender_id").unwrap_or_default();
            let receiver = record.int("receiver_id").unwrap_or_default();
            let (created, archived) = (record.time("created_ts"), record.text("status") == "ARCHIVED");
            let message = record.json("message");
            this.settle(&record)?;
            let Some(told) = told(&message, &this.activities) else {
                return this.keep_notice(&record, &message);
            };
            if !this.members.has(receiver) || !this.members.has(sender) {
                return this.set_aside(&record, "orphan_notification", "its sender or receiver does not exist");
            }
            let there = |note: Option<i64>| note.filter(|note| this.is_note(*note));
            let (note, related) = (there(told.note), there(told.related));
            if note.is_none() || related != told.related {
                let message = "a memo of this notice does not exist any more; the notice was kept without it";
                this.findings.warn("orphan_notification", "inbox", record.key(), message);
                this.scratch.keep("inbox", &record.key(), &record.as_json())?;
            }
            let kind = told.kind;
            let mut cells = vec![this.number("inbox", id).into(), created.into(), sender.into(), receiver.into()];
            cells.extend([archived.into(), kind.into(), note.into(), related.into()]);
            outlet.row(&table::NOTIFICATION, cells)
        })
    }

    /// Notices of new versions are of no use; any other kind is named.
    fn keep_notice(&mut self, record: &Record, message: &Json) -> Result<(), Error> {
        let kind = message.get("type").and_then(Json::as_str).unwrap_or_default();
        if kind.ends_with("VERSION_UPDATE") {
            return self.scratch.keep("inbox", &record.key(), &record.as_json());
        }
        if kind.contains("SPACE") {
            return self.set_aside(record, "space", "an invitation into a space has no place here");
        }
        self.set_aside(record, "unknown_notification", &format!("the kind {kind:?} of the notice is unknown"))
    }
}
