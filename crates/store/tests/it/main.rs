//! The store against a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod isolation;
mod units;
