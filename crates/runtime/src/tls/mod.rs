//! TLS by rustls with ring: a server that picks certificates by host name and changes them without dropping anyone, and
//! clients that trust a certificate authority of their own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::shutdown::Shutdown;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Where systems keep the certificate authorities they trust.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or no PEM.
    #[error("{}: {what}; give a PEM file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Certificate and key do not fit or cannot be used.
    #[error("the key {} does not fit the certificate {}: {source}", key.display(), cert.display())]
    Pair {
        /// Certificate chain.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No certificate at all.
    #[error("no certificate given; set tls_cert and tls_key")]
    Nothing,
    /// The library refused the configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Makes ring the provider of the process, for libraries that ask for the default. Call it first in every process.
pub fn install_provider() {
    // A second call finds it installed, which is what is wanted.
    let _ = ring::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificates of a server, exchangeable while it runs.
#[derive(Debug)]
pub struct Certificates {
    files: Vec<(PathBuf, PathBuf)>,
    pairs: RwLock<Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// Reads pairs of chain and key. The first answers names that none is made for.
    pub fn load(files: Vec<(PathBuf, PathBuf)>) -> Result<Arc<Self>, Error> {
        let pairs = read_pairs(&files)?;
        Ok(Arc::new(Self { files, pairs: RwLock::new(pairs) }))
    }

    /// Reads the files again. When one of them is bad, everything stays as it was.
    pub fn reload(&self) -> Result<(), Error> {
        let pairs = read_pairs(&self.files)?;
        *self.pairs.write().unwrap_or_else(PoisonError::into_inner) = pairs;
        Ok(())
    }

    /// Reads the files again after they change and at SIGHUP, until shutdown. Connections stay.
    pub async fn watch(self: Arc<Self>, shutdown: Shutdown) {
        let mut hangups = shutdown.reloads();
        let mut seen = self.changed_at();
        loop {
            tokio::select! {
                () = shutdown.asked_for() => return,
                told = hangups.changed() => if told.is_err() { return },
                () = tokio::time::sleep(LOOK) => if self.changed_at() == seen { continue },
            }
            seen = self.changed_at();
            match self.reload() {
                Ok(()) => tracing::info!("certificates read again"),
                Err(error) => tracing::error!(%error, "the old certificates stay in use"),
            }
        }
    }

    fn changed_at(&self) -> Vec<Option<SystemTime>> {
        let time = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
        self.files.iter().flat_map(|(cert, key)| [time(cert), time(key)]).collect()
    }

    /// A server configuration with HTTP/2 and HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, Error> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.pairs.read().unwrap_or_else(PoisonError::into_inner);
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fitting = name.and_then(|name| pairs.iter().find(|pair| is_for(pair, &name)));
        fitting.or_else(|| pairs.first()).cloned()
    }
}

fn is_for(pair: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Ok(certificate) = pair.end_entity_cert() else { return false };
    ParsedCertificate::try_from(certificate).is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn read_pairs(files: &[(PathBuf, PathBuf)]) -> Result<Vec<Arc<CertifiedKey>>, Error> {
    if files.is_empty() {
        return Err(Error::Nothing);
    }
    files.iter().map(|(cert, key)| read_pair(cert, key).map(Arc::new)).collect()
}

fn read_pair(cert: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let chain = read_certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| Error::File { path: key.to_owned(), what: error.to_string() })?;
    CertifiedKey::from_der(chain, secret, &provider()).map_err(|source| Error::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |what: String| Error::File { path: path.to_owned(), what };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(found) }
}

/// A client that trusts the system's authorities and, when given, one more.
pub fn client_config(extra: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(system) = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.is_file()) {
        roots.add_parsable_certificates(read_certificates(system)?);
    }
    add(&mut roots, extra)?;
    client_with(roots)
}

/// A client that trusts the system's authorities and these.
pub fn client_config_with(extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(system) = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.is_file()) {
        roots.add_parsable_certificates(read_certificates(system)?);
    }
    roots.add_parsable_certificates(extra);
    client_with(roots)
}

/// A client that trusts one authority and no other, as for a database.
pub fn client_config_only(authority: &Path) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    add(&mut roots, Some(authority))?;
    client_with(roots)
}

fn add(roots: &mut RootCertStore, file: Option<&Path>) -> Result<(), Error> {
    if let Some(path) = file {
        for certificate in read_certificates(path)? {
            roots.add(certificate).map_err(|error| Error::File { path: path.to_owned(), what: error.to_string() })?;
        }
    }
    Ok(())
}

fn client_with(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests;
