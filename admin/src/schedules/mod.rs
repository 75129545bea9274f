//! When points, drills and dumps are due.

use jobs::Cron;
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::schedules::ScheduleRow;

use crate::{Admin, By, Error, tenants};

/// A schedule as commands show it.
#[derive(Clone, Debug, Serialize)]
pub struct ScheduleView {
    /// Its number.
    pub id: i64,
    /// backup, drill or dump.
    pub kind: String,
    /// Slug of the tenant; none: every tenant.
    pub tenant: Option<String>,
    /// Six fields, seconds first, UTC.
    pub cron: String,
    /// Enqueues nothing while paused.
    pub paused: bool,
    /// The next due time, RFC 3339.
    pub next_at: String,
    /// The latest due times and what became of them.
    pub runs: Vec<RunView>,
}

/// One due time.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// When it was due, RFC 3339.
    pub due_at: String,
    /// enqueued, caught_up or missed.
    pub outcome: String,
    /// Number of the job it became.
    pub job: Option<i64>,
}

/// Sets the schedule of a kind, for one tenant or for all.
pub async fn set(admin: &Admin, by: &By, kind: &str, slug: Option<&str>, cron: &str) -> Result<ScheduleView, Error> {
    let parsed: Cron = cron.parse()?;
    let tenant = match slug {
        Some(slug) => Some(tenants::find(admin, slug).await?.id),
        None => None,
    };
    let next = parsed.after(admin.clock.now()).ok_or_else(|| Error::Input("the schedule is never due".to_owned()))?;
    let row = admin.store.control().set_schedule(kind, tenant, cron, next).await?;
    tell(admin, by, "schedule.set", &row).await?;
    view(admin, row).await
}

/// Every schedule with its latest runs.
pub async fn list(admin: &Admin) -> Result<Vec<ScheduleView>, Error> {
    let mut all = Vec::new();
    for row in admin.store.control().list_schedules().await? {
        all.push(view(admin, row).await?);
    }
    Ok(all)
}

/// Pauses or resumes. While paused nothing is due, and nothing is caught up afterwards.
pub async fn pause(admin: &Admin, by: &By, id: i64, paused: bool) -> Result<(), Error> {
    let row = find(admin, id).await?;
    let next = row.cron.parse::<Cron>()?.after(admin.clock.now()).unwrap_or(row.next_at);
    admin.store.control().pause_schedule(id, paused, next).await?;
    tell(admin, by, if paused { "schedule.paused" } else { "schedule.resumed" }, &row).await
}

/// Removes a schedule.
pub async fn remove(admin: &Admin, by: &By, id: i64) -> Result<(), Error> {
    let row = find(admin, id).await?;
    admin.store.control().remove_schedule(id).await?;
    tell(admin, by, "schedule.removed", &row).await
}

async fn find(admin: &Admin, id: i64) -> Result<ScheduleRow, Error> {
    let all = admin.store.control().list_schedules().await?;
    all.into_iter().find(|row| row.id == id).ok_or_else(|| Error::Missing { what: "schedule", name: id.to_string() })
}

async fn tell(admin: &Admin, by: &By, event: &str, row: &ScheduleRow) -> Result<(), Error> {
    let (actor, object) = (by.actor(), row.kind.clone());
    let detail = json!({"id": row.id, "cron": row.cron});
    Ok(admin.store.control().audit(row.tenant, &AuditEvent { actor: &actor, event, object: &object, detail }).await?)
}

async fn view(admin: &Admin, row: ScheduleRow) -> Result<ScheduleView, Error> {
    let tenant = match row.tenant {
        Some(id) => Some(
            admin.store.registry().by_id(id).await?.map_or_else(|| id.to_string(), |tenant| tenant.slug.to_string()),
        ),
        None => None,
    };
    let runs = admin.store.control().list_schedule_runs(row.id, 50).await?;
    Ok(ScheduleView {
        id: row.id,
        kind: row.kind,
        tenant,
        cron: row.cron,
        paused: row.paused,
        next_at: crate::audit::rfc3339(row.next_at),
        runs: runs
            .into_iter()
            .map(|run| RunView { due_at: crate::audit::rfc3339(run.due_at), outcome: run.outcome, job: run.job })
            .collect(),
    })
}
