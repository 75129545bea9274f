//! Whose word we take about where a request came from.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks of the proxies in front of us. What anyone else puts into forwarding headers is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// With these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether this peer may speak for others. None is a peer on a Unix socket: whoever may open that file.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|address| {
            let address = address.to_canonical();
            self.0.iter().any(|network| network.contains(&address))
        })
    }

    /// The client behind the proxies, from `X-Forwarded-For` read from its end: the last address that is none of ours.
    pub fn client(&self, peer: Option<IpAddr>, forwarded_for: &str) -> Option<IpAddr> {
        let mut client = peer;
        for hop in forwarded_for.rsplit(',') {
            if !self.trusts(client) {
                break;
            }
            match address(hop.trim()) {
                Some(address) => client = Some(address),
                None => break,
            }
        }
        client
    }
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(plain) = text.parse::<IpAddr>() {
        return Some(plain.to_canonical());
    }
    text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn only_proxies_speak_for_others() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert_eq!(proxies.client(ip("192.0.2.1"), "203.0.113.9"), ip("192.0.2.1"));
        assert_eq!(proxies.client(ip("10.0.0.1"), "203.0.113.9"), ip("203.0.113.9"));
        assert_eq!(proxies.client(ip("10.0.0.1"), "1.1.1.1, 203.0.113.9, 10.0.0.2"), ip("203.0.113.9"));
        assert_eq!(proxies.client(ip("10.0.0.1"), "garbage"), ip("10.0.0.1"));
        assert_eq!(proxies.client(ip("::ffff:10.0.0.1"), "[2001:db8::1]:44"), ip("2001:db8::1"));
        assert_eq!(proxies.client(None, "203.0.113.9"), ip("203.0.113.9"));
        assert_eq!(TrustedProxies::default().client(ip("10.0.0.1"), "203.0.113.9"), ip("10.0.0.1"));
    }
}
