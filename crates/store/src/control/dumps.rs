//! Dumps of whole databases as the appliance remembers them.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Control;
use super::points::dump;
use crate::audit::AuditEvent;
use crate::error::Error;

impl Control {
    /// Remembers a finished dump, with its audit event.
    pub async fn add_dump(&self, row: dump::Model, event: &AuditEvent<'_>) -> Result<(), Error> {
        let tx = self.begin().await?;
        dump::Entity::insert(dump::ActiveModel::from(row)).exec_without_returning(&tx.tx).await?;
        tx.audit(None, event).await?;
        tx.commit().await
    }

    /// Dumps, newest first.
    pub async fn list_dumps(&self, limit: u64) -> Result<Vec<dump::Model>, Error> {
        Ok(dump::Entity::find().order_by_desc(dump::Column::CreatedAt).limit(limit).all(&self.db).await?)
    }

    /// Forgets a dump that is gone from every store, with its audit event.
    pub async fn remove_dump(&self, name: &str, event: &AuditEvent<'_>) -> Result<(), Error> {
        let tx = self.begin().await?;
        dump::Entity::delete_many().filter(dump::Column::Dump.eq(name)).exec(&tx.tx).await?;
        tx.audit(None, event).await?;
        tx.commit().await
    }
}
