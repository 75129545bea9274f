//! What the file looks like: tables and columns, never a version number. The version is a guess for the report.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// Tables and columns of a source.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    tables: BTreeMap<String, BTreeSet<String>>,
    has_triggers: bool,
    email_may_be_null: bool,
    knows_protected: bool,
}

impl Shape {
    /// Reads the catalogue of the staged copy.
    pub fn read(conn: &Connection) -> Result<Self, Error> {
        let failed = || Error::sqlite("list its tables");
        let mut shape = Self::default();
        let mut list = conn
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
            .map_err(failed())?;
        let names = list.query_map([], |row| row.get::<_, String>(0)).map_err(failed())?;
        let mut columns = conn.prepare("SELECT name, \"notnull\" FROM pragma_table_info(?1)").map_err(failed())?;
        for name in names {
            let name = name.map_err(failed())?;
            let mut found = BTreeSet::new();
            let rows = columns
                .query_map([&name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
                .map_err(failed())?;
            for row in rows {
                let (column, not_null) = row.map_err(failed())?;
                if name == "user" && column == "email" {
                    shape.email_may_be_null = not_null == 0;
                }
                found.insert(column);
            }
            shape.tables.insert(name, found);
        }
        shape.has_triggers = conn
            .query_row("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'", [], |row| row.get::<_, i64>(0))
            .map_err(failed())?
            > 0;
        let memo = "SELECT coalesce(max(sql), '') FROM sqlite_master WHERE type = 'table' AND name = 'memo'";
        let memo: String = conn.query_row(memo, [], |row| row.get(0)).map_err(failed())?;
        shape.knows_protected = memo.contains("PROTECTED");
        Ok(shape)
    }

    /// Whether there is such a table.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether there is such a column.
    pub fn has(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// All of `names` that are tables.
    pub fn all_tables(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|name| self.has_table(name)).collect()
    }

    /// The first of `names` that is a column of `table`.
    pub fn first_column(&self, table: &str, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(table, name))
    }

    /// Every table.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// Columns of one table.
    pub fn columns(&self, table: &str) -> impl Iterator<Item = &str> {
        self.tables.get(table).into_iter().flatten().map(String::as_str)
    }

    /// Sixteen hex digits over every name.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (table, columns) in &self.tables {
            hash.update(table.as_bytes());
            for column in columns {
                hash.update(b".");
                hash.update(column.as_bytes());
            }
            hash.update(b"\n");
        }
        hex::encode(hash.finalize()).chars().take(16).collect()
    }

    /// The newest release whose marks the shape carries, as (major, minor); none when it is no Memos file.
    pub fn version(&self) -> Option<(u32, u32)> {
        let ladder: [(bool, u32); 28] = [
            (
                self.has_table("user")
                    && self.email_may_be_null
                    && self.has("user", "username")
                    && self.has_table("attachment"),
                31,
            ),
            (self.has_table("space") || self.has_table("space_member") || self.has("memo", "space_id"), 31),
            (self.has("reaction", "memo_id"), 31),
            (self.has_table("user_identity"), 28),
            (self.has_table("memo_share") || self.has("idp", "uid"), 27),
            (self.has_table("attachment"), 26),
            (self.has("memo", "pinned") && !self.has_table("webhook"), 25),
            (self.has("memo", "pinned"), 24),
            (self.has("memo", "tags"), 22),
            (self.has("resource", "storage_type"), 22),
            (self.has("memo", "uid"), 21),
            (self.has_table("reaction") && self.has("memo", "resource_name"), 20),
            (self.has("memo", "resource_name"), 19),
            (self.has_table("webhook"), 18),
            (self.has_table("inbox"), 17),
            (self.has("resource", "memo_id"), 16),
            (self.has_table("memo_relation") && !self.has("user", "open_id"), 15),
            (self.has_table("memo_relation") && !self.has("resource", "public_id"), 14),
            (self.has_table("memo_relation"), 13),
            (self.has("resource", "internal_path"), 12),
            (self.has_table("storage") || self.has_table("idp"), 11),
            (self.has_table("activity"), 10),
            (self.has_table("tag"), 9),
            (self.has_table("migration_history"), 8),
            (
                self.has_table("memo_resource") || self.has_table("system_setting"),
                if self.has_triggers { 5 } else { 7 },
            ),
            (self.has_table("user_setting"), 4),
            (self.has_table("user") && self.has_table("memo") && self.knows_protected, 3),
            (self.has_table("user") && self.has_table("memo"), 2),
        ];
        ladder.into_iter().find(|(found, _)| *found).map(|(_, minor)| (0, minor))
    }
}

/// Parts of a version text, compared as numbers: 0.9 < 0.10.
pub fn version_parts(text: &str) -> Option<Vec<u32>> {
    let parts: Option<Vec<u32>> =
        text.trim().trim_start_matches('v').split('.').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() >= 2)
}

/// What to call the version: the shape decides, the marker only names releases that look alike.
pub fn version_name(shape: Option<(u32, u32)>, marker: Option<&str>) -> String {
    let Some((major, minor)) = shape else { return String::new() };
    let alike: &[u32] = match minor {
        22 => &[22, 23],
        28 => &[28, 29, 30],
        5 => &[5, 6],
        _ => &[],
    };
    match marker.and_then(version_parts) {
        Some(parts) if parts[0] == major && alike.contains(&parts[1]) => format!("{major}.{}", parts[1]),
        _ => format!("{major}.{minor}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_only_settles_ties() {
        assert_eq!(version_name(Some((0, 28)), Some("0.30.1")), "0.30");
        assert_eq!(version_name(Some((0, 28)), Some("0.31.8")), "0.28");
        assert_eq!(version_name(Some((0, 22)), Some("0.22.4")), "0.22");
        assert_eq!(version_name(Some((0, 13)), None), "0.13");
        assert_eq!(version_name(None, Some("0.30.1")), "");
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(version_parts("0.9.0") < version_parts("0.10.0"));
        assert!(version_parts("0.31.8") < version_parts("26.9.1"));
        assert_eq!(version_parts("garbage"), None);
    }
}
