//! The one folder of the embedded default: its layout, and who owns it at the moment.
//!
//! The first process on a folder owns it and runs Postgres and the S3 endpoint; later ones are guests and use them. An
//! owner that wants to leave waits for its guests, so a short command never loses its database to another short command.

mod lock;

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use lock::{Claim, Guest, Owner};

use crate::exit::Code;

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It, or a folder in it, cannot be made or entered.
    #[error("cannot use the data folder {}: {source}; choose another with --data or change its rights", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process runs on it, and this one has to be the only one.
    #[error("the data folder {} is in use by process {owner}; stop that one first or choose another with --data", path.display())]
    Owned {
        /// The folder.
        path: PathBuf,
        /// Its process id, or "unknown".
        owner: String,
    },
    /// The owner is leaving and does not finish.
    #[error("the process on the data folder {} does not finish; see whether it hangs, then try again", path.display())]
    Leaving {
        /// The folder.
        path: PathBuf,
    },
}

impl Error {
    /// The exit code of a command that fails with it.
    pub fn exit(&self) -> Code {
        match self {
            Self::Folder { .. } => Code::Failed,
            Self::Owned { .. } | Self::Leaving { .. } => Code::Conflict,
        }
    }
}

/// The folder of `--data`. Everything in it is made for its owner alone (0700).
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// Makes the folder and those in it where missing. The path becomes absolute.
    pub fn open(path: &Path) -> Result<Self, Error> {
        make_private(path)?;
        let root = path.canonicalize().map_err(|source| Error::Folder { path: path.to_owned(), source })?;
        let data = Self { root };
        for folder in [data.objects(), data.files(), data.keys(), data.reports(), data.run()] {
            make_private(&folder)?;
        }
        Ok(data)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration file that is read when no other is named.
    pub fn config(&self) -> PathBuf {
        self.root.join("holdfast.toml")
    }

    /// Data directory of the managed Postgres; made by it, not by `open`.
    pub fn postgres(&self) -> PathBuf {
        self.root.join("pg")
    }

    /// Root of the managed S3: `s3/<bucket>/<key>`.
    pub fn objects(&self) -> PathBuf {
        self.root.join("s3")
    }

    /// Bytes of live attachments.
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// Recipients and the drill identity.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Import and drill reports.
    pub fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    /// Locks, addresses and logs of what runs now.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where the managed S3 says how to reach it.
    pub fn endpoint_file(&self) -> PathBuf {
        self.run().join("endpoint.json")
    }
}

/// Makes a folder (and its parents) that only its owner may enter; an existing one is left as it is.
pub fn make_private(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = |source| Error::Folder { path: path.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    // The mode above is cut by the umask; a stricter umask would lock us out.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Writes a small file whole or not at all, readable by its owner alone.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}
