//! Wrong passwords of operators, as all processes count them: in the table of the members' ones, below no tenant.

use sea_orm::ConnectionTrait;

use super::{Control, statement};
use crate::error::Error;
use crate::tenant::throttle::{Count, Counted};

const WAIT: &str = "SELECT coalesce(max(f.since + $5 - $6) FILTER (WHERE f.wrong >= k.bound), 0)::bigint AS seconds,
      coalesce(max(f.wrong), 0)::integer AS wrong
    FROM (VALUES ($1::text, $2::integer), ($3, $4)) AS k (key, bound)
    JOIN holdfast.sign_in_failure f ON f.tenant_id = '00000000-0000-0000-0000-000000000000' AND f.key = k.key
    WHERE f.since + $5::bigint > $6::bigint";
const FAILED: &str = "INSERT INTO holdfast.sign_in_failure AS f (tenant_id, key, since, wrong)
    SELECT '00000000-0000-0000-0000-000000000000', k.key, $3::bigint, 1
    FROM (SELECT DISTINCT key FROM (VALUES ($1::text), ($2)) AS both_keys (key)) AS k ORDER BY k.key
    ON CONFLICT (tenant_id, key) DO UPDATE SET
      wrong = CASE WHEN f.since + $4::bigint <= $3 THEN 1 ELSE f.wrong + 1 END,
      since = CASE WHEN f.since + $4::bigint <= $3 THEN $3 ELSE f.since END";
const FORGET: &str = "DELETE FROM holdfast.sign_in_failure
    WHERE tenant_id = '00000000-0000-0000-0000-000000000000' AND key = $1";

/// The two keys with their bounds.
fn both(counted: &Counted) -> ([&str; 2], [i32; 2]) {
    let key = |at: usize| counted.keys.get(at).map_or("", String::as_str);
    let bound = |at: usize| counted.bounds.get(at).copied().unwrap_or(i32::MAX);
    ([key(0), key(1)], [bound(0), bound(1)])
}

impl Control {
    /// How often an operator was tried before.
    pub async fn operator_count(&self, counted: &Counted) -> Result<Count, Error> {
        let (keys, bounds) = both(counted);
        let values = vec![
            keys[0].into(),
            bounds[0].into(),
            keys[1].into(),
            bounds[1].into(),
            counted.span.into(),
            counted.now.into(),
        ];
        let Some(row) = self.db.query_one_raw(statement(WAIT, values)).await? else { return Ok(Count::default()) };
        Ok(Count { seconds: row.try_get("", "seconds")?, wrong: row.try_get("", "wrong")? })
    }

    /// Counts a wrong try under both keys.
    pub async fn count_operator_wrong(&self, counted: &Counted) -> Result<(), Error> {
        let (keys, _) = both(counted);
        let values = vec![keys[0].into(), keys[1].into(), counted.now.into(), counted.span.into()];
        self.db.execute_raw(statement(FAILED, values)).await?;
        Ok(())
    }

    /// Forgets what was counted under a key.
    pub async fn forget_operator_count(&self, key: &str) -> Result<(), Error> {
        self.db.execute_raw(statement(FORGET, vec![key.into()])).await?;
        Ok(())
    }
}
