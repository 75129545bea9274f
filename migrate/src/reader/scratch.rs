//! A scratch database on disk for what must be looked up while notes stream past: relations, reactions, files and the
//! notes at the other end of relations. It keeps memory flat however large the source is.

use std::path::Path;

use domain::id::{AttachmentId, MemberId, NoteId};
use domain::note::{CardAttachment, CardEnd, MotionMedia, RelationKind, Visibility};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value as Json;

use crate::error::Error;

const TABLES: &str = "
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;
    CREATE TABLE relation (note_id INTEGER, related_id INTEGER, kind TEXT, PRIMARY KEY (note_id, related_id, kind)) WITHOUT ROWID;
    CREATE INDEX relation_related ON relation (related_id);
    CREATE TABLE reaction (id INTEGER PRIMARY KEY, note_id INTEGER, creator_id INTEGER, reaction TEXT, created_ts INTEGER,
        UNIQUE (note_id, creator_id, reaction));
    CREATE TABLE attachment (id INTEGER PRIMARY KEY, uid TEXT UNIQUE, creator_id INTEGER, note_id INTEGER, created_ts INTEGER,
        updated_ts INTEGER, filename TEXT, kind TEXT, size INTEGER, external_link TEXT, payload TEXT, place TEXT, source TEXT);
    CREATE INDEX attachment_note ON attachment (note_id, updated_ts DESC, id);
    CREATE TABLE finish (id INTEGER PRIMARY KEY, uid TEXT, creator_id INTEGER, visibility TEXT, archived INTEGER, snippet TEXT);
    CREATE TABLE parent (note_id INTEGER PRIMARY KEY, parent_id INTEGER);
    CREATE TABLE remainder (id INTEGER PRIMARY KEY, source TEXT, row_key TEXT, value TEXT);
    BEGIN;";

/// Threads are followed so far up, as the tenant's own cards do.
const DEEPEST: usize = 64;

/// Where the bytes of a mapped attachment are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: a link elsewhere, or a file that is gone.
    Nowhere,
    /// In the database, in this table at this rowid.
    Blob(&'static str, i64),
    /// In this file, by its full path.
    File(String),
    /// In a bucket (which of the source's), under this key.
    Bucket(usize, String),
}

/// A mapped attachment before its bytes were moved.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub id: i64,
    pub uid: String,
    pub creator_id: i64,
    pub note_id: Option<i64>,
    pub position: i64,
    pub created_ts: i64,
    pub updated_ts: i64,
    pub filename: String,
    pub kind: String,
    pub size: i64,
    pub external_link: String,
    pub payload: Json,
    pub place: Place,
}

impl Attachment {
    /// As a card shows it.
    pub fn on_card(&self) -> CardAttachment {
        let motion = self.payload.get("motionMedia").and_then(motion);
        CardAttachment {
            id: AttachmentId(self.id),
            uid: self.uid.clone(),
            created_ts: self.created_ts,
            filename: self.filename.clone(),
            kind: self.kind.clone(),
            size: self.size,
            external_link: self.external_link.clone(),
            motion,
        }
    }
}

fn motion(json: &Json) -> Option<MotionMedia> {
    let text = |key: &str| json.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let stamp = json.get("presentationTimestampUs");
    let stamp = stamp.and_then(|n| n.as_i64().or_else(|| n.as_str()?.parse().ok())).unwrap_or_default();
    let motion = MotionMedia {
        family: text("family"),
        role: text("role"),
        group_id: text("groupId"),
        presentation_timestamp_us: stamp,
        has_embedded_video: json.get("hasEmbeddedVideo").and_then(Json::as_bool).unwrap_or_default(),
    };
    (motion != MotionMedia::default()).then_some(motion)
}

/// A mapped reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    pub id: i64,
    pub note_id: i64,
    pub creator_id: i64,
    pub reaction: String,
    pub created_ts: i64,
}

/// The scratch database.
#[derive(Debug)]
pub struct Scratch {
    conn: Connection,
}

