//! A tenant as the data folder of a Memos 0.30: `memos_prod.db` with every table of that release, files below `assets/`.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::{Map, Value as Json, json};
use store::Snapshot;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Exported, copy_out, each_row, leave_out_rest, safe_name};
use crate::error::Error;
use crate::table::{self, Cell, Kind, Target};
use crate::write::House;

/// Access tokens with what each may do, which Memos does not know.
static TOKEN: Target = Target {
    name: "access_token",
    columns: &[
        ("token_id", Kind::Text),
        ("member_id", Kind::Int),
        ("token_hash", Kind::Text),
        ("description", Kind::Text),
        ("created_ns", Kind::Int),
        ("expires_ns", Kind::Int),
        ("last_used_ns", Kind::Int),
        ("scope", Kind::Text),
    ],
    key: 1,
    derived: &[],
};
/// What 0.30.0 writes into `BASIC`.
const SCHEMA_VERSION: &str = "0.30.1";
/// Keys of member settings that 0.30 has.
const MEMBER_KEYS: [&str; 4] = ["GENERAL", "TAGS", "WEBHOOKS", "SHORTCUTS"];
/// Keys of settings that 0.30 has.
const SETTING_KEYS: [&str; 7] = ["BASIC", "GENERAL", "MEMO_RELATED", "STORAGE", "TAGS", "NOTIFICATION", "AI"];

fn failed(err: rusqlite::Error) -> Error {
    Error::Sqlite { doing: "write the exported database", source: err }
}

struct Out<'a> {
    conn: Connection,
    report: &'a mut Exported,
    /// Public id of every note.
    uids: BTreeMap<i64, String>,
    /// Comments and the notes they comment on, until a relation says so too.
    parents: BTreeMap<i64, i64>,
    /// Who is owner here, and the first member who will be taken for it in Memos.
    owners: Vec<(i64, String)>,
    first_admin: Option<i64>,
}

/// Cells by position, as the column is.
struct Row(Vec<Cell>);

impl Row {
    fn int(&self, at: usize) -> Option<i64> {
        self.0.get(at)?.int()
    }

    fn text(&self, at: usize) -> &str {
        if let Some(Cell::Text(text)) = self.0.get(at) { text } else { "" }
    }

    fn flag(&self, at: usize) -> bool {
        self.0.get(at) == Some(&Cell::Bool(true))
    }

    fn json(&self, at: usize) -> Json {
        if let Some(Cell::Json(json)) = self.0.get(at) { json.clone() } else { Json::Null }
    }

    fn status(&self, at: usize) -> &'static str {
        if self.flag(at) { "ARCHIVED" } else { "NORMAL" }
    }
}

pub(super) async fn write(
    house: &House,
    snapshot: &mut Snapshot,
    folder: &Path,
    report: &mut Exported,
) -> Result<(), Error> {
    let database = folder.join("memos_prod.db");
    let conn = Connection::open(&database).map_err(failed)?;
    conn.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN")
        .map_err(failed)?;
    conn.execute_batch(crate::sample::schema::TABLES).map_err(failed)?;
    let mut out =
        Out { conn, report, uids: BTreeMap::new(), parents: BTreeMap::new(), owners: Vec::new(), first_admin: None };
    each_row(snapshot, &table::MEMBER, &mut |row| out.member(&Row(row))).await?;
    out.ownership();
    each_row(snapshot, &table::NOTE, &mut |row| out.note(&Row(row))).await?;
    each_row(snapshot, &table::NOTE_RELATION, &mut |row| out.relation(&Row(row))).await?;
    out.comments()?;
    out.files(house, snapshot, folder).await?;
    each_row(snapshot, &table::REACTION, &mut |row| out.reaction(&Row(row))).await?;
    each_row(snapshot, &table::NOTE_SHARE, &mut |row| out.share(&Row(row))).await?;
    each_row(snapshot, &table::MEMBER_SETTING, &mut |row| out.member_setting(&Row(row))).await?;
    out.settings(snapshot).await?;
    out.tokens(snapshot).await?;
    each_row(snapshot, &table::IDENTITY_PROVIDER, &mut |row| out.provider(&Row(row))).await?;
    each_row(snapshot, &table::MEMBER_IDENTITY, &mut |row| out.identity(&Row(row))).await?;
    each_row(snapshot, &table::NOTIFICATION, &mut |row| out.notification(&Row(row))).await?;
    out.conn.execute_batch("COMMIT; VACUUM").map_err(failed)?;
    drop(out);
    let synced = std::fs::File::open(&database).and_then(|file| file.sync_all());
    synced.map_err(Error::file("write", &database))?;
    let known: Vec<&str> =
        table::ALL.iter().map(|target| target.name).filter(|name| *name != table::IMPORT_REMAINDER.name).collect();
    leave_out_rest(snapshot, &known, report).await
}

