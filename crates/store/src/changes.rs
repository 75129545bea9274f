//! Which tenants have changes that no point holds, asked for all together.

use domain::id::TenantId;
use time::OffsetDateTime;

use crate::error::Error;
use crate::store::Store;

/// Tenants asked about in one statement: each adds a table to it.
const TOGETHER: usize = 250;

/// A tenant with changes in no good point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub tenant: TenantId,
    /// When the oldest of them happened.
    pub since: OffsetDateTime,
}

impl Store {
    /// Tenants in use with changes that no verified point holds. An unchanged one costs its share of one statement.
    pub async fn changed_tenants(&self) -> Result<Vec<Changed>, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        let sql = "SELECT id, schema_id FROM holdfast.tenant WHERE state IN ('active', 'read_only') ORDER BY id";
        let mut all = Vec::new();
        for row in client.query(sql, &[]).await? {
            let (id, schema): (uuid::Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
            let fine = schema.parse::<domain::id::SchemaId>().is_ok();
            if fine {
                all.push(format!("SELECT '{id}'::uuid AS id, min(since) AS since FROM {schema}.change_mark"));
            }
        }
        let mut out = Vec::new();
        for some in all.chunks(TOGETHER) {
            let sql = format!("SELECT id, since FROM ({}) marks WHERE since IS NOT NULL", some.join(" UNION ALL "));
            for row in client.query(&sql, &[]).await? {
                out.push(Changed { tenant: TenantId(row.try_get(0)?), since: row.try_get(1)? });
            }
        }
        Ok(out)
    }
}
