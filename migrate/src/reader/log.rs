//! The write-ahead log of a copied source: merged where it belongs to the database, told where it does not.
//!
//! SQLite takes any log whose check sums are right, also one of another database, and would mix the pages of both. What
//! never changes in a Memos database tells them apart: its secret, when a user was made, the public id of a memo.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::damaged;
use super::stage::{Staged, beside, uri_of};
use crate::error::Error;
use crate::report::Findings;

/// A log of no more bytes than its head holds nothing.
const HEAD: u64 = 32;
/// Rows that are compared.
const COMPARED: usize = 1_000;

/// Opens the copy with the log merged, or without it when it is another database's; with what SQLite's own check says.
pub(super) fn open(
    staged: &Staged,
    salvage: bool,
    findings: &mut Findings,
) -> Result<(Connection, Vec<String>), Error> {
    if salvage {
        fill_up(&staged.database)?;
    }
    let conn = connect(staged)?;
    let mut problems = quick_check(&conn);
    if staged.wal_bytes <= HEAD {
        return Ok((conn, problems));
    }
    let stranger = alone(staged).and_then(|alone| {
        let why = difference(&alone, &conn);
        why.or_else(|| {
            let whole = !problems.is_empty() && has_rows(&alone) && quick_check(&alone).is_empty();
            whole.then_some("with it the database is damaged, without it it is whole")
        })
    });
    let Some(why) = stranger else {
        merge(&conn, staged.wal_bytes, findings).map_err(|err| damaged(&err))?;
        return Ok((conn, problems));
    };
    let message = format!("the -wal file ({} bytes) belongs to another database: {why}", staged.wal_bytes);
    if salvage {
        findings.warn("wal_ignored", "", "", format!("{message}; it was ignored"));
    } else {
        let what = "bring the -wal file that was beside this .db, or do without it with --salvage";
        findings.error("wal_foreign", "", "", format!("{message}; {what}"));
    }
    let conn = without_log(conn, staged)?;
    problems = quick_check(&conn);
    Ok((conn, problems))
}

/// SQLite reads nothing of a file that is shorter than its head says: what was cut off becomes empty pages, so that what is
/// left can be read.
fn fill_up(database: &Path) -> Result<(), Error> {
    let failed = || Error::file("fill up", database);
    let mut file = File::options().read(true).write(true).open(database).map_err(failed())?;
    let mut head = [0_u8; 100];
    if file.read_exact(&mut head).is_err() {
        return Ok(());
    }
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let page = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65_536,
        size if size.is_power_of_two() && size >= 512 => u64::from(size),
        _ => return Ok(()),
    };
    let there = file.metadata().map_err(failed())?.len();
    let said = u64::from(number(28)) * page;
    // The number of pages counts only where the two counters agree; nobody cuts off more than a disk holds.
    let believed = number(24) == number(92) && said > there && said <= there.saturating_mul(64);
    if believed { file.set_len(said).map_err(failed()) } else { Ok(()) }
}

fn connect(staged: &Staged) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&staged.database, flags).map_err(|err| damaged(&err))?;
    conn.pragma_update(None, "cache_size", -8_192).map_err(|err| damaged(&err))?;
    conn.pragma_update(None, "trusted_schema", false).map_err(|err| damaged(&err))?;
    Ok(conn)
}

/// The database as it is without its log; none when it cannot even be opened.
fn alone(staged: &Staged) -> Option<Connection> {
    let uri = format!("{}?immutable=1", uri_of(&staged.database));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags).ok()
}

/// Closing merges a log, unless it is told not to.
fn without_log(conn: Connection, staged: &Staged) -> Result<Connection, Error> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(|err| damaged(&err))?;
    drop(conn);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(&staged.database, suffix));
    }
    connect(staged)
}

/// What cannot be, were both the same database at two times.
fn difference(before: &Connection, after: &Connection) -> Option<&'static str> {
    let secrets = (secret(before), secret(after));
    if let (Some(before), Some(after)) = &secrets
        && before != after
    {
        return Some("the secret in it is another one");
    }
    let differ = |sql: &str| {
        let (before, after) = (pairs(before, sql), pairs(after, sql));
        let common = before.keys().filter(|id| after.contains_key(*id)).count();
        let same = before.iter().filter(|(id, mark)| after.get(*id) == Some(*mark)).count();
        common > 0 && same * 2 < common
    };
    if differ("SELECT id, created_ts FROM user WHERE typeof(created_ts) = 'integer' ORDER BY id LIMIT ?1") {
        return Some("the users in it were made at other times");
    }
    differ("SELECT id, uid FROM memo WHERE length(uid) > 2 ORDER BY id LIMIT ?1")
        .then_some("the memos in it have other ids")
}

fn secret(conn: &Connection) -> Option<String> {
    let get = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).ok().flatten();
    get("SELECT json_extract(value, '$.secretKey') FROM system_setting WHERE name = 'BASIC'")
        .or_else(|| get("SELECT value FROM system_setting WHERE name = 'secret-session'"))
        .filter(|secret| !secret.is_empty())
}

fn pairs(conn: &Connection, sql: &str) -> BTreeMap<i64, String> {
    let read = || -> rusqlite::Result<BTreeMap<i64, String>> {
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([COMPARED as i64], |row| {
            Ok((row.get(0)?, super::Value::copy(row.get_ref(1)?).to_json().to_string()))
        })?;
        rows.collect()
    };
    read().unwrap_or_default()
}

fn has_rows(conn: &Connection) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM user) AND EXISTS (SELECT 1 FROM memo)";
    conn.query_row(sql, [], |row| row.get(0)).unwrap_or_default()
}

/// SQLite's own check of the pages.
fn quick_check(conn: &Connection) -> Vec<String> {
    let run = || -> rusqlite::Result<Vec<String>> {
        let mut statement = conn.prepare("PRAGMA quick_check(10)")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.collect()
    };
    // Constraints are the business of the mapping, which names each row.
    const ROWS: [&str; 5] = ["CHECK constraint failed", "NULL value in", "non-", "NUMERIC value in", "TEXT value in"];
    match run() {
        Ok(lines) if lines.len() == 1 && lines[0] == "ok" => Vec::new(),
        Ok(lines) => lines.into_iter().filter(|line| !ROWS.iter().any(|start| line.starts_with(start))).collect(),
        Err(err) => vec![err.to_string()],
    }
}

/// Merges the log into the copy; one whose salt is not the database's is ignored by SQLite, which is worth saying.
fn merge(conn: &Connection, wal_bytes: u64, findings: &mut Findings) -> rusqlite::Result<()> {
    let frames: i64 = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?;
    if frames <= 0 {
        let message = format!(
            "the -wal file ({wal_bytes} bytes) does not belong to this database and was ignored; copy .db and -wal together"
        );
        findings.warn("wal_ignored", "", "", message);
    }
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}
