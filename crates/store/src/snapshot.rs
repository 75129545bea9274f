//! A tenant at one instant, for points: one `REPEATABLE READ READ ONLY` transaction under the tenant's own role.

use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use domain::id::{NoteId, SchemaId};
use domain::note::Note;
use futures_util::{Stream, StreamExt, TryStreamExt};
use time::OffsetDateTime;

use crate::error::Error;
use crate::pool::Pooled;
use crate::scope::TenantScope;
use crate::store::Store;
use crate::tenant::notes::{columns, note_of};
use crate::tx::PLANNED_ONCE;

/// A column as the catalogue tells it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as `format_type` writes it.
    pub type_name: String,
    /// It refuses NULL.
    pub not_null: bool,
}

/// A table of a tenant as the catalogue tells it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns in their order.
    pub columns: Vec<Column>,
    /// Columns of the primary key in their order; empty when it has none.
    pub primary_key: Vec<String>,
}

/// What is known of a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotInfo {
    /// Changes marked with this generation or an older one are in the snapshot.
    pub generation: i64,
    /// The instant, by the database's clock.
    pub at: OffsetDateTime,
    /// Position in the write-ahead log.
    pub lsn: String,
    /// Version of the tenant's schema.
    pub schema_version: i32,
    /// Last number given by the tenant's sequence.
    pub last_id: i64,
    /// Server version as a number, 150018 for 15.18.
    pub server_version: i32,
}

/// Rows in COPY's text format, in pieces of any size.
pub type CopyOut = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// An open snapshot. Dropped, its transaction ends.
pub struct Snapshot {
    connection: Option<Pooled>,
    handle: tokio::runtime::Handle,
    schema: String,
    /// Tables that are left out, where the schema is not a tenant's; its sequences follow from its rows then.
    left_out: Option<&'static [&'static str]>,
    info: SnapshotInfo,
}

impl Store {
    /// Opens a snapshot. The tenant's writers are held off only until it stands.
    pub async fn open_snapshot(&self, scope: &TenantScope) -> Result<Snapshot, Error> {
        let tenant = scope.tenant();
        let schema = tenant.schema.clone();
        let gate = self.pools().owner.get().await?;
        let connection = self.pools().tenant(tenant).await?;
        let key = scope.lock_key();
        let raise = format!(
            "BEGIN; SET LOCAL lock_timeout TO '10s'; SELECT pg_advisory_xact_lock({key}); \
             UPDATE {schema}.point_state SET generation = generation + 1"
        );
        let opened = match gate.client.batch_execute(&raise).await {
            Ok(()) => open(&gate.client, &connection, &schema, tenant.id.0).await,
            Err(error) => Err(error.into()),
        };
        let end = if opened.is_ok() { "COMMIT" } else { "ROLLBACK" };
        gate.client.batch_execute(end).await?;
        let handle = self.pools().handle().clone();
        let info = opened?;
        Ok(Snapshot { connection: Some(connection), handle, schema: schema.as_str().to_owned(), left_out: None, info })
    }

    /// Forgets the marks of changes that a verified point holds.
    pub async fn clear_marks(&self, scope: &TenantScope, generation: i64) -> Result<(), Error> {
        let mut tx = self.begin(scope);
        tx.execute(
            "DELETE FROM change_mark WHERE generation <= $1",
            &[(&generation, tokio_postgres::types::Type::INT8)],
        )
        .await?;
        tx.commit().await
    }

    /// Marks changes again that only a damaged point held: from `since` on they are in no good point.
    pub async fn restore_mark(&self, scope: &TenantScope, generation: i64, since: OffsetDateTime) -> Result<(), Error> {
        let sql = "INSERT INTO change_mark (generation, since) VALUES ($1, $2) \
                   ON CONFLICT (generation) DO UPDATE SET since = least(change_mark.since, excluded.since)";
        let types = (tokio_postgres::types::Type::INT8, tokio_postgres::types::Type::TIMESTAMPTZ);
        let mut tx = self.begin(scope);
        tx.query(sql, &[(&generation, types.0), (&since, types.1)]).await?;
        tx.commit().await
    }

