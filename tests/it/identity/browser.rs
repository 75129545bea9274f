//! What a browser does on the way to a provider and back: redirects, and cookies kept per server.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use crate::support::{Answer, Http};

/// A browser without script.
#[derive(Default)]
pub(crate) struct Browser {
    jar: HashMap<SocketAddr, BTreeMap<String, String>>,
}

impl Browser {
    /// Sends one request to a whole URL and keeps the cookies of the answer.
    pub(crate) fn ask(&mut self, verb: &str, url: &str, form: Option<&str>) -> Answer {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("no http URL: {url}"));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address: SocketAddr = host.parse().unwrap_or_else(|_| panic!("no address: {url}"));
        let http = Http { address, host: host.to_owned(), base: String::new() };
        let jar = self.jar.entry(address).or_default();
        let mut headers = Vec::new();
        if !jar.is_empty() {
            let pairs: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.push(("Cookie".to_owned(), pairs.join("; ")));
        }
        if form.is_some() {
            headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        let path = if path.is_empty() { "/" } else { path };
        let answer = http.send(verb, path, &headers, form.map(str::as_bytes));
        for (name, value) in &answer.headers {
            if !name.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            let pair = value.split(';').next().unwrap_or_default();
            let Some((name, kept)) = pair.split_once('=') else { continue };
            if kept.is_empty() || value.contains("01 Jan 1970") || value.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), kept.to_owned());
            }
        }
        answer
    }

    /// Follows redirects from a URL: the last URL and its answer.
    pub(crate) fn follow(&mut self, url: &str) -> (String, Answer) {
        let mut at = url.to_owned();
        for _ in 0..12 {
            let answer = self.ask("GET", &at, None);
            let Some(next) = answer.header("location").filter(|_| (300..400).contains(&answer.status)) else {
                return (at, answer);
            };
            at = whole(&at, next);
        }
        panic!("the redirects from {url} have no end; the last was {at}");
    }

    /// Follows redirects until the next one would lead to an address that begins so, which it does not go to.
    pub(super) fn follow_until(&mut self, url: &str, stop: &str) -> String {
        let mut at = url.to_owned();
        for _ in 0..12 {
            let answer = self.ask("GET", &at, None);
            let next = answer.header("location").unwrap_or_else(|| panic!("{at}: {} {}", answer.status, answer.text()));
            at = whole(&at, next);
            if at.starts_with(stop) {
                return at;
            }
        }
        panic!("never led to {stop}; the last was {at}");
    }

    /// Throws the cookies of that server away.
    pub(super) fn forget(&mut self, address: SocketAddr) {
        self.jar.remove(&address);
    }

    /// Whether it holds a cookie of that server.
    pub(super) fn has(&self, address: SocketAddr, name: &str) -> bool {
        self.jar.get(&address).is_some_and(|jar| jar.contains_key(name))
    }
}

/// A location as a whole URL.
fn whole(at: &str, location: &str) -> String {
    if location.starts_with("http") {
        return location.to_owned();
    }
    let origin: String = at.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    format!("{origin}{location}")
}
