//! Schema steps: plain SQL files, forward only. A step and the note that it was taken commit together.

use crate::error::Error;
use crate::store::Store;

/// One step: its number and text.
pub(crate) type Step = (i32, &'static str);

/// Steps of the control plane, in order.
pub(crate) const CONTROL_STEPS: &[Step] = &[
    (1, include_str!("../schema/control/0001_registry.sql")),
    (2, include_str!("../schema/control/0002_jobs.sql")),
    (3, include_str!("../schema/control/0003_operators.sql")),
    (4, include_str!("../schema/control/0004_points_drills.sql")),
    (5, include_str!("../schema/control/0005_recovery.sql")),
    (6, include_str!("../schema/control/0006_outgoing.sql")),
    (7, include_str!("../schema/control/0007_operator_identity.sql")),
    (8, include_str!("../schema/control/0008_throttle.sql")),
    (9, include_str!("../schema/control/0009_limits.sql")),
    (10, include_str!("../schema/control/0010_control_points.sql")),
    (11, include_str!("../schema/control/0011_search.sql")),
    (12, include_str!("../schema/control/0012_asked.sql")),
    (13, include_str!("../schema/control/0013_mirror.sql")),
    (14, include_str!("../schema/control/0014_cancel.sql")),
    (15, include_str!("../schema/control/0015_nightly.sql")),
    (16, include_str!("../schema/control/0016_points_gone.sql")),
    (17, include_str!("../schema/control/0017_revoked_links.sql")),
    (18, include_str!("../schema/control/0018_copies_left.sql")),
    (19, include_str!("../schema/control/0019_dumps_read.sql")),
];

/// Steps of a tenant's schema, in order.
pub(crate) const TENANT_STEPS: &[Step] = &[(1, include_str!("../schema/tenant/0001_base.sql"))];

/// The version this executable brings the control plane to.
pub const CONTROL_VERSION: i32 = CONTROL_STEPS[CONTROL_STEPS.len() - 1].0;

/// The version this executable brings tenants to.
pub const TENANT_VERSION: i32 = TENANT_STEPS[TENANT_STEPS.len() - 1].0;

/// Names of the tables a script makes, in order.
pub(crate) fn tables_made(script: &str) -> Vec<&str> {
    script
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE TABLE "))
        .filter_map(|rest| rest.split([' ', '(']).next())
        .collect()
}

const LOCK: &str = "SELECT pg_advisory_lock(7235419881123002)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7235419881123002)";

impl Store {
    /// Takes the control plane's missing steps, one process at a time.
    pub(crate) async fn apply_control_steps(&self) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        client.batch_execute(LOCK).await?;
        let outcome = apply(client).await;
        client.batch_execute(UNLOCK).await?;
        outcome
    }

    /// The version of the control plane in the database; 0 when there is none yet.
    pub async fn control_version(&self) -> Result<i32, Error> {
        let connection = self.pools().owner.get().await?;
        version(&connection.client).await
    }
}

async fn version(client: &tokio_postgres::Client) -> Result<i32, Error> {
    let exists: bool =
        client.query_one("SELECT to_regclass('holdfast.schema_step') IS NOT NULL", &[]).await?.try_get(0)?;
    if !exists {
        return Ok(0);
    }
    Ok(client.query_one("SELECT coalesce(max(step), 0) FROM holdfast.schema_step", &[]).await?.try_get(0)?)
}

async fn apply(client: &tokio_postgres::Client) -> Result<(), Error> {
    let present = version(client).await?;
    if present > CONTROL_VERSION {
        return Err(Error::Refused(format!(
            "the control plane is at version {present}, this executable knows {CONTROL_VERSION}; use the newer executable"
        )));
    }
    if present == 0 {
        client
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS holdfast; \
                 CREATE TABLE IF NOT EXISTS holdfast.schema_step (step integer PRIMARY KEY, taken_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
    }
    for (number, text) in CONTROL_STEPS.iter().filter(|(number, _)| *number > present) {
        let script = format!(
            "BEGIN; SET LOCAL search_path TO holdfast; SET LOCAL lock_timeout TO '5s';\n{text}\n; INSERT INTO holdfast.schema_step (step) VALUES ({number}); COMMIT"
        );
        if let Err(error) = client.batch_execute(&script).await {
            client.batch_execute("ROLLBACK").await?;
            return Err(error.into());
        }
        tracing::info!(step = number, "took a step of the control plane");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_rise_by_one() {
        for steps in [CONTROL_STEPS, TENANT_STEPS] {
            assert!(steps.iter().zip(1..).all(|((number, _), expected)| *number == expected));
        }
    }

    #[test]
    fn table_names_are_found_in_a_script() {
        let made = tables_made(TENANT_STEPS[0].1);
        assert!(made.contains(&"note") && made.contains(&"change_mark") && made.contains(&"member"));
    }
}
