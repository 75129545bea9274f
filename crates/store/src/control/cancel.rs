//! Runs that are cancelled: asked for by an operator, heard by whoever carries the run out, refused after its point of no
//! return.

use sea_orm::ConnectionTrait;

use super::jobs::JobRow;
use super::{Control, ControlTx, statement};
use crate::error::Error;

/// Whether a worker still holds its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It does.
    Kept,
    /// It does, and somebody wants the run to end before its point of no return.
    Cancelled,
    /// Another worker has taken the job over.
    Lost,
}

/// What became of the wish to cancel a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelling {
    /// It had not begun, and never will.
    Cancelled,
    /// Whoever carries it out hears of it within a second or so.
    Asked,
    /// It has ended, has passed its point of no return, is being cancelled already, or is no run of these kinds.
    TooLate,
}

impl ControlTx {
    /// Asks for a run to be cancelled, in this transaction.
    pub async fn cancel_job(&self, id: i64, by: &str, kinds: &[&str]) -> Result<Cancelling, Error> {
        let sql = "UPDATE holdfast.job SET cancel_by = $2, \
            finished_at = CASE WHEN state = 'queued' THEN now() END, \
            state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END \
            WHERE id = $1 AND kind = ANY($3) AND state IN ('queued', 'running') AND NOT settled AND cancel_by IS NULL \
            RETURNING state";
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let row = self.tx.query_one_raw(statement(sql, vec![id.into(), by.into(), kinds.into()])).await?;
        let state: Option<String> = row.map(|row| row.try_get("", "state")).transpose()?;
        Ok(match state.as_deref() {
            Some("cancelled") => Cancelling::Cancelled,
            Some(_) => Cancelling::Asked,
            None => Cancelling::TooLate,
        })
    }
}

impl Control {
    /// The job's point of no return: from here on nobody can cancel it. False when somebody has, or when another worker has
    /// the job.
    pub async fn settle_job(&self, job: &JobRow, worker: &str) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.job SET settled = true \
            WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running' AND cancel_by IS NULL";
        let values = vec![job.id.into(), worker.into(), job.attempts.into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Notes that a run has ended because it was cancelled.
    pub async fn end_cancelled(&self, job: &JobRow, worker: &str) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.job SET state = 'cancelled', finished_at = now(), lease_until = NULL \
            WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'";
        let values = vec![job.id.into(), worker.into(), job.attempts.into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }
}
