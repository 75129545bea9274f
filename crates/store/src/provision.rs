//! Making, claiming and discarding a tenant's schema and role.
//!
//! A schema takes 0.1–0.4 s to make (fsync of every index), so a few wait in stock and claiming one is a row in the
//! registry. Grants name their tables: `ALL TABLES IN SCHEMA` scans the catalogue of all tenants.

use std::sync::Arc;

use domain::id::{SchemaId, Slug, TenantId};
use domain::tenant::{Tenant, TenantState};

use crate::audit::{APPEND, AuditEvent};
use crate::error::Error;
use crate::pool::Shard;
use crate::schema::{TENANT_VERSION, tables_made};
use crate::store::Store;
use crate::upgrade::{TenantStep, version_of};

/// Tenants a login role may enter: 0.7 ms per membership check at 100, 200 ms at 10,000 (measured).
const TENANTS_PER_SHARD: i64 = 1_000;

impl Store {
    /// Reads the login roles from the control plane.
    pub(crate) async fn load_shards(&self) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        for row in connection.client.query("SELECT id, role, password FROM holdfast.login_shard", &[]).await? {
            self.pools().set_shard(row.try_get(0)?, Shard { role: row.try_get(1)?, password: row.try_get(2)? });
        }
        Ok(())
    }

    /// Makes schemas until the stock is full. Needs DDL rights. Returns how many were made.
    pub async fn fill_stock(&self) -> Result<usize, Error> {
        let mut made = 0;
        loop {
            let connection = self.pools().owner.get().await?;
            let waiting: i64 = connection
                .client
                .query_one("SELECT count(*) FROM holdfast.stock_schema WHERE version = $1", &[&TENANT_VERSION])
                .await?
                .try_get(0)?;
            drop(connection);
            if waiting >= self.pools().config().limits.stock as i64 {
                return Ok(made);
            }
            self.build_schema(&TenantStep::all()).await?;
            made += 1;
        }
    }

    /// Makes a tenant from stock, or from a schema built now when the stock is empty.
    ///
    /// # Errors
    /// `Conflict` on `tenant_slug_key` when the slug is taken.
    pub async fn build_tenant(&self, slug: &Slug, state: TenantState) -> Result<Arc<Tenant>, Error> {
        self.build_tenant_as(TenantId(self.chance().uuid()), slug, state).await
    }

    /// The same under an id that is known already: a tenant that comes back.
    pub async fn build_tenant_as(&self, id: TenantId, slug: &Slug, state: TenantState) -> Result<Arc<Tenant>, Error> {
        self.build_tenant_of((id, slug), state, &serde_json::json!({}), &TenantStep::all()).await
    }

    /// A tenant whose schema is made by these steps and no others: for rows of an older version.
    ///
    /// # Errors
    /// `Refused` when there are no steps.
    pub async fn build_tenant_by(
        &self,
        slug: &Slug,
        state: TenantState,
        steps: &[TenantStep],
    ) -> Result<Arc<Tenant>, Error> {
        let id = TenantId(self.chance().uuid());
        self.build_tenant_of((id, slug), state, &serde_json::json!({}), steps).await
    }

    /// The same, with what is to be known of its origin from the first moment. Stock is of the newest version; a schema of
    /// an older one is made now.
    pub(crate) async fn build_tenant_of(
        &self,
        (id, slug): (TenantId, &Slug),
        state: TenantState,
        origin: &serde_json::Value,
        steps: &[TenantStep],
    ) -> Result<Arc<Tenant>, Error> {
        let version = version_of(steps)?;
        loop {
            if self.claim((id, slug), state, origin, version).await? {
                break;
            }
            self.build_schema(steps).await?;
        }
        self.registry().forget().await;
        let tenant = self.registry().by_id(id).await?.ok_or(Error::NotFound("tenant"))?;
        if !self.pools().knows_shard(tenant.shard) {
            self.load_shards().await?;
        }
        Ok(tenant)
    }

    async fn claim(
        &self,
        (id, slug): (TenantId, &Slug),
        state: TenantState,
        origin: &serde_json::Value,
        version: i32,
    ) -> Result<bool, Error> {
        let connection = self.pools().owner.get().await?;
        let claimed = connection
            .client
            .execute(
                "WITH taken AS (DELETE FROM holdfast.stock_schema WHERE schema_id = (SELECT schema_id FROM holdfast.stock_schema \
                 WHERE version = $4 ORDER BY created_at FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING schema_id, shard, version), \
                 told AS (SELECT pg_notify('holdfast_registry', ($1::uuid)::text)) \
                 INSERT INTO holdfast.tenant (id, slug, schema_id, shard, version, state, origin) \
                 SELECT $1::uuid, $2, schema_id, shard, version, $3, $5 FROM taken, told",
                &[&id.0, &slug.as_str(), &state.as_str(), &version, origin],
            )
            .await?;
        Ok(claimed == 1)
    }

    /// Makes one schema by these steps with its role and puts it into stock, in one transaction.
    async fn build_schema(&self, taken: &[TenantStep]) -> Result<(), Error> {
        let version = version_of(taken)?;
        let (shard, login) = self.shard_with_room().await?;
        let schema = SchemaId::draw(self.chance());
        let mut steps = String::new();
        let mut tables = Vec::new();
        for step in taken {
            steps.push_str(&step.sql);
            steps.push('\n');
            tables.extend(tables_made(&step.sql).into_iter().map(|table| format!("{schema}.{table}")));
        }
        let tables = tables.join(", ");
        let script = format!(
            "BEGIN; CREATE ROLE {schema} NOLOGIN NOINHERIT; GRANT {schema} TO {login}; CREATE SCHEMA {schema}; \
             SET LOCAL search_path TO {schema};\n{steps}\n\
             GRANT USAGE ON SCHEMA {schema} TO {schema}; GRANT USAGE, SELECT ON SEQUENCE {schema}.id_seq TO {schema}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {schema}; \
             INSERT INTO holdfast.stock_schema (schema_id, shard, version) VALUES ('{schema}', {shard}, {version}); COMMIT"
        );
        let connection = self.pools().owner.get().await?;
        if let Err(error) = connection.client.batch_execute(&script).await {
            connection.client.batch_execute("ROLLBACK").await?;
            return Err(error.into());
        }
        Ok(())
    }

    /// The login role with room for one more tenant; makes one when all are full.
    async fn shard_with_room(&self) -> Result<(i32, String), Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        // one process at a time: two that found no room would make a role of the same number
        client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7235419881123005)").await?;
        let found = self.find_or_make_shard(client).await;
        client.batch_execute(if found.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        let (id, role, made) = found?;
        if let Some(password) = made {
            self.pools().set_shard(id, Shard { role: role.clone(), password });
        }
        Ok((id, role))
    }

    /// Number and name of a role with room, and its password when it was made now.
    async fn find_or_make_shard(
        &self,
        client: &tokio_postgres::Client,
    ) -> Result<(i32, String, Option<String>), Error> {
        let found = client
            .query_opt(
                "SELECT l.id, l.role FROM holdfast.login_shard l WHERE \
                 (SELECT count(*) FROM holdfast.tenant t WHERE t.shard = l.id) + \
                 (SELECT count(*) FROM holdfast.stock_schema s WHERE s.shard = l.id) < $1 ORDER BY l.id LIMIT 1",
                &[&TENANTS_PER_SHARD],
            )
            .await?;
        if let Some(row) = found {
            return Ok((row.try_get(0)?, row.try_get(1)?, None));
        }
        let last: i32 =
            client.query_one("SELECT coalesce(max(id), 0) FROM holdfast.login_shard", &[]).await?.try_get(0)?;
        let (id, letters) = (last + 1, b"abcdefghijklmnopqrstuvwxyz0123456789");
        let role = format!("hf_{}_s{id:02}", self.chance().text(letters, 8));
        let password = self.chance().text(letters, 40);
        // a verifier, not the password: statements end up in server logs and in pg_stat_activity
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        client.batch_execute(&format!("CREATE ROLE {role} LOGIN NOINHERIT PASSWORD '{verifier}'")).await?;
        client
            .execute(
                "INSERT INTO holdfast.login_shard (id, role, password) VALUES ($1, $2, $3)",
                &[&id, &role, &password],
            )
            .await?;
        Ok((id, role, Some(password)))
    }

    /// Removes a tenant altogether: its rows, its role, its place in the registry; its files are removed afterwards by
    /// whoever tends to deletions. For a tenant that never was given to anyone.
    pub async fn discard_tenant(&self, id: TenantId) -> Result<(), Error> {
        self.remove_tenant(id, Removal::Discarded, None).await.map(|_| ())
    }

    /// Removes a tenant with the audit event in the same transaction. False when there is none, or when its deletion is
    /// not due any more.
    pub async fn remove_tenant(
        &self,
        id: TenantId,
        removal: Removal,
        event: Option<&AuditEvent<'_>>,
    ) -> Result<bool, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        client.batch_execute("BEGIN").await?;
        let removed = remove(client, id, removal, event).await;
        client.batch_execute(if removed.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        self.registry().forget().await;
        removed
    }
}

