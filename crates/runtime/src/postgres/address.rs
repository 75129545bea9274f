//! How to reach the managed Postgres, also for other processes on the same data folder.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::data_dir::{self, DataDir};

/// Port of the socket's name; the folder is our own, so it never clashes.
pub(super) const PORT: u16 = 5432;
/// Role of the product: owns the database, may create roles, is no superuser.
pub(super) const USER: &str = "holdfast";
/// Database of the product.
pub(super) const DATABASE: &str = "holdfast";
/// Role for dumps and checks.
pub(super) const SUPERUSER: &str = "postgres";

/// Where the managed Postgres listens and as whom to speak to it. There is no password: the folder is the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Folder of the Unix socket.
    pub socket_dir: PathBuf,
    /// Port in the socket's name.
    pub port: u16,
    /// Role of the product.
    pub user: String,
    /// Database of the product.
    pub database: String,
    /// Role for dumps and checks.
    pub superuser: String,
}

impl Address {
    pub(super) fn new(socket_dir: PathBuf) -> Self {
        Self {
            socket_dir,
            port: PORT,
            user: USER.to_owned(),
            database: DATABASE.to_owned(),
            superuser: SUPERUSER.to_owned(),
        }
    }

    /// As `database_url`: `postgres://holdfast@localhost/holdfast?host=/run/…&port=5432` (the query names the socket).
    pub fn url(&self) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("host", &self.socket_dir.to_string_lossy())
            .append_pair("port", &self.port.to_string())
            .finish();
        format!("postgres://{}@localhost/{}?{query}", self.user, self.database)
    }

    /// The socket itself.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Where the owner of a data folder says it.
    pub fn file(run: &Path) -> PathBuf {
        run.join("postgres.json")
    }

    pub(super) fn publish(&self, run: &Path) -> Result<(), Error> {
        let path = Self::file(run);
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        data_dir::write_private(&path, &text).map_err(Error::file("cannot write", path))
    }

    pub(super) fn withdraw(run: &Path) {
        // Best effort: a file that stays behind is not believed without a socket that answers.
        let _ = std::fs::remove_file(Self::file(run));
    }

    /// For guests of a data folder: waits at most `patience` until the owner's database answers.
    pub async fn attach(data: &DataDir, patience: Duration) -> Result<Self, Error> {
        let path = Self::file(&data.run());
        let deadline = Instant::now() + patience;
        loop {
            if let Some(address) = read(&path)
                && tokio::net::UnixStream::connect(address.socket()).await.is_ok()
            {
                return Ok(address);
            }
            if Instant::now() > deadline {
                return Err(Error::NotOffered { path });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn read(path: &Path) -> Option<Address> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_names_the_socket_folder() {
        let address = Address::new(PathBuf::from("/run/holdfast/0a1b2c3d"));
        assert_eq!(address.url(), "postgres://holdfast@localhost/holdfast?host=%2Frun%2Fholdfast%2F0a1b2c3d&port=5432");
    }
}
