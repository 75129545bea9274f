//! Reading a database that is not ours: a Memos installation on PostgreSQL, for the importer. One read-only snapshot.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, NoTls, Row};

use crate::Config;
use crate::error::Error;
use crate::snapshot::{names, quoted};

/// An open snapshot of a foreign database.
pub struct Foreign {
    client: Client,
}

/// A table as its catalogue tells it.
#[derive(Clone, Debug)]
pub struct ForeignTable {
    /// Its name.
    pub name: String,
    /// Columns with their types, such as `bigint`, in their order.
    pub columns: Vec<(String, String)>,
}

/// One value, as plainly as it can be said.
#[derive(Clone, Debug, PartialEq)]
pub enum ForeignValue {
    /// NULL.
    Null,
    /// A whole number; booleans are 0 and 1.
    Int(i64),
    /// Text, and everything that is written as text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Foreign {
    /// Connects and begins the snapshot; nothing can be written through it.
    ///
    /// # Errors
    /// `Refused` when the address cannot be used, `Unavailable` when nobody answers there.
    pub async fn open(url: &str, password: Option<String>) -> Result<Self, Error> {
        let config = Config::foreign(url, password).map_err(|err| Error::Refused(err.to_string()))?;
        let mut settings = config.tokio_postgres(&config.user, config.password.as_deref());
        settings.options("-c default_transaction_read_only=on");
        let (client, connection) = settings.connect(NoTls).await.map_err(|err| Error::Unavailable(Box::new(err)))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the foreign database ended the connection");
            }
        });
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(Self { client })
    }

    /// The tables of the schema that unqualified names mean.
    pub async fn tables(&self) -> Result<Vec<ForeignTable>, Error> {
        let sql = "SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, NULL) \
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') \
            AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum";
        let mut tables: Vec<ForeignTable> = Vec::new();
        for row in self.client.query(sql, &[]).await? {
            let (table, column, kind): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if tables.last().is_none_or(|last| last.name != table) {
                tables.push(ForeignTable { name: table, columns: Vec::new() });
            }
            if let Some(last) = tables.last_mut() {
                last.columns.push((column, kind));
            }
        }
        Ok(tables)
    }

    /// Shows every row of a table.
    pub async fn each<E: From<Error>>(
        &self,
        table: &ForeignTable,
        mut visit: impl FnMut(Vec<ForeignValue>) -> Result<(), E>,
    ) -> Result<(), E> {
        let shown = |(column, kind): &(String, String)| {
            let name = quoted(column);
            match kind.as_str() {
                "bigint" | "integer" | "smallint" | "bytea" | "boolean" => name,
                _ if kind.starts_with("timestamp") => format!("extract(epoch FROM {name})::bigint"),
                _ => format!("{name}::text"),
            }
        };
        let columns: Vec<String> = table.columns.iter().map(shown).collect();
        let key = table.columns.iter().map(|(name, _)| name.as_str()).find(|name| *name == "id");
        let order = key.map_or_else(String::new, |key| format!(" ORDER BY {}", names(std::iter::once(key))));
        let sql = format!("SELECT {} FROM {}{order}", columns.join(", "), quoted(&table.name));
        let rows = self.client.query_raw(&sql, Vec::<&str>::new()).await.map_err(Error::from)?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(Error::from)? {
            visit(values(&row)?)?;
        }
        Ok(())
    }
}

fn values(row: &Row) -> Result<Vec<ForeignValue>, Error> {
    fn get<'r, T: FromSql<'r>>(row: &'r Row, at: usize) -> Result<Option<T>, Error> {
        Ok(row.try_get(at)?)
    }
    let mut out = Vec::with_capacity(row.len());
    for (at, column) in row.columns().iter().enumerate() {
        let value = match *column.type_() {
            Type::INT8 => get::<i64>(row, at)?.map(ForeignValue::Int),
            Type::INT4 => get::<i32>(row, at)?.map(|n| ForeignValue::Int(n.into())),
            Type::INT2 => get::<i16>(row, at)?.map(|n| ForeignValue::Int(n.into())),
            Type::BOOL => get::<bool>(row, at)?.map(|b| ForeignValue::Int(b.into())),
            Type::BYTEA => get::<Vec<u8>>(row, at)?.map(ForeignValue::Bytes),
            _ => get::<String>(row, at)?.map(ForeignValue::Text),
        };
        out.push(value.unwrap_or(ForeignValue::Null));
    }
    Ok(out)
}
