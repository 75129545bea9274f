//! What can go wrong between us and a store, each said in one sentence that names the next step.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of a store. The text is for operators: lower-case, without secrets, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is not there.
    #[error("there is no object {key:?} in the store; list its prefix to see what is there")]
    NotFound {
        /// The key that was asked for.
        key: String,
    },
    /// A put that had to create found an object there already.
    #[error("an object {key:?} is already in the store; take another key or delete that one first")]
    Exists {
        /// The key that is taken.
        key: String,
    },
    /// The bytes that were asked for lie outside the object.
    #[error("the range lies outside of object {key:?}; ask for its size first")]
    OutOfRange {
        /// The object.
        key: String,
    },
    /// No proper answer came: no route, wrong certificate, time-out, or the store itself failed.
    #[error(
        "the store at {endpoint} cannot be reached or does not answer properly; check store_endpoint, the network and the store's certificate"
    )]
    Unreachable {
        /// The store's address.
        endpoint: String,
        /// What the client saw.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The credentials are wrong or lack a right.
    #[error("the store denied {action} ({code}); check the access key, the secret key and what they may do")]
    Denied {
        /// What was tried.
        action: String,
        /// The store's own word for it.
        code: String,
    },
    /// The bucket does not exist.
    #[error("there is no bucket {bucket:?}; create it or correct store_bucket")]
    NoBucket {
        /// The bucket that was asked for.
        bucket: String,
    },
    /// No room is left.
    #[error("the store is full; free space or raise its quota, then try again")]
    Full,
    /// The store received or holds other bytes than were sent.
    #[error("the bytes of {key:?} did not arrive as they were sent; try again, then check the line and the disks")]
    Altered {
        /// The object.
        key: String,
    },
    /// The store understood and said no.
    #[error("the store refused {action} ({code}: {message}); run `holdfast store probe` to see what it supports")]
    Refused {
        /// What was tried.
        action: String,
        /// The store's own word for it.
        code: String,
        /// The store's own sentence, perhaps empty.
        message: String,
    },
    /// The key cannot name an object in every kind of store.
    #[error("{key:?} cannot be a key: {reason}; use segments of 1 to 255 bytes between slashes, 1024 bytes in all")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting of the store makes no sense.
    #[error("the store cannot be set up: {0}")]
    Setup(String),
    /// The bytes to be stored could not be read; nothing was stored.
    #[error("reading the bytes to be stored failed, so nothing was stored; see the cause and try again")]
    Source(#[source] io::Error),
    /// The file system failed below a directory store.
    #[error("the file system failed at {}; check the disk and the rights of the service user", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Sorts a failure of the file system at `path`.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { action: format!("the use of {}", path.display()), code: source.to_string() }
            }
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    /// Whether trying the same again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Altered { .. })
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::NotFound { .. } => io::ErrorKind::NotFound,
            Error::Denied { .. } => io::ErrorKind::PermissionDenied,
            Error::Full => io::ErrorKind::StorageFull,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
