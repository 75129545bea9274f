//! The whole appliance on an empty machine, from a backup store and the escrow sheet alone.
//!
//! The newest control point that reads back is loaded into the empty control plane; then each tenant of its registry comes
//! back from its newest good point, under its own id. What is interrupted goes on with the tenants that are missing.

mod control;
mod points;
mod tenants;

use serde::Serialize;
use serde_json::{Value, json};
use store::{AuditEvent, Returning};

use crate::context::Backup;
use crate::error::Error;
use crate::restore::Stopwatch;
use crate::snapshot::rfc3339;

/// What `restore instance` tells. `rto_seconds` is what this appliance takes to come back.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceReport {
    /// The control point; none when an interrupted restore was carried on.
    pub control_point: Option<String>,
    /// The instant it shows.
    pub shows: Option<String>,
    /// Its tables, each with what was loaded.
    pub tables: Vec<ControlTable>,
    /// Every tenant.
    pub tenants: Vec<TenantBack>,
    /// The settings that were in force, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Value>,
    /// How long the control plane took.
    pub control_seconds: f64,
    /// From the start until the last tenant was back and compared.
    pub rto_seconds: f64,
    /// What someone should look at.
    pub warnings: Vec<String>,
}

/// A table of the control plane.
#[derive(Clone, Debug, Serialize)]
pub struct ControlTable {
    /// Its name.
    pub name: String,
    /// Rows loaded.
    pub rows: u64,
}

/// A tenant that came back, or did not.
#[derive(Clone, Debug, Serialize)]
pub struct TenantBack {
    /// Its slug.
    pub tenant: String,
    /// Its id, the same as before.
    pub tenant_id: String,
    /// The state it is in again.
    pub state: String,
    /// The point it came from.
    pub point: Option<String>,
    /// The instant that shows: what was written later is lost.
    pub shows: Option<String>,
    /// Notes that are back.
    pub notes: u64,
    /// Files that are back.
    pub files: u64,
    /// How long it took.
    pub seconds: f64,
    /// Why it is not back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A tenant and the points it may come back from, the best first.
pub(crate) struct Plan {
    pub(crate) tenant: Returning,
    pub(crate) points: Vec<String>,
}

impl Backup {
    /// Restores the appliance into an empty one. `told` hears of every tenant as soon as it is back.
    ///
    /// # Errors
    /// `Refused` when the appliance is not empty; `NoControlPoint` when none in the store can be read.
    pub async fn restore_instance(
        &self,
        actor: &str,
        told: impl Fn(&TenantBack) + Send + Sync,
    ) -> Result<InstanceReport, Error> {
        let mut watch = Stopwatch::start();
        let mut report = InstanceReport {
            control_point: None,
            shows: None,
            tables: Vec::new(),
            tenants: Vec::new(),
            configuration: None,
            control_seconds: 0.0,
            rto_seconds: 0.0,
            warnings: Vec::new(),
        };
        if self.store.returning().await?.is_empty() {
            if let Some(what) = self.store.control_is_used().await? {
                return Err(Error::Refused(format!(
                    "this appliance has {what}; restore instance needs an empty database, so name another one in the settings"
                )));
            }
            self.load_newest_control(&mut report).await?;
        } else {
            report.warnings.push("an interrupted restore was carried on with the tenants that were missing".to_owned());
        }
        self.find_unknown_tenants(&mut report).await?;
        watch.lap("control");
        report.control_seconds = watch.total();
        let mut plans = Vec::new();
        for tenant in self.store.returning().await? {
            let points = self.points_of_returning(&tenant, actor, &mut report.warnings).await?;
            plans.push(Plan { tenant, points });
        }
        self.wrap_for_this_machine(actor).await?;
        self.bring_tenants_back(plans, actor, &told, &mut report).await?;
        report.tenants.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        report.rto_seconds = watch.total();
        report.configuration = self.store.control().setting("configuration").await?;
        let back = report.tenants.iter().filter(|tenant| tenant.problem.is_none()).count();
        let detail = json!({
            "control_point": report.control_point,
            "tenants": back,
            "missing": report.tenants.len() - back,
            "seconds": report.rto_seconds,
            "at": rfc3339(self.clock.now()),
        });
        let event = AuditEvent { actor, event: "instance.restored", object: "instance", detail };
        self.store.control().audit(None, &event).await?;
        Ok(report)
    }
}
