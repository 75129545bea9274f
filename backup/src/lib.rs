//! Restore points: taking, verifying, restoring and rehearsing them. Library first, then jobs, then the command line.

mod compare;
mod context;
mod error;
pub mod format;
pub mod keys;
pub mod restore;
pub mod seal;
pub mod snapshot;
pub mod source;
pub mod verify;

pub use compare::TableResult;
pub use context::Backup;
pub use error::Error;

#[cfg(test)]
mod tests;
