//! Points in the making.

use domain::id::TenantId;
use sea_orm::ConnectionTrait;
use time::{Duration, OffsetDateTime};

use super::{Control, statement};
use crate::error::Error;

/// No point takes longer.
const LONGEST: Duration = Duration::days(2);

impl Control {
    /// Notes that a point is begun.
    pub async fn begin_point(&self, tenant: TenantId, point: &str, at: OffsetDateTime) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.point_running (point, tenant_id, started_at) VALUES ($1, $2, $3)";
        self.db.execute_raw(statement(sql, vec![point.into(), tenant.0.into(), at.into()])).await?;
        Ok(())
    }

    /// Notes that it is complete, or given up.
    pub async fn end_point(&self, point: &str) -> Result<(), Error> {
        let sql = "DELETE FROM holdfast.point_running WHERE point = $1";
        self.db.execute_raw(statement(sql, vec![point.into()])).await?;
        Ok(())
    }

    /// Points of a tenant that were begun so long ago that nobody is at them any more, and never entered the books: whoever
    /// took them was ended in the middle.
    pub async fn abandoned_points(&self, tenant: TenantId, now: OffsetDateTime) -> Result<Vec<String>, Error> {
        let sql = "SELECT point FROM holdfast.point_running r WHERE tenant_id = $1 AND started_at <= $2 \
            AND NOT EXISTS (SELECT FROM holdfast.point p WHERE p.point = r.point)";
        let rows = self.db.query_all_raw(statement(sql, vec![tenant.0.into(), (now - LONGEST).into()])).await?;
        rows.iter().map(|row| Ok(row.try_get("", "point")?)).collect()
    }

    /// When the oldest point of a tenant that is in the making was begun.
    pub async fn oldest_running(&self, tenant: TenantId, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Error> {
        let sql = "SELECT min(started_at) AS at FROM holdfast.point_running WHERE tenant_id = $1 AND started_at > $2";
        let row = self.db.query_one_raw(statement(sql, vec![tenant.0.into(), (now - LONGEST).into()])).await?;
        Ok(row.map(|row| row.try_get("", "at")).transpose()?.flatten())
    }
}
