//! Reading a Memos database of any age, column by column: what a table has is read, what it lacks is absent.
//!
//! Everything here works on the staged copy (`stage`). Values are taken by their storage class (`value`), rows become
//! `Source*` structs (`rows`), and what must be looked at twice waits in a scratch database on disk (`scratch`), so
//! that memory does not grow with the source.

pub mod bucket;
pub mod files;
pub mod fingerprint;
mod foreign;
mod log;
mod lookup;
pub mod rows;
mod salvage;
pub mod scratch;
pub mod stage;
pub mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::Connection;

use crate::check::Source;
use crate::error::Error;
use crate::report::{Findings, SourceInfo};
use bucket::{BucketAccess, Buckets};
use fingerprint::Shape;
use lookup::Numbers;
use rows::{Ask, Record};
use salvage::What;
use stage::{Staged, Taken};
use value::Value;

/// The table of files, by its name from 0.26 on and before; files that went through a canary image have both.
pub const FILE_TABLES: [&str; 2] = ["attachment", "resource"];

/// An opened, staged source.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    /// Tables and columns.
    pub shape: Shape,
    /// Where local files are looked up, and where scratch files go.
    pub staged: Staged,
    /// Folders that the server called by another name.
    pub path_maps: Vec<(String, PathBuf)>,
    /// Where S3 attachments are.
    pub buckets: Buckets,
    /// Take what a damaged file still shows.
    pub salvage: bool,
}

impl Reader {
    /// Opens the staged copy with its write-ahead log.
    ///
    /// # Errors
    /// `Error::Source` when it is damaged beyond opening or is no Memos database.
    pub fn open(staged: Staged, source: &Source, findings: &mut Findings) -> Result<Self, Error> {
        let (conn, problems) = log::open(&staged, source.salvage, findings)?;
        let shape = Shape::read(&conn).map_err(|err| match err {
            Error::Sqlite { source, .. } => damaged(&source),
            other => other,
        })?;
        let mut reader = Self {
            conn,
            shape,
            staged,
            path_maps: source.options.path_maps.clone(),
            buckets: Buckets::new(BucketAccess::default(), serde_json::Value::Null),
            salvage: source.salvage,
        };
        reader.examine(problems, findings)?;
        let storage = reader.settings().get("STORAGE").and_then(|text| rows::parse_json(text)).unwrap_or_default();
        reader.buckets = Buckets::new(source.options.bucket.clone(), storage);
        Ok(reader)
    }

    /// SQLite's own check of the pages, and whether this is a Memos database at all.
    fn examine(&self, problems: Vec<String>, findings: &mut Findings) -> Result<(), Error> {
        if !self.shape.has_table("user") || !self.shape.has_table("memo") {
            let list: Vec<_> = self.shape.tables().take(8).collect();
            let message = if list.is_empty() {
                "the database has no tables; if there is a file ending in -wal beside it, both belong together: copy the whole folder".to_owned()
            } else {
                format!(
                    "this is not a Memos database: the tables user and memo are missing (found: {})",
                    list.join(", ")
                )
            };
            return Err(Error::source("not_memos", message));
        }
        for other in &self.staged.others {
            let message = format!("the folder holds {other} too, which was not read; to import it, name that file");
            findings.warn("other_database", "", other, message);
        }
        for problem in problems {
            let message = format!("the database is damaged: {problem}");
            if self.salvage {
                findings.warn("damaged", "", "", message);
            } else {
                findings.error("damaged", "", "", format!("{message}{SALVAGE}"));
            }
        }
        Ok(())
    }

    /// What the report says about the source.
    pub fn info(&self) -> SourceInfo {
        let marker = self.marker();
        SourceInfo {
            kind: if self.staged.taken == Taken::Postgres { "memos-postgres" } else { "memos-sqlite" }.to_owned(),
            version: fingerprint::version_name(self.shape.version(), marker.as_deref()),
            fingerprint: self.shape.fingerprint(),
            taken: self.staged.taken.as_str().to_owned(),
            marker,
        }
    }

