//! Restore points: taking, verifying, restoring and rehearsing them. Library first, then jobs, then the command line.

pub mod cli;
mod compare;
mod context;
pub mod drill;
mod dump;
mod error;
pub mod format;
pub mod keys;
mod list;
pub mod restore;
pub mod seal;
pub mod snapshot;
pub mod source;
pub mod verify;
mod work;

pub use compare::TableResult;
pub use context::Backup;
pub use drill::{DrillOptions, DrillReport, Fault, Verdict};
pub use dump::{DumpReport, DumpSource};
pub use error::Error;
pub use keys::{EscrowSheet, KeyDirectory};
pub use list::PointLine;
pub use restore::{RestoreOptions, RestoreReport};
pub use snapshot::{PointOptions, PointReport};
pub use verify::{Problem, ProblemKind, VerifyReport};
pub use work::handlers;

#[cfg(test)]
mod tests;
