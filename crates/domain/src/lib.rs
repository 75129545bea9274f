//! The ground everything stands on: ids, notes, members, tenants, visibility, clock and chance.
//!
//! Nothing here reads, writes or waits: no I/O, no async. Every other crate may depend on this one.

pub mod chance;
pub mod clock;
pub mod diff;
pub mod filter;
pub mod id;
pub mod member;
pub mod note;
pub mod retention;
pub mod sketch;
pub mod tenant;
