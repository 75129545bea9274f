//! The operations listener: metrics, liveness, readiness. Bound where only the operator's network reaches it; it knows
//! no tenant and asks for no credential.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::server::{Listen, StartError};

/// One thing that must work before the process takes work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `database`, `store`, ….
    pub name: &'static str,
    /// `ok`, `degraded`, `failed` or `unknown`; only `failed` makes the process not ready.
    pub status: &'static str,
    /// A sentence for the operator; may be empty.
    pub detail: String,
}

impl Check {
    /// It works.
    pub fn ok(name: &'static str) -> Self {
        Self { name, status: "ok", detail: String::new() }
    }

    /// It does not, and what to do.
    pub fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: "failed", detail: detail.into() }
    }
}

/// Gives the text of the metrics.
pub type Metrics = dyn Fn() -> String + Send + Sync;

/// Looks at everything that must work.
pub type Ready = dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync;

/// What the operations listener tells.
#[derive(Clone)]
pub struct Ops {
    /// The text of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The checks behind `/readyz`.
    pub ready: Arc<Ready>,
}

/// The operations listener, running.
#[derive(Debug)]
pub struct OpsRunning {
    /// Where it listens, with the port that the system chose.
    pub address: std::net::SocketAddr,
    handle: actix_web::dev::ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl OpsRunning {
    /// Ends it.
    pub async fn stop(self) -> std::io::Result<()> {
        self.handle.stop(false).await;
        self.task.await.map_err(std::io::Error::other)?
    }

    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Starts the operations listener, which is TCP. Must be called inside a tokio runtime.
#[expect(clippy::unused_async, reason = "must be called inside a runtime")]
pub async fn start(listen: &Listen, ops: Ops) -> Result<OpsRunning, StartError> {
    let refused = |source| StartError::Listen { address: listen.to_string(), source };
    let Listen::Tcp(wanted) = listen else {
        return Err(refused(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the operations listener is TCP")));
    };
    let listener = TcpListener::bind(wanted).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let ops = web::Data::new(ops);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(ops.clone())
            .route("/metrics", web::get().to(tell_metrics))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
    })
    .workers(1)
    .disable_signals()
    .client_request_timeout(Duration::from_secs(5))
    .shutdown_timeout(1)
    .listen(listener)
    .map_err(refused)?
    .run();
    let handle = server.handle();
    Ok(OpsRunning { address, handle, task: tokio::spawn(server) })
}

/// Sets the gauges of the database pool.
pub fn pool_gauges(used: usize, idle: usize, waiting: usize) {
    for (state, count) in [("used", used), ("idle", idle), ("waiting", waiting)] {
        metrics::gauge!("holdfast_pool_connections", "state" => state).set(count as f64);
    }
}

async fn tell_metrics(ops: web::Data<Ops>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body((ops.metrics)())
}

async fn livez() -> &'static str {
    "ok\n"
}

/// 200 when nothing failed, else 503; `?verbose` lists the checks one a line, `Accept: application/json` as JSON.
async fn readyz(ops: web::Data<Ops>, request: HttpRequest) -> HttpResponse {
    let checks = (ops.ready)().await;
    let failed = checks.iter().any(|check| check.status == "failed");
    let mut answer = if failed { HttpResponse::ServiceUnavailable() } else { HttpResponse::Ok() };
    let wants_json =
        request.headers().get("accept").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if wants_json {
        return answer.json(serde_json::json!({"schema": "v1", "ready": !failed, "checks": checks}));
    }
    let verdict = if failed { "not ready\n" } else { "ready\n" };
    if !request.query_string().split('&').any(|part| part == "verbose" || part.starts_with("verbose=")) {
        return answer.content_type("text/plain; charset=utf-8").body(verdict);
    }
    let mut text = String::new();
    for check in &checks {
        let mark = if check.status == "ok" { "+" } else { "-" };
        text.push_str(&format!("[{mark}]{} {} {}\n", check.name, check.status, check.detail));
    }
    text.push_str(verdict);
    answer.content_type("text/plain; charset=utf-8").body(text)
}
