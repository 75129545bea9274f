//! Schema steps of tenants that exist already: one tenant, one transaction, version and rows together.

use domain::id::{SchemaId, TenantId};
use time::OffsetDateTime;

use crate::error::Error;
use crate::schema::{TENANT_STEPS, tables_made};
use crate::store::Store;

/// A step of tenants' schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantStep {
    /// The version it leads to.
    pub version: i32,
    /// Its SQL, run with the tenant's schema as search path.
    pub sql: String,
}

/// A tenant that has not taken every step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Which.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// Its version.
    pub version: i32,
}

/// A step as remembered.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// The version before.
    pub from: i32,
    /// The version that was wanted.
    pub to: i32,
    /// The verified point that was taken before.
    pub point: String,
    /// When.
    pub at: OffsetDateTime,
    /// Why it was not taken.
    pub problem: Option<String>,
}

impl TenantStep {
    /// Every step of this executable.
    pub fn all() -> Vec<Self> {
        TENANT_STEPS.iter().map(|(version, sql)| Self { version: *version, sql: (*sql).to_owned() }).collect()
    }
}

/// The version that a schema has after these steps.
pub(crate) fn version_of(steps: &[TenantStep]) -> Result<i32, Error> {
    steps.last().map(|step| step.version).ok_or_else(|| Error::Refused("no schema step leads there".to_owned()))
}

impl Store {
    /// Tenants below `version`, by slug; one query, whatever their number.
    pub async fn tenants_behind(&self, version: i32) -> Result<Vec<Behind>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "SELECT id, slug, version FROM holdfast.tenant WHERE version < $1 AND state <> 'provisioning' ORDER BY slug";
        let rows = connection.client.query(sql, &[&version]).await?;
        rows.iter()
            .map(|row| {
                Ok(Behind { tenant: TenantId(row.try_get(0)?), slug: row.try_get(1)?, version: row.try_get(2)? })
            })
            .collect()
    }

    /// Takes one step of one tenant, in one transaction. Members' requests wait at most half a second for it, or it fails
    /// and nothing has changed.
    ///
    /// # Errors
    /// `TooBusy` when the tenant is in use so that the locks cannot be had: try again.
    pub async fn take_step(&self, tenant: TenantId, step: &TenantStep) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        let sql = "SELECT schema_id FROM holdfast.tenant WHERE id = $1 AND version = $2";
        let Some(row) = client.query_opt(sql, &[&tenant.0, &(step.version - 1)]).await? else {
            return Err(Error::Refused(format!("tenant {tenant} is not at version {}", step.version - 1)));
        };
        let text: String = row.try_get(0)?;
        let schema: SchemaId = text.parse().map_err(|_| Error::Corrupt {
            table: "tenant",
            id: tenant.to_string(),
            what: "its schema id".to_owned(),
        })?;
        let grant = |table: &&str| format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{table} TO {schema};");
        let grants = tables_made(&step.sql).iter().map(grant).collect::<Vec<_>>().join(" ");
        let script = format!(
            "BEGIN; SET LOCAL lock_timeout TO '500ms'; SET LOCAL statement_timeout TO 0; SET LOCAL search_path TO {schema};\n{}\n;{grants} \
             UPDATE holdfast.tenant SET version = {}, epoch = epoch + 1 WHERE id = '{tenant}'; SELECT pg_notify('holdfast_registry', '{tenant}'); COMMIT",
            step.sql, step.version
        );
        if let Err(error) = client.batch_execute(&script).await {
            client.batch_execute("ROLLBACK").await?;
            return Err(error.into());
        }
        self.registry().forget().await;
        Ok(())
    }

    /// Notes a step that was taken, or was not.
    pub async fn note_step(&self, behind: &Behind, to: i32, point: &str, problem: Option<&str>) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "INSERT INTO holdfast.tenant_step (tenant_id, from_version, to_version, point, problem) VALUES ($1, $2, $3, $4, $5)";
        connection.client.execute(sql, &[&behind.tenant.0, &behind.version, &to, &point, &problem]).await?;
        Ok(())
    }

    /// The newest step of a tenant that was taken.
    pub async fn newest_step(&self, tenant: TenantId) -> Result<Option<StepRow>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = "SELECT from_version, to_version, point, at, problem FROM holdfast.tenant_step WHERE tenant_id = $1 AND problem IS NULL ORDER BY seq DESC LIMIT 1";
        let row = connection.client.query_opt(sql, &[&tenant.0]).await?;
        row.map(|row| {
            Ok(StepRow {
                from: row.try_get(0)?,
                to: row.try_get(1)?,
                point: row.try_get(2)?,
                at: row.try_get(3)?,
                problem: row.try_get(4)?,
            })
        })
        .transpose()
    }
}
