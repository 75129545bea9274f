//! Bulk loading into a tenant that is not open yet: for imports and restores.
//!
//! One transaction of the owning role. Secondary indexes are dropped first and made again at the end (rows first, indexes
//! afterwards: 1.7 × as fast, measured); the keys of a table that gets many rows as well.

use std::pin::Pin;

use bytes::Bytes;
use domain::id::SchemaId;
use domain::tenant::TenantState;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use crate::error::Error;
use crate::pool::Pooled;
use crate::scope::TenantScope;
use crate::snapshot::{Table, names, quoted};
use crate::store::Store;

/// An open load. Dropped without [`Load::finish`] it leaves nothing.
pub struct Load {
    connection: Option<Pooled>,
    handle: tokio::runtime::Handle,
    schema: SchemaId,
    indexes: Vec<String>,
    /// Statements that make the keys of emptied tables again, and which tables those are.
    keys: Vec<String>,
    emptied: Vec<String>,
}

/// Where rows of one table go.
pub struct CopySink {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    binary: bool,
}

/// What opens and what ends rows in COPY's binary format.
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const BINARY_END: &[u8] = &[0xff, 0xff];

impl CopySink {
    pub(crate) fn new(sink: CopyInSink<Bytes>) -> Self {
        Self { sink: Box::pin(sink), binary: false }
    }

    /// Sends whole or partial rows in the format that the table was opened with.
    pub async fn send(&mut self, rows: Bytes) -> Result<(), Error> {
        Ok(self.sink.send(rows).await?)
    }

    /// Ends the table and tells how many rows arrived.
    pub async fn finish(mut self) -> Result<u64, Error> {
        if self.binary {
            self.send(Bytes::from_static(BINARY_END)).await?;
        }
        Ok(self.sink.as_mut().finish().await?)
    }
}

