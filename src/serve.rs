//! `holdfast serve`: the site, the operations listener, and their orderly end.

use std::sync::Arc;
use std::time::Duration;

use admin::Admin;
use app::AppState;
use app::room::Room;
use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::Slug;
use identity::Identity;
use runtime::exit::{Code, CommandError};
use runtime::metrics::Metrics;
use runtime::printer::Printer;
use runtime::settings::{ListenAddress, Settings};
use runtime::shutdown::Shutdown;
use serde::Serialize;
use web::ops::{Check, Ops, OpsRunning};
use web::{Options, Running, Site, TrustedProxies};

use crate::errors::{failed, of_store};
use crate::installation::{Installation, Share};
use crate::worker::work;

/// How long requests under way may take when the server is told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArguments {
    /// Run database and store below --data, needing nothing prepared.
    #[arg(long)]
    embedded: bool,
    /// Address and port, or unix:PATH.
    #[arg(long)]
    listen: Option<String>,
    /// Address and port of native gRPC.
    #[arg(long)]
    grpc_listen: Option<String>,
    /// Address and port of metrics and health.
    #[arg(long)]
    ops_listen: Option<String>,
    /// Certificate chain in PEM.
    #[arg(long)]
    tls_cert: Option<String>,
    /// Key of the certificate in PEM.
    #[arg(long)]
    tls_key: Option<String>,
    /// Leave points, drills and dumps to `holdfast worker`.
    #[arg(long)]
    no_worker: bool,
}

impl ServeArguments {
    pub(crate) fn flags(&self, flags: &mut Vec<(String, String)>) {
        let given = [
            ("listen", &self.listen),
            ("grpc_listen", &self.grpc_listen),
            ("ops_listen", &self.ops_listen),
            ("tls_cert", &self.tls_cert),
            ("tls_key", &self.tls_key),
        ];
        flags.extend(given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))));
    }
}

/// The line that says where everything is; scripts wait for it.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    event: &'static str,
    pub(crate) url: String,
    ops_url: Option<String>,
    grpc_url: Option<String>,
    s3_url: Option<String>,
    pid: u32,
}

/// A site that runs.
pub(crate) struct Served {
    identity: Identity,
    server: Running,
    grpc: Option<app::grpc::Running>,
    ops: Option<OpsRunning>,
    pub(crate) ready: Ready,
}

impl Served {
    /// Takes no new requests, lets those under way end.
    pub(crate) async fn stop(self) {
        if let Err(error) = self.server.stop().await {
            tracing::warn!(%error, "the server did not stop in order");
        }
        if let Some(grpc) = self.grpc {
            grpc.stop().await;
        }
        if let Some(ops) = self.ops {
            ops.stop().await.ok();
        }
        self.identity.settled().await;
    }
}

/// Starts the site on what is installed. Without an operations listener when it is a Unix socket.
pub(crate) async fn start(installation: &Installation, shutdown: &Shutdown) -> Result<Served, CommandError> {
    let settings = &installation.settings;
    let metrics = Metrics::install(env!("CARGO_PKG_VERSION")).map_err(failed)?;
    let (clock, chance) = (Clock::System, Chance::System);
    let networks = identity::Networks::only(settings.identity_networks.clone());
    let identity = Identity::new(installation.store.clone(), clock.clone(), chance.clone())
        .reaching(networks)
        .operators_by(crate::operators::provider(settings)?);
    let app = AppState::new(
        identity.clone(),
        installation.files.clone(),
        installation.reach()?,
        room(installation).await,
        chance.clone(),
    );
    let state = actix_data(app.clone());
    let admin = actix_data(Admin { identity: identity.clone(), ..installation.admin() });
    let mut routes = app::routes();
    routes.extend(admin::routes());
    let site = Site { identity: identity.clone(), routes, configure: vec![state, admin], chance };
    let tls = tls(settings, shutdown)?;
    let default_tenant = settings
        .default_tenant
        .as_deref()
        .map(str::parse::<Slug>)
        .transpose()
        .map_err(|e| CommandError::usage(e.to_string()))?;
    let options = Options {
        listen: settings.listen.clone(),
        tls,
        workers: 0,
        grace: GRACE,
        tenant_requests: settings.tenant_requests,
        proxies: TrustedProxies::new(settings.trusted_proxies.clone()),
        default_tenant,
    };
    let grpc = grpc(settings, &options, app).await?;
    let server = web::start(options, site).await.map_err(port_taken)?;
    let ops = operations(installation, &settings.ops_listen, metrics).await?;
    if ops.is_some() {
        tokio::spawn(admin::recovery::measure(installation.admin()));
    }
    let ready = Ready {
        event: "ready",
        url: server.url(),
        ops_url: ops.as_ref().map(OpsRunning::url),
        grpc_url: grpc.as_ref().map(app::grpc::Running::url),
        s3_url: installation.s3_url.clone(),
        pid: std::process::id(),
    };
    Ok(Served { identity, server, grpc, ops, ready })
}

/// What room there is, watched from now on.
async fn room(installation: &Installation) -> Room {
    let space = installation.space().await;
    space.look();
    tokio::spawn(space.clone().tend());
    Room::new(installation.store.clone(), space, installation.settings.tenant_stored_bytes)
}

