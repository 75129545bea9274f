//! Where bytes are kept: one [`ObjectStore`] over S3 or a directory, the [`FileStore`] of live attachments, every key
//! layout in one place ([`keys`]) and the [`probe`] that asks a store what it really does.
//!
//! Nothing here reads settings or secrets: callers hand them over as values.

mod directory;
mod error;
mod files;
pub mod keys;
mod probe;
mod s3;
mod store;

pub use error::Error;
pub use files::{FileKey, FileStore, Stored};
pub use probe::{LifecycleRule, ProbeReport, probe};
pub use s3::S3Config;
pub use store::{Download, Head, Listed, ObjectStore, Purged, PutOptions, Reader, Version, Written};

/// Where an upload stops being one request and becomes several, and the size of its parts, in bytes.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
