//! Which rows have changed since an earlier snapshot, told by Postgres' own book-keeping: every row says which transaction
//! wrote it (`xmin`), and a snapshot says from which transaction on it may not have seen a row.
//!
//! A stretch of a table is as it was when no row in it was written since, and as many rows are there as then: a deleted one
//! would be missing, one in its place would be new. That is exact under any writer, also one with `psql`, and costs writers
//! nothing. It holds only within one history of one table, so a [`Baseline`] names both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::snapshot::{Snapshot, Table, quoted};

/// Transactions after which a baseline is not trusted any more: `xmin` has 32 bits and is compared in a circle.
const TOO_OLD: i64 = 1 << 30;

const HISTORY: &str = "SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), \
    left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8), \
    current_setting('server_version_num') || ' ' || (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database())";
const MAY_READ: &str = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";
const TABLES: &str = "SELECT c.relname::text, c.oid::text || ':' || \
    (SELECT string_agg(a.attnum || ' ' || a.atttypid || ' ' || a.atttypmod, ',' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) \
    FROM pg_catalog.pg_class c WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r'";
const TRANSACTIONS: &str = "SELECT pg_catalog.pg_snapshot_xmin(now.s)::text::bigint, pg_catalog.pg_snapshot_xmax(now.s)::text::bigint \
    FROM (SELECT pg_catalog.pg_current_snapshot() AS s) now";

/// What a snapshot was taken of, so that a later one can tell what has changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The cluster, its timeline, its version and the database.
    pub history: String,
    /// The tenant's schema.
    pub schema: String,
    /// Rows written by transactions before this one were seen, if they were committed at all.
    pub xmin: i64,
    /// The snapshot's upper end.
    pub xmax: i64,
    /// Tables as the catalogue knows them: number and columns.
    pub tables: BTreeMap<String, String>,
}

/// How a stretch of a table stands to an earlier snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Rows in it now.
    pub rows: u64,
    /// One of them was written since.
    pub written: bool,
}

impl Baseline {
    /// Whether this snapshot can be compared with an earlier one of the same table.
    pub fn continues(&self, earlier: &Self, table: &str) -> bool {
        let age = self.xmax - earlier.xmin;
        self.history == earlier.history
            && self.schema == earlier.schema
            && self.xmin >= earlier.xmin
            && (0..TOO_OLD).contains(&age)
            && self.tables.get(table).is_some_and(|one| earlier.tables.get(table) == Some(one))
    }
}

impl Snapshot {
    /// What this snapshot is of; none where the server does not let its history be read.
    pub async fn baseline(&mut self) -> Result<Option<Baseline>, Error> {
        let schema = self.schema().to_owned();
        let client = self.client()?;
        if !client.query_one(MAY_READ, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        let row = client.query_one(HISTORY, &[]).await?;
        let (system, timeline, server): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let row = client.query_one(TRANSACTIONS, &[]).await?;
        let (xmin, xmax): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let mut tables = BTreeMap::new();
        for row in client.query(TABLES, &[&schema]).await? {
            tables.insert(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(Some(Baseline { history: format!("{system} {timeline} {server}"), schema, xmin, xmax, tables }))
    }

    /// How stretches of a table with a bigint key stand to an earlier snapshot. Each reaches from its number in `starts`, which
    /// rise, up to the next; what is before the first one is counted with it.
    pub async fn stretches(&mut self, table: &Table, starts: &[i64], since: &Baseline) -> Result<Vec<Stretch>, Error> {
        let mut out = vec![Stretch::default(); starts.len()];
        let Some(key) = table.primary_key.first() else { return Ok(out) };
        // both ages are counted from the same moment of this transaction
        let sql = format!(
            "SELECT greatest(width_bucket({key}, $1::bigint[]), 1) - 1, count(*), coalesce(bool_or(age(xmin) <= age($2::text::xid)), false) \
             FROM {} GROUP BY 1",
            quoted(&table.name),
            key = quoted(key)
        );
        let since = (since.xmin.rem_euclid(1 << 32)).to_string();
        for row in self.client()?.query(&sql, &[&starts, &since]).await? {
            let (at, rows, written): (i32, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if let Some(stretch) = usize::try_from(at).ok().and_then(|at| out.get_mut(at)) {
                *stretch = Stretch { rows: rows.unsigned_abs(), written };
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_history_of_the_same_table_is_compared() {
        let earlier = Baseline {
            history: "1 00000001 150018 5".to_owned(),
            schema: "t_a".to_owned(),
            xmin: 100,
            xmax: 110,
            tables: [("note".to_owned(), "7:1 20 -1".to_owned())].into(),
        };
        let now = Baseline { xmin: 200, xmax: 200, ..earlier.clone() };
        assert!(now.continues(&earlier, "note"));
        assert!(!now.continues(&earlier, "reaction"));
        assert!(!earlier.continues(&now, "note"), "a database that went back");
        for other in [
            Baseline { history: "1 00000002 150018 5".to_owned(), ..now.clone() },
            Baseline { schema: "t_b".to_owned(), ..now.clone() },
            Baseline { xmax: 100 + TOO_OLD, ..now.clone() },
            Baseline { tables: [("note".to_owned(), "7:1 20 -1,3 25 -1".to_owned())].into(), ..now.clone() },
        ] {
            assert!(!other.continues(&earlier, "note"), "{other:?}");
        }
    }
}
