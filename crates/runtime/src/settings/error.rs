//! What can be wrong with settings. Every sentence says where the value came from and what to do.

use std::path::PathBuf;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}; check the path and its rights", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration file is not TOML.
    #[error("the configuration file {} is not valid TOML, line {line}: {what}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        what: String,
    },
    /// A key that does not exist.
    #[error("unknown setting {key} ({origin}){}", suggestion(.nearest.as_deref()))]
    Unknown {
        /// As written.
        key: String,
        /// File, environment or flag.
        origin: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value that cannot be used.
    #[error("{key} ({origin}): {what}")]
    Value {
        /// The setting.
        key: &'static str,
        /// File, environment or flag.
        origin: String,
        /// What is wrong and what is expected.
        what: String,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Together(String),
    /// The file with a secret cannot be read.
    #[error("cannot read the secret in {}: {source}; check the path and its rights", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file with a secret is empty.
    #[error("the secret file {} is empty; write the secret into it", path.display())]
    SecretEmpty {
        /// The file.
        path: PathBuf,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => "; `holdfast config show` lists the known ones".to_owned(),
    }
}
