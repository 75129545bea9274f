//! A Memos 0.30 data folder of our own making, to try an import with: people, notes in many scripts, files in the
//! database and beside it, comments, reactions, relations, links and tokens. The write-ahead log is left unmerged, as
//! a killed server leaves it.

mod files;
pub(crate) mod schema;
mod text;

use std::path::Path;

use domain::chance::Chance;
use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// Notes of a sample, comments not counted.
pub const NOTES: usize = 200;
/// Where the pretended server had its data.
const SERVER_FOLDER: &str = "/var/opt/memos";
/// Monday, 5 January 2026, 08:00 UTC: notes are spread over the two years before.
const BASE_TIME: i64 = 1_767_600_000;
const PEOPLE: [(&str, &str, &str, bool); 4] = [
    ("ada", "Ada Okafor", "ADMIN", false),
    ("wen", "文 静", "USER", false),
    ("ilse", "Ilse Vögeli", "USER", false),
    ("tariq", "طارق", "USER", true),
];

/// Somebody in the sample who can be signed in as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Name to sign in with.
    pub username: String,
    /// In clear: it exists only here.
    pub password: String,
    /// A personal access token in clear, for some.
    pub token: Option<String>,
    /// Archived people cannot sign in.
    pub archived: bool,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Who is in it; the first is the owner.
    pub people: Vec<Person>,
    /// Notes, without comments.
    pub notes: usize,
    /// Comments.
    pub comments: usize,
    /// Attachments.
    pub files: usize,
}

/// Writes a sample to `folder`, which must be empty or not there yet. The same seeded chance writes the same sample.
///
/// # Errors
/// `Error::Source` when the folder holds something; `File` when it cannot be written.
pub fn write_sample(folder: &Path, chance: &Chance) -> Result<Sample, Error> {
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Error::source(
            "folder_not_empty",
            format!("{} is not empty; name a folder that does not exist yet", folder.display()),
        ));
    }
    std::fs::create_dir_all(folder.join("assets")).map_err(Error::file("create", folder))?;
    let work =
        tempfile::Builder::new().prefix("sample-").tempdir().map_err(Error::file("create", std::env::temp_dir()))?;
    let path = work.path().join("memos_prod.db");
    let conn = Connection::open(&path).map_err(failed)?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;").map_err(failed)?;
    conn.execute_batch(schema::TABLES).map_err(failed)?;
    let author = Author { conn: &conn, chance, folder };
    let people = author.people()?;
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);").map_err(failed)?;
    conn.execute_batch("BEGIN").map_err(failed)?;
    author.settings(&people)?;
    let uids = author.notes()?;
    author.relations()?;
    let comments = author.comments(&uids)?;
    author.reactions(&uids)?;
    let files = author.files()?;
    author.shares()?;
    conn.execute_batch("COMMIT").map_err(failed)?;
    // Copied while open: closing the last connection would merge the log.
    for name in ["memos_prod.db", "memos_prod.db-wal"] {
        let to = folder.join(name);
        std::fs::copy(work.path().join(name), &to).map_err(Error::file("write", &to))?;
    }
    drop(conn);
    Ok(Sample { people, notes: NOTES, comments, files })
}

fn failed(err: rusqlite::Error) -> Error {
    Error::Sqlite { doing: "write the sample", source: err }
}

/// A memo to write.
struct Memo<'a> {
    creator: i64,
    created: i64,
    content: &'a str,
    visibility: &'a str,
    pinned: bool,
    place: bool,
}

struct Author<'a> {
    conn: &'a Connection,
    chance: &'a Chance,
    folder: &'a Path,
}

