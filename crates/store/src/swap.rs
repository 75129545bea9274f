//! Two tenants change places: each keeps its identity, slug, hosts, keys and points, and gets the other's rows.

use domain::id::{SchemaId, TenantId};
use domain::tenant::Tenant;
use time::OffsetDateTime;
use tokio_postgres::Client;

use crate::audit::{APPEND, AuditEvent};
use crate::error::Error;
use crate::ledger::{Replayed, replay};
use crate::scope::lock_key;
use crate::store::Store;

/// What is to change places, and what was prepared for it.
#[derive(Clone, Debug)]
pub struct SwapPlan<'a> {
    /// The tenant in use; it gets the rows of `other`.
    pub live: &'a Tenant,
    /// The quiet one; it gets the old rows.
    pub other: &'a Tenant,
    /// Files of `live` that are there for `other` too, and the other way round.
    pub files: [&'a [String]; 2],
    /// What was revoked, erased or archived since is done again.
    pub since: OffsetDateTime,
    /// The old rows are kept until then.
    pub keep_until: OffsetDateTime,
    /// This takes an earlier swap back.
    pub undo: bool,
}

/// A swap as remembered.
#[derive(Clone, Copy, Debug)]
pub struct SwapRow {
    /// Its number.
    pub seq: i64,
    /// The tenant with the old rows.
    pub other: TenantId,
    /// When.
    pub at: OffsetDateTime,
    /// Until when the old rows are kept.
    pub keep_until: OffsetDateTime,
}

/// A tenant that was restored from a point of another one.
#[derive(Clone, Debug)]
pub struct CopyOf {
    /// Which.
    pub slug: String,
    /// Its state.
    pub state: String,
    /// The instant that its point shows.
    pub shows: OffsetDateTime,
}

impl Store {
    /// Changes the places of two tenants in one transaction. Members' writes wait for it; those that were led to the old rows
    /// before are refused ([`Error::Exchanged`]), and the next try meets the new ones.
    ///
    /// # Errors
    /// `TooBusy` when files were added that were not prepared: prepare again and try again.
    pub async fn swap_tenants(&self, plan: &SwapPlan<'_>, event: &AuditEvent<'_>) -> Result<Replayed, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        client.batch_execute("BEGIN; SET LOCAL lock_timeout TO '10s'").await?;
        let swapped = swap(client, plan, event).await;
        client.batch_execute(if swapped.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        self.registry().forget().await;
        swapped
    }

    /// The tenant's newest swap that was not taken back.
    pub async fn newest_swap(&self, live: TenantId) -> Result<Option<SwapRow>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "SELECT seq, other_id, at, keep_until FROM holdfast.tenant_swap WHERE live_id = $1 AND undone_at IS NULL ORDER BY seq DESC LIMIT 1";
        let row = connection.client.query_opt(sql, &[&live.0]).await?;
        let read = |row: tokio_postgres::Row| {
            let other = TenantId(row.try_get(1)?);
            Ok(SwapRow { seq: row.try_get(0)?, other, at: row.try_get(2)?, keep_until: row.try_get(3)? })
        };
        row.map(read).transpose()
    }

    /// Tenants that were restored from points of this one, whatever became of them since.
    pub async fn copies_of_tenant(&self, of: TenantId) -> Result<Vec<CopyOf>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "SELECT slug, state, (origin->>'restored_at')::timestamptz FROM holdfast.tenant \
                   WHERE (origin->>'restored_of')::uuid = $1 AND state NOT IN ('deleting', 'tombstone') ORDER BY slug";
        let rows = connection.client.query(sql, &[&of.0]).await?;
        rows.iter()
            .map(|row| Ok(CopyOf { slug: row.try_get(0)?, state: row.try_get(1)?, shows: row.try_get(2)? }))
            .collect()
    }

    /// From which point of which tenant a tenant was restored: the tenant and the instant the point shows.
    pub async fn restored_from(&self, tenant: TenantId) -> Result<Option<(TenantId, OffsetDateTime)>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "SELECT (origin->>'restored_of')::uuid, (origin->>'restored_at')::timestamptz FROM holdfast.tenant \
                   WHERE id = $1 AND origin ? 'restored_of'";
        let row = connection.client.query_opt(sql, &[&tenant.0]).await?;
        row.map(|row| Ok((TenantId(row.try_get(0)?), row.try_get(1)?))).transpose()
    }

    /// Remembers from where a tenant was restored.
    pub async fn note_restored(&self, tenant: TenantId, of: TenantId, at: OffsetDateTime) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "UPDATE holdfast.tenant SET origin = origin || jsonb_build_object('restored_of', $2::uuid, 'restored_at', $3::timestamptz) WHERE id = $1";
        connection.client.execute(sql, &[&tenant.0, &of.0, &at]).await?;
        Ok(())
    }
}