fn failed(err: rusqlite::Error) -> Error {
    Error::Sqlite { doing: "use the scratch file", source: err }
}

impl Scratch {
    /// A new one in `dir`.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("scratch.db");
        if path.exists() {
            std::fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        }
        let conn = Connection::open(&path).map_err(failed)?;
        conn.execute_batch(TABLES).map_err(failed)?;
        Ok(Self { conn })
    }

    /// Keeps a row for the table `import_remainder`.
    pub fn keep(&self, source: &str, key: &str, value: &Json) -> Result<(), Error> {
        let sql = "INSERT INTO remainder (source, row_key, value) VALUES (?1, ?2, ?3)";
        self.put(sql, params![source, key.replace('\0', "\u{fffd}"), value.to_string()]).map(drop)
    }

    /// Keeps a relation; false when it was there already.
    pub fn add_relation(&self, note: i64, related: i64, kind: RelationKind) -> Result<bool, Error> {
        self.put("INSERT OR IGNORE INTO relation VALUES (?1, ?2, ?3)", params![note, related, kind.as_str()])
    }

    /// Keeps a reaction; false when its id or its content was there already.
    pub fn add_reaction(&self, row: &Reaction) -> Result<bool, Error> {
        let values = params![row.id, row.note_id, row.creator_id, row.reaction, row.created_ts];
        self.put("INSERT OR IGNORE INTO reaction VALUES (?1, ?2, ?3, ?4, ?5)", values)
    }

    /// Keeps an attachment; false when its id or uid was there already.
    pub fn add_attachment(&self, row: &Attachment) -> Result<bool, Error> {
        let (place, source) = match &row.place {
            Place::Nowhere => ("", String::new()),
            Place::Blob(table, rowid) => ("blob", format!("{rowid} {table}")),
            Place::File(path) => ("file", path.clone()),
            Place::Bucket(at, key) => ("bucket", format!("{at} {key}")),
        };
        let values = params![
            row.id,
            row.uid,
            row.creator_id,
            row.note_id,
            row.created_ts,
            row.updated_ts,
            row.filename,
            row.kind,
            row.size,
            row.external_link,
            row.payload.to_string(),
            place,
            source
        ];
        self.put(
            "INSERT OR IGNORE INTO attachment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            values,
        )
    }

    /// Keeps what cards show of a note at the other end of a relation.
    pub fn add_end(&self, end: &CardEnd) -> Result<(), Error> {
        let values = params![end.id.0, end.uid, end.creator_id.0, end.visibility.as_str(), end.archived, end.snippet];
        self.put("INSERT OR IGNORE INTO finish VALUES (?1, ?2, ?3, ?4, ?5, ?6)", values).map(drop)
    }

    /// Every note at an end of any relation, by number.
    pub fn related(&self) -> Result<Vec<i64>, Error> {
        self.list("SELECT note_id FROM relation UNION SELECT related_id FROM relation ORDER BY 1", [], |row| row.get(0))
    }

    /// Comments → the note they comment on: the lowest, where there are several.
    pub fn settle_parents(&self) -> Result<(), Error> {
        let sql = "INSERT INTO parent SELECT note_id, min(related_id) FROM relation
                   WHERE kind = 'COMMENT' AND note_id <> related_id GROUP BY note_id";
        self.put(sql, []).map(drop)
    }

    /// Breaks circles of comments; returns the notes that lost their parent for it.
    pub fn break_circles(&self) -> Result<Vec<i64>, Error> {
        // Only a parent with a parent of its own can be in a circle: few rows, so they are walked one by one.
        let sql = "SELECT a.note_id FROM parent a JOIN parent b ON b.note_id = a.parent_id ORDER BY 1";
        let suspects: Vec<i64> = self.list(sql, [], |row| row.get(0))?;
        let mut cut = Vec::new();
        for start in suspects {
            let mut at = start;
            for _ in 0..100_000 {
                let Some(parent) = self.parent_of(at)? else { break };
                if parent == start {
                    self.put("DELETE FROM parent WHERE note_id = ?1", [start])?;
                    cut.push(start);
                    break;
                }
                at = parent;
            }
        }
        Ok(cut)
    }

    /// The note that this one comments on.
    pub fn parent_of(&self, note: i64) -> Result<Option<i64>, Error> {
        let mut statement =
            self.conn.prepare_cached("SELECT parent_id FROM parent WHERE note_id = ?1").map_err(failed)?;
        statement.query_row([note], |row| row.get(0)).optional().map_err(failed)
    }

    /// Relations that leave the note, lower numbers first.
    pub fn leaving(&self, note: i64) -> Result<Vec<(RelationKind, CardEnd)>, Error> {
        self.ends("SELECT r.kind, f.* FROM relation r JOIN finish f ON f.id = r.related_id WHERE r.note_id = ?1 ORDER BY r.related_id, r.kind", note)
    }

    /// Relations that reach the note, higher numbers first.
    pub fn reaching(&self, note: i64) -> Result<Vec<(RelationKind, CardEnd)>, Error> {
        self.ends("SELECT r.kind, f.* FROM relation r JOIN finish f ON f.id = r.note_id WHERE r.related_id = ?1 AND r.note_id <> r.related_id ORDER BY r.note_id DESC, r.kind", note)
    }

    fn ends(&self, sql: &str, note: i64) -> Result<Vec<(RelationKind, CardEnd)>, Error> {
        let ends = self.list(sql, [note], |row| Ok((kind_of(&row.get::<_, String>(0)?), end_of(row, 1)?)))?;
        ends.into_iter().map(|(kind, end)| Ok((kind, self.in_thread(end)?))).collect()
    }

    /// One end.
    pub fn end(&self, note: i64) -> Result<Option<CardEnd>, Error> {
        self.own_end(note)?.map(|end| self.in_thread(end)).transpose()
    }

    /// Who may see a comment is decided by the note at the top of its thread.
    fn in_thread(&self, mut end: CardEnd) -> Result<CardEnd, Error> {
        let mut top = end.id.0;
        for _ in 0..DEEPEST {
            let Some(parent) = self.parent_of(top)? else { break };
            top = parent;
        }
        if top != end.id.0
            && let Some(first) = self.own_end(top)?
        {
            (end.creator_id, end.visibility) = (first.creator_id, first.visibility);
            end.archived |= first.archived;
        }
        Ok(end)
    }

    fn own_end(&self, note: i64) -> Result<Option<CardEnd>, Error> {
        let mut statement = self.conn.prepare_cached("SELECT * FROM finish WHERE id = ?1").map_err(failed)?;
        statement.query_row([note], |row| end_of(row, 0)).optional().map_err(failed)
    }

    /// Reactions to one note, oldest number first.
    pub fn reactions(&self, note: i64) -> Result<Vec<Reaction>, Error> {
        self.list("SELECT * FROM reaction WHERE note_id = ?1 ORDER BY id", [note], reaction_of)
    }

    /// Files of one note, newest update first.
    pub fn attachments(&self, note: i64) -> Result<Vec<Attachment>, Error> {
        let sql = "SELECT *, 0 FROM attachment WHERE note_id = ?1 ORDER BY updated_ts DESC, id";
        self.list(sql, [note], attachment_of)
    }

    /// Every relation, by key.
    pub fn each_relation(
        &self,
        visit: &mut dyn FnMut(i64, i64, RelationKind) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.walk("SELECT * FROM relation ORDER BY 1, 2, 3", |row| {
            visit(
                row.get(0).map_err(failed)?,
                row.get(1).map_err(failed)?,
                kind_of(&row.get::<_, String>(2).map_err(failed)?),
            )
        })
    }

    /// Every reaction, by number.
    pub fn each_reaction(&self, visit: &mut dyn FnMut(Reaction) -> Result<(), Error>) -> Result<(), Error> {
        self.walk("SELECT * FROM reaction ORDER BY id", |row| visit(reaction_of(row).map_err(failed)?))
    }

    /// Every attachment, by number, with its place among the files of its note.
    pub fn each_attachment(&self, visit: &mut dyn FnMut(Attachment) -> Result<(), Error>) -> Result<(), Error> {
        let sql = "SELECT a.*, (SELECT count(*) FROM attachment b WHERE b.note_id = a.note_id
                   AND (b.updated_ts > a.updated_ts OR (b.updated_ts = a.updated_ts AND b.id < a.id)))
                   FROM attachment a ORDER BY a.id";
        self.walk(sql, |row| visit(attachment_of(row).map_err(failed)?))
    }

    /// Every note on which anything hangs, possibly more than once.
    pub fn each_hanging(&self, visit: &mut dyn FnMut(i64) -> Result<(), Error>) -> Result<(), Error> {
        let sql = "SELECT note_id FROM relation UNION ALL SELECT related_id FROM relation UNION ALL SELECT note_id FROM reaction
                   UNION ALL SELECT note_id FROM attachment WHERE note_id IS NOT NULL UNION ALL SELECT note_id FROM parent";
        self.walk(sql, |row| visit(row.get(0).map_err(failed)?))
    }

    /// Everything kept for `import_remainder`.
    pub fn each_kept(
        &self,
        visit: &mut dyn FnMut(i64, String, String, Json) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.walk("SELECT id, source, row_key, value FROM remainder ORDER BY id", |row| {
            let value: String = row.get(3).map_err(failed)?;
            let value = serde_json::from_str(&value).unwrap_or(Json::String(value));
            visit(row.get(0).map_err(failed)?, row.get(1).map_err(failed)?, row.get(2).map_err(failed)?, value)
        })
    }

    fn put(&self, sql: &str, values: impl rusqlite::Params) -> Result<bool, Error> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map(|n| n > 0).map_err(failed)
    }

    fn list<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.conn.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map(values, take).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn walk(&self, sql: &str, mut visit: impl FnMut(&rusqlite::Row<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let mut statement = self.conn.prepare(sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(row)?;
        }
        Ok(())
    }
}

