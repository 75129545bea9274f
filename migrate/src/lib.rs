//! A Memos installation becomes a tenant: check, read, map, write, verify, report; and a sample to try it with.
//!
//! The source is never touched: a private copy is read (`reader::stage`), column by column (`reader`), mapped by pure
//! functions (`map`), written by COPY into a fresh schema (`write`) and read back (`verify`). A check goes the same way
//! without the last two steps, so that it predicts what a run reports.

mod check;
pub mod cli;
mod error;
mod lifecycle;
pub mod map;
mod pipeline;
pub mod reader;
mod report;
pub mod row;
pub mod sample;
pub mod table;
mod verify;
mod write;

pub use check::{Source, check};
pub use error::Error;
pub use lifecycle::{open_tenant, rollback};
pub use report::{Finding, Findings, Report, SourceInfo, Verified};
pub use write::{FileKeys, House, Run, run};