async fn swap(client: &Client, plan: &SwapPlan<'_>, event: &AuditEvent<'_>) -> Result<Replayed, Error> {
    let (live, other) = (plan.live, plan.other);
    let mut keys = [lock_key(live.id), lock_key(other.id)];
    keys.sort_unstable();
    for key in keys {
        client.query_one("SELECT pg_advisory_xact_lock($1)", &[&key]).await?;
    }
    let both = "SELECT count(*) FROM (SELECT 1 FROM holdfast.tenant WHERE (id = $1 AND schema_id = $2) OR (id = $3 AND schema_id = $4) FOR UPDATE) x";
    let found: i64 = client
        .query_one(both, &[&live.id.0, &live.schema.as_str(), &other.id.0, &other.schema.as_str()])
        .await?
        .try_get(0)?;
    if found != 2 {
        return Err(Error::Refused("one of the tenants has changed meanwhile; try again".to_owned()));
    }
    move_files(client, live, other, plan.files[0]).await?;
    move_files(client, other, live, plan.files[1]).await?;
    let replayed = replay(client, &other.schema, live.id, plan.since).await?;
    carry_over(client, &live.schema, &other.schema).await?;
    exchange(client, plan).await?;
    client.query_one(APPEND, &[&live.id.0, &event.actor, &event.event, &event.object, &event.detail]).await?;
    Ok(replayed)
}

/// The rows of `from` will be the rows of `to`: so must be their files.
async fn move_files(client: &Client, from: &Tenant, to: &Tenant, ready: &[String]) -> Result<(), Error> {
    let schema = &from.schema;
    let missing: i64 = client
        .query_one(
            &format!("SELECT count(*) FROM {schema}.attachment WHERE storage_key <> '' AND NOT storage_key = ANY($1)"),
            &[&ready],
        )
        .await?
        .try_get(0)?;
    if missing > 0 {
        return Err(Error::TooBusy);
    }
    let (old, new) = (format!("f/{}/", from.id), format!("f/{}/", to.id));
    client
        .execute(
            &format!("UPDATE {schema}.attachment SET storage_key = $2 || substr(storage_key, length($1) + 1) WHERE starts_with(storage_key, $1)"),
            &[&old, &new],
        )
        .await?;
    Ok(())
}

