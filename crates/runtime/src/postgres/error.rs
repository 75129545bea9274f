//! What can go wrong with the managed Postgres, each with what to do.

use std::io;
use std::path::PathBuf;

use crate::exit::Code;

/// The managed Postgres cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No programs at all.
    #[error(
        "no PostgreSQL 15 to 18 found ({looked}); install the package postgresql, or set postgres_bin to the folder with initdb and postgres"
    )]
    NoBinaries {
        /// Where it was looked for.
        looked: String,
    },
    /// The data directory belongs to a version that is not installed.
    #[error("the database in {} was made by PostgreSQL {found}, and only {available} is here; install postgresql-{found} or set postgres_bin to its folder", path.display())]
    OtherMajor {
        /// The data directory.
        path: PathBuf,
        /// Its major version.
        found: String,
        /// The versions that are installed.
        available: String,
    },
    /// The data directory belongs to another user.
    #[error("the database in {} belongs to user {owner}, but Postgres would run as {wanted}; run as that user, or as root: chown -R {wanted} {}", path.display(), path.display())]
    Owner {
        /// The data directory.
        path: PathBuf,
        /// User id of its owner.
        owner: u32,
        /// User id that Postgres would have.
        wanted: u32,
    },
    /// Others may enter the data directory.
    #[error("the database in {} is open to others (mode {mode:04o}); close it: chmod 0700 {}", path.display(), path.display())]
    Mode {
        /// The data directory.
        path: PathBuf,
        /// Its present mode.
        mode: u32,
    },
    /// There is something else in its place.
    #[error("{} is not empty and not a PostgreSQL data directory; move it away or choose another --data", path.display())]
    NotCluster {
        /// The folder.
        path: PathBuf,
    },
    /// No user to run it as.
    #[error(
        "Postgres refuses to run as root and there is neither a user postgres nor nobody; create one: useradd --system postgres"
    )]
    NoAccount,
    /// A step on files failed.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was being done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// `initdb` or the set-up failed.
    #[error("cannot create the database: {said}")]
    Initialise {
        /// What it said last.
        said: String,
    },
    /// The server does not start.
    #[error("the database does not start: {said} (log: {})", log.display())]
    Start {
        /// What it said last.
        said: String,
        /// Its log.
        log: PathBuf,
    },
    /// A server from an earlier run does not stop.
    #[error("a PostgreSQL of an earlier run (process {process}) on {} does not stop; end it, then try again", path.display())]
    Lingering {
        /// Its process id.
        process: i32,
        /// The data directory.
        path: PathBuf,
    },
    /// The owner of the data folder says nothing about its database.
    #[error("the running holdfast on this data folder does not offer its database ({}); see its log", path.display())]
    NotOffered {
        /// The file that should say where it is.
        path: PathBuf,
    },
}

impl Error {
    /// The exit code of a command that fails with it.
    pub fn exit(&self) -> Code {
        match self {
            Self::Start { .. } | Self::NotOffered { .. } => Code::Unreachable,
            Self::Lingering { .. } => Code::Conflict,
            _ => Code::Failed,
        }
    }

    pub(super) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
