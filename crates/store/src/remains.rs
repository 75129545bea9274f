//! Where rows of a tenant that is gone may still be: in tenants that were restored from its points or kept by a swap, in what
//! was restored from those, and in the points of such copies.

use domain::id::TenantId;
use time::OffsetDateTime;

use crate::error::Error;
use crate::store::Store;

/// A tenant that has or had rows of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remainder {
    /// Which.
    pub tenant: TenantId,
    /// How it is or was called.
    pub slug: String,
    /// Its state; none when it is gone itself.
    pub state: Option<String>,
    /// When it went.
    pub deleted_at: Option<OffsetDateTime>,
    /// It is gone and its points open still.
    pub points_open: bool,
}

/// Every tenant, there or gone; whose copy each is; and from there whatever came of `$1`.
const REMAINS: &str = "\
    WITH RECURSIVE known AS ( \
      SELECT id, slug, state, (origin->>'restored_of')::uuid AS came_of, NULL::timestamptz AS deleted_at, false AS points_open \
      FROM holdfast.tenant WHERE state <> 'tombstone' \
      UNION ALL \
      SELECT d.tenant_id, d.slug, NULL, d.restored_of, d.deleted_at, d.purged_at IS NULL AND \
        (EXISTS (SELECT 1 FROM holdfast.point p WHERE p.tenant_id = d.tenant_id) \
         OR EXISTS (SELECT 1 FROM holdfast.tenant_key k WHERE k.tenant_id = d.tenant_id)) \
      FROM holdfast.tenant_deletion d WHERE NOT EXISTS (SELECT 1 FROM holdfast.tenant t WHERE t.id = d.tenant_id)), \
    comes AS (SELECT id, came_of FROM known WHERE came_of IS NOT NULL \
      UNION SELECT other_id, live_id FROM holdfast.tenant_swap), \
    remains AS (SELECT $1::uuid AS id UNION SELECT c.id FROM comes c JOIN remains r ON c.came_of = r.id) \
    SELECT k.id, k.slug, k.state, k.deleted_at, k.points_open FROM known k JOIN remains r ON r.id = k.id \
    WHERE k.id <> $1 ORDER BY k.slug, k.id";

impl Store {
    /// Tenants that have or had rows of this one; what is gone and cannot be opened is among them, for the time it went.
    pub async fn remains_of_tenant(&self, of: TenantId) -> Result<Vec<Remainder>, Error> {
        let connection = self.pools().owner.get().await?;
        let rows = connection.client.query(REMAINS, &[&of.0]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(Remainder {
                tenant: TenantId(row.try_get(0)?),
                slug: row.try_get(1)?,
                state: row.try_get(2)?,
                deleted_at: row.try_get(3)?,
                points_open: row.try_get(4)?,
            })
        };
        rows.iter().map(read).collect()
    }
}
