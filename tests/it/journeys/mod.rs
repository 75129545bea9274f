//! Journeys through the real executable: what a user does, from outside, with nothing replaced.
//!
//! The long counts have `soak` in their name and are left out of `make test`; `make soak` runs them.

mod bad_input;
mod changes;
mod cluster;
mod damage;
mod demo;
mod dump;
mod http;
mod instance;
mod interrupted;
mod journey;
mod kills;
mod memos;
mod offline;
mod plan;
mod process;
mod reading;
mod schedules;
mod weed;
mod writers;
