//! Which tenant is where and how it is reached. Read on every request, so it is kept in memory and forgotten on NOTIFY.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use domain::id::{InvalidId, SchemaId, Slug, TenantId};
use domain::tenant::{Limits, Tenant, TenantState};
use sea_orm::{ConnectionTrait, QueryResult};
use time::OffsetDateTime;

use crate::audit::AuditEvent;
use crate::control::{Control, statement};
use crate::error::Error;

/// The registry of tenants.
#[derive(Clone, Debug)]
pub struct Registry {
    control: Control,
    known: Arc<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// True while a listener would tell of changes; otherwise nothing is kept.
    watched: bool,
    /// Raised whenever everything is forgotten: what was read before that is not kept afterwards.
    age: u64,
    by_id: HashMap<TenantId, Arc<Tenant>>,
    by_slug: HashMap<String, TenantId>,
    by_host: HashMap<String, TenantId>,
}

/// What a command changes of a tenant.
#[derive(Clone, Debug)]
pub enum TenantChange {
    /// Another state.
    State(TenantState),
    /// Another slug.
    Slug(Slug),
    /// The hosts that lead to it, replacing the present ones.
    Hosts(Vec<String>),
    /// Its public URL; none puts it into private mode.
    PublicUrl(Option<String>),
    /// What it may use.
    Limits(Limits),
    /// Refused to members, and to be deleted then.
    DeleteAfter(OffsetDateTime),
    /// Back from being suspended (to active), or from a deletion that has not begun (to what it was before).
    Resume,
}

const SELECT: &str = "SELECT t.id, t.slug, t.schema_id, t.shard, t.state, t.public_url, t.epoch, t.stored_bytes, t.statement_ms, \
    extract(epoch FROM t.created_at)::bigint AS created_ts, \
    coalesce((SELECT array_agg(h.host ORDER BY h.host) FROM holdfast.tenant_host h WHERE h.tenant_id = t.id), '{}') AS hosts \
    FROM holdfast.tenant t";

impl Registry {
    pub(crate) fn new(control: Control) -> Self {
        Self { control, known: Arc::default() }
    }

    /// The tenant with this id.
    pub async fn by_id(&self, id: TenantId) -> Result<Option<Arc<Tenant>>, Error> {
        if let Some(tenant) = self.read(|known| known.by_id.get(&id).cloned()) {
            return Ok(Some(tenant));
        }
        self.load("WHERE t.id = $1", id.0.into()).await
    }

    /// The tenant with this slug.
    pub async fn by_slug(&self, slug: &str) -> Result<Option<Arc<Tenant>>, Error> {
        if let Some(tenant) = self.read(|known| known.by_slug.get(slug).and_then(|id| known.by_id.get(id)).cloned()) {
            return Ok(Some(tenant));
        }
        self.load("WHERE t.slug = $1", slug.into()).await
    }

    /// The tenant this host name leads to (lower case, without port).
    pub async fn by_host(&self, host: &str) -> Result<Option<Arc<Tenant>>, Error> {
        let kept = self.read(|known| {
            let id = known.by_host.get(host)?;
            Some(known.by_id.get(id).cloned())
        });
        if let Some(answer) = kept {
            return Ok(answer);
        }
        let age = self.age();
        let found = self
            .load("WHERE t.id = (SELECT h.tenant_id FROM holdfast.tenant_host h WHERE h.host = $1)", host.into())
            .await?;
        if found.is_none() {
            // Requests to a host of nobody's must not cost a query each; any change of the registry forgets this.
            self.write(|known| {
                if known.watched && known.age == age && known.by_host.len() < 10_000 {
                    known.by_host.insert(host.to_owned(), TenantId(uuid::Uuid::nil()));
                }
            });
        }
        Ok(found)
    }

    /// Every tenant, by slug.
    pub async fn list(&self) -> Result<Vec<Arc<Tenant>>, Error> {
        let rows = self.control.db.query_all_raw(statement(&format!("{SELECT} ORDER BY t.slug"), Vec::new())).await?;
        rows.iter().map(|row| read(row).map(Arc::new)).collect()
    }

