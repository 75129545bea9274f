//! The job queue's rows.

use domain::id::TenantId;
use sea_orm::{ConnectionTrait, QueryResult};
use serde_json::Value;
use time::OffsetDateTime;

use super::cancel::Hold;
use super::{Control, ControlTx, statement};
use crate::error::Error;

/// A job as stored.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// Its number.
    pub id: i64,
    /// Which handler it is for.
    pub kind: String,
    /// Which tenant it is about, if one.
    pub tenant: Option<TenantId>,
    /// The message.
    pub payload: Value,
    /// queued, running, done, failed or cancelled.
    pub state: String,
    /// Which try this is, from 1.
    pub attempts: i32,
    /// What the handler last said of its progress.
    pub progress: Option<Value>,
    /// What the handler gave back.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: OffsetDateTime,
    /// Who wants it cancelled.
    pub cancel_by: Option<String>,
    /// It has passed its point of no return.
    pub settled: bool,
}

/// A job to be asked for.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    /// Which handler.
    pub kind: &'a str,
    /// Which tenant.
    pub tenant: Option<TenantId>,
    /// The message.
    pub payload: Value,
    /// While a job with this key waits or runs, another is not added.
    pub once_key: Option<&'a str>,
    /// Tries in all.
    pub max_attempts: i32,
    /// Nobody takes it before; none: at once.
    pub not_before: Option<OffsetDateTime>,
}

pub(super) const COLUMNS: &str =
    "id, kind, tenant_id, payload, state, attempts, progress, result, error, created_at, cancel_by, settled";

/// The same work that only waits for its time is done now where it is asked for now: whoever asks shall not wait for a schedule.
const ENQUEUE: &str = "INSERT INTO holdfast.job (kind, tenant_id, payload, once_key, max_attempts, run_at) \
    VALUES ($1, $2, $3, $4, $5, coalesce($6, now())) \
    ON CONFLICT (once_key) WHERE once_key IS NOT NULL AND state IN ('queued', 'running') \
    DO UPDATE SET payload = excluded.payload, run_at = excluded.run_at \
    WHERE job.state = 'queued' AND job.attempts = 0 AND job.run_at > excluded.run_at RETURNING id";

async fn enqueue(db: &impl ConnectionTrait, job: &NewJob<'_>) -> Result<Option<i64>, Error> {
    let values = vec![
        job.kind.into(),
        job.tenant.map(|id| id.0).into(),
        job.payload.clone().into(),
        job.once_key.map(ToOwned::to_owned).into(),
        job.max_attempts.into(),
        job.not_before.into(),
    ];
    let row = db.query_one_raw(statement(ENQUEUE, values)).await?;
    row.map(|row| row.try_get("", "id").map_err(Error::from)).transpose()
}

impl ControlTx {
    /// Adds a job within this transaction; none when one with the same key waits or runs.
    pub async fn enqueue(&self, job: &NewJob<'_>) -> Result<Option<i64>, Error> {
        enqueue(&self.tx, job).await
    }
}

impl Control {
    /// Adds a job; none when one with the same key waits or runs.
    pub async fn enqueue(&self, job: &NewJob<'_>) -> Result<Option<i64>, Error> {
        enqueue(&self.db, job).await
    }