/// Native gRPC beside the site; none when its address is a Unix socket. A default port that is taken gives way to a free
/// one: two servers on one machine must not need a flag for it.
async fn grpc(
    settings: &Settings,
    options: &Options,
    app: AppState,
) -> Result<Option<app::grpc::Running>, CommandError> {
    let ListenAddress::Tcp(listen) = settings.grpc_listen else { return Ok(None) };
    let options = app::grpc::Options {
        listen,
        tls: options.tls.clone(),
        grace: GRACE,
        proxies: options.proxies.clone(),
        default_tenant: options.default_tenant.clone(),
    };
    let taken = match app::grpc::start(options.clone(), app.clone()).await {
        Ok(running) => return Ok(Some(running)),
        Err(error) => error,
    };
    let refused = |error: std::io::Error| {
        CommandError::conflict(format!("cannot listen on {listen} for gRPC: {error}"))
            .next("choose another address with --grpc-listen, or end what holds it")
    };
    if settings.is_given("grpc_listen") || taken.kind() != std::io::ErrorKind::AddrInUse {
        return Err(refused(taken));
    }
    tracing::warn!(%listen, "the default address of gRPC is taken; using a free port");
    let free = app::grpc::Options { listen: std::net::SocketAddr::new(listen.ip(), 0), ..options };
    app::grpc::start(free, app).await.map(Some).map_err(refused)
}

fn actix_data<T: Clone + Send + Sync + 'static>(value: T) -> Arc<web::server::Configure> {
    web::server::beside(value)
}

fn port_taken(error: web::server::StartError) -> CommandError {
    CommandError::conflict(error.to_string())
        .next("choose another address with --listen or --ops-listen, or end what holds it")
}

fn tls(settings: &Settings, shutdown: &Shutdown) -> Result<Option<rustls::ServerConfig>, CommandError> {
    let pairs = settings.tls_pairs();
    if pairs.is_empty() {
        return Ok(None);
    }
    let certificates = runtime::tls::Certificates::load(pairs).map_err(|e| CommandError::usage(e.to_string()))?;
    let config = certificates.server_config().map_err(failed)?;
    tokio::spawn(certificates.watch(shutdown.clone()));
    Ok(Some(config))
}

/// The operations listener; none when its address is a Unix socket.
pub(crate) async fn operations(
    installation: &Installation,
    listen: &ListenAddress,
    metrics: Metrics,
) -> Result<Option<OpsRunning>, CommandError> {
    if matches!(listen, ListenAddress::Unix(_)) {
        return Ok(None);
    }
    web::ops::start(listen, ops(installation, metrics)).await.map(Some).map_err(port_taken)
}

fn ops(installation: &Installation, metrics: Metrics) -> Ops {
    let (store, objects) = (installation.store.clone(), installation.objects.clone());
    let gauges = store.clone();
    store::count_errors();
    tokio::spawn(metrics.clone().tend());
    Ops {
        metrics: Arc::new(move || {
            let (used, idle, waiting) = gauges.pool_status();
            web::ops::pool_gauges(used, idle, waiting);
            metrics.render()
        }),
        ready: Arc::new(move || {
            let (store, objects) = (store.clone(), objects.clone());
            Box::pin(async move {
                let database = match store.control().ping().await {
                    Ok(()) => Check::ok("database"),
                    Err(error) => Check::failed("database", error.to_string()),
                };
                let backup_store = match objects.check().await {
                    Ok(()) => Check::ok("backup_store"),
                    Err(error) => Check { name: "backup_store", status: "degraded", detail: error.to_string() },
                };
                vec![database, backup_store]
            })
        }),
    }
}

/// `holdfast serve`
pub(crate) async fn run(arguments: ServeArguments, settings: Settings, printer: Printer) -> Result<Code, CommandError> {
    if !arguments.embedded && settings.database_url.is_none() {
        return Err(CommandError::usage("no database is set")
            .next("set database_url, or run `holdfast serve --embedded --data DIR`"));
    }
    if arguments.embedded && settings.database_url.is_some() {
        return Err(CommandError::usage("--embedded and database_url exclude each other"));
    }
    let shutdown = Shutdown::install().map_err(failed)?;
    let share = if arguments.embedded { Share::Owner } else { Share::Allowed };
    let mut installation = Installation::open(settings, share).await?;
    if arguments.embedded && installation.settings.default_tenant.is_none() {
        installation.settings.default_tenant = only_tenant(&installation).await?;
    }
    let outcome = serve(&installation, &shutdown, !arguments.no_worker, printer).await;
    installation.close().await;
    outcome.map(|()| Code::Ok)
}

/// With the embedded default, the tenant called `default` is served at `/`.
pub(crate) async fn only_tenant(installation: &Installation) -> Result<Option<String>, CommandError> {
    let found = installation.store.registry().by_slug("default").await.map_err(of_store)?;
    Ok(found.map(|tenant| tenant.slug.to_string()))
}

async fn serve(
    installation: &Installation,
    shutdown: &Shutdown,
    with_worker: bool,
    printer: Printer,
) -> Result<(), CommandError> {
    let served = start(installation, shutdown).await?;
    let working = if with_worker { Some(work(installation, &[]).await?) } else { None };
    printer.result(&served.ready, |ready| format!("serving at {}", ready.url));
    runtime::notify::ready();
    let store = installation.store.clone();
    let watchdog =
        tokio::spawn(runtime::notify::watch(shutdown.token(), async move || store.control().ping().await.is_ok()));
    shutdown.asked_for().await;
    runtime::notify::stopping();
    let worker = async {
        if let Some(working) = working {
            working.stop().await;
        }
    };
    tokio::join!(served.stop(), worker);
    watchdog.abort();
    Ok(())
}