    /// Changes a tenant and writes the audit event in the same transaction; every process hears of it.
    pub async fn change(
        &self,
        id: TenantId,
        change: &TenantChange,
        event: &AuditEvent<'_>,
    ) -> Result<Arc<Tenant>, Error> {
        let tx = self.control.begin().await?;
        let (sql, value): (&str, sea_orm::Value) = match change {
            TenantChange::State(state) => {
                ("UPDATE holdfast.tenant SET state = $2 WHERE id = $1", state.as_str().into())
            }
            TenantChange::Slug(slug) => ("UPDATE holdfast.tenant SET slug = $2 WHERE id = $1", slug.as_str().into()),
            TenantChange::DeleteAfter(when) => (
                "UPDATE holdfast.tenant SET delete_after = $2, state = 'pending_deletion', origin = CASE WHEN state = 'pending_deletion' \
                 THEN origin ELSE origin || jsonb_build_object('before_deletion', state) END WHERE id = $1",
                (*when).into(),
            ),
            TenantChange::Resume => (
                "UPDATE holdfast.tenant SET state = CASE WHEN state = 'suspended' THEN 'active' \
                 ELSE coalesce(origin->>'before_deletion', $2) END, delete_after = NULL, origin = origin - 'before_deletion' \
                 WHERE id = $1 AND state IN ('suspended', 'pending_deletion')",
                "closed".into(),
            ),
            TenantChange::PublicUrl(url) => {
                ("UPDATE holdfast.tenant SET public_url = $2 WHERE id = $1", url.clone().into())
            }
            TenantChange::Limits(limits) => (
                "UPDATE holdfast.tenant SET stored_bytes = ($2::jsonb->>'stored_bytes')::bigint, \
                 statement_ms = ($2::jsonb->>'statement_ms')::integer WHERE id = $1",
                serde_json::json!(limits).into(),
            ),
            TenantChange::Hosts(hosts) => {
                tx.tx
                    .execute_raw(statement("DELETE FROM holdfast.tenant_host WHERE tenant_id = $1", vec![id.0.into()]))
                    .await?;
                (
                    "INSERT INTO holdfast.tenant_host (tenant_id, host) SELECT $1, unnest($2::text[])",
                    hosts.clone().into(),
                )
            }
        };
        let changed = tx.tx.execute_raw(statement(sql, vec![id.0.into(), value])).await?.rows_affected();
        if changed == 0 && !matches!(change, TenantChange::Hosts(_)) {
            return Err(Error::NotFound("tenant"));
        }
        if matches!(change, TenantChange::State(TenantState::Active) | TenantChange::Resume) {
            unfence(&tx, id).await?;
        }
        tx.tx.execute_raw(statement("SELECT pg_notify('holdfast_registry', $1)", vec![id.to_string().into()])).await?;
        tx.audit(Some(id), event).await?;
        tx.commit().await?;
        self.forget().await;
        self.by_id(id).await?.ok_or(Error::NotFound("tenant"))
    }

    /// Tenants whose grace before deletion has ended.
    pub async fn due_for_deletion(&self, now: OffsetDateTime) -> Result<Vec<TenantId>, Error> {
        let sql = "SELECT id FROM holdfast.tenant WHERE state = 'pending_deletion' AND delete_after <= $1";
        let rows = self.control.db.query_all_raw(statement(sql, vec![now.into()])).await?;
        rows.iter().map(|row| Ok(TenantId(row.try_get("", "id")?))).collect()
    }

    /// Forgets what is kept; the next question goes to the database.
    #[expect(clippy::unused_async, reason = "callers should not care whether forgetting ever waits")]
    pub async fn forget(&self) {
        self.clear();
    }

    pub(crate) fn clear(&self) {
        self.write(|known| {
            *known = Known { watched: known.watched, age: known.age + 1, ..Known::default() };
        });
    }

    pub(crate) fn set_watched(&self, watched: bool) {
        self.write(|known| *known = Known { watched, age: known.age + 1, ..Known::default() });
    }

    async fn load(&self, condition: &str, value: sea_orm::Value) -> Result<Option<Arc<Tenant>>, Error> {
        let age = self.age();
        let row = self.control.db.query_one_raw(statement(&format!("{SELECT} {condition}"), vec![value])).await?;
        let Some(row) = row else { return Ok(None) };
        let tenant = Arc::new(read(&row)?);
        self.write(|known| {
            if known.watched && known.age == age {
                for host in &tenant.hosts {
                    known.by_host.insert(host.clone(), tenant.id);
                }
                known.by_slug.insert(tenant.slug.as_str().to_owned(), tenant.id);
                known.by_id.insert(tenant.id, Arc::clone(&tenant));
            }
        });
        Ok(Some(tenant))
    }

    fn age(&self) -> u64 {
        self.known.read().unwrap_or_else(PoisonError::into_inner).age
    }

    fn read<T>(&self, f: impl FnOnce(&Known) -> Option<T>) -> Option<T> {
        f(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, f: impl FnOnce(&mut Known)) {
        f(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Rows that changed places with others are fenced off until they are in use again.
async fn unfence(tx: &crate::control::ControlTx, id: TenantId) -> Result<(), Error> {
    let sql = "SELECT schema_id FROM holdfast.tenant WHERE id = $1";
    let Some(row) = tx.tx.query_one_raw(statement(sql, vec![id.0.into()])).await? else { return Ok(()) };
    let text: String = row.try_get("", "schema_id")?;
    if let Ok(schema) = text.parse::<SchemaId>() {
        tx.tx.execute_unprepared(&format!("GRANT INSERT ON {schema}.change_mark TO {schema}")).await?;
    }
    Ok(())
}

fn read(row: &QueryResult) -> Result<Tenant, Error> {
    let id: uuid::Uuid = row.try_get("", "id")?;
    let corrupt = |what: InvalidId| Error::Corrupt { table: "tenant", id: id.to_string(), what: what.to_string() };
    let (slug, schema, state): (String, String, String) =
        (row.try_get("", "slug")?, row.try_get("", "schema_id")?, row.try_get("", "state")?);
    Ok(Tenant {
        id: TenantId(id),
        slug: slug.parse::<Slug>().map_err(corrupt)?,
        schema: schema.parse::<SchemaId>().map_err(corrupt)?,
        shard: row.try_get("", "shard")?,
        state: state.parse().map_err(corrupt)?,
        hosts: row.try_get("", "hosts")?,
        public_url: row.try_get("", "public_url")?,
        epoch: row.try_get("", "epoch")?,
        created_ts: row.try_get("", "created_ts")?,
        limits: Limits {
            stored_bytes: row.try_get("", "stored_bytes")?,
            statement_ms: row.try_get("", "statement_ms")?,
        },
    })
}