/// Why a tenant is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was never given to anyone.
    Discarded,
    /// An operator said so.
    Ordered,
    /// The grace of its deletion has ended; refused when somebody took the deletion back meanwhile.
    Due,
}

async fn remove(
    client: &tokio_postgres::Client,
    id: TenantId,
    removal: Removal,
    event: Option<&AuditEvent<'_>>,
) -> Result<bool, Error> {
    let due = "SELECT schema_id, slug FROM holdfast.tenant WHERE id = $1 AND state = 'pending_deletion' AND delete_after <= now() FOR UPDATE";
    let any = "SELECT schema_id, slug FROM holdfast.tenant WHERE id = $1 FOR UPDATE";
    let sql = if removal == Removal::Due { due } else { any };
    let Some(row) = client.query_opt(sql, &[&id.0]).await? else { return Ok(false) };
    let (text, slug): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let schema: SchemaId = text.parse().map_err(|_| Error::Corrupt {
        table: "tenant",
        id: id.to_string(),
        what: "its schema id".to_owned(),
    })?;
    let script = format!(
        "DROP SCHEMA IF EXISTS {schema} CASCADE; DROP ROLE IF EXISTS {schema}; \
         DELETE FROM holdfast.tenant_host WHERE tenant_id = '{id}'; DELETE FROM holdfast.tenant WHERE id = '{id}'; \
         SELECT pg_notify('holdfast_registry', '{id}')"
    );
    let note = "INSERT INTO holdfast.tenant_deletion (tenant_id, slug, ordered, restored_of) \
        SELECT id, slug, $2, (origin->>'restored_of')::uuid FROM holdfast.tenant WHERE id = $1 ON CONFLICT DO NOTHING";
    client.execute(note, &[&id.0, &(removal != Removal::Discarded)]).await?;
    client.batch_execute(&script).await?;
    if let Some(event) = event {
        let object = if event.object.is_empty() { slug.as_str() } else { event.object };
        client.query_one(APPEND, &[&id.0, &event.actor, &event.event, &object, &event.detail]).await?;
    }
    Ok(true)
}
