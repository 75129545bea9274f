//! Journeys through the real executable: what a user does, from outside, with nothing replaced.
//!
//! The long counts have `soak` in their name and are left out of `make test`; `make soak` runs them.

mod ages;
mod bad_input;
mod certificates;
mod changes;
mod cluster;
mod console;
mod damage;
mod demo;
mod dump;
mod histories;
mod http;
mod instance;
mod interrupted;
mod journey;
mod kills;
mod left_over;
mod locks;
mod memos;
mod metrics;
mod mirror;
mod newer;
mod offline;
mod plan;
mod process;
mod read_only;
mod reading;
mod revoked;
mod roundtrip;
mod rules;
mod schedules;
mod service_manager;
mod side_by_side;
mod store_faults;
mod under_units;
mod weed;
mod writers;
