//! When work is due. What is due is noted once per due time, whichever worker sees it first.

use domain::id::TenantId;
use sea_orm::{ConnectionTrait, QueryResult};
use time::OffsetDateTime;

use super::{Control, ControlTx, statement};
use crate::error::Error;

/// A schedule as stored.
#[derive(Clone, Debug)]
pub struct ScheduleRow {
    /// Its number.
    pub id: i64,
    /// backup, drill or dump.
    pub kind: String,
    /// One tenant, or every one.
    pub tenant: Option<TenantId>,
    /// Six fields, seconds first, UTC.
    pub cron: String,
    /// Enqueues nothing while paused.
    pub paused: bool,
    /// The next due time.
    pub next_at: OffsetDateTime,
}

/// What became of one due time.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// When it was due.
    pub due_at: OffsetDateTime,
    /// enqueued, caught_up or missed.
    pub outcome: String,
    /// The job it became.
    pub job: Option<i64>,
}

const COLUMNS: &str = "id, kind, tenant_id, cron, paused, next_at";

impl Control {
    /// Sets the schedule of a kind for a tenant or for all; one there is replaced.
    pub async fn set_schedule(
        &self,
        kind: &str,
        tenant: Option<TenantId>,
        cron: &str,
        next_at: OffsetDateTime,
    ) -> Result<ScheduleRow, Error> {
        let sql = format!(
            "INSERT INTO holdfast.schedule (kind, tenant_id, cron, next_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (kind, coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid)) \
             DO UPDATE SET cron = excluded.cron, next_at = excluded.next_at, paused = false RETURNING {COLUMNS}"
        );
        let row = self
            .db
            .query_one_raw(statement(
                &sql,
                vec![kind.into(), tenant.map(|id| id.0).into(), cron.into(), next_at.into()],
            ))
            .await?;
        row.as_ref().map_or(Err(Error::NotFound("schedule")), read)
    }

    /// Every schedule.
    pub async fn list_schedules(&self) -> Result<Vec<ScheduleRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM holdfast.schedule ORDER BY id");
        self.db.query_all_raw(statement(&sql, Vec::new())).await?.iter().map(read).collect()
    }

    /// Pauses or resumes; resumed, it is next due at `next_at`. False when there is none.
    pub async fn pause_schedule(&self, id: i64, paused: bool, next_at: OffsetDateTime) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.schedule SET paused = $2, next_at = $3 WHERE id = $1";
        Ok(self.db.execute_raw(statement(sql, vec![id.into(), paused.into(), next_at.into()])).await?.rows_affected()
            == 1)
    }

    /// Removes a schedule; what its runs became stays. False when there is none.
    pub async fn remove_schedule(&self, id: i64) -> Result<bool, Error> {
        let sql = "DELETE FROM holdfast.schedule WHERE id = $1";
        Ok(self.db.execute_raw(statement(sql, vec![id.into()])).await?.rows_affected() == 1)
    }

    /// What became of the latest due times of a schedule, newest first.
    pub async fn list_schedule_runs(&self, id: i64, limit: i64) -> Result<Vec<RunRow>, Error> {
        let sql = "SELECT due_at, outcome, job_id FROM holdfast.schedule_run WHERE schedule_id = $1 ORDER BY due_at DESC LIMIT $2";
        let rows = self.db.query_all_raw(statement(sql, vec![id.into(), limit.into()])).await?;
        rows.iter()
            .map(|row| {
                Ok(RunRow {
                    due_at: row.try_get("", "due_at")?,
                    outcome: row.try_get("", "outcome")?,
                    job: row.try_get("", "job_id")?,
                })
            })
            .collect()
    }
}

impl ControlTx {
    /// Schedules due at `now`, locked against other workers until this transaction ends.
    pub async fn due_schedules(&self, now: OffsetDateTime) -> Result<Vec<ScheduleRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM holdfast.schedule WHERE NOT paused AND next_at <= $1 ORDER BY next_at FOR UPDATE SKIP LOCKED"
        );
        self.tx.query_all_raw(statement(&sql, vec![now.into()])).await?.iter().map(read).collect()
    }

    /// Notes what becomes of a due time; false when it was noted before.
    pub async fn note_run(
        &self,
        schedule: i64,
        due_at: OffsetDateTime,
        outcome: &str,
        job: Option<i64>,
    ) -> Result<bool, Error> {
        let sql = "INSERT INTO holdfast.schedule_run (schedule_id, due_at, outcome, job_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let values = vec![schedule.into(), due_at.into(), outcome.into(), job.into()];
        Ok(self.tx.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Notes due times of which no job came; `until`: the last one that the last of them stands for.
    pub async fn note_missed(
        &self,
        schedule: i64,
        due: &[OffsetDateTime],
        until: Option<OffsetDateTime>,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.schedule_run (schedule_id, due_at, outcome, until_at) \
            SELECT $1, due, 'missed', CASE WHEN place = cardinality($2::timestamptz[]) THEN $3::timestamptz END \
            FROM unnest($2::timestamptz[]) WITH ORDINALITY AS all_due(due, place) ON CONFLICT DO NOTHING";
        self.tx.execute_raw(statement(sql, vec![schedule.into(), due.to_vec().into(), until.into()])).await?;
        Ok(())
    }

    /// Moves a schedule to its next due time.
    pub async fn set_next(&self, schedule: i64, next_at: OffsetDateTime) -> Result<(), Error> {
        self.tx
            .execute_raw(statement(
                "UPDATE holdfast.schedule SET next_at = $2 WHERE id = $1",
                vec![schedule.into(), next_at.into()],
            ))
            .await?;
        Ok(())
    }
}

fn read(row: &QueryResult) -> Result<ScheduleRow, Error> {
    Ok(ScheduleRow {
        id: row.try_get("", "id")?,
        kind: row.try_get("", "kind")?,
        tenant: row.try_get::<Option<uuid::Uuid>>("", "tenant_id")?.map(TenantId),
        cron: row.try_get("", "cron")?,
        paused: row.try_get("", "paused")?,
        next_at: row.try_get("", "next_at")?,
    })
}
