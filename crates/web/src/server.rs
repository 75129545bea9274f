//! The server: one listener, TCP or a Unix socket, plain or TLS (HTTP/1.1 and HTTP/2), and its orderly end.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, web};
use domain::chance::Chance;
use domain::id::Slug;
use identity::Identity;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use runtime::settings::ListenAddress as Listen;

use crate::crowd::Crowd;
use crate::edge::proxies::TrustedProxies;
use crate::edge::{Edge, pass};
use crate::route::Route;
use crate::route::mount::mount;

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// How the server is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 lets the system choose.
    pub listen: Listen,
    /// TLS, or none for plain HTTP.
    pub tls: Option<rustls::ServerConfig>,
    /// Threads that answer; 0: one per core.
    pub workers: usize,
    /// How long requests under way may take to end when the server is stopped.
    pub grace: Duration,
    /// Whose forwarding headers count.
    pub proxies: TrustedProxies,
    /// Requests of one tenant that are answered at a time.
    pub tenant_requests: usize,
    /// The tenant at `/`.
    pub default_tenant: Option<Slug>,
}

/// Puts a roof's own data (`web::Data`) beside every request.
pub type Configure = dyn Fn(&mut ServiceConfig) + Send + Sync;

/// A roof's own data, as handlers extract it: `web::Data<T>`.
pub fn beside<T: Clone + Send + Sync + 'static>(value: T) -> Arc<Configure> {
    let data = web::Data::new(value);
    Arc::new(move |config: &mut ServiceConfig| {
        config.app_data(data.clone());
    })
}

/// What is served.
#[derive(Clone)]
pub struct Site {
    /// Who knows who somebody is, and the database behind it.
    pub identity: Identity,
    /// The rows of all roofs. Health and assets are added by the server.
    pub routes: Vec<Route>,
    /// The roofs' own data.
    pub configure: Vec<Arc<Configure>>,
    /// For request ids.
    pub chance: Chance,
}

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is it in use or not ours?")]
    Listen {
        /// What was asked for.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// A server that runs. Dropping this lets it run on.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, with the port that the system chose.
    pub listen: Listen,
    /// Whether it speaks TLS.
    pub tls: bool,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
    socket: Option<PathBuf>,
    stopping: CancellationToken,
}

impl Running {
    /// `http://ADDRESS:PORT`, `https://…` or `unix:PATH`.
    pub fn url(&self) -> String {
        match &self.listen {
            Listen::Tcp(address) => format!("{}://{address}", if self.tls { "https" } else { "http" }),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The TCP address, if it is one.
    pub const fn address(&self) -> Option<SocketAddr> {
        match &self.listen {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        }
    }

    /// Takes no new connections, ends event streams, waits for the other requests under way within the grace, and ends.
    pub async fn stop(self) -> std::io::Result<()> {
        self.stopping.cancel();
        self.handle.stop(true).await;
        self.finished().await
    }

    /// Waits until the server ends, by [`Running::stop`] or by a failure.
    pub async fn finished(self) -> std::io::Result<()> {
        let ended = self.task.await.map_err(std::io::Error::other)?;
        if let Some(path) = &self.socket {
            std::fs::remove_file(path).ok();
        }
        ended
    }
}

/// The rows that a site of these routes has: the roofs' and the server's own.
pub fn all_routes(site: &Site) -> Vec<Route> {
    let mut routes = crate::health::routes();
    routes.extend(crate::assets::routes());
    routes.extend(site.routes.iter().cloned());
    routes
}

/// One a core, at most this many: each has connections to the database of its own.
const MOST_WORKERS: usize = 8;

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(MOST_WORKERS)
}

/// Starts serving the site. Must be called inside a tokio runtime; the workers bring their own.
pub async fn start(options: Options, site: Site) -> Result<Running, StartError> {
    let stopping = CancellationToken::new();
    let edge = web::Data::new(Edge {
        store: site.identity.store().clone(),
        default_tenant: options.default_tenant.clone(),
        proxies: options.proxies.clone(),
        crowd: Arc::new(Crowd::new(options.tenant_requests)),
        chance: site.chance.clone(),
        stopping: stopping.clone(),
    });
    let identity = web::Data::new(site.identity.clone());
    let routes: Arc<[Route]> = all_routes(&site).into();
    let configure = site.configure;
    let app = move || {
        let mut app = App::new().app_data(edge.clone()).app_data(identity.clone());
        for add in &configure {
            app = app.configure(|config| add(config));
        }
        app.configure(|config| mount(&routes, config)).wrap(from_fn(pass))
    };
    let mut server = HttpServer::new(app)
        .disable_signals()
        .client_request_timeout(HEAD_TIME)
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(options.grace.as_secs());
    let workers = if options.workers > 0 { options.workers } else { default_workers() };
    server = server.workers(workers);
    let refused = |source| StartError::Listen { address: options.listen.to_string(), source };
    let tls = options.tls.is_some();
    let (server, listen, socket) = match &options.listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address).map_err(refused)?;
            listener.set_nonblocking(true).map_err(refused)?;
            let bound = listener.local_addr().map_err(refused)?;
            let server = match options.tls {
                Some(config) => server.listen_rustls_0_23(listener, config),
                None => server.listen(listener),
            };
            (server.map_err(refused)?, Listen::Tcp(bound), None)
        }
        Listen::Unix(path) => {
            let listener = bind_unix(path).map_err(refused)?;
            (server.listen_uds(listener).map_err(refused)?, options.listen.clone(), Some(path.clone()))
        }
    };
    let running = server.run();
    let handle = running.handle();
    Ok(Running { listen, tls, handle, task: tokio::spawn(running), socket, stopping })
}

/// Binds a Unix socket that the owner and group may use; takes the place of a dead one, never of a living one.
fn bind_unix(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() {
        if UnixStream::connect(path).is_ok() {
            return Err(std::io::Error::from(std::io::ErrorKind::AddrInUse));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
