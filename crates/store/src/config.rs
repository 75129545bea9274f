//! Where the database is and how many connections it gets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// A connection configuration both drivers are built from (their URL dialects differ).
#[derive(Clone)]
pub struct Config {
    /// Host name, address, or directory of a Unix socket.
    pub host: String,
    /// Port; also part of a Unix socket's name.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role that owns the control plane and makes schemas and roles.
    pub user: String,
    /// Its password, if it has one. Never printed.
    pub password: Option<String>,
    /// CA certificates in PEM; given means TLS with full verification.
    pub ca_file: Option<PathBuf>,
    /// Sizes of pools and stock.
    pub limits: Limits,
}

/// How much of the database one process uses.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Affine slots per login role; a tenant always uses the same one.
    pub slots: usize,
    /// Connections per slot and web worker; as many again are shared by all its slots for searches.
    pub per_slot: usize,
    /// A connection is closed after serving this many distinct tenants: the relation cache of a backend never shrinks.
    pub tenants_per_connection: usize,
    /// How long to wait for a free connection.
    pub acquire: Duration,
    /// Searches (lists with a filter) of one tenant at a time.
    pub searches: usize,
    /// Ready-made schemas to keep.
    pub stock: usize,
    /// Longest run of one statement in a request.
    pub statement: Duration,
}

/// Connections per slot and web worker: what one tenant's requests use at a time. More slots mean fewer tenants who wait
/// for each other and fewer on each connection, so that their plans stay.
const PER_SLOT: usize = 2;
/// What all web workers of a process open at most, those for searches not counted; a Postgres takes 100 unless told otherwise.
const CONNECTIONS: usize = 64;

/// Slots, of each of which every web worker (one a core, at most eight) has a set.
fn slots() -> usize {
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8);
    (CONNECTIONS / (PER_SLOT * workers)).clamp(2, 8)
}

