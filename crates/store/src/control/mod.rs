//! The control plane: everything that is not one tenant's own. All of it goes through sea-orm.

pub mod audit;
pub mod cancel;
pub mod copies;
pub mod drills;
mod dumps;
pub mod jobs;
pub mod keys;
pub mod mirrors;
mod nightly;
pub mod operators;
pub mod overview;
pub mod points;
pub mod running;
pub mod schedules;
pub mod standing;
pub mod sweep;
mod throttle;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait};
use serde_json::Value;

use crate::audit::{APPEND, AuditEvent};
use crate::error::Error;
use domain::id::TenantId;

/// A handle on the control plane. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) db: DatabaseConnection,
}

impl Control {
    pub(crate) const fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }

    /// Begins a transaction of the control plane; dropped without commit it is rolled back.
    pub async fn begin(&self) -> Result<ControlTx, Error> {
        Ok(ControlTx { tx: self.db.begin().await? })
    }

    /// Appends an audit event on its own.
    pub async fn audit(&self, tenant: Option<TenantId>, event: &AuditEvent<'_>) -> Result<(), Error> {
        append(&self.db, tenant, event).await
    }

    /// The database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.db.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// A value of the instance, if set.
    pub async fn setting(&self, key: &str) -> Result<Option<Value>, Error> {
        let row = self
            .db
            .query_one_raw(statement("SELECT value FROM holdfast.setting WHERE key = $1", vec![key.into()]))
            .await?;
        row.map(|row| row.try_get("", "value").map_err(Error::from)).transpose()
    }

    /// Sets a value unless there is one; either way, tells the one that counts.
    pub async fn settle_setting(&self, key: &str, fresh: &Value) -> Result<Value, Error> {
        let sql = "INSERT INTO holdfast.setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        self.db.execute_raw(statement(sql, vec![key.into(), fresh.clone().into()])).await?;
        self.setting(key).await?.ok_or(Error::NotFound("setting"))
    }

    /// Sets a value of the instance.
    pub async fn set_setting(&self, key: &str, value: &Value) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.db.execute_raw(statement(sql, vec![key.into(), value.clone().into()])).await?;
        Ok(())
    }
}

/// A transaction of the control plane.
#[derive(Debug)]
pub struct ControlTx {
    pub(crate) tx: DatabaseTransaction,
}

impl ControlTx {
    /// Appends an audit event that stands or falls with this transaction.
    pub async fn audit(&self, tenant: Option<TenantId>, event: &AuditEvent<'_>) -> Result<(), Error> {
        append(&self.tx, tenant, event).await
    }

    /// Makes it last.
    pub async fn commit(self) -> Result<(), Error> {
        Ok(self.tx.commit().await?)
    }
}

async fn append(db: &impl ConnectionTrait, tenant: Option<TenantId>, event: &AuditEvent<'_>) -> Result<(), Error> {
    let values = vec![
        tenant.filter(|id| !id.is_control()).map(|id| id.0).into(),
        event.actor.into(),
        event.event.into(),
        event.object.into(),
        event.detail.clone().into(),
    ];
    db.query_one_raw(statement(APPEND, values)).await?;
    Ok(())
}

/// A Postgres statement with parameters.
pub(crate) fn statement(sql: &str, values: Vec<sea_orm::Value>) -> Statement {
    Statement::from_sql_and_values(sea_orm::DatabaseBackend::Postgres, sql, values)
}
