//! Restores that were killed: their half-made tenants are found and removed by the next one.

use domain::id::TenantId;

use crate::error::Error;
use crate::pool::Pooled;
use crate::store::Store;

/// Held while a restore runs; whoever dies lets go of it.
pub struct Held {
    connection: Option<Pooled>,
}

const KEY: &str = "hashtextextended($1::uuid::text, 7235419882)";

impl Store {
    /// Marks a tenant in the making as that of a restore, and holds the mark for as long as the answer lives.
    pub async fn hold_restore(&self, tenant: TenantId) -> Result<Held, Error> {
        let connection = self.pools().owner.get().await?;
        connection.client.execute(&format!("SELECT pg_advisory_lock({KEY})"), &[&tenant.0]).await?;
        let held = Held { connection: Some(connection) };
        let mark = "UPDATE holdfast.tenant SET origin = origin || '{\"restoring\": true}' WHERE id = $1";
        if let Some(connection) = &held.connection {
            connection.client.execute(mark, &[&tenant.0]).await?;
        }
        Ok(held)
    }

    /// Tenants in the making whose restore is not there any more.
    pub async fn abandoned_restores(&self) -> Result<Vec<TenantId>, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        let sql = "SELECT id FROM holdfast.tenant WHERE state = 'provisioning' AND origin ? 'restoring'";
        let mut abandoned = Vec::new();
        for row in client.query(sql, &[]).await? {
            let id: uuid::Uuid = row.try_get(0)?;
            let free: bool =
                client.query_one(&format!("SELECT pg_try_advisory_lock({KEY})"), &[&id]).await?.try_get(0)?;
            if free {
                client.query_one(&format!("SELECT pg_advisory_unlock({KEY})"), &[&id]).await?;
                abandoned.push(TenantId(id));
            }
        }
        Ok(abandoned)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // the lock goes with the connection
        if let Some(connection) = self.connection.take() {
            drop(deadpool::managed::Object::take(connection));
        }
    }
}