/// Half of the cores, so that one tenant's searches leave the others to the other tenants.
fn searches() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            slots: slots(),
            per_slot: PER_SLOT,
            tenants_per_connection: 500,
            acquire: Duration::from_secs(10),
            searches: searches(),
            stock: 2,
            statement: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The database URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a URL.
    #[error("database_url is not a URL (expected postgres://user@host:port/database): {0}")]
    Url(#[from] url::ParseError),
    /// Something in it is missing or wrong.
    #[error("database_url: {0}")]
    Part(String),
    /// The CA file cannot be used.
    #[error("database_ca_file {path}: {what}; give a PEM file with the certificate authority")]
    Ca {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Config {
    /// Reads `postgres://user@host:port/database`, or `postgres://user@/database?host=/socket/dir&port=5432`.
    ///
    /// The URL never holds the password. TLS: given `ca_file`, always and fully verified; without it, only a Unix socket
    /// or a loopback address is accepted.
    fn parse(text: &str, password: Option<String>, ca_file: Option<PathBuf>) -> Result<Self, ConfigError> {
        // `user@/database` (host in the query) is common with Postgres but no URL to the parser.
        let url = Url::parse(&text.replacen("@/", "@socket.invalid/", 1))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(ConfigError::Part("must begin with postgres://".to_owned()));
        }
        if url.password().is_some() {
            return Err(ConfigError::Part(
                "must not hold the password; put it in a file and set database_password_file".to_owned(),
            ));
        }
        let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let host = query("host")
            .or_else(|| url.host_str().filter(|h| *h != "socket.invalid").map(decode))
            .ok_or_else(|| ConfigError::Part("names no host".to_owned()))?;
        let port = match query("port") {
            Some(port) => port.parse().map_err(|_| ConfigError::Part(format!("port {port} is not a number")))?,
            None => url.port().unwrap_or(5432),
        };
        let database = decode(url.path().trim_start_matches('/'));
        let user = decode(url.username());
        if database.is_empty() || user.is_empty() {
            return Err(ConfigError::Part("must name a user and a database".to_owned()));
        }
        Ok(Self { host, port, database, user, password, ca_file, limits: Limits::default() })
    }

    /// Our own database: TLS or local.
    pub fn from_url(text: &str, password: Option<String>, ca_file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let config = Self::parse(text, password, ca_file)?;
        if config.ca_file.is_none() && !config.is_local() {
            return Err(ConfigError::Part("a database on another machine needs TLS: set database_ca_file".to_owned()));
        }
        Ok(config)
    }

    /// Someone else's database, for an import: on another machine only where the address says `sslmode=disable`.
    pub(crate) fn foreign(text: &str, password: Option<String>) -> Result<Self, ConfigError> {
        let config = Self::parse(text, password, None)?;
        if !config.is_local() && !text.contains("sslmode=disable") {
            return Err(ConfigError::Part(
                "a source on another machine is read without TLS: bring it nearer (an SSH tunnel), or accept that by adding ?sslmode=disable".to_owned(),
            ));
        }
        Ok(config)
    }

    /// A Unix socket or a loopback address.
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/') || matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1" | "[::1]")
    }

    pub(crate) fn tokio_postgres(&self, user: &str, password: Option<&str>) -> tokio_postgres::Config {
        let mut out = tokio_postgres::Config::new();
        out.host(&self.host).port(self.port).dbname(&self.database).user(user);
        out.application_name("holdfast")
            .connect_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(60));
        if let Some(password) = password {
            out.password(password);
        }
        out.ssl_mode(if self.ca_file.is_some() {
            tokio_postgres::config::SslMode::Require
        } else {
            tokio_postgres::config::SslMode::Disable
        });
        let milliseconds = self.limits.statement.as_millis();
        out.options(format!("-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout=120000"));
        out
    }

    /// The same for connections that serve tenants. What is planned on one is asked for again and again with other values
    /// of no other meaning, so its first plan is the one for all: otherwise each of the first five times plans anew, and
    /// a thousand tenants have many first times. Statements that are not kept take it back in their opening.
    pub(crate) fn for_tenants(&self, user: &str, password: Option<&str>) -> tokio_postgres::Config {
        let mut out = self.tokio_postgres(user, password);
        let options = format!("{} -c plan_cache_mode=force_generic_plan", out.get_options().unwrap_or_default());
        out.options(options);
        out
    }

    pub(crate) fn sea_orm(&self) -> sea_orm::ConnectOptions {
        let mut options = sea_orm::ConnectOptions::new("postgres://localhost/holdfast");
        options
            .max_connections(6)
            .min_connections(0)
            .sqlx_logging(false)
            .acquire_timeout(self.limits.acquire)
            .connect_timeout(Duration::from_secs(10));
        let config = self.clone();
        options.map_sqlx_postgres_opts(move |sqlx| {
            use sea_orm::sqlx::postgres::PgSslMode;
            let mut sqlx = sqlx
                .port(config.port)
                .username(&config.user)
                .database(&config.database)
                .application_name("holdfast control");
            sqlx = if config.host.starts_with('/') { sqlx.socket(&config.host) } else { sqlx.host(&config.host) };
            if let Some(password) = &config.password {
                sqlx = sqlx.password(password);
            }
            match &config.ca_file {
                Some(file) => sqlx.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(file),
                None => sqlx.ssl_mode(PgSslMode::Disable),
            }
        });
        options
    }

    pub(crate) fn tls(&self) -> Result<Option<tokio_postgres_rustls::MakeRustlsConnect>, ConfigError> {
        use rustls_pki_types::pem::PemObject;
        let Some(path) = &self.ca_file else { return Ok(None) };
        let wrong = |what: String| ConfigError::Ca { path: path.display().to_string(), what };
        let mut roots = rustls::RootCertStore::empty();
        let certificates = rustls_pki_types::CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
        for certificate in certificates {
            roots.add(certificate.map_err(|e| wrong(e.to_string()))?).map_err(|e| wrong(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("holds no certificate".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(tokio_postgres_rustls::MakeRustlsConnect::new(config)))
    }
}

fn decode(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_both_kinds_are_read() {
        let tcp = Config::from_url("postgres://me@127.0.0.1:5499/notes", None, None).unwrap();
        assert_eq!(
            (tcp.host.as_str(), tcp.port, tcp.database.as_str(), tcp.user.as_str()),
            ("127.0.0.1", 5499, "notes", "me")
        );
        let socket = Config::from_url("postgres://me@/notes?host=/run/x&port=6000", None, None).unwrap();
        assert_eq!((socket.host.as_str(), socket.port), ("/run/x", 6000));
    }

    #[test]
    fn a_password_in_the_url_and_plain_text_to_elsewhere_are_refused() {
        assert!(Config::from_url("postgres://me:pw@127.0.0.1/notes", None, None).is_err());
        assert!(Config::from_url("postgres://me@db.example.org/notes", None, None).is_err());
        assert!(Config::from_url("mysql://me@127.0.0.1/notes", None, None).is_err());
    }
}
