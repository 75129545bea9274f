//! Settings: defaults, a TOML file, the environment and flags, in that order; each value remembers where it came from.
//!
//! No secret is ever a setting, only the name of a file that holds it. This is the only module that reads the environment.

pub mod environment;
mod error;
mod keys;
mod layers;
mod operators;
mod secret;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Serialize;
use url::Url;

pub use error::Error;
pub use keys::{KEYS, Key, Shape};
pub use layers::{Origin, Sources};
pub use operators::OperatorOidc;
pub use secret::Secret;
pub use values::{FilesPlace, ListenAddress, LogFormat, StorePlace, bytes};

use layers::Layers;

/// Everything that can be configured, checked and typed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the embedded default: database, store, keys, reports.
    pub data: PathBuf,
    /// Folder with `postgres` and `initdb` for the embedded database; found by itself when absent.
    pub postgres_bin: Option<PathBuf>,
    /// Database of an installation that is not embedded. Never holds a password.
    pub database_url: Option<Url>,
    /// File with the database password.
    pub database_password_file: Option<PathBuf>,
    /// File with the certificate authority of the database; given means TLS with full verification.
    pub database_ca_file: Option<PathBuf>,
    /// S3 endpoint of the backup store.
    pub store_endpoint: Option<Url>,
    /// Bucket of the backup store.
    pub store_bucket: String,
    /// Region sent with every signature.
    pub store_region: String,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub store_path_style: bool,
    /// Days for which points are locked in the store; 0: not at all.
    pub store_lock_days: u32,
    /// Whether dumps of whole databases are locked, too, for as long as they are kept.
    pub store_lock_dumps: bool,
    /// File with the access key.
    pub store_access_key_file: Option<PathBuf>,
    /// File with the secret key.
    pub store_secret_key_file: Option<PathBuf>,
    /// File with an access key of the store that may only read: for drills.
    pub drill_store_access_key_file: Option<PathBuf>,
    /// File with the secret key that belongs to it.
    pub drill_store_secret_key_file: Option<PathBuf>,
    /// File with the certificate authority of the store's endpoint, beside those of the system.
    pub store_ca_file: Option<PathBuf>,
    /// A folder as backup store, instead of S3.
    pub store_directory: Option<PathBuf>,
    /// Further stores that every point is brought to.
    pub store_copies: Vec<StorePlace>,
    /// Where the bytes of live attachments are.
    pub files_url: Option<FilesPlace>,
    /// Folder of the wrapped drill identity and recipients; `<data>/keys` when absent.
    pub keys_directory: Option<PathBuf>,
    /// Folder of import and drill reports; `<data>/reports` when absent.
    pub reports_directory: Option<PathBuf>,
    /// How long points stay, such as `within=2d,hourly=48`.
    pub retention: String,
    /// Days for which dumps of the whole database stay; the newest good one always does.
    pub keep_dumps_for: u32,
    /// Days after which the keys of a deleted tenant are purged.
    pub purge_keys_after: u32,
    /// Seconds after which a changed tenant gets a point by itself; 0: only by schedule.
    pub backup_changed_after: u32,
    /// Members, operators, REST, Connect and gRPC-Web.
    pub listen: ListenAddress,
    /// Native gRPC.
    pub grpc_listen: ListenAddress,
    /// Metrics and health.
    pub ops_listen: ListenAddress,
    /// Metrics and health of `holdfast worker`; none: it has no listener.
    pub worker_ops_listen: Option<ListenAddress>,
    /// The tenant served at `/` when no host name matches.
    pub default_tenant: Option<String>,
    /// Proxies whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Private networks that webhooks may reach; others are refused.
    pub webhook_allow: Vec<IpNet>,
    /// Requests of one tenant that a process answers at a time.
    pub tenant_requests: usize,
    /// Searches of one tenant that a process runs at a time; none: half of the cores.
    pub tenant_searches: Option<usize>,
    /// Bytes that a tenant may hold; 0: any number.
    pub tenant_stored_bytes: u64,
    /// Free bytes on our disks below which nothing more is stored.
    pub free_space_floor: u64,
    /// Networks in which identity providers and directories may be; none: everywhere but link-local.
    pub identity_networks: Vec<IpNet>,
    /// The OpenID provider by which operators may sign in.
    pub operator_oidc: Option<OperatorOidc>,
    /// Certificate chains (PEM), one per host name set; the first answers unknown names.
    pub tls_cert: Vec<PathBuf>,
    /// The key of each chain, in the same order.
    pub tls_key: Vec<PathBuf>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written, such as `info` or `info,store=debug`.
    pub log_filter: String,
    layers: Layers,
}

/// One line of `config show`.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Name in the file; `HOLDFAST_` and upper case in the environment.
    pub key: &'static str,
    /// The value in use, `null` when unset.
    pub value: Option<String>,
    /// `default`, `file`, `env` or `flag`, with the name of the file, variable or flag.
    pub origin: Origin,
    /// What it is for.
    pub about: &'static str,
}