    /// When the oldest change happened that no point holds; none when every change is held.
    pub async fn oldest_unheld_change(&self, scope: &TenantScope) -> Result<Option<OffsetDateTime>, Error> {
        let rows = self.begin(scope).read_once("SELECT min(since) FROM change_mark", &[]).await?;
        rows.first().map_or(Ok(None), |row| Ok(row.try_get(0)?))
    }
}

async fn open(
    gate: &tokio_postgres::Client,
    connection: &Pooled,
    schema: &SchemaId,
    tenant: uuid::Uuid,
) -> Result<SnapshotInfo, Error> {
    let generation: i64 =
        gate.query_one(&format!("SELECT generation - 1 FROM {schema}.point_state"), &[]).await?.try_get(0)?;
    let version: i32 =
        gate.query_one("SELECT version FROM holdfast.tenant WHERE id = $1", &[&tenant]).await?.try_get(0)?;
    let client = &connection.client;
    client
        .batch_execute(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout TO 0; SET LOCAL row_security TO off; SET LOCAL search_path TO {schema}; {PLANNED_ONCE}; SET LOCAL ROLE {schema}"))
        .await?;
    let row = client
        .query_one(
            "SELECT clock_timestamp(), pg_current_wal_lsn()::text, (SELECT last_value FROM id_seq), current_setting('server_version_num')::int, \
             (SELECT is_called FROM id_seq)",
            &[],
        )
        .await?;
    let called: bool = row.try_get(4)?;
    let last: i64 = row.try_get(2)?;
    Ok(SnapshotInfo {
        generation,
        at: row.try_get(0)?,
        lsn: row.try_get(1)?,
        schema_version: version,
        last_id: if called { last } else { 0 },
        server_version: row.try_get(3)?,
    })
}

/// Tables of a tenant that follow from its others: no point holds them; a load makes the tags anew ([`crate::load`]), and a
/// worker the sketches ([`crate::sketches`]).
pub(crate) const DERIVED: [&str; 2] = ["note_tag", "note_sketch"];

const AFTER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM note n LEFT JOIN member m ON m.id = n.creator_id WHERE n.id > $1 ORDER BY n.id LIMIT $2"
);
const RELATIONS: &str = "SELECT c.oid, c.relname::text, c.relkind::text, \
    CASE WHEN c.relkind IN ('r', 'p') THEN has_table_privilege(c.oid, 'SELECT') ELSE true END, \
    c.relispartition OR EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) \
    FROM pg_catalog.pg_class c WHERE c.relnamespace = $1::text::regnamespace AND c.relkind NOT IN ('i', 'I', 't', 'c') ORDER BY c.relname";
/// Of all tables at once: asked for one by one, they were a third of what a small point took.
const COLUMNS: &str = "SELECT a.attrelid, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull \
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";
const KEYS: &str = "SELECT i.indrelid, a.attname::text FROM pg_catalog.pg_index i \
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indrelid = ANY ($1) AND i.indisprimary ORDER BY i.indrelid, k.place";

