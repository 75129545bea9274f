//! Headers that every answer carries, and the answer to questions of browsers about other origins.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::facts::Facts;

/// What our pages may load and do. No `unsafe-*`, ever.
pub(crate) const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    media-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
    manifest-src 'self'; worker-src 'self'";

/// What anything else may load and do, should a browser take it for a page.
const OTHER_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Adds what is missing; a handler that set one of these (files do) knows better.
pub(super) fn secure(headers: &mut HeaderMap, facts: &Facts) {
    let page = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = if page { PAGE_POLICY } else { OTHER_POLICY };
    let mut add = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    add(CONTENT_SECURITY_POLICY, policy);
    add(X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(X_FRAME_OPTIONS, "DENY");
    add(REFERRER_POLICY, "same-origin");
    if page {
        add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        add(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=()");
    }
    if facts.https {
        add(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        only_over_https(headers);
    }
    if let Ok(id) = HeaderValue::from_str(&facts.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// Marks every cookie of an answer that goes over https, whoever set it.
fn only_over_https(headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.remove(SET_COOKIE).collect();
    for line in lines {
        let marked = line.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("; secure"));
        let whole = [line.as_bytes(), if marked { b"" } else { b"; Secure" }].concat();
        headers.append(SET_COOKIE, HeaderValue::from_bytes(&whole).unwrap_or(line));
    }
}

/// What an origin may do with the API: everything that needs no cookie. Cookies only for the origin that is our own or
/// the tenant's public one. As Memos answers; what a handler has said already stays.
pub(super) fn share(origin: Option<&HeaderValue>, answer: &mut HeaderMap, facts: &Facts, public_url: Option<&str>) {
    if !answer.contains_key(VARY) {
        answer.insert(VARY, HeaderValue::from_static("Origin"));
    }
    if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    let Some(origin) = origin.filter(|origin| is_somebody(origin)) else { return };
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if origin.to_str().is_ok_and(|origin| is_own(origin, facts, public_url)) {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// What a browser is told that asks before a cross-origin request, beyond [`share`].
pub(super) fn preflight(asked: &HeaderMap, answer: &mut HeaderMap) {
    if !asked.get(ORIGIN).is_some_and(is_somebody) {
        return;
    }
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    answer.insert(VARY, HeaderValue::from_static(vary));
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"));
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
}

/// Whether an `Origin` is more than that of nobody in particular.
fn is_somebody(origin: &HeaderValue) -> bool {
    !origin.is_empty() && origin.as_bytes() != b"null"
}

/// Whether an `Origin` header names us: the host asked for, or the origin of the tenant's public URL.
pub(crate) fn is_own(origin: &str, facts: &Facts, public_url: Option<&str>) -> bool {
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    if !host.is_empty() && host.eq_ignore_ascii_case(&facts.host) {
        return true;
    }
    let public = public_url.and_then(|url| url::Url::parse(url).ok()).map(|url| url.origin().ascii_serialization());
    public.is_some_and(|public| public.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_over_https_are_for_https() {
        let mut headers = HeaderMap::new();
        for line in ["a=b; Path=/", "c=d; Path=/; Secure"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        only_over_https(&mut headers);
        let lines: Vec<&[u8]> = headers.get_all(SET_COOKIE).map(HeaderValue::as_bytes).collect();
        assert_eq!(lines, [&b"a=b; Path=/; Secure"[..], b"c=d; Path=/; Secure"]);
    }
}
