//! Requests to identity providers: bounded in time and size, never redirected, and not to where nobody's provider is.
//!
//! A tenant's owner names the addresses. The link-local range, where clouds keep the credentials of machines, is never
//! reached; `identity_networks` narrows the rest down on an appliance whose tenants are not trusted.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole answer may take; that of Memos.
const WHOLE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
pub const LONGEST: usize = 1024 * 1024;
/// Clients kept, one per set of authorities.
const KEPT: usize = 64;

/// Why a provider's answer was not had. The texts are for the log and for ladders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The address may not be reached.
    #[error("{0} may not be reached from here; see the setting identity_networks")]
    Forbidden(String),
    /// No connection, no answer in time, a broken connection.
    #[error("{url} does not answer: {cause}")]
    Silent {
        /// What was asked.
        url: String,
        /// The innermost cause.
        cause: String,
    },
    /// More than [`LONGEST`].
    #[error("{0} answered more than 1 MiB")]
    TooLong(String),
    /// The address is none, or TLS cannot be set up.
    #[error("{0}")]
    Unfit(String),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// `Content-Type`; may be empty.
    pub content_type: String,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Which networks may be reached.
#[derive(Clone, Debug, Default)]
pub struct Networks(Arc<Vec<ipnet::IpNet>>);

impl Networks {
    /// Only these; none: all but the link-local ones.
    pub fn only(networks: Vec<ipnet::IpNet>) -> Self {
        Self(Arc::new(networks))
    }

    /// Whether this address may be reached.
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let never = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast(),
        };
        !never && (self.0.is_empty() || self.0.iter().any(|network| network.contains(&address)))
    }
}

/// Resolves names to addresses that may be reached.
struct Guarded(Networks);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| networks.allow(address.ip())).collect();
            if allowed.is_empty() {
                let refused: Box<dyn StdError + Send + Sync> =
                    Failure::Forbidden(name.as_str().to_owned()).to_string().into();
                return Err(refused);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The clients, one per set of authorities. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    networks: Networks,
    whole: Duration,
    clients: Arc<Mutex<HashMap<String, reqwest::Client>>>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new(Networks::default())
    }
}

impl Outbound {
    /// That reaches only these networks.
    pub fn new(networks: Networks) -> Self {
        Self { networks, whole: WHOLE, clients: Arc::default() }
    }

    /// That waits only so long for a whole answer.
    #[must_use]
    pub fn waiting(self, whole: Duration) -> Self {
        Self { whole, clients: Arc::default(), ..self }
    }

    /// Which networks may be reached.
    pub const fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Sends a request and takes the whole answer.
    pub async fn send(&self, ca_pem: &str, request: http::Request<Vec<u8>>) -> Result<Answer, Failure> {
        let url = request.uri().to_string();
        self.check_literal(&url)?;
        let client = self.client(ca_pem)?;
        let (head, body) = request.into_parts();
        let sent = client.request(head.method, url.as_str()).headers(head.headers).body(body).send().await;
        let mut answer = sent.map_err(|error| silent(&url, &error))?;
        let status = answer.status().as_u16();
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| silent(&url, &error))? {
            if body.len() + piece.len() > LONGEST {
                return Err(Failure::TooLong(url));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, content_type, body })
    }

    /// An address that is written as a number never passes the resolver.
    fn check_literal(&self, url: &str) -> Result<(), Failure> {
        let parsed = url::Url::parse(url).map_err(|error| Failure::Unfit(format!("{url} is no URL: {error}")))?;
        let literal = match parsed.host() {
            Some(url::Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(url::Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
            Some(url::Host::Domain(_)) => None,
            None => return Err(Failure::Unfit(format!("{url} names no host"))),
        };
        match literal {
            Some(address) if !self.networks.allow(address) => Err(Failure::Forbidden(address.to_string())),
            _ => Ok(()),
        }
    }

    fn client(&self, ca_pem: &str) -> Result<reqwest::Client, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(ca_pem) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(ca_pem)?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(self.whole)
            .no_proxy()
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Guarded(self.networks.clone())))
            .build()
            .map_err(|error| Failure::Unfit(chain(&error)))?;
        if clients.len() >= KEPT {
            clients.clear();
        }
        clients.insert(ca_pem.to_owned(), client.clone());
        Ok(client)
    }
}

/// TLS that trusts the system's authorities and, when given, those of this text.
pub fn tls_config(ca_pem: &str) -> Result<ClientConfig, Failure> {
    let mut config = runtime::tls::client_config(None).map_err(|error| Failure::Unfit(error.to_string()))?;
    if !ca_pem.is_empty() {
        let extra = certificates(ca_pem).map_err(Failure::Unfit)?;
        config = runtime::tls::client_config_with(extra).map_err(|error| Failure::Unfit(error.to_string()))?;
    }
    Ok(config)
}

/// The certificates of a PEM text.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| format!("the certificate authority is no PEM: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|error| format!("the certificate authority cannot be used: {error}"))?;
    }
    if found.is_empty() { Err("the certificate authority's text holds no certificate".to_owned()) } else { Ok(found) }
}

fn silent(url: &str, error: &reqwest::Error) -> Failure {
    let cause = if error.is_timeout() { "it took too long".to_owned() } else { innermost(error) };
    // A query may hold secrets.
    Failure::Silent { url: url.split('?').next().unwrap_or(url).to_owned(), cause }
}

/// The last cause in the chain: the one that says what to do.
pub fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last: &(dyn StdError + 'static) = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = error.source();
    while let Some(inner) = last {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        last = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_machines_are_out_of_reach() {
        let all = Networks::default();
        for never in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "255.255.255.255"] {
            assert!(!all.allow(never.parse().unwrap()), "{never}");
        }
        for fine in ["127.0.0.1", "10.0.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(all.allow(fine.parse().unwrap()), "{fine}");
        }
        let few = Networks::only(vec!["192.0.2.0/24".parse().unwrap(), "169.254.0.0/16".parse().unwrap()]);
        assert!(few.allow("192.0.2.7".parse().unwrap()));
        assert!(!few.allow("10.0.0.1".parse().unwrap()));
        assert!(!few.allow("169.254.169.254".parse().unwrap()));
    }
}
