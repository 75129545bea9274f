//! The control plane as a whole: read at one instant for control points, and loaded into an empty one.

use std::sync::Arc;

use domain::id::{SchemaId, Slug, TenantId};
use domain::tenant::{Tenant, TenantState};
use tokio_postgres::Client;

use crate::audit::{APPEND, AuditEvent};
use crate::error::Error;
use crate::load::CopySink;
use crate::pool::Pooled;
use crate::snapshot::{Snapshot, SnapshotInfo, Table, names, quoted};
use crate::store::Store;
use crate::upgrade::TenantStep;

/// What a machine of its own makes anew: roles with their passwords, schemas in stock, work in the queue, sign-ins.
const LEFT_OUT: &[&str] = &[
    "file_sweep",
    "job",
    "login_shard",
    "mirror_entry",
    "operator_session",
    "point_running",
    "schedule_run",
    "schema_step",
    "stock_schema",
    "tenant_return",
];

/// Changes with whatever a control point must not be without: what the registry, its people, schedules, keys, the ledger
/// and drills say. Points and the audit are in a control point too, but do not make one by themselves.
const MARK: &str = "SELECT md5(concat_ws('|', \
    (SELECT string_agg(t::text, ',' ORDER BY t.id) FROM holdfast.tenant t WHERE t.state <> 'provisioning'), \
    (SELECT string_agg(h::text, ',' ORDER BY h.host) FROM holdfast.tenant_host h), \
    (SELECT string_agg(o::text, ',' ORDER BY o.name) FROM holdfast.operator o), \
    (SELECT string_agg(i::text, ',' ORDER BY i.issuer, i.subject) FROM holdfast.operator_identity i), \
    (SELECT string_agg(concat_ws(':', s.id, s.kind, s.tenant_id, s.cron, s.paused), ',' ORDER BY s.id) FROM holdfast.schedule s), \
    (SELECT string_agg(k::text, ',' ORDER BY k.tenant_id, k.key_id) FROM holdfast.tenant_key k WHERE k.tenant_id <> '00000000-0000-0000-0000-000000000000'), \
    (SELECT string_agg(v::text, ',' ORDER BY v.key) FROM holdfast.setting v WHERE v.key NOT LIKE 'control_point%'), \
    (SELECT max(seq) FROM holdfast.ledger), (SELECT max(seq) FROM holdfast.drill), \
    (SELECT count(*) FROM holdfast.tenant_deletion), (SELECT count(purged_at) FROM holdfast.tenant_deletion), \
    (SELECT count(*) FROM holdfast.point p WHERE p.kept_until IS NOT NULL), \
    (SELECT string_agg(concat_ws(':', m.tenant_id, m.place), ',' ORDER BY m.tenant_id) FROM holdfast.mirror m), \
    (SELECT max(seq) FROM holdfast.tenant_swap), (SELECT count(undone_at) FROM holdfast.tenant_swap)))";

/// A tenant on its way back.
#[derive(Clone, Debug)]
pub struct Returning {
    /// Which.
    pub id: TenantId,
    /// Its slug.
    pub slug: String,
    /// The state it had.
    pub state: String,
}

/// An open load of the control plane. Dropped without [`ControlLoad::finish`] it leaves nothing.
pub struct ControlLoad {
    connection: Option<Pooled>,
    handle: tokio::runtime::Handle,
}

