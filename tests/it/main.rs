//! Journeys through the real executable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod drills;
mod flights;
mod isolation;
mod journeys;
mod replay;
mod support;
