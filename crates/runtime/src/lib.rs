//! What a process of ours stands on: settings, logging, printing, exit codes, TLS, metrics, shutdown, the data folder,
//! the sandbox, and the managed Postgres and S3 of the embedded default.

pub mod data_dir;
pub mod exit;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod postgres;
pub mod printer;
pub mod s3;
pub mod sandbox;
pub mod settings;
pub mod shutdown;
pub mod space;
pub mod tls;
