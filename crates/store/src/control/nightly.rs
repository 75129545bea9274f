//! Whose daily point is due.

use domain::id::TenantId;
use sea_orm::ConnectionTrait;
use time::{Duration, OffsetDateTime};

use super::{Control, statement};
use crate::error::Error;

/// After how long a tenant's next point with everything in it is due, at the latest.
const DAY: Duration = Duration::hours(24);
/// By up to so many seconds earlier, each tenant by a number of its own: tenants that were made or served again together do
/// not stay together.
const APART: i32 = 2 * 3600;
/// As many wait or run at a time: the others of the queue must not wait for a night's work.
const TOGETHER: i64 = 4;
/// One that was asked for and has not come about is asked for again after this.
const AGAIN: Duration = Duration::hours(1);

impl Control {
    /// Tenants being served whose newest point with the Markdown of every note is about a day old, those waiting longest
    /// first, and no more than may be asked for now. A tenant that never had one is due a day after it was made.
    pub async fn due_nightly(&self, now: OffsetDateTime) -> Result<Vec<TenantId>, Error> {
        let sql = "WITH asked AS (SELECT tenant_id, state IN ('queued', 'running') AS open FROM holdfast.job \
             WHERE kind = 'backup' AND payload #>> '{trigger,by}' = 'nightly' AND created_at > $4) \
             SELECT t.id FROM holdfast.tenant t LEFT JOIN LATERAL (SELECT p.created_at FROM holdfast.point p \
             WHERE p.tenant_id = t.id AND p.has_markdown ORDER BY p.created_at DESC LIMIT 1) whole ON TRUE \
             WHERE t.state IN ('active', 'read_only') AND coalesce(whole.created_at, t.created_at) < \
             $1::timestamptz + make_interval(secs => ('x' || right(t.id::text, 4))::bit(16)::int % $2::int) \
             AND NOT EXISTS (SELECT FROM asked a WHERE a.tenant_id = t.id) \
             ORDER BY coalesce(whole.created_at, t.created_at), t.id \
             LIMIT greatest(0, $3::bigint - (SELECT count(*) FROM asked WHERE open))";
        let values = vec![(now - DAY).into(), APART.into(), TOGETHER.into(), (now - AGAIN).into()];
        let rows = self.db.query_all_raw(statement(sql, values)).await?;
        rows.iter().map(|row| Ok(TenantId(row.try_get("", "id")?))).collect()
    }
}
