//! The members' side against a real Postgres and a real file store.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod files;
mod house;
mod links;
mod notes;
