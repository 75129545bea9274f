//! `run/endpoint.json`: how other commands on the same data directory find the embedded S3.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;

/// Where the embedded S3 listens. Holds no secret; the keys are in files of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `http://address:port`.
    pub url: String,
    /// The bucket.
    pub bucket: String,
    /// The region to sign with.
    pub region: String,
    /// The process that serves it.
    pub pid: u32,
}

impl Endpoint {
    /// Reads the file; `None` when there is none, so nothing is served.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| Error::BadEndpoint { path: path.to_owned(), source }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path: path.to_owned(), source }),
        }
    }

    /// Writes the file in one step, so that nobody reads half of it.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let broken = |source| Error::Io { path: path.to_owned(), source };
        let bytes = serde_json::to_vec_pretty(self).map_err(|e| broken(e.into()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(broken)?;
        draft.write_all(&bytes).map_err(broken)?;
        draft.persist(path).map_err(|e| broken(e.error))?;
        Ok(())
    }

    /// Removes the file; one that is missing is fine.
    pub fn remove(path: &Path) -> Result<(), Error> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::Io { path: path.to_owned(), source: e }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("endpoint.json");
        assert_eq!(Endpoint::read(&path).unwrap(), None);
        let endpoint = Endpoint {
            url: "http://127.0.0.1:9".into(),
            bucket: "holdfast".into(),
            region: "us-east-1".into(),
            pid: 7,
        };
        endpoint.write(&path).unwrap();
        assert_eq!(Endpoint::read(&path).unwrap(), Some(endpoint));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Endpoint::read(&path), Err(Error::BadEndpoint { .. })));
        Endpoint::remove(&path).unwrap();
        Endpoint::remove(&path).unwrap();
    }
}
