//! Journeys through the real executable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]
// Tests are read as stories; the finer points of style bind the product only.
#![allow(clippy::pedantic, clippy::type_complexity)]

mod bombs;
mod compatibility;
mod dialects;
mod drills;
mod flights;
mod identity;
mod isolation;
mod journeys;
mod limits;
mod live;
mod mail;
mod mcp;
mod openapi;
mod refusals;
mod replay;
mod speech;
mod support;
mod upkeep;
mod uploads;
mod webhooks;
