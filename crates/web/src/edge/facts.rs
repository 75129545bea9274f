//! What is known of a request before anyone looks at its credentials.

use std::net::IpAddr;

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HOST, HeaderMap, USER_AGENT};
use domain::chance::Chance;

use super::proxies::TrustedProxies;

/// The facts of a request. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The id under which the log and an error page speak of this request.
    pub request_id: String,
    /// The client's address; none on a Unix socket without a word from a proxy.
    pub address: Option<IpAddr>,
    /// Whether the client speaks https, to us or to a trusted proxy.
    pub https: bool,
    /// The host the client asked for, with its port.
    pub host: String,
    /// What the client calls itself.
    pub user_agent: String,
}

impl Facts {
    /// Reads them off the request. Forwarding headers count only from a trusted proxy.
    pub(super) fn read(request: &ServiceRequest, proxies: &TrustedProxies, chance: &Chance) -> Self {
        let headers = request.headers();
        let peer = request.peer_addr().map(|socket| socket.ip().to_canonical());
        let trusted = proxies.trusts(peer);
        let forwarded = |name: &str| if trusted { text(headers, name) } else { None };
        let host = forwarded("x-forwarded-host")
            .map(last)
            .or_else(|| text(headers, HOST.as_str()))
            .or_else(|| request.uri().authority().map(actix_web::http::uri::Authority::as_str))
            .unwrap_or_default();
        let https = request.app_config().secure()
            || forwarded("x-forwarded-proto").is_some_and(|scheme| last(scheme).eq_ignore_ascii_case("https"));
        Self {
            request_id: forwarded("x-request-id")
                .filter(|id| is_id(id))
                .map_or_else(|| chance.uuid().simple().to_string(), str::to_owned),
            address: proxies.client(peer, forwarded("x-forwarded-for").unwrap_or_default()),
            https,
            host: host.to_owned(),
            user_agent: text(headers, USER_AGENT.as_str()).unwrap_or_default().chars().take(256).collect(),
        }
    }

    /// The facts that the edge has put beside the request.
    pub fn of(request: &impl HttpMessage) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// `https://host` or `http://host`, as the client sees us.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.host)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}

/// The last of a comma list: what the nearest proxy says.
fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or(list).trim()
}

fn is_id(id: &str) -> bool {
    (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