fn kind_of(word: &str) -> RelationKind {
    if word == "COMMENT" { RelationKind::Comment } else { RelationKind::Reference }
}

fn end_of(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<CardEnd> {
    Ok(CardEnd {
        id: NoteId(row.get(at)?),
        uid: row.get(at + 1)?,
        creator_id: MemberId(row.get(at + 2)?),
        visibility: row.get::<_, String>(at + 3)?.parse().unwrap_or(Visibility::Private),
        archived: row.get(at + 4)?,
        snippet: row.get(at + 5)?,
    })
}

fn reaction_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Reaction> {
    Ok(Reaction {
        id: row.get(0)?,
        note_id: row.get(1)?,
        creator_id: row.get(2)?,
        reaction: row.get(3)?,
        created_ts: row.get(4)?,
    })
}

fn attachment_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Attachment> {
    let source: String = row.get(12)?;
    let place = match row.get::<_, String>(11)?.as_str() {
        "blob" => {
            let (rowid, table) = source.split_once(' ').unwrap_or((&source, ""));
            let table = super::FILE_TABLES.into_iter().find(|known| *known == table).unwrap_or(super::FILE_TABLES[0]);
            Place::Blob(table, rowid.parse().unwrap_or_default())
        }
        "file" => Place::File(source),
        "bucket" => source
            .split_once(' ')
            .map_or(Place::Nowhere, |(at, key)| Place::Bucket(at.parse().unwrap_or_default(), key.to_owned())),
        _ => Place::Nowhere,
    };
    Ok(Attachment {
        id: row.get(0)?,
        uid: row.get(1)?,
        creator_id: row.get(2)?,
        note_id: row.get(3)?,
        created_ts: row.get(4)?,
        updated_ts: row.get(5)?,
        filename: row.get(6)?,
        kind: row.get(7)?,
        size: row.get(8)?,
        external_link: row.get(9)?,
        payload: serde_json::from_str(&row.get::<_, String>(10)?).unwrap_or_default(),
        place,
        position: row.get(13)?,
    })
}
