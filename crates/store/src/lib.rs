//! All our SQL, and the only way to a tenant's rows.
//!
//! Two drivers, two jobs: the control plane (`control`, `Registry`) goes through sea-orm; everything of a tenant goes
//! through [`TenantTx`], which is made only from a [`TenantScope`] that says why. Points and imports use [`Snapshot`]
//! and [`Load`].

mod abandoned;
mod ahead;
mod apart;
mod audit;
mod baseline;
mod changes;
mod check;
mod config;
pub mod control;
mod error;
pub mod foreign;
pub mod graft;
mod health;
mod hot;
mod import;
mod instance;
mod ledger;
mod listen;
mod load;
mod mirror;
mod pool;
mod proof;
mod provision;
mod registry;
mod remains;
mod schema;
mod scope;
mod search_index;
mod sketches;
mod snapshot;
mod store;
mod swap;
pub mod tenant;
mod turns;
mod tx;
mod upgrade;
mod upkeep;
mod yielding;

pub use abandoned::Held;
pub use apart::MembersApart;
pub use audit::AuditEvent;
pub use baseline::{Baseline, Stretch};
pub use changes::Changed;
pub use config::{Config, ConfigError, Limits};
pub use error::{Error, count_errors};
pub use health::{ServerFacts, WalArchiving};
pub use hot::{Hot, Proof};
pub use instance::{ControlLoad, Returning};
pub use ledger::Replayed;
pub use listen::LIVE_BYTES;
pub use load::{CopySink, Load};
pub use mirror::{FileVersion, MirrorLag};
pub use provision::Removal;
pub use registry::{Registry, TenantChange};
pub use remains::Remainder;
pub use schema::{CONTROL_VERSION, TENANT_VERSION};
pub use scope::TenantScope;
pub use snapshot::{Column, CopyOut, Snapshot, SnapshotInfo, Table};
pub use store::Store;
pub use swap::{CopyOf, SwapPlan, SwapRow};
pub use tx::{Param, Statement, TenantTx};
pub use upgrade::{Behind, StepRow, TenantStep};
pub use upkeep::Vacuumed;

pub use tokio_postgres::Row;
pub use tokio_postgres::types::{ToSql, Type};