impl Snapshot {
    /// Of a schema that is not a tenant's, in a transaction that is open already.
    pub(crate) fn of_schema(
        store: &Store,
        connection: Pooled,
        schema: &str,
        left_out: &'static [&'static str],
        info: SnapshotInfo,
    ) -> Self {
        let handle = store.pools().handle().clone();
        Self { connection: Some(connection), handle, schema: schema.to_owned(), left_out: Some(left_out), info }
    }

    /// What is known of it.
    pub const fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    pub(crate) fn client(&self) -> Result<&tokio_postgres::Client, Error> {
        self.connection.as_ref().map(|connection| &*connection.client).ok_or(Error::TooBusy)
    }

    /// The schema that it is of.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// Every table with rows of the tenant's, found in the catalogue and not in a list; without what follows from others.
    ///
    /// # Errors
    /// `Refused`, naming it, for anything in the schema that could hold data and cannot be read or is of another kind.
    pub async fn tables(&mut self) -> Result<Vec<Table>, Error> {
        let client = self.client()?;
        let (mut tables, mut oids) = (Vec::<Table>::new(), Vec::<u32>::new());
        for row in client.query(RELATIONS, &[&self.schema]).await.map_err(Error::from)? {
            let (oid, name, kind, readable): (u32, String, String, bool) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let child: bool = row.try_get(4)?;
            let left_out = match self.left_out {
                Some(names) => kind == "S" || names.contains(&name.as_str()),
                None => DERIVED.contains(&name.as_str()),
            };
            if left_out {
                continue;
            }
            match kind.as_str() {
                "v" => continue,
                "S" if name == "id_seq" => continue,
                "S" => {
                    return Err(Error::Refused(format!(
                        "sequence {name} of the tenant is not in a point, only id_seq is; take numbers from id_seq and drop it"
                    )));
                }
                "r" if child => {
                    return Err(Error::Refused(format!(
                        "table {name} of the tenant inherits from another or is a partition, which a point cannot hold; make it a plain table"
                    )));
                }
                "r" if readable => {}
                "r" => {
                    return Err(Error::Refused(format!(
                        "table {name} of the tenant cannot be read by the tenant's role; grant it or drop the table"
                    )));
                }
                _ => {
                    return Err(Error::Refused(format!(
                        "relation {name} of the tenant is of a kind ({kind}) that a point cannot hold; drop it"
                    )));
                }
            }
            oids.push(oid);
            tables.push(Table { name, columns: Vec::new(), primary_key: Vec::new() });
        }
        let table_of = |oid: u32| oids.iter().position(|known| *known == oid);
        for row in client.query(COLUMNS, &[&oids]).await? {
            if let Some(table) = table_of(row.try_get(0)?).and_then(|at| tables.get_mut(at)) {
                table.columns.push(Column {
                    name: row.try_get(1)?,
                    type_name: row.try_get(2)?,
                    not_null: row.try_get(3)?,
                });
            }
        }
        for row in client.query(KEYS, &[&oids]).await? {
            if let Some(table) = table_of(row.try_get(0)?).and_then(|at| tables.get_mut(at)) {
                table.primary_key.push(row.try_get(1)?);
            }
        }
        Ok(tables)
    }

    /// Rows in COPY's text format, ordered by the primary key; with `ids`, those whose first key column is in the range, which
    /// has no upper end when it is the largest number.
    pub async fn copy_out(&mut self, table: &Table, ids: Option<Range<i64>>) -> Result<CopyOut, Error> {
        let columns = names(table.columns.iter().map(|column| column.name.as_str()));
        let condition = match (&ids, table.primary_key.first()) {
            (Some(range), Some(key)) if range.end == i64::MAX => format!(" WHERE {} >= {}", quoted(key), range.start),
            (Some(range), Some(key)) => {
                format!(" WHERE {key} >= {} AND {key} < {}", range.start, range.end, key = quoted(key))
            }
            _ => String::new(),
        };
        let order = if table.primary_key.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", names(table.primary_key.iter().map(String::as_str)))
        };
        let sql = format!("COPY (SELECT {columns} FROM {}{condition}{order}) TO STDOUT", quoted(&table.name));
        let stream = self.client()?.copy_out(&sql).await?;
        Ok(stream.map_err(Error::from).boxed())
    }

    /// Smallest and largest value of the first key column, when that is a bigint; none for an empty table.
    pub async fn id_bounds(&mut self, table: &Table) -> Result<Option<(i64, i64)>, Error> {
        let Some(key) = table.primary_key.first() else { return Ok(None) };
        if table.columns.iter().any(|column| column.name == *key && column.type_name != "bigint") {
            return Ok(None);
        }
        let sql = format!("SELECT min({key}), max({key}) FROM {}", quoted(&table.name), key = quoted(key));
        let row = self.client()?.query_one(&sql, &[]).await?;
        let (low, high): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        Ok(low.zip(high))
    }

    /// Notes with a higher number than `after`, in order of their numbers.
    pub async fn notes_after(&mut self, after: NoteId, limit: i64) -> Result<Vec<Note>, Error> {
        let rows = self.client()?.query(AFTER, &[&after.0, &limit]).await?;
        rows.iter().map(note_of).collect()
    }

    /// Ends the snapshot.
    pub async fn finish(mut self) -> Result<(), Error> {
        if let Some(connection) = self.connection.take() {
            connection.client.batch_execute("COMMIT").await?;
        }
        Ok(())
    }
}

impl Drop for Snapshot {
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

/// An identifier in quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}
