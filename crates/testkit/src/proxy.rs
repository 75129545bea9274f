//! Relays between the product and Postgres, or another server, that count flights: how often a client speaks after it has been answered.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// How far away the server seems.
const DISTANCE: Duration = Duration::from_millis(5);

/// A running relay; its folder takes the place of the server's.
#[derive(Debug)]
pub struct CountingProxy {
    folder: tempfile::TempDir,
    flights: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl CountingProxy {
    /// Relays (needs a tokio runtime) `{folder}/.s.PGSQL.{port}` to the same name in `server`.
    pub fn start(server: &Path, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the relay");
        let name = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(folder.path().join(&name)).expect("the relay's socket");
        let target = server.join(&name);
        let (flights, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, opened) = (Arc::clone(&flights), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                let (target, counted) = (target.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Ok(server) = UnixStream::connect(target).await else { return };
                    relay(client, server, counted).await;
                });
            }
        });
        Self { folder, flights, connections }
    }

    /// The folder to connect to.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Flights so far, over all connections.
    pub fn flights(&self) -> u64 {
        self.flights.load(Ordering::SeqCst)
    }

    /// Connections opened so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A relay before any server that is spoken to over TCP.
#[derive(Debug)]
pub struct CountingRelay {
    /// Where it listens.
    pub address: SocketAddr,
    flights: Arc<AtomicU64>,
}

impl CountingRelay {
    /// Relays (needs a tokio runtime) to this address.
    pub fn start(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port for the relay");
        listener.set_nonblocking(true).expect("a socket that tokio takes");
        let address = listener.local_addr().expect("the relay's port");
        let listener = TcpListener::from_std(listener).expect("a runtime");
        let flights = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&flights);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    relay(client, server, counted).await;
                });
            }
        });
        Self { address, flights }
    }

    /// Flights so far, over all connections.
    pub fn flights(&self) -> u64 {
        self.flights.load(Ordering::SeqCst)
    }
}

async fn relay<S: AsyncRead + AsyncWrite>(client: S, server: S, flights: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let answered = Arc::new(AtomicBool::new(true));
    let heard = Arc::clone(&answered);
    let up = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            if heard.swap(false, Ordering::SeqCst) {
                flights.fetch_add(1, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        to_server.shutdown().await.ok();
    };
    let down = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            // A client that sends without waiting has said everything before it hears the answer to the first part.
            tokio::time::sleep(DISTANCE).await;
            answered.store(true, Ordering::SeqCst);
            if to_client.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        to_client.shutdown().await.ok();
    };
    tokio::join!(up, down);
}
