//! Short questions to the source, beside the streams of rows.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use rusqlite::OptionalExtension as _;
use rusqlite::types::ValueRef;

use super::salvage::What;
use super::value::Value;
use super::{Reader, damaged, quoted};
use crate::error::Error;
use crate::report::Findings;

/// Distinct numbers, in little room whether they are many or the same few again and again.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    found: Vec<i64>,
    /// How many of them are sorted and distinct.
    settled: usize,
}

impl Numbers {
    pub(super) fn add(&mut self, number: i64) {
        if self.found.last() == Some(&number) {
            return;
        }
        self.found.push(number);
        if self.found.len() >= 2 * self.settled.max(32 * 1024) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.found.sort_unstable();
        self.found.dedup();
        self.settled = self.found.len();
    }

    pub(super) fn sorted(mut self) -> Vec<i64> {
        self.settle();
        self.found.shrink_to_fit();
        self.found
    }
}

impl Reader {
    /// Whether `id` is what SQLite itself finds the rows of a table by.
    pub fn found_by_id(&self, table: &str) -> bool {
        let sql = "SELECT count(*) = 1 AND min(name = 'id' COLLATE NOCASE AND type = 'INTEGER' COLLATE NOCASE)
                   FROM pragma_table_info(?1) WHERE pk > 0";
        self.conn.query_row(sql, [table], |row| row.get::<_, Option<bool>>(0)).ok().flatten().unwrap_or_default()
    }

    /// `system_setting` (or `instance_setting` of a canary image): name → value. A name that occurs twice keeps the
    /// later row.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for table in ["instance_setting", "system_setting"] {
            if !self.shape.has(table, "name") || !self.shape.has(table, "value") {
                continue;
            }
            let sql = format!("SELECT name, value FROM {table}");
            let Ok(mut statement) = self.conn.prepare(&sql) else { continue };
            let Ok(mut rows) = statement.query([]) else { continue };
            while let Ok(Some(row)) = rows.next() {
                let text = |at: usize| {
                    let mut odd = Vec::new();
                    row.get_ref(at)
                        .ok()
                        .and_then(|value| Value::copy(value).to_text("value", &mut odd))
                        .unwrap_or_default()
                };
                found.insert(text(0), text(1));
            }
        }
        found
    }

    /// Uids that more than one memo has, which only a damaged or merged file can hold; asked of the table, as
    /// [`Reader::numbers`]. Sorted as numbers made of them, which takes a fourth of the time of having SQLite sort them.
    pub fn shared_uids(&self) -> Result<BTreeSet<String>, Error> {
        let Some(column) = self.shape.first_column("memo", &["uid", "resource_name"]) else {
            return Ok(BTreeSet::new());
        };
        let read = || -> rusqlite::Result<BTreeSet<String>> {
            let hasher = RandomState::new();
            let mut marks = Vec::new();
            self.each_uid(column, &mut |uid| marks.push(hasher.hash_one(uid)))?;
            marks.sort_unstable();
            let twice: BTreeSet<u64> = marks.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
            drop(marks);
            if twice.is_empty() {
                return Ok(BTreeSet::new());
            }
            // Two uids may have the same mark: those that have one twice are looked at themselves.
            let mut seen = BTreeMap::<Vec<u8>, u32>::new();
            self.each_uid(column, &mut |uid| {
                if twice.contains(&hasher.hash_one(uid)) {
                    *seen.entry(uid.to_vec()).or_default() += 1;
                }
            })?;
            let shared = seen.into_iter().filter(|(_, times)| *times > 1).map(|(uid, _)| Value::Text(uid));
            Ok(shared.map(|uid| uid.to_text("uid", &mut Vec::new()).unwrap_or_default()).collect())
        };
        match read() {
            // Then every uid counts as doubtful: the first that bears it keeps it.
            Err(_) if self.salvage => self.uids_read_one_by_one(column),
            found => found.map_err(|err| damaged(&err)),
        }
    }

    /// The bytes of each uid that is a text.
    fn each_uid(&self, column: &str, visit: &mut dyn FnMut(&[u8])) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare(&format!("SELECT {column} FROM memo NOT INDEXED"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let ValueRef::Text(uid) = row.get_ref(0)? {
                visit(uid);
            }
        }
        Ok(())
    }

    /// The number of the memo with this uid; the lowest, should there be several.
    pub fn note_by_uid(&self, uid: &str) -> Result<Option<i64>, Error> {
        let Some(column) = self.shape.first_column("memo", &["uid", "resource_name"]) else { return Ok(None) };
        let sql = format!("SELECT CAST(id AS INTEGER) FROM memo WHERE {column} = ?1 ORDER BY id LIMIT 1");
        let mut statement = self.conn.prepare_cached(&sql).map_err(|err| damaged(&err))?;
        match statement.query_row([uid], |row| row.get(0)).optional() {
            Err(_) if self.salvage => Ok(None),
            found => found.map_err(|err| damaged(&err)),
        }
    }

    /// The highest number that SQLite ever gave: numbers of deleted rows are not used again.
    pub fn last_number(&self) -> i64 {
        let sql = "SELECT coalesce(max(CAST(seq AS INTEGER)), 0) FROM sqlite_sequence";
        // A file without AUTOINCREMENT has no such table.
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap_or_default()
    }

    /// Whether any row has no whole number in a column; asked of the table, as [`Reader::numbers`].
    pub fn lacks_number(&self, table: &str, column: &str) -> Result<bool, Error> {
        if !self.shape.has(table, column) {
            return Ok(false);
        }
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {} NOT INDEXED WHERE typeof({}) <> 'integer')",
            quoted(table),
            quoted(column)
        );
        match self.conn.query_row(&sql, [], |row| row.get(0)) {
            Err(_) if self.salvage => Ok(true),
            found => found.map_err(|err| damaged(&err)),
        }
    }

    /// Values of one column that are neither NULL nor empty, with the key of their row.
    pub fn each_filled(
        &self,
        table: &str,
        column: &str,
        visit: &mut dyn FnMut(String, serde_json::Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let key = if self.shape.has(table, "id") { "id" } else { "rowid" };
        let column = quoted(column);
        let sql = format!(
            "SELECT {key}, {column} FROM {} WHERE {column} IS NOT NULL AND {column} NOT IN ('', '{{}}', '[]') ORDER BY 1",
            quoted(table)
        );
        let mut statement = self.conn.prepare(&sql).map_err(|err| damaged(&err))?;
        let mut rows = statement.query([]).map_err(|err| damaged(&err))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(_) if self.salvage => return Ok(()),
                Err(err) => return Err(damaged(&err)),
            };
            let key = Value::copy(row.get_ref(0).map_err(|err| damaged(&err))?).to_json();
            let value = Value::copy(row.get_ref(1).map_err(|err| damaged(&err))?).to_json();
            visit(key.to_string().trim_matches('"').to_owned(), value)?;
        }
    }

    fn uids_read_one_by_one(&self, column: &'static str) -> Result<BTreeSet<String>, Error> {
        let mut found = BTreeSet::new();
        let take = |row: &rusqlite::Row<'_>| Ok(Value::copy(row.get_ref(0)?));
        self.scan(
            What { table: "memo", columns: column, order: "" },
            &mut Findings::default(),
            &take,
            &mut |_, value| {
                found.extend(value.to_text("uid", &mut Vec::new()));
                Ok(())
            },
        )?;
        Ok(found)
    }
}
