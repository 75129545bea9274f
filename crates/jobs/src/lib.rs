//! Work that does not happen inside a request: a queue in Postgres, leases, schedules, and the messages themselves.
//!
//! Message structs live here so that any roof may ask for work; the handlers live in the roof that does it.

mod asked;
mod context;
mod cron;
mod message;
mod runner;
mod schedule;
mod spread;
#[cfg(test)]
mod tests;

pub use store::control::jobs::JobRow;

pub use asked::{CompareTenants, Part, RestorePart, RestorePoint, SurveyPoints, SwapTenants, VerifyPoint};
pub use context::Context;
pub use cron::{Cron, CronError};
pub use message::{BackupTenant, DrillTenant, DumpDatabase, EachTenant, Kind, Outgoing, PrunePoints, Trigger, kind};
pub use runner::{Failure, Handler, Outcome, Runner, enqueue};
pub use schedule::{Scheduler, enqueue_due};
