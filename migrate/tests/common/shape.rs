//! What a database looks like, so that two can be compared.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Table → columns with type, NOT NULL, default and key; and its indexes.
pub(crate) fn shape(database: &Path) -> BTreeMap<String, Vec<String>> {
    let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut tables = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1").unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut out = BTreeMap::new();
    for name in names {
        let mut lines = Vec::new();
        let mut columns =
            conn.prepare("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1)").unwrap();
        let rows = columns.query_map([&name], |row| {
            Ok(format!(
                "{} {} {} {:?} {}",
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, i64>(4)?
            ))
        });
        lines.extend(rows.unwrap().map(Result::unwrap));
        let mut indexes = conn.prepare("SELECT \"unique\", (SELECT group_concat(name) FROM pragma_index_info(l.name)) FROM pragma_index_list(?1) l ORDER BY 2").unwrap();
        let rows = indexes
            .query_map([&name], |row| Ok(format!("index {} {}", row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        lines.extend(rows.unwrap().map(Result::unwrap));
        out.insert(name, lines);
    }
    out
}
