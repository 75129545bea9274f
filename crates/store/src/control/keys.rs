//! Where tenants' keys lie wrapped, and what is left to do and to say of those whose tenant is gone.

use domain::id::TenantId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::Value;
use time::OffsetDateTime;

use super::points::tenant_key;
use super::{Control, statement};
use crate::audit::AuditEvent;
use crate::error::Error;

/// A tenant that is gone.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// Which.
    pub tenant: TenantId,
    /// How it was called.
    pub slug: String,
    /// When its rows went.
    pub deleted_at: OffsetDateTime,
    /// When its keys were purged.
    pub purged_at: Option<OffsetDateTime>,
    /// The signed certificate.
    pub certificate: Option<String>,
}

impl Control {
    /// Where keys lie wrapped: a tenant's, or everybody's.
    pub async fn tenant_keys(&self, tenant: Option<TenantId>) -> Result<Vec<tenant_key::Model>, Error> {
        let mut query = tenant_key::Entity::find();
        if let Some(tenant) = tenant {
            query = query.filter(tenant_key::Column::TenantId.eq(tenant.0));
        }
        Ok(query.order_by_asc(tenant_key::Column::CreatedAt).all(&self.db).await?)
    }

    /// Notes where a key lies wrapped now, with the audit event where there is one.
    pub async fn put_tenant_key(
        &self,
        tenant: TenantId,
        key: &str,
        wrapped: &Value,
        event: Option<&AuditEvent<'_>>,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let sql = "INSERT INTO holdfast.tenant_key (tenant_id, key_id, wrapped) VALUES ($1, $2, $3) \
                   ON CONFLICT (tenant_id, key_id) DO UPDATE SET wrapped = excluded.wrapped";
        let values = vec![tenant.0.into(), key.into(), wrapped.clone().into()];
        tx.tx.execute_raw(statement(sql, values)).await?;
        if let Some(event) = event {
            tx.audit(Some(tenant), event).await?;
        }
        tx.commit().await
    }

    /// Tenants that are gone, the newest first.
    pub async fn deletions(&self) -> Result<Vec<Deletion>, Error> {
        let sql = "SELECT d.tenant_id, d.slug, d.deleted_at, d.purged_at, d.certificate FROM holdfast.tenant_deletion d \
                   WHERE NOT EXISTS (SELECT 1 FROM holdfast.tenant t WHERE t.id = d.tenant_id) \
                   AND NOT EXISTS (SELECT 1 FROM holdfast.tenant_return r WHERE r.id = d.tenant_id AND r.done_at IS NULL) \
                   ORDER BY d.deleted_at DESC, d.tenant_id";
        let rows = self.db.query_all_raw(statement(sql, Vec::new())).await?;
        rows.iter()
            .map(|row| {
                Ok(Deletion {
                    tenant: TenantId(row.try_get("", "tenant_id")?),
                    slug: row.try_get("", "slug")?,
                    deleted_at: row.try_get("", "deleted_at")?,
                    purged_at: row.try_get("", "purged_at")?,
                    certificate: row.try_get("", "certificate")?,
                })
            })
            .collect()
    }

    /// Whether the keys of this tenant were purged: no point of it will ever be opened again.
    pub async fn is_purged(&self, tenant: TenantId) -> Result<bool, Error> {
        let sql = "SELECT 1 AS one FROM holdfast.tenant_deletion WHERE tenant_id = $1 AND purged_at IS NOT NULL";
        Ok(self.db.query_one_raw(statement(sql, vec![tenant.0.into()])).await?.is_some())
    }

    /// Notes that nothing of the points of a tenant whose keys were purged is left in any store.
    pub async fn note_points_gone(&self, tenant: TenantId, at: OffsetDateTime) -> Result<(), Error> {
        let note =
            "UPDATE holdfast.tenant_deletion SET points_gone_at = $2 WHERE tenant_id = $1 AND purged_at IS NOT NULL";
        self.db.execute_raw(statement(note, vec![tenant.0.into(), at.into()])).await?;
        Ok(())
    }

    /// Notes that the keys of a tenant are gone from every store, with the certificate and the audit event.
    pub async fn note_purged(
        &self,
        tenant: TenantId,
        at: OffsetDateTime,
        certificate: &str,
        event: &AuditEvent<'_>,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let forget = "DELETE FROM holdfast.tenant_key WHERE tenant_id = $1";
        tx.tx.execute_raw(statement(forget, vec![tenant.0.into()])).await?;
        let note = "UPDATE holdfast.tenant_deletion SET purged_at = $2, certificate = $3 WHERE tenant_id = $1";
        tx.tx.execute_raw(statement(note, vec![tenant.0.into(), at.into(), certificate.into()])).await?;
        tx.audit(Some(tenant), event).await?;
        tx.commit().await
    }

    /// Puts a newer certificate in the place of the one that was, with the audit event.
    pub async fn renew_certificate(
        &self,
        tenant: TenantId,
        certificate: &str,
        event: &AuditEvent<'_>,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let note = "UPDATE holdfast.tenant_deletion SET certificate = $2 WHERE tenant_id = $1";
        tx.tx.execute_raw(statement(note, vec![tenant.0.into(), certificate.into()])).await?;
        tx.audit(Some(tenant), event).await?;
        tx.commit().await
    }
}
