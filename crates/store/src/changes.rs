//! Which tenants have changes that no point holds, asked for all together.

use domain::id::TenantId;
use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::error::Error;
use crate::pool::Pooled;
use crate::store::Store;

/// Up to so many tenants are asked about in one statement, each of which adds a table to it; more in [`PARTS`].
const TOGETHER: usize = 250;
/// Parts of many tenants, by their ids, so that a new tenant has one part planned anew and not all that come after it.
const PARTS: usize = 16;

/// A tenant with changes in no good point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub tenant: TenantId,
    /// When the oldest of them happened.
    pub since: OffsetDateTime,
    /// How often notes were ever written, by Postgres' own count: another number means that somebody wrote since. It may be
    /// some seconds behind, and counts what was rolled back, too.
    pub written: i64,
}

impl Store {
    /// Tenants in use, and those that were until somebody suspended them, with changes that no verified point holds. An unchanged one costs its share of one statement, which
    /// stays planned on its connection: planning it each time was nearly all of it (0.6 ms of CPU a tenant).
    pub async fn changed_tenants(&self) -> Result<Vec<Changed>, Error> {
        let mut connection = self.pools().owner.get().await?;
        let sql =
            "SELECT id, schema_id FROM holdfast.tenant WHERE state IN ('active', 'read_only', 'suspended') ORDER BY id";
        let rows = connection.client.query(sql, &[]).await?;
        let parts = if rows.len() > TOGETHER { PARTS } else { 1 };
        let mut texts = vec![Vec::new(); parts];
        for row in rows {
            let (id, schema): (uuid::Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
            if schema.parse::<domain::id::SchemaId>().is_ok() {
                let part = id.as_u128() as usize % parts;
                // marks are made once per point, so they do not say when the newest change was; asked only where there is one
                let note = format!("'{schema}.note'::regclass");
                let written =
                    ["inserted", "updated", "deleted"].map(|what| format!("pg_stat_get_tuples_{what}({note})"));
                texts[part].push(format!(
                    "SELECT '{id}'::uuid AS id, since, {} AS written FROM {schema}.change_mark",
                    written.join(" + ")
                ));
            }
        }
        let mut out = Vec::new();
        for some in texts.iter().filter(|some| !some.is_empty()) {
            let sql =
                format!("SELECT id, min(since), max(written) FROM ({}) marks GROUP BY id", some.join(" UNION ALL "));
            for row in planned(&mut connection, &sql).await? {
                out.push(Changed {
                    tenant: TenantId(row.try_get(0)?),
                    since: row.try_get(1)?,
                    written: row.try_get(2)?,
                });
            }
        }
        Ok(out)
    }
}

/// Asks with the plan that the connection has, or makes one for it to keep.
async fn planned(connection: &mut Pooled, sql: &str) -> Result<Vec<Row>, Error> {
    if let Some(known) = connection.lists.get(sql).cloned() {
        return Ok(connection.client.query(&known, &[]).await?);
    }
    let statement = connection.client.prepare(sql).await?;
    connection.lists.put(sql.to_owned(), statement.clone());
    Ok(connection.client.query(&statement, &[]).await?)
}
