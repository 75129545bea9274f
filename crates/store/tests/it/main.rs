//! The store against a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod drawn;
mod filters;
mod flights;
mod isolation;
mod sketches;
mod swaps;
mod units;
