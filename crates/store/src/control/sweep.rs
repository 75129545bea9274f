//! What is swept from the file store: files of tenants that are gone, and files that no row refers to.

use std::collections::HashSet;

use domain::id::TenantId;
use sea_orm::ConnectionTrait;
use time::OffsetDateTime;

use super::{Control, statement};
use crate::error::Error;
use crate::scope::TenantScope;
use crate::store::Store;

/// A file that no row refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreferenced {
    /// Where it is, or was before it was set aside.
    pub storage_key: String,
    /// Since when it is known to have no row.
    pub seen_at: OffsetDateTime,
    /// Since when it is set aside.
    pub aside_at: Option<OffsetDateTime>,
}

impl Control {
    /// Deleted tenants whose files may still be in the file store.
    pub async fn deletions_with_files(&self) -> Result<Vec<TenantId>, Error> {
        let sql = "SELECT tenant_id FROM holdfast.tenant_deletion WHERE files_gone_at IS NULL";
        let rows = self.db.query_all_raw(statement(sql, Vec::new())).await?;
        rows.iter().map(|row| Ok(TenantId(row.try_get("", "tenant_id")?))).collect()
    }

    /// Notes that no file of a deleted tenant is left.
    pub async fn note_files_gone(&self, tenant: TenantId) -> Result<(), Error> {
        let sql = "WITH swept AS (DELETE FROM holdfast.file_sweep WHERE tenant_id = $1) \
            UPDATE holdfast.tenant_deletion SET files_gone_at = now() WHERE tenant_id = $1";
        self.db.execute_raw(statement(sql, vec![tenant.0.into()])).await?;
        Ok(())
    }

    /// Files of a tenant that are known to have no row.
    pub async fn unreferenced(&self, tenant: TenantId) -> Result<Vec<Unreferenced>, Error> {
        let sql = "SELECT storage_key, seen_at, aside_at FROM holdfast.file_sweep WHERE tenant_id = $1";
        let rows = self.db.query_all_raw(statement(sql, vec![tenant.0.into()])).await?;
        rows.iter()
            .map(|row| {
                Ok(Unreferenced {
                    storage_key: row.try_get("", "storage_key")?,
                    seen_at: row.try_get("", "seen_at")?,
                    aside_at: row.try_get("", "aside_at")?,
                })
            })
            .collect()
    }

    /// Notes files that have no row; those noted before keep their time.
    pub async fn note_unreferenced(
        &self,
        tenant: TenantId,
        keys: Vec<String>,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.file_sweep (tenant_id, storage_key, seen_at) SELECT $1, unnest($2::text[]), $3 ON CONFLICT DO NOTHING";
        self.db.execute_raw(statement(sql, vec![tenant.0.into(), keys.into(), now.into()])).await?;
        Ok(())
    }

    /// Notes that a file is set aside.
    pub async fn note_aside(&self, tenant: TenantId, key: &str, now: OffsetDateTime) -> Result<(), Error> {
        let sql = "UPDATE holdfast.file_sweep SET aside_at = $3 WHERE tenant_id = $1 AND storage_key = $2";
        self.db.execute_raw(statement(sql, vec![tenant.0.into(), key.into(), now.into()])).await?;
        Ok(())
    }

    /// Forgets files: they have a row again, or are gone.
    pub async fn forget_unreferenced(&self, tenant: TenantId, keys: Vec<String>) -> Result<(), Error> {
        let sql = "DELETE FROM holdfast.file_sweep WHERE tenant_id = $1 AND storage_key = ANY($2)";
        self.db.execute_raw(statement(sql, vec![tenant.0.into(), keys.into()])).await?;
        Ok(())
    }
}

impl Store {
    /// Every place in the file store that a row of the tenant refers to.
    pub async fn referenced_files(&self, scope: &TenantScope) -> Result<HashSet<String>, Error> {
        let sql = "SELECT DISTINCT storage_key FROM attachment WHERE storage_key <> ''";
        let rows = self.begin(scope).read_once(sql, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}
