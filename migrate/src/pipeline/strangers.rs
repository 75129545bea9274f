//! Tables and columns that have no place in a tenant: all of them are kept aside, and named unless every Memos has them.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::Import;
use super::known::{KEPT_WHOLE, KNOWN, QUIET};
use crate::error::Error;

impl Import<'_> {
    /// Tables and columns that no release of Memos has, and those without a place in a tenant.
    pub(super) fn gather_strangers(&mut self) -> Result<(), Error> {
        let tables: Vec<String> = self.reader.shape.tables().map(str::to_owned).collect();
        for table in tables {
            match KNOWN.iter().find(|(name, _)| *name == table) {
                Some((_, columns)) if !KEPT_WHOLE.contains(&table.as_str()) => self.gather_columns(&table, columns)?,
                known => self.keep_whole(&table, known.is_some())?,
            }
        }
        Ok(())
    }

    fn keep_whole(&mut self, table: &str, known: bool) -> Result<(), Error> {
        let mut rows = 0_u64;
        let mut spaces = Vec::new();
        let scratch = &self.scratch;
        self.reader.each_as_json(table, self.findings, &mut |key, row| {
            rows += 1;
            let key = if table == "space_member" { shown(&row, &["space_id", "user_id"]) } else { key };
            if table.starts_with("space") {
                spaces.push((key.clone(), what_of_space(table, &row)));
            }
            scratch.keep(table, &key, &row)
        })?;
        for (key, message) in spaces {
            self.findings.warn("space", table, key, message);
        }
        if !known && rows > 0 {
            let message = format!("no release of Memos has this table; its {rows} rows were kept aside");
            self.findings.warn("unknown_table", table, "", message);
        }
        Ok(())
    }

    fn gather_columns(&mut self, table: &str, known: &[&str]) -> Result<(), Error> {
        let columns: BTreeSet<String> = self.reader.shape.columns(table).map(str::to_owned).collect();
        for column in columns {
            let quiet = QUIET.contains(&(table, column.as_str()));
            if known.contains(&column.as_str()) && !quiet {
                continue;
            }
            let mut rows = 0_u64;
            let scratch = &self.scratch;
            self.reader.each_filled(table, &column, &mut |key, value| {
                rows += 1;
                scratch.keep(table, &key, &json!({ column.as_str(): value }))
            })?;
            if rows > 0 && !quiet {
                let message =
                    format!("no known release of Memos has the column {column}; its {rows} values were kept aside");
                self.findings.warn("unknown_column", table, "", message);
            }
        }
        Ok(())
    }
}

fn shown(row: &Json, columns: &[&str]) -> String {
    let values: Vec<String> =
        columns.iter().map(|column| row[*column].to_string().trim_matches('"').to_owned()).collect();
    values.join(" ")
}

fn what_of_space(table: &str, row: &Json) -> String {
    let of = |column: &str| shown(row, &[column]);
    if table == "space" {
        return format!("the space {:?} has no place here; its row was kept aside", of("title"));
    }
    format!(
        "user {} was {} ({}) of the space {}, which has no place here; the row was kept aside",
        of("user_id"),
        of("role"),
        of("status"),
        of("space_id")
    )
}
