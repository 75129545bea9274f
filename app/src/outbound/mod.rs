//! Requests that we make because a member named an address: to webhooks, to linked pages, to services of a workspace.
//!
//! Whoever may name an address must not reach what only this machine reaches. So an address is checked where it is
//! dialled, after the name was resolved, by the client itself: what a name resolves to a moment later, or where an answer
//! redirects to, makes no difference. Networks of the setting `webhook_allow` may be reached all the same.

mod address;
mod entry;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

pub use address::is_public;
pub use entry::Entry;

/// Why an address is not asked, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address that can be asked.
    #[error("only http/https protocols are allowed")]
    Scheme,
    /// It leads to where only this machine may go.
    #[error("{0}: internal IP addresses are not allowed")]
    Internal(String),
    /// The name leads nowhere.
    #[error("{host} cannot be resolved")]
    Unresolved {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The request failed.
    #[error("{0}")]
    Request(String),
    /// The answer leads on and on.
    #[error("too many redirects")]
    Redirects,
}

/// The one client of a process for such requests. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    client: reqwest::Client,
    allow: Arc<[IpNet]>,
}

/// The clients of a process.
#[derive(Clone)]
pub struct Reach {
    /// For webhooks and services that a workspace has set up.
    pub services: Outbound,
    /// For pages that anyone may ask for: networks that webhooks may reach are none of his business.
    pub pages: Outbound,
}

impl Reach {
    /// With the networks that webhooks may reach although they are not public.
    ///
    /// # Errors
    /// A client cannot be made.
    pub fn new(allow: Vec<IpNet>) -> Result<Self, Error> {
        Ok(Self { services: Outbound::new(allow)?, pages: Outbound::new(Vec::new())? })
    }
}

/// An answer, read up to a limit.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its content type; may be empty.
    pub kind: String,
    /// Where a redirect leads; may be empty.
    pub location: String,
    /// The body, or its beginning.
    pub body: Bytes,
}

impl Outbound {
    /// With the networks that may be reached although they are not public.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn new(allow: Vec<IpNet>) -> Result<Self, Error> {
        // Another part of the process may have chosen the provider already; it is the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let allow: Arc<[IpNet]> = allow.into();
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(Guarded { allow: Arc::clone(&allow) }))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| Error::Request(error.to_string()))?;
        Ok(Self { client, allow })
    }

    /// A request to an address that may be asked; `check` it first where the caller wants to know why not.
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Whether this address may be asked as it is now; names are resolved again when they are dialled.
    ///
    /// # Errors
    /// No http, leads to where only this machine may go, or nowhere.
    pub async fn check(&self, url: &Url) -> Result<(), Error> {
        let host = self.literal(url)?;
        let Some(name) = host else { return Ok(()) };
        let port = url.port_or_known_default().unwrap_or(80);
        let found = tokio::net::lookup_host((name.as_str(), port)).await;
        let found = found.map_err(|source| Error::Unresolved { host: name.clone(), source })?;
        permitted(&self.allow, &name, found).map(|_| ())
    }

    /// The addresses of a host that may be dialled, for what does not speak HTTP.
    ///
    /// # Errors
    /// It leads to where only this machine may go, or nowhere.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
        let found = found.map_err(|source| Error::Unresolved { host: host.to_owned(), source })?;
        permitted(&self.allow, host, found)
    }

    /// The scheme and an address that stands in the URL itself; the name that is left to resolve.
    fn literal(&self, url: &Url) -> Result<Option<String>, Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Scheme);
        }
        let ip = match url.host() {
            Some(Host::Domain(name)) => return Ok(Some(name.to_owned())),
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            None => return Err(Error::Scheme),
        };
        if may_reach(&self.allow, ip) { Ok(None) } else { Err(Error::Internal(ip.to_string())) }
    }

    /// Sends a request once, without following redirects, and reads at most `limit` bytes of the answer.
    ///
    /// # Errors
    /// The address may not be asked, or does not answer in time.
    pub async fn send(&self, request: reqwest::RequestBuilder, url: &Url, limit: usize) -> Result<Answer, Error> {
        self.literal(url)?;
        let mut response = request.send().await.map_err(|error| told(&error))?;
        let text = |name: reqwest::header::HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (kind, location) = (text(reqwest::header::CONTENT_TYPE), text(reqwest::header::LOCATION));
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
            let room = limit - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if body.len() >= limit {
                break;
            }
        }
        Ok(Answer { status, kind, location, body: body.freeze() })
    }
}

/// The innermost cause is the one that says something.
fn told(error: &reqwest::Error) -> Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::Request(if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() })
}

fn may_reach(allow: &[IpNet], ip: IpAddr) -> bool {
    let plain = ip.to_canonical();
    is_public(plain) || allow.iter().any(|net| net.contains(&plain))
}

/// Those of the addresses that may be dialled. One that may not spoils a name: it is somebody's trick.
fn permitted(allow: &[IpNet], host: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Error> {
    let found: Vec<SocketAddr> = found.collect();
    match found.iter().find(|address| !may_reach(allow, address.ip())) {
        Some(_) => Err(Error::Internal(host.to_owned())),
        None => Ok(found),
    }
}

/// Resolves names for the client, and lets through only what may be dialled.
struct Guarded {
    allow: Arc<[IpNet]>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.allow);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let found = permitted(&allow, &host, found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(allow: &[&str]) -> Outbound {
        Outbound::new(allow.iter().map(|net| net.parse().expect("a network")).collect()).expect("a client")
    }

    async fn refused(outbound: &Outbound, url: &str) -> bool {
        outbound.check(&Url::parse(url).expect("a URL")).await.is_err()
    }

    #[tokio::test]
    async fn what_only_this_machine_reaches_is_refused() {
        let outbound = outbound(&[]);
        for url in [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://127.1:80/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://169.254.169.254/latest/meta-data",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
            "ftp://example.org/",
            "file:///etc/passwd",
        ] {
            assert!(refused(&outbound, url).await, "{url}");
        }
        assert!(!refused(&outbound, "http://93.184.216.34/").await);
    }

    #[tokio::test]
    async fn networks_that_are_allowed_may_be_reached_and_no_others() {
        let outbound = outbound(&["127.0.0.0/8", "fd00::/8"]);
        assert!(!refused(&outbound, "http://127.0.0.1:9/hook").await);
        assert!(!refused(&outbound, "http://[::ffff:127.0.0.1]/").await);
        assert!(!refused(&outbound, "http://[fd00:ec2::254]/").await);
        assert!(refused(&outbound, "http://10.0.0.1/").await);
        assert!(refused(&outbound, "http://[::1]/").await);
    }

    #[test]
    fn one_inner_address_among_others_spoils_a_name() {
        let found = ["93.184.216.34:80", "127.0.0.1:80"].map(|text| text.parse().expect("an address"));
        assert!(permitted(&[], "tricky.example", found.into_iter()).is_err());
        assert!(permitted(&[], "plain.example", found.into_iter().take(1)).is_ok());
    }
}
