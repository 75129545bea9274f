//! Reading the audit chain.

use domain::id::TenantId;
use sea_orm::{ConnectionTrait, QueryResult};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Control, statement};
use crate::error::Error;

/// An event as stored.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// Its place in the chain, from 1.
    pub seq: i64,
    /// When, by the database's clock.
    pub at: OffsetDateTime,
    /// Which tenant, if one.
    pub tenant: Option<TenantId>,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// To what.
    pub object: String,
    /// More.
    pub detail: Value,
    /// `detail` as the database writes it: the text the hash is of.
    pub detail_text: String,
    /// The hash of the event before.
    pub previous_hash: String,
    /// SHA-256 over the fields, see the step that made the table.
    pub hash: String,
}

impl Control {
    /// Events after `seq`, oldest first.
    pub async fn audit_after(&self, seq: i64, limit: i64) -> Result<Vec<AuditRow>, Error> {
        let sql =
            "SELECT *, detail::text AS detail_text FROM holdfast.audit_event WHERE seq > $1 ORDER BY seq LIMIT $2";
        self.db.query_all_raw(statement(sql, vec![seq.into(), limit.into()])).await?.iter().map(read).collect()
    }

    /// The newest events, newest first; of one tenant when given.
    pub async fn audit_newest(&self, tenant: Option<TenantId>, limit: i64) -> Result<Vec<AuditRow>, Error> {
        let sql = "SELECT *, detail::text AS detail_text FROM holdfast.audit_event WHERE $1::uuid IS NULL OR tenant_id = $1 ORDER BY seq DESC LIMIT $2";
        self.db
            .query_all_raw(statement(sql, vec![tenant.map(|id| id.0).into(), limit.into()]))
            .await?
            .iter()
            .map(read)
            .collect()
    }
}

fn read(row: &QueryResult) -> Result<AuditRow, Error> {
    Ok(AuditRow {
        seq: row.try_get("", "seq")?,
        at: row.try_get("", "at")?,
        tenant: row.try_get::<Option<uuid::Uuid>>("", "tenant_id")?.map(TenantId),
        actor: row.try_get("", "actor")?,
        event: row.try_get("", "event")?,
        object: row.try_get("", "object")?,
        detail: row.try_get("", "detail")?,
        detail_text: row.try_get("", "detail_text")?,
        previous_hash: row.try_get("", "previous_hash")?,
        hash: row.try_get("", "hash")?,
    })
}
