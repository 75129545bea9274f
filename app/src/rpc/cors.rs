//! Which origins may read answers: every one, but cookies and credentials only from our own.

/// What a request says about where its page came from.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The `Origin` header.
    pub origin: Option<&'a str>,
    /// The `Host` header.
    pub host: &'a str,
    /// The tenant's public URL.
    pub public_url: Option<&'a str>,
}

type Headers = Vec<(&'static str, String)>;

/// The headers that every answer gets, errors included.
pub fn headers(asking: Asking<'_>) -> Headers {
    let mut out: Headers = vec![("Vary", "Origin".to_owned())];
    allow(asking, &mut out);
    out
}

/// The answer to `OPTIONS`: 204 with these headers. `wanted` is `Access-Control-Request-Headers`.
pub fn preflight(asking: Asking<'_>, wanted: Option<&str>) -> Headers {
    let mut out = Headers::new();
    if !allow(asking, &mut out) {
        return vec![("Vary", "Origin".to_owned())];
    }
    out.push(("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers".to_owned()));
    out.push(("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE".to_owned()));
    if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
        out.push(("Access-Control-Allow-Headers", wanted.to_owned()));
    }
    out
}

/// Allows the origin, if it is one; tells whether it did.
fn allow(asking: Asking<'_>, out: &mut Headers) -> bool {
    let Some(origin) = asking.origin.filter(|origin| !origin.is_empty() && *origin != "null") else { return false };
    out.push(("Access-Control-Allow-Origin", origin.to_owned()));
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let is_public = asking.public_url.is_some_and(|url| origin_of(url).eq_ignore_ascii_case(origin));
    if host.eq_ignore_ascii_case(asking.host) || is_public {
        out.push(("Access-Control-Allow-Credentials", "true".to_owned()));
    }
    true
}

/// `https://host` of `https://host/path`.
fn origin_of(url: &str) -> &str {
    let from = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(from..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| from + at);
    url.get(..end).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(origin: &str) -> Asking<'_> {
        Asking { origin: Some(origin), host: "a.example.org", public_url: Some("https://notes.example.org/t/x") }
    }

    fn has(headers: &Headers, name: &str) -> bool {
        headers.iter().any(|(key, _)| *key == name)
    }

    #[test]
    fn credentials_are_for_our_own_origins() {
        for own in ["http://A.example.org", "https://notes.example.org"] {
            assert!(has(&headers(asking(own)), "Access-Control-Allow-Credentials"), "{own}");
        }
        let other = headers(asking("https://other.example.org"));
        assert!(has(&other, "Access-Control-Allow-Origin") && !has(&other, "Access-Control-Allow-Credentials"));
        assert_eq!(headers(asking("null")), [("Vary", "Origin".to_owned())]);
    }

    #[test]
    fn a_preflight_echoes_what_was_asked() {
        let answer = preflight(asking("https://other.example.org"), Some("authorization"));
        assert!(answer.contains(&("Access-Control-Allow-Headers", "authorization".to_owned())));
        assert!(!has(&preflight(asking("https://other.example.org"), None), "Access-Control-Allow-Headers"));
        assert_eq!(preflight(asking("null"), None), [("Vary", "Origin".to_owned())]);
    }
}
