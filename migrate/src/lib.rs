//! A Memos installation becomes a tenant: check, read, map, write, verify, report; and a sample to try it with.
//!
//! The source is never touched: a private copy is read (`reader::stage`), column by column (`reader`), mapped by pure
//! functions (`map`), written by COPY into a fresh schema (`write`) and read back (`verify`). A check goes the same way
//! without the last two steps, so that it predicts what a run reports.

mod batches;
mod catch_up;
mod check;
pub mod cli;
mod error;
mod export;
mod lifecycle;
pub mod map;
mod pipeline;
mod plan;
pub mod policy;
pub mod reader;
mod report;
pub mod row;
pub mod sample;
mod sampled;
mod spool;
mod stopwatch;
pub mod table;
mod verify;
mod watch;
mod write;
mod writer;

pub use catch_up::{Brought, CatchUp, Refused, catch_up};
pub use check::{Options, Source, check};
pub use error::Error;
pub use export::{Exported, Form, export};
pub use lifecycle::{open_tenant, rollback};
pub use plan::{Entry, Outcome, Plan, run_plan};
pub use reader::bucket::BucketAccess;
pub use report::{Estimate, Finding, Findings, MemberPlan, Phases, Report, SourceInfo, Verified};
pub use watch::{Step, Watch};
pub use write::{FileKeys, House, Reach, ReadBack, Run, run};
