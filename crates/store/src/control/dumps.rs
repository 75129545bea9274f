//! Dumps of whole databases as the appliance remembers them.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;

use super::points::dump;
use super::{Control, statement};
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

    /// The dump of this name.
    pub async fn find_dump(&self, name: &str) -> Result<Option<dump::Model>, Error> {
        Ok(dump::Entity::find_by_id(name).one(&self.db).await?)
    }

    /// Remembers that a dump was read back and what was wrong with it, with its audit event.
    pub async fn note_dump_read(
        &self,
        name: &str,
        at: OffsetDateTime,
        problem: Option<String>,
        event: &AuditEvent<'_>,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let note = "UPDATE holdfast.dump SET read_at = $2, problem = $3 WHERE dump = $1";
        tx.tx.execute_raw(statement(note, vec![name.into(), at.into(), problem.into()])).await?;
        tx.audit(None, event).await?;
        tx.commit().await
    }

    /// Forgets a dump that is gone from every store, with its audit event.
    pub async fn remove_dump(&self, name: &str, event: &AuditEvent<'_>) -> Result<(), Error> {
        let tx = self.begin().await?;
        dump::Entity::delete_many().filter(dump::Column::Dump.eq(name)).exec(&tx.tx).await?;
        tx.audit(None, event).await?;
        tx.commit().await
    }
}
