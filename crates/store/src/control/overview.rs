//! What pages show of points and of the work on them.

use std::collections::BTreeMap;

use domain::id::TenantId;
use domain::retention::Known;
use sea_orm::ConnectionTrait;

use super::copies::CopyRow;
use super::jobs::{COLUMNS, JobRow, read};
use super::points::point;
use super::{Control, statement};
use crate::error::Error;

impl point::Model {
    /// What retention must know of it, where nobody has asked for its copies ([`Control::known_points`]).
    fn known(&self) -> Known {
        Known {
            point: self.point.clone(),
            seq: self.seq,
            at: self.created_at,
            // no drill rehearses the control plane: what was read back is the best there is
            state: if TenantId(self.tenant_id).is_control() && self.state == "verified" {
                "proven".to_owned()
            } else {
                self.state.clone()
            },
            kept_until: self.kept_until,
            kept_reason: self.kept_reason.clone(),
            whole_elsewhere: false,
        }
    }
}

/// Which work is looked for: about a tenant, perhaps with a value in its message, perhaps only what has ended well.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Which handler.
    pub kind: &'static str,
    /// About which tenant.
    pub tenant: TenantId,
    /// A field of the message and its value.
    pub field: Option<(&'static str, &'a str)>,
    /// Only what is done.
    pub done: bool,
}

impl Control {
    /// The newest job of a kind about a tenant.
    pub async fn newest_job(&self, wanted: &Wanted<'_>) -> Result<Option<JobRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM holdfast.job WHERE kind = '{}' AND tenant_id = $1 \
             AND ($2::text IS NULL OR payload->>$2 = $3) AND (NOT $4 OR state = 'done') ORDER BY id DESC LIMIT 1",
            wanted.kind
        );
        let (name, value) = wanted.field.unzip();
        let values = vec![wanted.tenant.0.into(), name.into(), value.into(), wanted.done.into()];
        let row = self.db.query_one_raw(statement(&sql, values)).await?;
        row.as_ref().map(read).transpose()
    }

    /// What retention must know of points.
    pub async fn known_points(&self, rows: &[point::Model]) -> Result<Vec<Known>, Error> {
        let damaged: Vec<String> =
            rows.iter().filter(|row| row.state == "damaged").map(|row| row.point.clone()).collect();
        let copies = if damaged.is_empty() { BTreeMap::new() } else { self.copies_among(&damaged).await? };
        let whole = |point: &str| copies.get(point).is_some_and(|all| all.iter().any(|copy| copy.problems.is_none()));
        Ok(rows.iter().map(|row| Known { whole_elsewhere: whole(&row.point), ..row.known() }).collect())
    }

    /// Where else points are, by the points' names.
    pub async fn copies_among(&self, points: &[String]) -> Result<BTreeMap<String, Vec<CopyRow>>, Error> {
        let sql =
            "SELECT point, store, verified_at, problems FROM holdfast.point_copy WHERE point = ANY($1) ORDER BY store";
        let rows = self.db.query_all_raw(statement(sql, vec![points.to_vec().into()])).await?;
        let mut out: BTreeMap<String, Vec<CopyRow>> = BTreeMap::new();
        for row in rows {
            let copy = CopyRow {
                store: row.try_get("", "store")?,
                verified_at: row.try_get("", "verified_at")?,
                problems: row.try_get("", "problems")?,
            };
            out.entry(row.try_get("", "point")?).or_default().push(copy);
        }
        Ok(out)
    }
}
