//! Native gRPC: a listener of its own, cleartext HTTP/2 or TLS, over the same handlers and the same table as the other
//! doors. actix drops the trailers of HTTP/2, so this one stands on hyper.
//!
//! The tenant is that of the `:authority`, or of a path below `/t/{slug}`, or of the metadata `holdfast-tenant`, or the
//! default one.

mod call;
mod health;
mod reflection;
mod stream;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::id::Slug;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use web::TrustedProxies;

use crate::state::AppState;

/// Calls of one connection at once.
const MOST_STREAMS: u32 = 128;
/// Connections at once.
const MOST_CONNECTIONS: usize = 2_048;
/// The longest list of headers, in bytes.
const MOST_HEADERS: u32 = 64 * 1024;
/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The body of an answer.
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How the listener is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// TLS, or none for cleartext HTTP/2.
    pub tls: Option<rustls::ServerConfig>,
    /// How long calls under way may take when the server is told to stop.
    pub grace: Duration,
    /// Whose forwarding headers count.
    pub proxies: TrustedProxies,
    /// The tenant of an authority that is nobody's.
    pub default_tenant: Option<Slug>,
}

/// What every call needs.
pub(crate) struct Shared {
    state: AppState,
    proxies: TrustedProxies,
    default_tenant: Option<Slug>,
    secure: bool,
    stopping: CancellationToken,
}

/// A listener that runs. Dropping this lets it run on.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    secure: bool,
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// `http://ADDRESS:PORT` or `https://…`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// Takes no new calls, lets those under way end within the grace.
    pub async fn stop(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the gRPC listener did not stop in order");
        }
    }
}

/// Starts listening. Must be called inside a tokio runtime.
///
/// # Errors
/// The address cannot be listened on.
pub async fn start(options: Options, state: AppState) -> Result<Running, std::io::Error> {
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let stopping = CancellationToken::new();
    let tls = options.tls.map(|mut config| {
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    });
    let secure = tls.is_some();
    let shared = Arc::new(Shared {
        state,
        proxies: options.proxies,
        default_tenant: options.default_tenant,
        secure,
        stopping: stopping.clone(),
    });
    let task = tokio::spawn(accept(listener, tls, shared, options.grace));
    Ok(Running { address, secure, stopping, task })
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>, grace: Duration) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopping.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    secured(stream, peer.ip(), tls, shared, grace).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a gRPC connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all).await.is_err() {
        connections.abort_all();
    }
}

async fn secured(stream: TcpStream, peer: IpAddr, tls: Option<TlsAcceptor>, shared: Arc<Shared>, grace: Duration) {
    stream.set_nodelay(true).ok();
    match tls {
        None => connection(stream, peer, shared, grace).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => connection(stream, peer, shared, grace).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn connection<S>(stream: S, peer: IpAddr, shared: Arc<Shared>, grace: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stopping = shared.stopping.clone();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(call::answer(shared, peer.to_canonical(), request).await) }
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(MOST_HEADERS)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopping.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::time::timeout(grace, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a gRPC connection ended early");
    }
}
