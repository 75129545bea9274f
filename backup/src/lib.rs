//! Restore points: taking, verifying, restoring and rehearsing them. Library first, then jobs, then the command line.

mod asked;
mod changed;
pub mod cli;
mod compare;
mod context;
mod copies;
mod diff;
pub mod drill;
mod dump;
mod error;
pub mod format;
mod instance;
pub mod keys;
mod lineage;
mod list;
mod mirror;
mod purge;
mod reread;
pub mod restore;
pub mod retention;
mod rotate;
pub mod seal;
mod signers;
pub mod snapshot;
pub mod source;
mod swap;
mod upgrade;
pub mod verify;
mod work;

pub use changed::{pick_up_changed, pick_up_control, pick_up_once};
pub use compare::TableResult;
pub use context::Backup;
pub use copies::{CopyReport, keep_copies};
pub use diff::{Changed, CompareReport, Difference, Names, Outline};
pub use drill::{DrillOptions, DrillReport, Fault, Verdict};
pub use dump::{DumpReport, DumpSource};
pub use error::Error;
pub use instance::{InstanceReport, TenantBack};
pub use keys::{EscrowSheet, KeyDirectory, Sheet};
pub use lineage::{Lineage, Share};
pub use list::PointLine;
pub use mirror::{MirrorLine, MirrorPlaces, MirrorReport, keep_mirrors};
pub use purge::{Certificate, PurgeReport};
pub use reread::keep_reading;
pub use restore::{Part, PartReport, RestoreOptions, RestoreReport};
pub use retention::{Policy, PruneReport};
pub use rotate::RotateReport;
pub use signers::{DistrustReport, SigningReport};
pub use snapshot::{CONTROL_SLUG, PointOptions, PointReport};
pub use swap::SwapReport;
pub use upgrade::{ApplyReport, RollbackReport, Stepped};
pub use verify::{Problem, ProblemKind, VerifyReport};
pub use work::handlers;

#[cfg(test)]
mod tests;
