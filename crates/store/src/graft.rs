//! Single rows of a point back into a live tenant, as text, within the tenant's own unit of work.

use tokio_postgres::types::Type;

use crate::error::Error;
use crate::snapshot::{Table, names, quoted};
use crate::tx::{Param, TenantTx};

/// Inserts one row unless a row like it is there; whether it did. Types come from a verified manifest.
pub async fn insert_row(tx: &mut TenantTx, table: &Table, values: &[Option<String>]) -> Result<bool, Error> {
    let mut places = Vec::with_capacity(table.columns.len());
    for (at, column) in table.columns.iter().enumerate() {
        if !column.type_name.chars().all(|c| c.is_ascii_alphanumeric() || " _.,()[]\"".contains(c)) {
            return Err(Error::Refused(format!(
                "column {} of table {} has a type that cannot be written: {}",
                column.name, table.name, column.type_name
            )));
        }
        places.push(format!("${}::text::{}", at + 1, column.type_name));
    }
    let columns = names(table.columns.iter().map(|column| column.name.as_str()));
    let sql = format!(
        "INSERT INTO {} ({columns}) VALUES ({}) ON CONFLICT DO NOTHING RETURNING 1",
        quoted(&table.name),
        places.join(", ")
    );
    let params: Vec<Param<'_>> = values.iter().map(|value| (value as _, Type::TEXT)).collect();
    Ok(tx.query_opt(&sql, &params).await?.is_some())
}

/// Which of these numbers are members.
pub async fn known_members(tx: &mut TenantTx, ids: &[i64]) -> Result<Vec<i64>, Error> {
    let rows = tx.query("SELECT id FROM member WHERE id = ANY($1)", &[(&ids, Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Whether an attachment of that uid is there, and the number of the note of that number, if it is.
pub async fn attachment_exists(tx: &mut TenantTx, uid: &str) -> Result<bool, Error> {
    Ok(tx.query_opt("SELECT 1 FROM attachment WHERE uid = $1", &[(&uid, Type::TEXT)]).await?.is_some())
}
