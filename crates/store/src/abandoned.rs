//! Restores that were killed: their half-made tenants are found and removed by the next one.

use std::sync::Arc;

use domain::id::{Slug, TenantId};
use domain::tenant::{Tenant, TenantState};

use crate::error::Error;
use crate::pool::Pooled;
use crate::store::Store;
use crate::upgrade::TenantStep;

/// Held while a restore runs; whoever dies lets go of it.
pub struct Held {
    connection: Option<Pooled>,
}

const KEY: &str = "hashtextextended($1::uuid::text, 7235419882)";

impl Store {
    /// A tenant in the making that is a restore's, of the version that these steps lead to, and its mark, held for as long as the answer lives. The lock is there
    /// before the row and the row is marked from the first: whenever a restore is killed, its tenant is known for half.
    pub async fn build_restoring(&self, slug: &Slug, steps: &[TenantStep]) -> Result<(Arc<Tenant>, Held), Error> {
        let id = TenantId(self.chance().uuid());
        let connection = self.pools().owner.get().await?;
        connection.client.execute(&format!("SELECT pg_advisory_lock({KEY})"), &[&id.0]).await?;
        let held = Held { connection: Some(connection) };
        let origin = serde_json::json!({ "restoring": true });
        let tenant = self.build_tenant_of((id, slug), TenantState::Provisioning, &origin, steps).await?;
        Ok((tenant, held))
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
