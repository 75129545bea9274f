//! The embedded S3: an endpoint on loopback, in this process, whose objects are plain files.
//!
//! `<dir>/<bucket>/<key>` is the object and nothing else is needed to read it; unfinished writes live under
//! `<dir>/.holdfast`. What was answered with 200 is flushed to the disk, and no reader ever sees half an object.
//! One process owns a directory (a lock file says so); other processes talk to its endpoint.

mod answers;
mod disk;
mod endpoint;
mod incoming;
mod listing;
mod parts;
mod service;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs4::fs_std::FileExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use disk::Disk;
pub use endpoint::Endpoint;

/// How long requests that run may take after a stop was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// Why the embedded S3 could not start, or its description not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process serves this directory.
    #[error("{} is served by another process; stop it, or use its endpoint from run/endpoint.json", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; take another port or stop what listens there")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The file system failed.
    #[error("the file system failed at {}; check the disk and the rights of the service user", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `endpoint.json` is not what we write.
    #[error("{} is damaged; stop the server, delete the file and start again", path.display())]
    BadEndpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// A running embedded S3. Dropped, it stops accepting; [`S3Server::stop`] also waits for what runs.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    stop: CancellationToken,
    accepting: Option<tokio::task::JoinHandle<()>>,
    /// Held as long as we own the directory.
    _lock: std::fs::File,
}

impl S3Server {
    /// Serves `dir` (made when missing) at `listen`, port 0 for any free one, to whoever signs with the given keys.
    pub async fn start(dir: &Path, listen: SocketAddr, access_key: &str, secret_key: &str) -> Result<Self, Error> {
        let root = dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&root)).await;
        let (disk, lock) = opened.map_err(|e| Error::Io { path: dir.to_owned(), source: io::Error::other(e) })??;
        let listening = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let mut builder = S3ServiceBuilder::new(service::Files::new(disk));
        builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, builder.build(), stop.clone()));
        Ok(Self { address, stop, accepting: Some(accepting), _lock: lock })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address`, what a client takes as its endpoint (path style, any region).
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting and waits, ten seconds at most, for the requests that run.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.await;
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Takes the directory for ourselves and clears what a killed predecessor left unfinished.
fn open(root: &Path) -> Result<(Arc<Disk>, std::fs::File), Error> {
    let broken = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let hidden = root.join(disk::HIDDEN);
    std::fs::create_dir_all(&hidden).map_err(broken(&hidden))?;
    let path = hidden.join("lock");
    let lock = std::fs::File::create(&path).map_err(broken(&path))?;
    match FileExt::try_lock_exclusive(&lock) {
        Ok(true) => {}
        Ok(false) => return Err(Error::InUse { dir: root.to_owned() }),
        Err(source) => return Err(Error::Io { path, source }),
    }
    Ok((Arc::new(Disk::open(root).map_err(broken(root))?), lock))
}

async fn accept(listener: TcpListener, service: S3Service, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, service.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded S3 could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("requests to the embedded S3 were cut off after {} s", GRACE.as_secs());
    }
}

async fn serve(stream: TcpStream, service: S3Service, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the embedded S3 broke off");
            }
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_process_owns_a_directory_until_it_stops() {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let first = S3Server::start(dir.path(), listen, "key", "secret").await.unwrap();
        let second = S3Server::start(dir.path(), listen, "key", "secret").await;
        assert!(matches!(second, Err(Error::InUse { .. })));
        first.stop().await;
        S3Server::start(dir.path(), listen, "key", "secret").await.unwrap().stop().await;
    }
}
