//! Real parts for tests: a Postgres server shared by a test run, a database per test, the fixtures.
//!
//! Only dev-dependencies name this crate. It panics freely: a test that cannot be set up has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

pub mod directory;
pub mod faults;
pub mod fixtures;
pub mod oidc;
pub mod pg;
pub mod proxy;
pub mod smtp;
pub mod tls;
