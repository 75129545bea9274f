//! A Postgres of our own: found, initialised, started as an unprivileged user, watched and stopped.
//!
//! It listens on a Unix socket in a folder that only its user may enter, never on TCP. The product uses the role
//! `holdfast`, which is no superuser; the superuser exists for dumps and checks of the embedded default.

mod account;
mod address;
mod binaries;
mod cluster;
mod configuration;
mod error;
mod initialise;
mod keeper;
mod launch;
mod leftover;
mod socket;

pub use address::Address;
pub use binaries::{Binaries, SUPPORTED};
pub use cluster::{Cluster, Spec};
pub use error::Error;