/// Sign-ins and newer tokens go along; numbers are never given twice; what was held by points is held no more. The old rows'
/// mark is of the generation before theirs, so that every later write has to make one, which the fence refuses: who finds a
/// mark in place makes none (`note_made`).
async fn carry_over(client: &Client, old: &SchemaId, new: &SchemaId) -> Result<(), Error> {
    let sessions = shared_columns(client, "session", old, new).await?;
    let tokens = shared_columns(client, "access_token", old, new).await?;
    let of = |row: &str, columns: &[String]| columns.iter().map(|name| format!("{row}.{name}")).collect::<Vec<_>>();
    let (from_session, from_token) = (of("s", &sessions).join(", "), of("t", &tokens).join(", "));
    let (sessions, tokens) = (sessions.join(", "), tokens.join(", "));
    let script = format!(
        "DELETE FROM {new}.session; \
         INSERT INTO {new}.session ({sessions}) SELECT {from_session} FROM {old}.session s WHERE EXISTS (SELECT 1 FROM {new}.member m WHERE m.id = s.member_id); \
         INSERT INTO {new}.access_token ({tokens}) SELECT {from_token} FROM {old}.access_token t WHERE EXISTS (SELECT 1 FROM {new}.member m WHERE m.id = t.member_id) ON CONFLICT DO NOTHING; \
         SELECT setval('{new}.id_seq', greatest(a.last_value, b.last_value)), setval('{old}.id_seq', greatest(a.last_value, b.last_value)) \
           FROM {old}.id_seq a, {new}.id_seq b; \
         CREATE TEMPORARY TABLE swapped ON COMMIT DROP AS SELECT greatest(a.generation, b.generation) + 1 AS generation \
           FROM {old}.point_state a, {new}.point_state b; \
         UPDATE {old}.point_state SET generation = s.generation FROM swapped s; UPDATE {new}.point_state SET generation = s.generation FROM swapped s; \
         DELETE FROM {old}.change_mark; DELETE FROM {new}.change_mark; \
         INSERT INTO {old}.change_mark (generation) SELECT generation FROM swapped; INSERT INTO {new}.change_mark (generation) SELECT generation FROM swapped; \
         UPDATE {old}.point_state SET generation = generation + 1"
    );
    Ok(client.batch_execute(&script).await?)
}

/// Columns of a table that both have, ready for SQL: the way back from a schema step leads to rows of an older version.
async fn shared_columns(client: &Client, table: &str, old: &SchemaId, new: &SchemaId) -> Result<Vec<String>, Error> {
    let of = "SELECT attname FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid";
    let sql = format!(
        "SELECT quote_ident(attname) FROM ({of} = '{old}.{table}'::regclass INTERSECT {of} = '{new}.{table}'::regclass) shared ORDER BY 1"
    );
    client.query(&sql, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The registry, and a fence: a request that was led to the old rows before and writes only now must fail and not be lost.
async fn exchange(client: &Client, plan: &SwapPlan<'_>) -> Result<(), Error> {
    let (live, other) = (plan.live, plan.other);
    let (a, b, old, new) = (live.id, other.id, &live.schema, &other.schema);
    let script = format!(
        "REVOKE INSERT ON {old}.change_mark FROM {old}; GRANT INSERT ON {new}.change_mark TO {new}; \
         CREATE TEMPORARY TABLE place ON COMMIT DROP AS SELECT id, schema_id, shard, version FROM holdfast.tenant WHERE id IN ('{a}', '{b}'); \
         UPDATE holdfast.tenant SET schema_id = 'swapping ' || id WHERE id IN ('{a}', '{b}'); \
         UPDATE holdfast.tenant t SET schema_id = p.schema_id, shard = p.shard, version = p.version, epoch = t.epoch + 1 \
           FROM place p WHERE t.id IN ('{a}', '{b}') AND p.id IN ('{a}', '{b}') AND p.id <> t.id; \
         SELECT pg_notify('holdfast_registry', '{a}'), pg_notify('holdfast_registry', '{b}')"
    );
    client.batch_execute(&script).await?;
    if plan.undo {
        let undone = "UPDATE holdfast.tenant_swap SET undone_at = now() WHERE seq = (SELECT max(seq) FROM holdfast.tenant_swap WHERE live_id = $1 AND undone_at IS NULL)";
        client.execute(undone, &[&a.0]).await?;
    } else {
        let note = "INSERT INTO holdfast.tenant_swap (live_id, other_id, keep_until) VALUES ($1, $2, $3)";
        client.execute(note, &[&a.0, &b.0, &plan.keep_until]).await?;
    }
    let kept = "UPDATE holdfast.tenant SET state = 'pending_deletion', delete_after = $2, \
        origin = origin || '{\"before_deletion\": \"closed\"}' WHERE id = $1";
    client.execute(kept, &[&b.0, &plan.keep_until]).await?;
    Ok(())
}