impl Store {
    /// Opens a snapshot of the control plane; its generation is the number of the newest audit event.
    pub async fn open_control_snapshot(&self) -> Result<Snapshot, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout TO 0; SET LOCAL search_path TO holdfast")
            .await?;
        let info = match control_info(client).await {
            Ok(info) => info,
            Err(error) => {
                client.batch_execute("ROLLBACK").await?;
                return Err(error);
            }
        };
        Ok(Snapshot::of_schema(self, connection, "holdfast", LEFT_OUT, info))
    }

    /// What a control point would have to show now, as one short text: another text, another content.
    pub async fn control_mark(&self) -> Result<String, Error> {
        let connection = self.pools().owner.get().await?;
        Ok(connection.client.query_one(MARK, &[]).await?.try_get(0)?)
    }

    /// What is in the control plane already, if anything is: a restore of the appliance needs an empty one.
    pub async fn control_is_used(&self) -> Result<Option<String>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "SELECT (SELECT count(*) FROM holdfast.tenant), (SELECT count(*) FROM holdfast.operator), \
                   (SELECT count(*) FROM holdfast.audit_event)";
        let row = connection.client.query_one(sql, &[]).await?;
        let (tenants, operators, events): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let used = tenants + operators + events > 0;
        Ok(used.then(|| format!("{tenants} tenants, {operators} operators and {events} audit events")))
    }

    /// Begins to load the control plane.
    pub async fn load_control(&self) -> Result<ControlLoad, Error> {
        let connection = self.pools().owner.get().await?;
        connection
            .client
            .batch_execute(
                "BEGIN; SET LOCAL statement_timeout TO 0; SET LOCAL idle_in_transaction_session_timeout TO 0; SET LOCAL search_path TO holdfast; \
                 LOCK TABLE tenant, audit_event IN EXCLUSIVE MODE; \
                 CREATE TEMPORARY TABLE tenant_as_it_was (LIKE tenant) ON COMMIT DROP",
            )
            .await?;
        Ok(ControlLoad { connection: Some(connection), handle: self.pools().handle().clone() })
    }

    /// Notes a tenant that no control point knows and that has points all the same: it is brought back, too.
    pub async fn note_return(&self, id: TenantId, slug: &str) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "INSERT INTO holdfast.tenant_return (id, slug, facts) \
                   VALUES ($1, $2, jsonb_build_object('state', 'closed', 'origin', '{}'::jsonb, 'epoch', 1, 'created_at', now())) ON CONFLICT DO NOTHING";
        connection.client.execute(sql, &[&id.0, &slug]).await?;
        Ok(())
    }

    /// Tenants that have not come back yet, by slug.
    pub async fn returning(&self) -> Result<Vec<Returning>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "SELECT id, slug, coalesce(facts->>'state', 'closed') FROM holdfast.tenant_return WHERE done_at IS NULL ORDER BY slug";
        let rows = connection.client.query(sql, &[]).await?;
        rows.iter()
            .map(|row| Ok(Returning { id: TenantId(row.try_get(0)?), slug: row.try_get(1)?, state: row.try_get(2)? }))
            .collect()
    }

    /// Makes the empty schema of a tenant that comes back, of the version that these steps lead to; what an interrupted try left
    /// of it goes first.
    pub async fn build_returning(&self, tenant: &Returning, steps: &[TenantStep]) -> Result<Arc<Tenant>, Error> {
        let slug: Slug = tenant.slug.parse().map_err(|_| Error::Corrupt {
            table: "tenant_return",
            id: tenant.id.to_string(),
            what: "its slug".to_owned(),
        })?;
        if let Some(left) = self.registry().by_id(tenant.id).await? {
            if left.state != TenantState::Provisioning {
                return Err(Error::Refused(format!("tenant {} is here already", left.slug)));
            }
            self.drop_half(&left).await?;
        }
        let origin = serde_json::json!({});
        self.build_tenant_of((tenant.id, &slug), TenantState::Provisioning, &origin, steps).await
    }

    /// Removes the rows of a tenant whose return failed; it stays among those to come back.
    pub async fn drop_half(&self, tenant: &Tenant) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let (schema, id) = (&tenant.schema, tenant.id);
        let script = format!(
            "BEGIN; DROP SCHEMA IF EXISTS {schema} CASCADE; DROP ROLE IF EXISTS {schema}; DELETE FROM holdfast.tenant WHERE id = '{id}'; \
             SELECT pg_notify('holdfast_registry', '{id}'); COMMIT"
        );
        if let Err(error) = connection.client.batch_execute(&script).await {
            connection.client.batch_execute("ROLLBACK").await?;
            return Err(error.into());
        }
        self.registry().forget().await;
        Ok(())
    }

    /// Gives a tenant that has come back its row of the registry as it was, and notes that it is here.
    pub async fn finish_return(
        &self,
        id: TenantId,
        point: &str,
        seconds: f64,
        event: &AuditEvent<'_>,
    ) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        client.batch_execute("BEGIN").await?;
        let finished = finish_return(client, id, point, seconds, event).await;
        client.batch_execute(if finished.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        self.registry().forget().await;
        finished
    }

    /// Notes why a tenant did not come back.
    pub async fn note_return_problem(&self, id: TenantId, problem: &str) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "UPDATE holdfast.tenant_return SET problem = $2 WHERE id = $1";
        connection.client.execute(sql, &[&id.0, &problem]).await?;
        Ok(())
    }
}

impl ControlLoad {
    fn client(&self) -> Result<&Client, Error> {
        self.connection.as_ref().map(|connection| &*connection.client).ok_or(Error::TooBusy)
    }

    /// Opens a table for rows with these columns; none when this version has no such table or lacks one of its columns.
    pub async fn copy_in(&mut self, table: &Table) -> Result<Option<CopySink>, Error> {
        let client = self.client()?;
        let known: Vec<String> = client
            .query(
                "SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
                 WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind = 'r' AND c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped",
                &[&table.name],
            )
            .await?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        if !table.columns.iter().all(|column| known.contains(&column.name)) {
            return Ok(None);
        }
        // the audit's triggers refuse to remove anything, and there is nothing: that was looked at before
        let into = if table.name == "tenant" { "tenant_as_it_was" } else { table.name.as_str() };
        if !matches!(into, "tenant_as_it_was" | "audit_event") {
            client.batch_execute(&format!("DELETE FROM {}", quoted(into))).await?;
        }
        let columns = names(table.columns.iter().map(|column| column.name.as_str()));
        let sink = client.copy_in(&format!("COPY {} ({columns}) FROM STDIN", quoted(into))).await?;
        Ok(Some(CopySink::new(sink)))
    }

