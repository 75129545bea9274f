//! A Memos installation on PostgreSQL, brought into a private SQLite file of the same tables and columns, which then is
//! read like any other.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params_from_iter, types::Value};
use store::foreign::{Foreign, ForeignTable, ForeignValue};

use super::quoted;
use crate::error::Error;

/// Whether an address has a password before its host.
fn holds_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.rsplit_once('@').is_some_and(|(who, _)| who.contains(':')) || url.contains("password=")
}

/// Copies every table that the source's role can see.
pub(super) fn copy(url: &str, password_file: Option<&PathBuf>, to: &Path) -> Result<(), Error> {
    if holds_password(url) {
        let message = "the address must not hold the password, which others could read from the list of processes; put it into a file and name that by --source-password-file";
        return Err(Error::source("password_in_address", message));
    }
    let password = password_file.map(|path| {
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        Ok::<_, Error>(text.trim_end_matches(['\r', '\n']).to_owned())
    });
    let password = password.transpose()?;
    let handle = tokio::runtime::Handle::try_current().map_err(|err| Error::Broken(err.to_string()))?;
    handle.block_on(async {
        let foreign = Foreign::open(url, password).await.map_err(|err| refused(&err))?;
        let tables = foreign.tables().await.map_err(|err| refused(&err))?;
        let conn = Connection::open(to).map_err(failed)?;
        conn.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN").map_err(failed)?;
        for table in &tables {
            copy_table(&foreign, table, &conn).await?;
        }
        conn.execute_batch("COMMIT").map_err(failed)
    })
}

fn refused(err: &store::Error) -> Error {
    let why = err.to_string();
    // The same words tell of a setting, which this address is not.
    let why = why.strip_prefix("database_url: ").unwrap_or(&why);
    Error::source(
        "source_unreachable",
        format!(
            "cannot read the Memos database on PostgreSQL ({why}); give postgres://USER@HOST/DATABASE and --source-password-file"
        ),
    )
}

fn failed(err: rusqlite::Error) -> Error {
    Error::Sqlite { doing: "write the private copy", source: err }
}

async fn copy_table(foreign: &Foreign, table: &ForeignTable, conn: &Connection) -> Result<(), Error> {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(name, kind)| match name.as_str() {
            "id" if matches!(kind.as_str(), "bigint" | "integer" | "smallint") => {
                "\"id\" INTEGER PRIMARY KEY".to_owned()
            }
            // As in Memos on SQLite: the shape tells the release by it.
            "email" => "\"email\" NOT NULL".to_owned(),
            _ => quoted(name),
        })
        .collect();
    let name = quoted(&table.name);
    conn.execute_batch(&format!("CREATE TABLE {name} ({})", columns.join(", "))).map_err(failed)?;
    let holes = vec!["?"; table.columns.len()].join(", ");
    let mut insert = conn.prepare(&format!("INSERT INTO {name} VALUES ({holes})")).map_err(failed)?;
    let email = table.columns.iter().position(|(column, _)| column == "email");
    foreign
        .each(table, |row| {
            let values = row.into_iter().enumerate().map(|(at, value)| match value {
                ForeignValue::Null if Some(at) == email => Value::Text(String::new()),
                ForeignValue::Null => Value::Null,
                ForeignValue::Int(n) => Value::Integer(n),
                ForeignValue::Text(text) => Value::Text(text),
                ForeignValue::Bytes(bytes) => Value::Blob(bytes),
            });
            insert.execute(params_from_iter(values)).map(drop).map_err(failed)
        })
        .await
        .map_err(|err| match err {
            Error::Store(err) => refused(&err),
            other => other,
        })
}
