//! Restore points: taking, verifying, restoring and rehearsing them. Library first, then jobs, then the command line.

mod changed;
pub mod cli;
mod compare;
mod context;
mod diff;
pub mod drill;
mod dump;
mod error;
pub mod format;
pub mod keys;
mod list;
pub mod restore;
pub mod retention;
pub mod seal;
pub mod snapshot;
pub mod source;
mod swap;
pub mod verify;
mod work;

pub use changed::{pick_up_changed, pick_up_once};
pub use compare::TableResult;
pub use context::Backup;
pub use diff::{Changed, CompareReport, Difference};
pub use drill::{DrillOptions, DrillReport, Fault, Verdict};
pub use dump::{DumpReport, DumpSource};
pub use error::Error;
pub use keys::{EscrowSheet, KeyDirectory};
pub use list::PointLine;
pub use restore::{Part, PartReport, RestoreOptions, RestoreReport};
pub use retention::{Policy, PruneReport};
pub use snapshot::{PointOptions, PointReport};
pub use swap::SwapReport;
pub use verify::{Problem, ProblemKind, VerifyReport};
pub use work::handlers;

#[cfg(test)]
mod tests;
