//! Points in further stores.

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value;
use time::OffsetDateTime;

use super::points::point;
use super::{Control, statement};
use crate::error::Error;

/// A point in one further store.
#[derive(Clone, Debug)]
pub struct CopyRow {
    /// Where.
    pub store: String,
    /// When it was read back there.
    pub verified_at: OffsetDateTime,
    /// What was wrong then.
    pub problems: Option<Value>,
}

impl Control {
    /// Good points that a store does not have yet, or not well, the newest first.
    pub async fn points_without_copy(&self, store: &str, limit: u64) -> Result<Vec<point::Model>, Error> {
        let sql = "SELECT p.* FROM holdfast.point p WHERE p.state IN ('verified', 'proven') \
                   AND NOT EXISTS (SELECT 1 FROM holdfast.point_copy c WHERE c.point = p.point AND c.store = $1 AND c.problems IS NULL) \
                   AND NOT EXISTS (SELECT 1 FROM holdfast.tenant_deletion d WHERE d.tenant_id = p.tenant_id AND d.purged_at IS NOT NULL) \
                   ORDER BY p.seq DESC LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.db.query_all_raw(statement(sql, vec![store.into(), limit.into()])).await?;
        rows.iter().map(|row| Ok(point::Model::from_query_result(row, "")?)).collect()
    }

    /// Each tenant's newest good point that was last read before `since`, those that waited longest first.
    pub async fn points_unread_since(&self, since: OffsetDateTime, limit: u64) -> Result<Vec<point::Model>, Error> {
        let sql = "SELECT * FROM (SELECT DISTINCT ON (p.tenant_id) p.* FROM holdfast.point p WHERE p.state IN ('verified', 'proven') \
                   AND NOT EXISTS (SELECT 1 FROM holdfast.tenant_deletion d WHERE d.tenant_id = p.tenant_id AND d.purged_at IS NOT NULL) \
                   ORDER BY p.tenant_id, p.seq DESC) newest WHERE newest.verified_at < $1 ORDER BY newest.verified_at LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.db.query_all_raw(statement(sql, vec![since.into(), limit.into()])).await?;
        rows.iter().map(|row| Ok(point::Model::from_query_result(row, "")?)).collect()
    }

    /// Notes what reading a point back from a further store has shown.
    pub async fn note_copy(
        &self,
        point: &str,
        store: &str,
        at: OffsetDateTime,
        problems: Option<Value>,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.point_copy (point, store, verified_at, problems) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (point, store) DO UPDATE SET verified_at = excluded.verified_at, problems = excluded.problems";
        self.db.execute_raw(statement(sql, vec![point.into(), store.into(), at.into(), problems.into()])).await?;
        Ok(())
    }

    /// Where else a point is.
    pub async fn copies_of(&self, point: &str) -> Result<Vec<CopyRow>, Error> {
        let sql = "SELECT store, verified_at, problems FROM holdfast.point_copy WHERE point = $1 ORDER BY store";
        let rows = self.db.query_all_raw(statement(sql, vec![point.into()])).await?;
        rows.iter()
            .map(|row| {
                Ok(CopyRow {
                    store: row.try_get("", "store")?,
                    verified_at: row.try_get("", "verified_at")?,
                    problems: row.try_get("", "problems")?,
                })
            })
            .collect()
    }

    /// Forgets the copies of points that are gone.
    pub async fn forget_copies(&self) -> Result<(), Error> {
        let sql = "DELETE FROM holdfast.point_copy c WHERE NOT EXISTS (SELECT 1 FROM holdfast.point p WHERE p.point = c.point)";
        self.db.execute_raw(statement(sql, Vec::new())).await?;
        Ok(())
    }
}