impl Out<'_> {
    fn put(&mut self, table: &str, sql: &str, values: impl rusqlite::Params) -> Result<(), Error> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(failed)?;
        self.report.wrote(table);
        Ok(())
    }

    fn member(&mut self, row: &Row) -> Result<(), Error> {
        let role = match row.text(2) {
            "owner" | "admin" => "ADMIN",
            _ => "USER",
        };
        if row.text(2) == "owner" {
            self.owners.push((row.int(0).unwrap_or_default(), row.text(1).to_owned()));
        }
        if role == "ADMIN" && !row.flag(3) {
            self.first_admin = self.first_admin.or(row.int(0));
        }
        if row.text(2) == "guest" {
            self.report.left("member", row.text(1), "a guest becomes a user, who may write notes");
        }
        if !row.text(8).is_empty() && !row.text(8).starts_with("$2") {
            let message = "the password was set here and is hashed in a way that Memos does not know; set it anew";
            self.report.left("member", row.text(1), message);
        }
        self.put(
            "user",
            "INSERT INTO user (id, created_ts, updated_ts, row_status, username, role, email, nickname, password_hash, avatar_url, description)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                row.int(0), row.int(9), row.int(10), row.status(3), row.text(1), role, row.text(4), row.text(5),
                row.text(8), row.text(6), row.text(7)
            ],
        )
    }

    /// Memos has admins only; the first of them is taken for the owner when its file is imported.
    fn ownership(&mut self) {
        for (id, name) in std::mem::take(&mut self.owners) {
            if Some(id) != self.first_admin {
                self.report.left("member", name, "an owner becomes one admin among others");
            }
        }
    }

    fn note(&mut self, row: &Row) -> Result<(), Error> {
        let mut property = Map::new();
        for (at, key) in [(13, "hasLink"), (14, "hasTaskList"), (15, "hasCode"), (16, "hasIncompleteTasks")] {
            if row.flag(at) {
                property.insert(key.to_owned(), true.into());
            }
        }
        if !row.text(12).is_empty() {
            property.insert("title".to_owned(), row.text(12).into());
        }
        let mut payload = json!({ "property": property });
        if row.json(17).is_object() {
            payload["location"] = row.json(17);
        }
        if let Some(Cell::Texts(tags)) = row.0.get(10)
            && !tags.is_empty()
        {
            payload["tags"] = tags.as_slice().into();
        }
        let id = row.int(0).unwrap_or_default();
        self.uids.insert(id, row.text(1).to_owned());
        if let Some(parent) = row.int(3) {
            self.parents.insert(id, parent);
        }
        self.put(
            "memo",
            "INSERT INTO memo (id, uid, creator_id, created_ts, updated_ts, row_status, content, visibility, pinned, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                id, row.text(1), row.int(2), row.int(4), row.int(5), row.status(6), row.text(9), row.text(8),
                row.flag(7), payload.to_string()
            ],
        )
    }

    fn relation(&mut self, row: &Row) -> Result<(), Error> {
        let (note, related) = (row.int(0).unwrap_or_default(), row.int(1).unwrap_or_default());
        if row.text(2) == "COMMENT" && self.parents.get(&note) == Some(&related) {
            self.parents.remove(&note);
        }
        self.put("memo_relation", "INSERT INTO memo_relation VALUES (?1, ?2, ?3)", params![note, related, row.text(2)])
    }

    fn comments(&mut self) -> Result<(), Error> {
        for (note, parent) in std::mem::take(&mut self.parents) {
            self.put(
                "memo_relation",
                "INSERT OR IGNORE INTO memo_relation VALUES (?1, ?2, 'COMMENT')",
                [note, parent],
            )?;
        }
        Ok(())
    }

    async fn files(&mut self, house: &House, snapshot: &mut Snapshot, folder: &Path) -> Result<(), Error> {
        let assets = folder.join("assets");
        std::fs::create_dir_all(&assets).map_err(Error::file("create", &assets))?;
        let mut rows = Vec::new();
        each_row(snapshot, &table::ATTACHMENT, &mut |row| {
            rows.push(Row(row));
            Ok(())
        })
        .await?;
        for row in rows {
            let mut reference = String::new();
            let mut storage = "";
            if !row.text(11).is_empty() {
                let name = format!("{}_{}", row.text(1), safe_name(row.text(7)));
                match copy_out(house, row.text(11), row.text(10), &assets.join(&name)).await? {
                    Some(bytes) => {
                        (storage, reference) = ("LOCAL", format!("assets/{name}"));
                        self.report.files += 1;
                        self.report.bytes += bytes;
                    }
                    None => self.report.left("attachment", row.text(1), "its bytes are not in the file store"),
                }
            } else if !row.text(12).is_empty() {
                (storage, reference) = ("EXTERNAL", row.text(12).to_owned());
            } else {
                self.report.left("attachment", row.text(1), "its bytes were missing already when it was imported");
            }
            let payload = row.json(13);
            let payload = if payload.is_object() { payload.to_string() } else { "{}".to_owned() };
            self.put(
                "attachment",
                "INSERT INTO attachment (id, uid, creator_id, created_ts, updated_ts, filename, type, size, memo_id, storage_type, reference, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                params![
                    row.int(0), row.text(1), row.int(2), row.int(5), row.int(6), row.text(7), row.text(8), row.int(9),
                    row.int(3), storage, reference, payload
                ],
            )?;
        }
        Ok(())
    }

    fn reaction(&mut self, row: &Row) -> Result<(), Error> {
        let uid = self.uids.get(&row.int(1).unwrap_or_default()).cloned().unwrap_or_default();
        self.put(
            "reaction",
            "INSERT INTO reaction (id, created_ts, creator_id, content_id, reaction_type) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![row.int(0), row.int(4), row.int(2), format!("memos/{uid}"), row.text(3)],
        )
    }

    fn share(&mut self, row: &Row) -> Result<(), Error> {
        self.put(
            "memo_share",
            "INSERT INTO memo_share (id, uid, memo_id, creator_id, created_ts, expires_ts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![row.int(0), row.text(1), row.int(2), row.int(3), row.int(4), row.int(5)],
        )
    }

    fn member_setting(&mut self, row: &Row) -> Result<(), Error> {
        if !MEMBER_KEYS.contains(&row.text(1)) {
            let key = format!("{} {}", row.int(0).unwrap_or_default(), row.text(1));
            self.report.left("member_setting", key, "Memos has no such setting");
            return Ok(());
        }
        let values = params![row.int(0), row.text(1), row.json(2).to_string()];
        self.put("user_setting", "INSERT INTO user_setting VALUES (?1, ?2, ?3)", values)
    }

    async fn settings(&mut self, snapshot: &mut Snapshot) -> Result<(), Error> {
        let mut basic = Map::new();
        let mut rows = Vec::new();
        each_row(snapshot, &table::SETTING, &mut |row| {
            rows.push(Row(row));
            Ok(())
        })
        .await?;
        for row in rows {
            if row.text(0) == "BASIC" {
                basic = row.json(1).as_object().cloned().unwrap_or_default();
            } else if SETTING_KEYS.contains(&row.text(0)) {
                let values = params![row.text(0), row.json(1).to_string()];
                self.put("system_setting", "INSERT INTO system_setting (name, value) VALUES (?1, ?2)", values)?;
            } else {
                self.report.left("setting", row.text(0), "Memos has no such setting");
            }
        }
        basic.insert("schemaVersion".to_owned(), SCHEMA_VERSION.into());
        let values = params!["BASIC", Json::Object(basic).to_string()];
        self.put("system_setting", "INSERT INTO system_setting (name, value) VALUES (?1, ?2)", values)
    }

    async fn tokens(&mut self, snapshot: &mut Snapshot) -> Result<(), Error> {
        let mut by_member: BTreeMap<i64, Vec<Json>> = BTreeMap::new();
        each_row(snapshot, &TOKEN, &mut |row| {
            let row = Row(row);
            if row.text(7) != "admin" {
                let message =
                    format!("Memos knows no tokens that may only {}; it would become one for everything", row.text(7));
                self.report.left("access_token", row.text(0), message);
                return Ok(());
            }
            let mut token = json!({
                "tokenId": row.text(0), "tokenHash": row.text(2), "description": row.text(3),
                "createdAt": instant(row.int(4).unwrap_or_default()),
            });
            for (at, key) in [(5, "expiresAt"), (6, "lastUsedAt")] {
                if let Some(nanos) = row.int(at) {
                    token[key] = instant(nanos).into();
                }
            }
            by_member.entry(row.int(1).unwrap_or_default()).or_default().push(token);
            Ok(())
        })
        .await?;
        for (member, tokens) in by_member {
            let values = params![member, "PERSONAL_ACCESS_TOKENS", json!({ "tokens": tokens }).to_string()];
            self.put("user_setting", "INSERT INTO user_setting VALUES (?1, ?2, ?3)", values)?;
        }
        Ok(())
    }

    fn provider(&mut self, row: &Row) -> Result<(), Error> {
        if row.text(3) != "OAUTH2" {
            self.report.left(
                "identity_provider",
                row.text(1),
                format!("Memos knows no providers of kind {}", row.text(3)),
            );
            return Ok(());
        }
        self.put(
            "idp",
            "INSERT INTO idp (id, uid, name, type, identifier_filter, config) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![row.int(0), row.text(1), row.text(2), row.text(3), row.text(4), row.json(5).to_string()],
        )
    }

    fn identity(&mut self, row: &Row) -> Result<(), Error> {
        // Here several issuers may each vouch for the same name.
        let sql = "INSERT OR IGNORE INTO user_identity (id, user_id, provider, extern_uid, created_ts, updated_ts)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let values = params![row.int(0), row.int(1), row.text(2), row.text(3), row.int(4), row.int(5)];
        let added =
            self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(failed)?;
        if added > 0 {
            self.report.wrote("user_identity");
        } else {
            let message = "another member has the same account at this provider, from another issuer";
            self.report.left("member_identity", row.int(0).unwrap_or_default(), message);
        }
        Ok(())
    }

    fn notification(&mut self, row: &Row) -> Result<(), Error> {
        let field = if row.text(5) == "MEMO_MENTION" { "memoMention" } else { "memoComment" };
        let mut ends = Map::new();
        for (at, key) in [(6, "memoId"), (7, "relatedMemoId")] {
            if let Some(id) = row.int(at) {
                ends.insert(key.to_owned(), id.into());
            }
        }
        let message = json!({ "type": row.text(5), field: ends });
        let status = if row.flag(4) { "ARCHIVED" } else { "UNREAD" };
        self.put(
            "inbox",
            "INSERT INTO inbox (id, created_ts, sender_id, receiver_id, status, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![row.int(0), row.int(1), row.int(2), row.int(3), status, message.to_string()],
        )
    }
}

fn instant(nanos: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanos.into());
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}
