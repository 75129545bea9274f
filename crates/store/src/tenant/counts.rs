//! How much a tenant holds.

use crate::{Error, Store, TenantScope};

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