    /// Takes the next due job of these kinds, or one whose lease ran out, and holds it for `lease` seconds. One whose
    /// lease ran out on its last try has failed: a job that ends its worker is not tried for ever.
    pub async fn claim_job(&self, kinds: &[String], worker: &str, lease: i64) -> Result<Option<JobRow>, Error> {
        let sql = format!(
            "WITH lost AS (UPDATE holdfast.job SET state = 'failed', error = 'its worker ended in the middle', lease_until = NULL, finished_at = now() \
             WHERE kind = ANY($1) AND state = 'running' AND lease_until < now() AND attempts >= max_attempts) \
             UPDATE holdfast.job SET state = 'running', worker = $2, attempts = attempts + 1, lease_until = now() + make_interval(secs => $3::double precision) \
             WHERE id = (SELECT id FROM holdfast.job WHERE kind = ANY($1) AND ((state = 'queued' AND run_at <= now()) \
             OR (state = 'running' AND lease_until < now() AND attempts < max_attempts)) ORDER BY run_at, id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING {COLUMNS}"
        );
        let row = self
            .db
            .query_one_raw(statement(&sql, vec![kinds.to_vec().into(), worker.into(), (lease as f64).into()]))
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Renews the lease and stores progress.
    pub async fn hold_job(
        &self,
        job: &JobRow,
        worker: &str,
        lease: i64,
        progress: Option<Value>,
    ) -> Result<Hold, Error> {
        let sql = "UPDATE holdfast.job SET lease_until = now() + make_interval(secs => $4::double precision), progress = coalesce($5, progress) \
            WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running' \
            RETURNING cancel_by IS NOT NULL AND NOT settled AS cancelled";
        let values = vec![job.id.into(), worker.into(), job.attempts.into(), (lease as f64).into(), progress.into()];
        let row = self.db.query_one_raw(statement(sql, values)).await?;
        let cancelled: Option<bool> = row.map(|row| row.try_get("", "cancelled")).transpose()?;
        Ok(cancelled.map_or(Hold::Lost, |cancelled| if cancelled { Hold::Cancelled } else { Hold::Kept }))
    }

    /// Ends the job well.
    pub async fn finish_job(&self, job: &JobRow, worker: &str, result: &Value) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.job SET state = 'done', result = $4, finished_at = now(), lease_until = NULL \
            WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'";
        let values = vec![job.id.into(), worker.into(), job.attempts.into(), result.clone().into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Ends this try badly: tried again after `delay` seconds while tries are left, otherwise failed for good.
    pub async fn fail_job(&self, job: &JobRow, worker: &str, error: &str, delay: i64) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.job SET state = CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'queued' END, error = $4, \
            run_at = now() + make_interval(secs => $5::double precision), lease_until = NULL, \
            finished_at = CASE WHEN attempts >= max_attempts THEN now() END \
            WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'";
        let values = vec![job.id.into(), worker.into(), job.attempts.into(), error.into(), (delay as f64).into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Gives a job back to the queue as if this try had never been.
    pub async fn release_job(&self, job: &JobRow, worker: &str) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.job SET state = 'queued', attempts = attempts - 1, lease_until = NULL, worker = NULL \
            WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'";
        let values = vec![job.id.into(), worker.into(), job.attempts.into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Puts the job back as if this try had not been, to be taken again after `delay` seconds.
    pub async fn defer_job(&self, job: &JobRow, worker: &str, delay: i64) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.job SET state = 'queued', attempts = attempts - 1, lease_until = NULL, \
            run_at = now() + make_interval(secs => $4::double precision) \
            WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'";
        let values = vec![job.id.into(), worker.into(), job.attempts.into(), (delay as f64).into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// The job with this number.
    pub async fn find_job(&self, id: i64) -> Result<Option<JobRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM holdfast.job WHERE id = $1");
        let row = self.db.query_one_raw(statement(&sql, vec![id.into()])).await?;
        row.as_ref().map(read).transpose()
    }

    /// The newest jobs of these kinds about a tenant (or about any).
    pub async fn list_jobs(
        &self,
        kinds: &[String],
        tenant: Option<TenantId>,
        limit: i64,
    ) -> Result<Vec<JobRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM holdfast.job WHERE kind = ANY($1) AND ($2::uuid IS NULL OR tenant_id = $2) ORDER BY id DESC LIMIT $3"
        );
        let rows = self
            .db
            .query_all_raw(statement(&sql, vec![kinds.to_vec().into(), tenant.map(|id| id.0).into(), limit.into()]))
            .await?;
        rows.iter().map(read).collect()
    }

    /// Number of jobs by state, for metrics.
    pub async fn count_jobs(&self) -> Result<Vec<(String, i64)>, Error> {
        let rows = self
            .db
            .query_all_raw(statement("SELECT state, count(*) AS jobs FROM holdfast.job GROUP BY state", Vec::new()))
            .await?;
        rows.iter().map(|row| Ok((row.try_get("", "state")?, row.try_get("", "jobs")?))).collect()
    }
}

pub(super) fn read(row: &QueryResult) -> Result<JobRow, Error> {
    Ok(JobRow {
        id: row.try_get("", "id")?,
        kind: row.try_get("", "kind")?,
        tenant: row.try_get::<Option<uuid::Uuid>>("", "tenant_id")?.map(TenantId),
        payload: row.try_get("", "payload")?,
        state: row.try_get("", "state")?,
        attempts: row.try_get("", "attempts")?,
        progress: row.try_get("", "progress")?,
        result: row.try_get("", "result")?,
        error: row.try_get("", "error")?,
        created_at: row.try_get("", "created_at")?,
        cancel_by: row.try_get("", "cancel_by")?,
        settled: row.try_get("", "settled")?,
    })
}
