//! How much a tenant holds.

use crate::{Error, Store, TenantScope, TenantTx};

/// Counts of a tenant's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Members, archived ones included.
    pub members: i64,
    /// Notes, comments and archived ones included.
    pub notes: i64,
    /// Attachments.
    pub attachments: i64,
}

/// Counts members, notes and attachments.
pub async fn read_counts(store: &Store, scope: &TenantScope) -> Result<Counts, Error> {
    let sql = "SELECT (SELECT count(*) FROM member), (SELECT count(*) FROM note), (SELECT count(*) FROM attachment)";
    let rows = store.begin(scope).read_once(sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Counts::default()) };
    Ok(Counts { members: row.try_get(0)?, notes: row.try_get(1)?, attachments: row.try_get(2)? })
}

/// How much room a tenant takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of its tables with their indexes.
    pub database: i64,
    /// Bytes of its attachments in the file store, each content once.
    pub files: i64,
}

/// Measures a tenant, as a whole unit of work.
pub async fn read_sizes(tx: TenantTx) -> Result<Sizes, Error> {
    let sql = "SELECT
        (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'),
        (SELECT coalesce(sum(f.size), 0)::bigint FROM
          (SELECT DISTINCT storage_key, size FROM attachment WHERE storage_key <> '') f)";
    let rows = tx.read_once(sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Sizes::default()) };
    Ok(Sizes { database: row.try_get(0)?, files: row.try_get(1)? })
}
