//! The lowest rungs: a name that is known, a port that is open, a certificate that is trusted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::Ladder;
use crate::Identity;
use crate::outbound::tls_config;

const PATIENCE: Duration = Duration::from_secs(5);
/// Days before the end of a certificate from which on it is told.
const SOON: i64 = 30;

impl Identity {
    /// The addresses of a host that may be reached.
    pub(super) async fn climb_dns(&self, host: &str, port: u16, ladder: &mut Ladder) -> Option<Vec<SocketAddr>> {
        let bare = host.trim_matches(['[', ']']);
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare, port))).await;
        let found: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => {
                let next = "correct the host name, or the name server of this machine";
                ladder.failed("dns", format!("{host}: {}", lookup_error(&error)), next);
                return None;
            }
            Err(_) => {
                ladder.failed(
                    "dns",
                    format!("{host}: no answer within 5 seconds"),
                    "look at the name server of this machine",
                );
                return None;
            }
        };
        let allowed: Vec<SocketAddr> =
            found.iter().copied().filter(|address| self.outbound.networks().allow(address.ip())).collect();
        if allowed.is_empty() {
            let next = "use an address outside the link-local range, or have the operator widen identity_networks";
            ladder.failed("dns", format!("{host} leads only to where this server may not go"), next);
            return None;
        }
        let mut texts: Vec<String> = allowed.iter().map(|address| address.ip().to_string()).collect();
        texts.dedup();
        ladder.ok("dns", format!("{host} is {}", texts.join(", ")));
        Some(allowed)
    }

    /// A connection to the first address that takes one.
    pub(super) async fn climb_tcp(&self, addresses: &[SocketAddr], ladder: &mut Ladder) -> Option<TcpStream> {
        let mut said = String::new();
        for address in addresses {
            match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    ladder.ok("tcp", format!("{address} takes connections"));
                    return Some(stream);
                }
                Ok(Err(error)) => said = format!("{address}: {}", plain(&error)),
                Err(_) => said = format!("{address}: no answer within 5 seconds"),
            }
        }
        ladder.failed("tcp", said, "start the server, correct the port, or open the firewall");
        None
    }

    /// TLS on a connection.
    pub(super) async fn climb_tls(&self, stream: TcpStream, host: &str, ca_pem: &str, ladder: &mut Ladder) -> bool {
        let config = match tls_config(ca_pem) {
            Ok(config) => config,
            Err(failure) => {
                ladder.failed("tls", failure.to_string(), "give the certificate authority as PEM");
                return false;
            }
        };
        let Ok(name) = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()) else {
            ladder.failed("tls", format!("{host} is no name for a certificate"), "correct the host name");
            return false;
        };
        match tokio::time::timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let lines: Vec<Vec<u8>> = chain.iter().map(|certificate| certificate.to_vec()).collect();
                certificate_rung(&lines, self.clock.seconds(), ladder);
                true
            }
            Ok(Err(error)) => {
                broken_tls(&error.to_string(), ladder);
                false
            }
            Err(_) => {
                ladder.failed("tls", "no handshake within 5 seconds", "is that port one for TLS?");
                false
            }
        }
    }
}

/// What a trusted chain says, and whether it ends soon.
pub(super) fn certificate_rung(chain: &[Vec<u8>], now: i64, ladder: &mut Ladder) {
    let leaf = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    let Some((_, leaf)) = leaf else {
        ladder.ok("tls", "the certificate is trusted");
        return;
    };
    let end = leaf.validity().not_after.timestamp();
    let days = (end - now).div_euclid(86_400);
    let count = chain.len();
    let chain = if count > 1 { format!("a chain of {count}") } else { "one certificate".to_owned() };
    let found = format!("{chain}, trusted, for {}; ends in {days} days", leaf.subject());
    if days < SOON {
        ladder.note("tls", found, "renew the certificate");
    } else {
        ladder.ok("tls", found);
    }
}

/// A handshake that failed, and what to do.
pub(super) fn broken_tls(cause: &str, ladder: &mut Ladder) {
    let lower = cause.to_lowercase();
    let next = if lower.contains("expired") || lower.contains("not valid after") {
        "renew the server's certificate"
    } else if lower.contains("unknownissuer") || lower.contains("unknown issuer") {
        "give the certificate authority that signed it as ca_file"
    } else if lower.contains("not valid for name") || lower.contains("notvalidforname") {
        "use the name that the certificate is made for, or have it made for this one"
    } else if lower.contains("not valid before") || lower.contains("notvalidyet") {
        "look at the clocks of both machines"
    } else if lower.contains("corrupt message") || lower.contains("invalidcontenttype") || lower.contains("eof") {
        "that port speaks no TLS: correct the scheme or the port"
    } else {
        "see what the server's own log says of the handshake"
    };
    ladder.failed("tls", cause.to_owned(), next);
}

fn lookup_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_owned)
}

/// The words of an error without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