    /// The version that the file itself claims.
    pub fn marker(&self) -> Option<String> {
        let settings = self.settings();
        let basic = settings.get("BASIC").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let schema_version = basic
            .and_then(|basic| Some(basic.get("schemaVersion")?.as_str()?.to_owned()))
            .filter(|text| !text.is_empty());
        schema_version.or_else(|| {
            let mut statement = self.conn.prepare("SELECT version FROM migration_history").ok()?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).ok()?;
            rows.flatten()
                .filter(|text| fingerprint::version_parts(text).is_some())
                .max_by_key(|text| fingerprint::version_parts(text))
        })
    }

    /// Rows per table, of every table found.
    pub fn counts(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut counts = BTreeMap::new();
        for table in self.shape.tables() {
            let sql = format!("SELECT count(*) FROM {} NOT INDEXED", quoted(table));
            match self.conn.query_row(&sql, [], |row| row.get::<_, i64>(0)) {
                Ok(rows) => drop(counts.insert(table.to_owned(), rows.max(0) as u64)),
                Err(_) if self.salvage => {}
                Err(err) => return Err(damaged(&err)),
            }
        }
        Ok(counts)
    }

    /// Shows every row of `table` to `visit`, in the order `order` (columns that exist), with the columns asked for.
    /// In salvage mode an unreadable page ends the table with a warning instead of an error.
    pub fn each(
        &self,
        table: &str,
        asked: &[Ask],
        order: &str,
        findings: &mut Findings,
        visit: &mut dyn FnMut(&mut Findings, Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let present: Vec<bool> = asked.iter().map(|ask| self.shape.has(table, ask.needs)).collect();
        let columns = self.columns_of(table, asked);
        let take = |row: &rusqlite::Row<'_>| taken(table, asked, &present, row);
        self.scan(What { table, columns: &columns, order }, findings, &take, visit)
    }

    /// Shows the rows with these numbers, of an undamaged table whose key `id` is.
    pub fn each_of(
        &self,
        table: &str,
        asked: &[Ask],
        numbers: &[i64],
        visit: &mut dyn FnMut(Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let present: Vec<bool> = asked.iter().map(|ask| self.shape.has(table, ask.needs)).collect();
        let sql = format!("SELECT {} FROM {} WHERE id = ?1", self.columns_of(table, asked), quoted(table));
        let mut statement = self.conn.prepare(&sql).map_err(|err| damaged(&err))?;
        for number in numbers {
            let mut rows = statement.query([number]).map_err(|err| damaged(&err))?;
            while let Some(row) = rows.next().map_err(|err| damaged(&err))? {
                visit(taken(table, asked, &present, row).map_err(|err| damaged(&err))?)?;
            }
        }
        Ok(())
    }

    fn columns_of(&self, table: &str, asked: &[Ask]) -> String {
        let column = |ask: &Ask| if self.shape.has(table, ask.needs) { ask.sql() } else { "NULL".to_owned() };
        asked.iter().map(column).collect::<Vec<_>>().join(", ")
    }

    /// Every row of a table as JSON, for tables that have no place in a tenant. Long values are told by size only.
    pub fn each_as_json(
        &self,
        table: &str,
        findings: &mut Findings,
        visit: &mut dyn FnMut(String, serde_json::Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let names: Vec<String> = self.shape.columns(table).map(str::to_owned).collect();
        let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let mut number = 0_u64;
        let take = |row: &rusqlite::Row<'_>| {
            let mut object = serde_json::Map::new();
            for (at, name) in names.iter().enumerate() {
                object.insert(name.clone(), Value::copy(row.get_ref(at)?).to_json());
            }
            Ok(object)
        };
        self.scan(What { table, columns: &columns.join(", "), order: "" }, findings, &take, &mut |_, object| {
            number += 1;
            let key =
                object.get("id").map_or_else(|| number.to_string(), |id| id.to_string().trim_matches('"').to_owned());
            visit(key, serde_json::Value::Object(object))
        })
    }

    /// Distinct whole numbers of one column; empty when there is no such column. Read from the table as its rows are: an
    /// index of a damaged file may say something else.
    pub fn numbers(&self, table: &str, column: &str) -> Result<Vec<i64>, Error> {
        if !self.shape.has(table, column) {
            return Ok(Vec::new());
        }
        let name = quoted(column);
        let sql = format!("SELECT CAST({name} AS INTEGER) FROM {} NOT INDEXED WHERE {name} IS NOT NULL", quoted(table));
        let read = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = self.conn.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let mut numbers = Numbers::default();
            while let Some(row) = rows.next()? {
                numbers.add(row.get(0)?);
            }
            Ok(numbers.sorted())
        };
        match read() {
            Err(_) if self.salvage => {
                let mut found = std::collections::BTreeSet::new();
                let take = |row: &rusqlite::Row<'_>| row.get::<_, Option<i64>>(0);
                let shown = format!("CAST({name} AS INTEGER)");
                self.scan(
                    What { table, columns: &shown, order: "" },
                    &mut Findings::default(),
                    &take,
                    &mut |_, number| {
                        found.extend(number);
                        Ok(())
                    },
                )?;
                Ok(found.into_iter().collect())
            }
            other => other.map_err(|err| damaged(&err)),
        }
    }

    /// Bytes of all files in the database.
    pub fn blob_bytes(&self) -> u64 {
        let bytes = |table: &str| {
            let sql = format!("SELECT coalesce(sum(octet_length(blob)), 0) FROM {table}");
            self.conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).map_or(0, i64::unsigned_abs)
        };
        self.shape.all_tables(&FILE_TABLES).into_iter().map(bytes).sum()
    }

    /// Opens one value for reading in pieces; `row` is its rowid.
    pub fn open_blob(&self, table: &str, column: &str, row: i64) -> Result<rusqlite::blob::Blob<'_>, Error> {
        self.conn.blob_open("main", table, column, row, true).map_err(|err| damaged(&err))
    }
}

/// One row as a record; a column that is not there has no value.
fn taken(table: &str, asked: &[Ask], present: &[bool], row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    let mut record = Record::new(table, asked.len());
    for (at, ask) in asked.iter().enumerate() {
        let value = if present[at] { Some(Value::copy(row.get_ref(at)?)) } else { None };
        record.put(ask.name, value);
    }
    Ok(record)
}

/// A name as SQLite takes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What to do about damage.
pub(crate) const SALVAGE: &str = "; what is readable can be imported with --salvage";

pub(crate) fn damaged(err: &rusqlite::Error) -> Error {
    Error::source("damaged", format!("the database is damaged: {err}{SALVAGE}"))
}