impl Author<'_> {
    fn put(&self, sql: &str, values: impl rusqlite::Params) -> Result<i64, Error> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(failed)?;
        Ok(self.conn.last_insert_rowid())
    }

    fn pick(&self, limit: usize) -> usize {
        self.chance.below(limit as u64) as usize
    }

    fn people(&self) -> Result<Vec<Person>, Error> {
        let letters = b"abcdefghjkmnpqrstuvwxyz23456789";
        let mut people = Vec::new();
        for (at, (username, nickname, role, archived)) in PEOPLE.iter().enumerate() {
            let password = self.chance.text(letters, 14);
            let salt = self.chance.bytes::<16>();
            let hashed = bcrypt::hash_with_salt(&password, 10, salt)
                .map_err(|err| Error::Broken(format!("a sample password cannot be hashed: {err}")))?;
            let avatar = if at == 0 { files::avatar(self.chance)? } else { String::new() };
            self.put(
                "INSERT INTO user (created_ts, updated_ts, row_status, username, role, email, nickname, password_hash, avatar_url, description)
                 VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    BASE_TIME - 80_000_000, if *archived { "ARCHIVED" } else { "NORMAL" }, username, role,
                    format!("{username}@example.org"), nickname, hashed.format_for_version(bcrypt::Version::TwoA), avatar,
                    if at == 0 { "Keeps the **list**." } else { "" }
                ],
            )?;
            let token = (at < 2).then(|| {
                format!("memos_pat_{}", self.chance.text(b"ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789", 32))
            });
            people.push(Person { username: (*username).to_owned(), password, token, archived: *archived });
        }
        Ok(people)
    }

    fn settings(&self, people: &[Person]) -> Result<(), Error> {
        let setting = "INSERT INTO system_setting (name, value) VALUES (?1, ?2)";
        let secret = self.chance.uuid().to_string();
        for (name, value) in [
            ("BASIC", json!({"secretKey": secret, "schemaVersion": "0.30.1"})),
            (
                "GENERAL",
                json!({"customProfile": {"title": "Sample notes", "description": "Made by holdfast"}, "weekStartDayOffset": 1}),
            ),
            ("MEMO_RELATED", json!({"contentLengthLimit": 65_536, "reactions": ["👍", "❤️", "🎉", "👀", "🚀"]})),
            (
                "STORAGE",
                json!({"storageType": "LOCAL", "filepathTemplate": "assets/{timestamp}_{uuid}_{filename}", "uploadSizeLimitMb": "32"}),
            ),
        ] {
            self.put(setting, params![name, value.to_string()])?;
        }
        let member = "INSERT INTO user_setting (user_id, key, value) VALUES (?1, ?2, ?3)";
        for (at, person) in people.iter().enumerate() {
            let Some(token) = &person.token else { continue };
            let value = json!({"tokens": [{
                "tokenId": self.chance.uuid().to_string(), "tokenHash": hex::encode(Sha256::digest(token.as_bytes())),
                "description": "script", "createdAt": "2026-01-05T08:00:00Z"
            }]});
            self.put(member, params![at as i64 + 1, "PERSONAL_ACCESS_TOKENS", value.to_string()])?;
        }
        self.put(
            member,
            params![2, "GENERAL", json!({"locale": "zh-Hans", "memoVisibility": "PROTECTED"}).to_string()],
        )?;
        let shortcuts = json!({"shortcuts": [{"id": self.chance.uuid().to_string(), "title": "Open tasks", "filter": "has_incomplete_tasks"}]});
        self.put(member, params![1, "SHORTCUTS", shortcuts.to_string()])?;
        let tags = json!({"tags": {"todo": {"backgroundColor": {"red": 0.9, "green": 0.4, "blue": 0.1}}}});
        self.put(member, params![1, "TAGS", tags.to_string()])?;
        Ok(())
    }

    fn memo(&self, memo: &Memo<'_>) -> Result<String, Error> {
        let Memo { creator, created, content, visibility, pinned, place } = *memo;
        let derived = markdown::derive(content);
        let mut property = serde_json::Map::new();
        for (key, on) in [
            ("hasLink", derived.has_link),
            ("hasTaskList", derived.has_task_list),
            ("hasCode", derived.has_code),
            ("hasIncompleteTasks", derived.has_incomplete_tasks),
        ] {
            if on {
                property.insert(key.to_owned(), json!(true));
            }
        }
        let mut payload = json!({ "property": property });
        if place {
            payload["location"] = json!({"placeholder": "Lauterbrunnen", "latitude": 46.5935, "longitude": 7.9091});
        }
        if !derived.tags.is_empty() {
            payload["tags"] = json!(derived.tags);
        }
        let uid = self.chance.uid();
        let status = if !pinned && created % 23 == 0 { "ARCHIVED" } else { "NORMAL" };
        self.put(
            "INSERT INTO memo (uid, creator_id, created_ts, updated_ts, row_status, content, visibility, pinned, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![uid, creator, created, created + self.pick(5_000) as i64, status, content, visibility, pinned, payload.to_string()],
        )?;
        Ok(uid)
    }

    fn notes(&self) -> Result<Vec<String>, Error> {
        let mut uids = Vec::new();
        for number in 0..NOTES {
            let creator = 1 + self.pick(PEOPLE.len()) as i64;
            let created = BASE_TIME - ((NOTES - number) as i64 * 310_000) + self.pick(200_000) as i64;
            let visibility = ["PRIVATE", "PROTECTED", "PUBLIC", "PROTECTED"][self.pick(4)];
            let content = text::note(self.chance, number);
            let (pinned, place) = (number % 40 == 7, number % 17 == 3);
            uids.push(self.memo(&Memo { creator, created, content: &content, visibility, pinned, place })?);
        }
        Ok(uids)
    }

    fn relations(&self) -> Result<(), Error> {
        for _ in 0..30 {
            let (from, to) = (1 + self.pick(NOTES) as i64, 1 + self.pick(NOTES) as i64);
            if from != to {
                self.put("INSERT OR IGNORE INTO memo_relation VALUES (?1, ?2, 'REFERENCE')", params![from, to])?;
            }
        }
        Ok(())
    }

    fn comments(&self, uids: &[String]) -> Result<usize, Error> {
        let count = 36;
        for number in 0..count {
            let parent = 1 + self.pick(uids.len()) as i64;
            let creator = 1 + self.pick(3) as i64;
            let content = text::comment(self.chance, PEOPLE[self.pick(3)].0);
            let created = BASE_TIME + number * 600;
            let visibility = "PROTECTED";
            self.memo(&Memo { creator, created, content: &content, visibility, pinned: false, place: false })?;
            let comment = uids.len() as i64 + number + 1;
            self.put("INSERT INTO memo_relation VALUES (?1, ?2, 'COMMENT')", params![comment, parent])?;
            let owner: i64 = self
                .conn
                .query_row("SELECT creator_id FROM memo WHERE id = ?1", [parent], |row| row.get(0))
                .map_err(failed)?;
            if owner != creator {
                let message =
                    json!({"type": "MEMO_COMMENT", "memoComment": {"memoId": comment, "relatedMemoId": parent}});
                self.put(
                    "INSERT INTO inbox (created_ts, sender_id, receiver_id, status, message) VALUES (?1, ?2, ?3, 'UNREAD', ?4)",
                    params![BASE_TIME + number * 600, creator, owner, message.to_string()],
                )?;
            }
        }
        Ok(count as usize)
    }

    fn reactions(&self, uids: &[String]) -> Result<(), Error> {
        for number in 0..60 {
            let target = format!("memos/{}", uids[self.pick(uids.len())]);
            let emoji = ["👍", "❤️", "🎉", "👀", "🚀"][self.pick(5)];
            self.put(
                "INSERT OR IGNORE INTO reaction (created_ts, creator_id, content_id, reaction_type) VALUES (?1, ?2, ?3, ?4)",
                params![BASE_TIME + number, 1 + self.pick(3) as i64, target, emoji],
            )?;
        }
        Ok(())
    }

    fn files(&self) -> Result<usize, Error> {
        let all = files::all(self.chance)?;
        let sql = "INSERT INTO attachment (uid, creator_id, created_ts, updated_ts, filename, blob, type, size, memo_id, storage_type, reference)
                   VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        for (at, file) in all.iter().enumerate() {
            let created = BASE_TIME - 1_000 + at as i64;
            let note = (at % 5 != 4).then(|| 1 + self.pick(NOTES) as i64);
            let local = at % 2 == 1;
            let (blob, storage, reference) = if local {
                let name = format!("{created}_{}_{}", self.chance.uuid(), file.name);
                let path = self.folder.join("assets").join(&name);
                std::fs::write(&path, &file.bytes).map_err(Error::file("write", &path))?;
                (None, "LOCAL", format!("{SERVER_FOLDER}/assets/{name}"))
            } else {
                (Some(&file.bytes), "", String::new())
            };
            let creator = 1 + self.pick(3) as i64;
            self.put(
                sql,
                params![
                    self.chance.uid(),
                    creator,
                    created,
                    file.name,
                    blob,
                    file.kind,
                    file.bytes.len() as i64,
                    note,
                    storage,
                    reference
                ],
            )?;
        }
        Ok(all.len())
    }

    fn shares(&self) -> Result<(), Error> {
        for (note, expires) in [(3_i64, None), (8, Some(4_102_444_800_i64))] {
            self.put(
                "INSERT INTO memo_share (uid, memo_id, creator_id, created_ts, expires_ts) SELECT ?1, ?2, creator_id, ?3, ?4 FROM memo WHERE id = ?2",
                params![self.chance.uid(), note, BASE_TIME, expires],
            )?;
        }
        Ok(())
    }
}
