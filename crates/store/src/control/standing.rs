//! How tenants stand with their points and drills, asked for all together.

use domain::id::TenantId;
use sea_orm::{ConnectionTrait, QueryResult};
use time::OffsetDateTime;

use super::{Control, statement};
use crate::error::Error;

/// A point that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPoint {
    /// Its name.
    pub point: String,
    /// When it was begun.
    pub created_at: OffsetDateTime,
    /// Attached files that were missing already when it was taken.
    pub missing: i64,
}

/// A drill that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct PassedDrill {
    /// Its name.
    pub drill: String,
    /// The point it restored.
    pub point: String,
    /// When it ended.
    pub finished_at: OffsetDateTime,
    /// From start to proof.
    pub rto_seconds: Option<f64>,
    /// Notes compared.
    pub notes: i64,
}

/// How a tenant stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Which.
    pub tenant: TenantId,
    /// Its newest point that was read back.
    pub point: Option<HeldPoint>,
    /// Its newest drill that passed.
    pub passed: Option<PassedDrill>,
    /// The verdict of its newest drill, whatever it was.
    pub verdict: Option<String>,
}

/// The newest of each by the indexes on tenant and number; `points` and `drills` are long, and reports are not read.
const STANDINGS: &str = "SELECT t.id, p.point, p.created_at, p.missing, d.drill, d.point AS drilled, d.finished_at, d.rto_seconds, d.notes, \
        (SELECT v.verdict FROM holdfast.drill v WHERE v.tenant_id = t.id ORDER BY v.seq DESC LIMIT 1) AS verdict \
    FROM holdfast.tenant t \
    LEFT JOIN LATERAL (SELECT p.point, p.created_at, p.missing FROM holdfast.point p \
        WHERE p.tenant_id = t.id AND p.state IN ('verified', 'proven') ORDER BY p.seq DESC LIMIT 1) p ON TRUE \
    LEFT JOIN LATERAL (SELECT d.drill, d.point, d.finished_at, d.rto_seconds, d.notes FROM holdfast.drill d \
        WHERE d.tenant_id = t.id AND d.verdict = 'pass' ORDER BY d.seq DESC LIMIT 1) d ON TRUE \
    WHERE $1::uuid IS NULL OR t.id = $1";

impl Control {
    /// How one tenant stands, or each.
    pub async fn standings(&self, tenant: Option<TenantId>) -> Result<Vec<Standing>, Error> {
        let values = vec![tenant.map(|tenant| tenant.0).into()];
        let rows = self.db.query_all_raw(statement(STANDINGS, values)).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &QueryResult) -> Result<Standing, Error> {
    let point = match row.try_get::<Option<String>>("", "point")? {
        Some(point) => {
            Some(HeldPoint { point, created_at: row.try_get("", "created_at")?, missing: row.try_get("", "missing")? })
        }
        None => None,
    };
    let passed = match row.try_get::<Option<String>>("", "drill")? {
        Some(drill) => Some(PassedDrill {
            drill,
            point: row.try_get("", "drilled")?,
            finished_at: row.try_get("", "finished_at")?,
            rto_seconds: row.try_get("", "rto_seconds")?,
            notes: row.try_get("", "notes")?,
        }),
        None => None,
    };
    Ok(Standing { tenant: TenantId(row.try_get("", "id")?), point, passed, verdict: row.try_get("", "verdict")? })
}
