//! Bringing the difference of a source that went on living after it was imported: rows by their key, whatever the table.
//!
//! Rows travel as JSON and are taken apart by Postgres itself, so one statement serves every table.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::snapshot::{names, quoted};
use crate::tx::TenantTx;
use crate::{Error, Type};

/// A table of a tenant as an import fills it.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Its name.
    pub name: &'a str,
    /// The columns that an import fills.
    pub columns: &'a [&'a str],
    /// How many of them, from the first, are the primary key.
    pub key: usize,
}

impl Shape<'_> {
    fn table(&self) -> String {
        quoted(self.name)
    }

    fn key_names(&self) -> String {
        names(self.columns.iter().take(self.key).copied())
    }

    fn same_key(&self) -> String {
        let same = |column: &&str| format!("t.{0} = r.{0}", quoted(column));
        self.columns.iter().take(self.key).map(same).collect::<Vec<_>>().join(" AND ")
    }

    fn given(&self) -> String {
        format!("jsonb_populate_recordset(NULL::{}, $1)", self.table())
    }
}

/// The hashes that an import left: table → packed pairs.
pub async fn read_base(tx: &mut TenantTx) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let rows = tx.query("SELECT name, hashes FROM import_base ORDER BY name, part", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// SHA-256 (hex) of every file whose bytes the tenant holds, by the number of its row.
pub async fn file_sums(tx: &mut TenantTx) -> Result<BTreeMap<i64, String>, Error> {
    let rows = tx.query("SELECT id, sha256 FROM attachment WHERE storage_key <> ''", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// What never changes of a note: its uid; of the notes with these numbers.
pub async fn note_uids(tx: &mut TenantTx, notes: &[i64]) -> Result<BTreeMap<i64, String>, Error> {
    let rows = tx.query("SELECT id, uid FROM note WHERE id = ANY($1)", &[(&notes, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// What never changes of a member: when he was made; of the members with these numbers.
pub async fn member_times(tx: &mut TenantTx, members: &[i64]) -> Result<BTreeMap<i64, i64>, Error> {
    let rows =
        tx.query("SELECT id, created_ts FROM member WHERE id = ANY($1)", &[(&members, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Replaces the hashes of one table.
pub async fn replace_base(tx: &mut TenantTx, name: &str, parts: &[Vec<u8>]) -> Result<(), Error> {
    tx.query("DELETE FROM import_base WHERE name = $1", &[(&name, Type::TEXT)]).await?;
    for (part, hashes) in parts.iter().enumerate() {
        let part = i32::try_from(part).unwrap_or(i32::MAX);
        let values = [(&name as _, Type::TEXT), (&part as _, Type::INT4), (hashes as _, Type::BYTEA)];
        tx.query("INSERT INTO import_base (name, part, hashes) VALUES ($1, $2, $3)", &values).await?;
    }
    Ok(())
}

/// The keys of every row, as JSON objects.
pub async fn all_keys(tx: &mut TenantTx, shape: &Shape<'_>) -> Result<Vec<Value>, Error> {
    let sql = format!("SELECT to_jsonb(t) FROM (SELECT {} FROM {}) t", shape.key_names(), shape.table());
    let rows = tx.query(&sql, &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The rows with these keys (a JSON list of objects), locked until the unit of work ends.
pub async fn rows_by_key(tx: &mut TenantTx, shape: &Shape<'_>, keys: &Value) -> Result<Vec<Value>, Error> {
    let sql = format!(
        "SELECT to_jsonb(t) FROM {} t WHERE EXISTS (SELECT 1 FROM {} r WHERE {}) FOR UPDATE",
        shape.table(),
        shape.given(),
        shape.same_key()
    );
    let rows = tx.query(&sql, &[(keys, Type::JSONB)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Adds rows; returns the keys of those that found their place. The others meet a row with the same key, or with the
/// same value where values are unique.
pub async fn insert_rows(tx: &mut TenantTx, shape: &Shape<'_>, rows: &Value) -> Result<Vec<Value>, Error> {
    let columns = names(shape.columns.iter().copied());
    let key: Vec<String> =
        shape.columns.iter().take(shape.key).map(|column| format!("'{column}', {}", quoted(column))).collect();
    let sql = format!(
        "INSERT INTO {} ({columns}) SELECT {columns} FROM {} ON CONFLICT DO NOTHING RETURNING jsonb_build_object({})",
        shape.table(),
        shape.given(),
        key.join(", ")
    );
    let placed = tx.query(&sql, &[(rows, Type::JSONB)]).await?;
    placed.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Overwrites rows that are there.
pub async fn update_rows(tx: &mut TenantTx, shape: &Shape<'_>, rows: &Value) -> Result<(), Error> {
    let rest: Vec<String> =
        shape.columns.iter().skip(shape.key).map(|column| format!("{0} = r.{0}", quoted(column))).collect();
    if rest.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE {} t SET {} FROM {} r WHERE {}",
        shape.table(),
        rest.join(", "),
        shape.given(),
        shape.same_key()
    );
    tx.query(&sql, &[(rows, Type::JSONB)]).await.map(drop)
}

/// Removes the rows with these keys.
pub async fn delete_rows(tx: &mut TenantTx, shape: &Shape<'_>, keys: &Value) -> Result<(), Error> {
    let sql = format!("DELETE FROM {} t USING {} r WHERE {}", shape.table(), shape.given(), shape.same_key());
    tx.query(&sql, &[(keys, Type::JSONB)]).await.map(drop)
}

/// Removes every row of a table that only imports fill.
pub async fn delete_all(tx: &mut TenantTx, shape: &Shape<'_>) -> Result<(), Error> {
    tx.query(&format!("DELETE FROM {}", shape.table()), &[]).await.map(drop)
}

/// Rows whose `column` leads to one of `ids`: which one, and the row's key as a JSON object.
pub async fn referring(
    tx: &mut TenantTx,
    shape: &Shape<'_>,
    column: &str,
    ids: &[i64],
) -> Result<Vec<(i64, Value)>, Error> {
    let column = quoted(column);
    let key: Vec<String> =
        shape.columns.iter().take(shape.key).map(|name| format!("'{name}', {}", quoted(name))).collect();
    let sql = format!(
        "SELECT {column}, jsonb_build_object({}) FROM {} WHERE {column} = ANY($1)",
        key.join(", "),
        shape.table()
    );
    let rows = tx.query(&sql, &[(&ids, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Which of these notes are there; their rows stay locked until the unit of work ends.
pub async fn lock_notes(tx: &mut TenantTx, notes: &[i64]) -> Result<Vec<i64>, Error> {
    if notes.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT id FROM note WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    let rows = tx.query(sql, &[(&notes, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