/// The tags of notes are kept apart when all rows are there.
const UNTAGGED: &str = "ALTER TABLE note DISABLE TRIGGER USER";
/// What [`UNTAGGED`] has left out, of all notes at once; sketches are left to a worker ([`crate::sketches`]). Most tags stand
/// alone and have none above them: their key is said here, without a call and an array for each (three quarters of the time).
const TAGGED: &str = "TRUNCATE note_tag, note_sketch; ALTER TABLE note_tag DROP CONSTRAINT note_tag_pkey;
    INSERT INTO note_tag (key, created_ts, note_id)
        SELECT lower(tags[1] COLLATE \"C\"), created_ts, id FROM note
        WHERE cardinality(tags) = 1 AND octet_length(tags[1]) <= 100 AND strpos(tags[1], '/') = 0
        UNION ALL SELECT unnest(holdfast_search.tag_keys(tags)), created_ts, id FROM note
        WHERE cardinality(tags) > 1 OR (cardinality(tags) = 1 AND (octet_length(tags[1]) > 100 OR strpos(tags[1], '/') > 0));
    ALTER TABLE note_tag ADD PRIMARY KEY (key, created_ts, note_id); ALTER TABLE note ENABLE TRIGGER USER";

impl Store {
    /// Begins a load into a closed or provisioning tenant.
    ///
    /// # Errors
    /// `Refused` when the tenant is open: a load is never mixed with members' writes.
    pub async fn load(&self, scope: &TenantScope) -> Result<Load, Error> {
        let tenant = scope.tenant();
        if !matches!(tenant.state, TenantState::Provisioning | TenantState::Closed) {
            return Err(Error::Refused(format!(
                "tenant {} is {}; rows are loaded only into a closed tenant",
                tenant.slug,
                tenant.state.as_str()
            )));
        }
        let schema = tenant.schema.clone();
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        client.batch_execute(&format!("BEGIN; SET LOCAL statement_timeout TO 0; SET LOCAL idle_in_transaction_session_timeout TO 0; SET LOCAL search_path TO {schema}")).await?;
        let found = client
            .query(
                "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i \
                 JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = $1::text::regnamespace \
                 AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid) ORDER BY 1",
                &[&schema.as_str()],
            )
            .await;
        let mut load = Load {
            connection: Some(connection),
            handle: self.pools().handle().clone(),
            schema,
            indexes: Vec::new(),
            keys: Vec::new(),
            emptied: Vec::new(),
        };
        for row in found? {
            let (name, definition): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            load.client()?.batch_execute(&format!("DROP INDEX {name}")).await?;
            load.indexes.push(definition);
        }
        load.client()?.batch_execute(UNTAGGED).await?;
        Ok(load)
    }
}

impl Load {
    fn client(&self) -> Result<&tokio_postgres::Client, Error> {
        self.connection.as_ref().map(|connection| &*connection.client).ok_or(Error::TooBusy)
    }

    /// Opens a table for rows with these columns in COPY's text format. One table at a time.
    pub async fn copy_in(&mut self, table: &str, columns: &[&str]) -> Result<CopySink, Error> {
        self.open(table, columns, false).await
    }

    /// The same for rows in COPY's binary format; head and end are sent here.
    pub async fn copy_binary(&mut self, table: &str, columns: &[&str]) -> Result<CopySink, Error> {
        let mut sink = self.open(table, columns, true).await?;
        sink.send(Bytes::from_static(BINARY_HEAD)).await?;
        Ok(sink)
    }

    async fn open(&mut self, table: &str, columns: &[&str], binary: bool) -> Result<CopySink, Error> {
        let mut how = Vec::new();
        if binary {
            how.push("FORMAT binary");
        }
        // Only what this transaction emptied itself may be written as if it had been there for ever.
        if self.emptied.iter().any(|emptied| emptied == table) {
            how.push("FREEZE");
        }
        let how = if how.is_empty() { String::new() } else { format!(" WITH ({})", how.join(", ")) };
        let sql = format!("COPY {} ({}) FROM STDIN{how}", quoted(table), names(columns.iter().copied()));
        let sink = self.client()?.copy_in(&sql).await?;
        Ok(CopySink { sink: Box::pin(sink), binary })
    }

    /// Empties a table and takes its keys away until [`Load::finish`]: for one that gets many rows.
    pub async fn empty_for_many(&mut self, table: &str) -> Result<(), Error> {
        let name = quoted(table);
        let client = self.client()?;
        client.batch_execute(&format!("TRUNCATE {name}")).await?;
        let found = client
            .query(
                "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('p', 'u') \
                 AND conrelid = $1::text::regclass ORDER BY contype, conname",
                &[&format!("{}.{name}", self.schema)],
            )
            .await?;
        let mut again = Vec::new();
        for row in found {
            let (key, definition): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let key = quoted(&key);
            client.batch_execute(&format!("ALTER TABLE {name} DROP CONSTRAINT {key}")).await?;
            again.push(format!("ALTER TABLE {name} ADD CONSTRAINT {key} {definition}"));
        }
        self.keys.extend(again);
        self.emptied.push(table.to_owned());
        Ok(())
    }

    /// Removes the rows a fresh schema is made with, so that a point's own take their place.
    pub async fn empty(&mut self, table: &str) -> Result<(), Error> {
        Ok(self.client()?.batch_execute(&format!("DELETE FROM {}", quoted(table))).await?)
    }

    /// Makes what a point's table has and our schema lacks: the table itself or columns of it.
    ///
    /// Types come from a verified manifest, written there from the catalogue; anything that is not a plain type name is refused.
    pub async fn ensure_table(&mut self, table: &Table) -> Result<(), Error> {
        let client = self.client()?;
        let name = quoted(&table.name);
        let mut script = format!("CREATE TABLE IF NOT EXISTS {name} ();");
        for column in &table.columns {
            if !column.type_name.chars().all(|c| c.is_ascii_alphanumeric() || " _.,()[]\"".contains(c)) {
                return Err(Error::Refused(format!(
                    "column {} of table {} has a type that cannot be made again: {}",
                    column.name, table.name, column.type_name
                )));
            }
            script.push_str(&format!(
                "ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {} {};",
                quoted(&column.name),
                column.type_name
            ));
        }
        let exists: bool = client
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&format!("{}.{name}", self.schema)])
            .await?
            .try_get(0)?;
        if !exists {
            for column in table.columns.iter().filter(|column| column.not_null) {
                script.push_str(&format!("ALTER TABLE {name} ALTER COLUMN {} SET NOT NULL;", quoted(&column.name)));
            }
            if !table.primary_key.is_empty() {
                script.push_str(&format!(
                    "ALTER TABLE {name} ADD PRIMARY KEY ({});",
                    names(table.primary_key.iter().map(String::as_str))
                ));
            }
            script.push_str(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {};", self.schema));
        }
        Ok(client.batch_execute(&script).await?)
    }

    /// Makes keys and indexes again, sets the sequence, takes statistics, and commits.
    pub async fn finish(mut self, last_id: i64) -> Result<(), Error> {
        let (keys, indexes) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.indexes));
        let client = self.client()?;
        if !keys.is_empty() {
            client.batch_execute("SET LOCAL maintenance_work_mem TO '256MB'").await?;
        }
        for definition in keys.iter().chain(&indexes) {
            client.batch_execute(definition).await?;
        }
        client.batch_execute(TAGGED).await?;
        let row =
            client.query_one("SELECT setval('id_seq', greatest($1::bigint, 1), $1::bigint > 0)", &[&last_id]).await?;
        let _: i64 = row.try_get(0)?;
        client
            .batch_execute(
                "ANALYZE member; ANALYZE note; ANALYZE attachment; ANALYZE reaction; ANALYZE note_relation; ANALYZE note_tag; COMMIT",
            )
            .await?;
        self.connection = None;
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.handle.spawn(async move {
                if connection.client.batch_execute("ROLLBACK").await.is_err() {
                    drop(deadpool::managed::Object::take(connection));
                }
            });
        }
    }
}