impl Settings {
    /// Merges the sources and checks every value. The first thing wrong is reported with its origin.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let layers = Layers::merge(sources)?;
        let settings = Self {
            data: layers.path("data")?.unwrap_or_else(|| PathBuf::from("holdfast-data")),
            postgres_bin: layers.path("postgres_bin")?,
            database_url: layers.parsed("database_url", values::database_url)?,
            database_password_file: layers.path("database_password_file")?,
            database_ca_file: layers.path("database_ca_file")?,
            store_endpoint: layers.parsed("store_endpoint", values::endpoint)?,
            store_bucket: layers.required("store_bucket", values::bucket)?,
            store_region: layers.required("store_region", values::word)?,
            store_path_style: layers.required("store_path_style", values::boolean)?,
            store_lock_days: layers.required("store_lock_days", values::days)?,
            store_lock_dumps: layers.required("store_lock_dumps", values::boolean)?,
            store_access_key_file: layers.path("store_access_key_file")?,
            store_secret_key_file: layers.path("store_secret_key_file")?,
            drill_store_access_key_file: layers.path("drill_store_access_key_file")?,
            drill_store_secret_key_file: layers.path("drill_store_secret_key_file")?,
            store_ca_file: layers.path("store_ca_file")?,
            store_directory: layers.path("store_directory")?,
            store_copies: layers.list("store_copies", StorePlace::parse)?,
            files_url: layers.parsed("files_url", FilesPlace::parse)?,
            keys_directory: layers.path("keys_directory")?,
            reports_directory: layers.path("reports_directory")?,
            retention: layers.required("retention", values::word)?,
            keep_dumps_for: layers.required("keep_dumps_for", values::days)?,
            purge_keys_after: layers.required("purge_keys_after", values::days)?,
            backup_changed_after: layers.required("backup_changed_after", values::seconds)?,
            listen: layers.required("listen", ListenAddress::parse)?,
            grpc_listen: layers.required("grpc_listen", ListenAddress::parse)?,
            ops_listen: layers.required("ops_listen", ListenAddress::parse)?,
            worker_ops_listen: layers.parsed("worker_ops_listen", ListenAddress::parse)?,
            default_tenant: layers.parsed("default_tenant", values::word)?,
            trusted_proxies: layers.list("trusted_proxies", values::network)?,
            webhook_allow: layers.list("webhook_allow", values::network)?,
            tenant_requests: layers.required("tenant_requests", values::count)?,
            tenant_searches: layers.parsed("tenant_searches", values::count)?,
            tenant_stored_bytes: layers.required("tenant_stored_bytes", values::bytes)?,
            free_space_floor: layers.required("free_space_floor", values::bytes)?,
            identity_networks: layers.list("identity_networks", values::network)?,
            operator_oidc: OperatorOidc::read(&layers)?,
            tls_cert: layers.paths("tls_cert")?,
            tls_key: layers.paths("tls_key")?,
            log_format: layers.required("log_format", LogFormat::parse)?,
            log_filter: layers.required("log_filter", values::word)?,
            layers,
        };
        settings.check()?;
        Ok(settings)
    }

    /// What only shows when values are seen together.
    fn check(&self) -> Result<(), Error> {
        let clash = |what: &str| Err(Error::Together(what.to_owned()));
        if self.tls_cert.len() != self.tls_key.len() {
            return clash("tls_cert and tls_key must name the same number of files, in the same order");
        }
        if self.store_directory.is_some() && self.store_endpoint.is_some() {
            return clash("store_directory and store_endpoint are both set; keep one of them");
        }
        if self.store_access_key_file.is_some() != self.store_secret_key_file.is_some() {
            return clash("store_access_key_file and store_secret_key_file belong together; set both or none");
        }
        if self.drill_store_access_key_file.is_some() != self.drill_store_secret_key_file.is_some() {
            return clash(
                "drill_store_access_key_file and drill_store_secret_key_file belong together; set both or none",
            );
        }
        Ok(())
    }

    /// Whether the value of `key` was given by someone rather than being the default.
    pub fn is_given(&self, key: &str) -> bool {
        self.layers.origin(key).is_some_and(|origin| !matches!(origin, Origin::Default))
    }

    /// Every key with its value and origin, in the order of the documentation.
    pub fn shown(&self) -> Vec<Shown> {
        KEYS.iter().map(|key| self.layers.shown(key)).collect()
    }

    /// Pairs of certificate chain and key.
    pub fn tls_pairs(&self) -> Vec<(PathBuf, PathBuf)> {
        self.tls_cert.iter().cloned().zip(self.tls_key.iter().cloned()).collect()
    }

    /// Moves the two other listeners to free ports of the same address as `listen`, unless they were given.
    ///
    /// For `demo`, where one `--listen` must be enough beside a running server.
    pub fn derive_listeners(&mut self) {
        if !self.is_given("listen") {
            return;
        }
        if let ListenAddress::Tcp(address) = &self.listen {
            let free = ListenAddress::Tcp(SocketAddr::new(address.ip(), 0));
            for (key, place) in [("grpc_listen", &mut self.grpc_listen), ("ops_listen", &mut self.ops_listen)] {
                let given = self.layers.origin(key).is_some_and(|origin| !matches!(origin, Origin::Default));
                if !given {
                    *place = free.clone();
                }
            }
        }
    }
}

/// Reads a secret from the file that a setting names; one trailing line end is cut.
pub fn read_secret(file: &Path) -> Result<Secret, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::SecretFile { path: file.to_owned(), source })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Error::SecretEmpty { path: file.to_owned() });
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests;