    /// Notes the tenants that are to come back, sets the sequences, and commits.
    pub async fn finish(mut self) -> Result<(), Error> {
        let client = self.client()?;
        client
            .batch_execute(
                "INSERT INTO tenant_return (id, slug, facts) SELECT t.id, t.slug, to_jsonb(t) FROM tenant_as_it_was t WHERE t.state <> 'provisioning'",
            )
            .await?;
        let sequences = client
            .query(
                "SELECT c.relname::text, a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
                 WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind = 'r' AND a.attidentity <> '' AND NOT a.attisdropped",
                &[],
            )
            .await?;
        for row in &sequences {
            let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('holdfast.{table}', '{column}'), greatest(coalesce(max({c}), 0), 1), count(*) > 0) FROM {t}",
                c = quoted(&column),
                t = quoted(&table)
            );
            client.query_one(&sql, &[]).await?;
        }
        client.batch_execute("COMMIT").await?;
        self.connection = None;
        Ok(())
    }
}

impl Drop for ControlLoad {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.handle.spawn(async move {
                if connection.client.batch_execute("ROLLBACK").await.is_err() {
                    drop(deadpool::managed::Object::take(connection));
                }
            });
        }
    }
}

async fn control_info(client: &Client) -> Result<SnapshotInfo, Error> {
    let row = client
        .query_one(
            "SELECT coalesce((SELECT max(seq) FROM audit_event), 0), clock_timestamp(), pg_current_wal_lsn()::text, \
             (SELECT max(step) FROM schema_step), current_setting('server_version_num')::int",
            &[],
        )
        .await?;
    Ok(SnapshotInfo {
        generation: row.try_get(0)?,
        at: row.try_get(1)?,
        lsn: row.try_get(2)?,
        schema_version: row.try_get(3)?,
        last_id: 0,
        server_version: row.try_get(4)?,
    })
}

async fn finish_return(
    client: &Client,
    id: TenantId,
    point: &str,
    seconds: f64,
    event: &AuditEvent<'_>,
) -> Result<(), Error> {
    let columns: String = client
        .query_one(
            "SELECT string_agg(format('%1$I = coalesce(was.%1$I, t.%1$I)', a.attname), ', ') FROM pg_catalog.pg_attribute a \
             WHERE a.attrelid = 'holdfast.tenant'::regclass AND a.attnum > 0 AND NOT a.attisdropped \
             AND a.attname NOT IN ('id', 'slug', 'schema_id', 'shard', 'version')",
            &[],
        )
        .await?
        .try_get(0)?;
    let sql = format!(
        "UPDATE holdfast.tenant t SET {columns} FROM holdfast.tenant_return r, jsonb_populate_record(NULL::holdfast.tenant, r.facts) was \
         WHERE t.id = $1 AND r.id = $1 AND r.done_at IS NULL"
    );
    if client.execute(&sql, &[&id.0]).await? != 1 {
        return Err(Error::NotFound("tenant on its way back"));
    }
    // changes count on from the newest point: what is written from now on is in none of them
    let schema: String =
        client.query_one("SELECT schema_id FROM holdfast.tenant WHERE id = $1", &[&id.0]).await?.try_get(0)?;
    let schema: SchemaId = schema.parse().map_err(|_| Error::Corrupt {
        table: "tenant",
        id: id.to_string(),
        what: "its schema id".to_owned(),
    })?;
    client
        .batch_execute(&format!(
            "UPDATE {schema}.point_state SET generation = greatest(generation, (SELECT coalesce(max(generation), 0) + 1 FROM holdfast.point WHERE tenant_id = '{id}')); \
             DELETE FROM {schema}.change_mark; INSERT INTO {schema}.change_mark (generation) SELECT generation FROM {schema}.point_state"
        ))
        .await?;
    let done =
        "UPDATE holdfast.tenant_return SET done_at = now(), point = $2, seconds = $3, problem = NULL WHERE id = $1";
    client.execute(done, &[&id.0, &point, &seconds]).await?;
    client.query_one("SELECT pg_notify('holdfast_registry', $1)", &[&id.to_string()]).await?;
    client.query_one(APPEND, &[&id.0, &event.actor, &event.event, &event.object, &event.detail]).await?;
    Ok(())
}
