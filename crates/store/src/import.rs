//! Where a tenant came from: kept in the registry, so that an import that was broken off is taken up again and one that
//! is done is not done twice.

use domain::id::TenantId;
use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::control::statement;
use crate::error::Error;
use crate::store::Store;

impl Store {
    /// What the registry says of a tenant's origin; an empty object for a tenant that was made new.
    pub async fn origin(&self, id: TenantId) -> Result<Value, Error> {
        let sql = "SELECT origin FROM holdfast.tenant WHERE id = $1";
        let row = self.control().db.query_one_raw(statement(sql, vec![id.0.into()])).await?;
        row.map_or(Err(Error::NotFound("tenant")), |row| Ok(row.try_get("", "origin")?))
    }

    /// Adds to what the registry says of a tenant's origin.
    pub async fn add_origin(&self, id: TenantId, more: &Value) -> Result<(), Error> {
        let sql = "UPDATE holdfast.tenant SET origin = origin || $2 WHERE id = $1";
        self.control().db.execute_raw(statement(sql, vec![id.0.into(), more.clone().into()])).await?;
        Ok(())
    }
}
