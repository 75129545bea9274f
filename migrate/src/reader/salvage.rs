//! Reading every row of a table, and of a damaged one every row that can still be read: forwards up to the damage,
//! backwards from the end down to it; what lies between is named.

use rusqlite::{Params, Row, Statement};

use super::{Reader, damaged, quoted};
use crate::error::Error;
use crate::report::Findings;

/// Rows between two readable ones are tried one by one up to so many.
const TRIED_ONE_BY_ONE: i64 = 100_000;

/// What one row becomes.
type Take<'a, T> = &'a dyn Fn(&Row<'_>) -> rusqlite::Result<T>;
/// Who sees it.
type Visit<'a, T> = &'a mut dyn FnMut(&mut Findings, T) -> Result<(), Error>;

/// What to read.
#[derive(Clone, Copy)]
pub(super) struct What<'a> {
    /// Table.
    pub(super) table: &'a str,
    /// Columns, as SQL.
    pub(super) columns: &'a str,
    /// Order, as SQL; empty for none.
    pub(super) order: &'a str,
}

impl Reader {
    /// Shows every row to `visit`. In salvage mode rows come by
    /// their rowid, and unreadable ones are reported.
    pub(super) fn scan<T>(
        &self,
        what: What<'_>,
        findings: &mut Findings,
        take: Take<'_, T>,
        visit: Visit<'_, T>,
    ) -> Result<(), Error> {
        let What { table, columns, order } = what;
        let name = quoted(table);
        if self.salvage && self.has_rowid(&name) {
            return self.scan_damaged(table, columns, findings, take, visit);
        }
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {order}") };
        // Not by an index: one that disagrees with its table, which SQLite's quick check does not see, would leave rows out.
        let sql = format!("SELECT {columns} FROM {name} NOT INDEXED{order}");
        let mut statement = self.conn.prepare(&sql).map_err(|err| damaged(&err))?;
        let mut rows = statement.query([]).map_err(|err| damaged(&err))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(err) if self.salvage => {
                    findings.warn("unreadable_rows", table, "", format!("the rest of the table cannot be read: {err}"));
                    return Ok(());
                }
                Err(err) => return Err(damaged(&err)),
            };
            visit(findings, take(row).map_err(|err| damaged(&err))?)?;
        }
    }

    fn has_rowid(&self, name: &str) -> bool {
        self.conn.prepare(&format!("SELECT rowid FROM {name}")).is_ok()
    }

    fn scan_damaged<T>(
        &self,
        table: &str,
        columns: &str,
        findings: &mut Findings,
        take: Take<'_, T>,
        visit: Visit<'_, T>,
    ) -> Result<(), Error> {
        let name = quoted(table);
        let forwards = format!("SELECT {columns}, rowid FROM {name} NOT INDEXED ORDER BY rowid");
        let mut last = i64::MIN;
        let failed = self.walk(&forwards, take, &mut |rowid, value| {
            last = rowid;
            visit(findings, value)
        })?;
        let Some(failed) = failed else { return Ok(()) };
        let mut tail = Vec::new();
        let backwards = format!("SELECT rowid, rowid FROM {name} NOT INDEXED WHERE rowid > {last} ORDER BY rowid DESC");
        self.walk(&backwards, &|_| Ok(()), &mut |rowid, ()| {
            tail.push(rowid);
            Ok(())
        })?;
        tail.reverse();
        let (from, to) = (last.saturating_add(1).max(1), tail.first().map_or(i64::MAX, |first| first - 1));
        let mut lost = 0_u64;
        let few = to != i64::MAX && to.saturating_sub(from) < TRIED_ONE_BY_ONE;
        let between = if few { from..to.saturating_add(1) } else { from..from };
        let counted = to != i64::MAX;
        let one = format!("SELECT {columns}, rowid FROM {name} NOT INDEXED WHERE rowid = ?1");
        let mut one = self.conn.prepare(&one).map_err(|err| damaged(&err))?;
        for rowid in between.chain(tail) {
            let mut seen = false;
            let broken = show(&mut one, [rowid], take, &mut |_, value| {
                seen = true;
                visit(findings, value)
            })?;
            if !seen && broken.is_some() {
                lost += 1;
                findings.warn("unreadable_row", table, rowid, "the row cannot be read; its page is damaged");
            }
        }
        let range = if counted { format!("{from} to {to}") } else { format!("from {from} on") };
        let message = format!(
            "part of the table cannot be read ({failed}); of the rows {range} only those that still can be were taken"
        );
        findings.warn("unreadable_rows", table, "", message);
        *findings.unread.entry(table.to_owned()).or_default() += lost;
        Ok(())
    }

    /// Shows rows, whose last column is the rowid, until one cannot be read; returns why then.
    fn walk<T>(
        &self,
        sql: &str,
        take: Take<'_, T>,
        visit: &mut dyn FnMut(i64, T) -> Result<(), Error>,
    ) -> Result<Option<String>, Error> {
        match self.conn.prepare(sql) {
            Ok(mut statement) => show(&mut statement, [], take, visit),
            Err(err) => Ok(Some(err.to_string())),
        }
    }
}

/// What `walk` does, with a statement that is prepared already.
fn show<T>(
    statement: &mut Statement<'_>,
    values: impl Params,
    take: Take<'_, T>,
    visit: &mut dyn FnMut(i64, T) -> Result<(), Error>,
) -> Result<Option<String>, Error> {
    let at = statement.column_count() - 1;
    let mut rows = match statement.query(values) {
        Ok(rows) => rows,
        Err(err) => return Ok(Some(err.to_string())),
    };
    loop {
        match rows.next() {
            Ok(None) => return Ok(None),
            Err(err) => return Ok(Some(err.to_string())),
            Ok(Some(row)) => match (row.get::<_, i64>(at), take(row)) {
                (Ok(rowid), Ok(value)) => visit(rowid, value)?,
                (Err(err), _) | (_, Err(err)) => return Ok(Some(err.to_string())),
            },
        }
    }
}
