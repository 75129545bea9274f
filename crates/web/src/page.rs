//! The glue of pages: rendering, redirects after a form, one-line messages that survive a redirect, where to go after
//! signing in.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, COOKIE, ETAG, IF_NONE_MATCH, LOCATION, SET_COOKIE, VARY};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::Place;
use identity::credentials::pairs;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The sign-in page below a tenant's base path.
pub const SIGN_IN: &str = "signin";

/// The sign-in page of operators.
pub const CONSOLE_SIGN_IN: &str = "/console/signin";

/// Where an operator shows once more who he is, before what is dangerous.
pub const CONSOLE_CONFIRM: &str = "/console/confirm";

const FLASH_COOKIE: &str = "holdfast_flash";
const FLASH_LETTERS: usize = 300;
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A page that is read (200). Browsers may keep it but ask each time; asked with what they have, they get 304.
pub fn show(request: &HttpRequest, page: &impl Template) -> Result<HttpResponse> {
    let html = render(page)?;
    let digest = hex::encode(Sha256::digest(html.as_bytes()));
    let tag = format!("W/\"{}\"", digest.get(..32).unwrap_or(&digest));
    let same = request.headers().get(IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == tag.as_bytes());
    let mut answer = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // The kind also on a 304: by it the edge chooses the content security policy, which browsers take over from a 304.
    answer
        .content_type("text/html; charset=utf-8")
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((VARY, "Cookie, HX-Request, HX-Target"));
    Ok(if same { answer.finish() } else { answer.body(html) })
}

/// A page with another status, which nobody keeps: a form with its errors (422), a secret that is shown once (200).
pub fn show_once(status: StatusCode, page: &impl Template) -> Result<HttpResponse> {
    let html = render(page)?;
    Ok(HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// The HTML of a template.
pub fn render(page: &impl Template) -> Result<String> {
    page.render().map_err(Error::internal)
}

/// After a form: go and read there (303).
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// The same, with a sentence that the next page shows. Never a secret: it travels in a cookie for a minute.
pub fn see_other_saying(location: &str, sentence: &str, path: &str) -> HttpResponse {
    let short: String = sentence.chars().take(FLASH_LETTERS).collect();
    let value = utf8_percent_encode(&short, NON_ALPHANUMERIC);
    let cookie = format!("{FLASH_COOKIE}={value}; Path={path}; HttpOnly; Max-Age=60; SameSite=Lax");
    HttpResponse::SeeOther().insert_header((LOCATION, location)).insert_header((SET_COOKIE, cookie)).finish()
}

/// The sentence that a redirect left for this page. The page takes it away with [`forget_flash`].
pub fn flash(request: &HttpRequest) -> Option<String> {
    let value = cookie(request, FLASH_COOKIE)?;
    let text = percent_decode_str(&value).decode_utf8().ok()?;
    Some(text.chars().take(FLASH_LETTERS).collect())
}

/// Makes the browser forget the sentence that was shown.
pub fn forget_flash(mut response: HttpResponse, path: &str) -> HttpResponse {
    if let Ok(value) = format!("{FLASH_COOKIE}=; Path={path}; HttpOnly; Max-Age=0; SameSite=Lax").parse() {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// The value of a cookie as the browser sent it.
pub fn cookie(request: &HttpRequest, wanted: &str) -> Option<String> {
    let lines = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
    lines.flat_map(pairs).find(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| value.to_owned())
}

/// Adds a `Set-Cookie` header.
pub fn set_cookie(mut response: HttpResponse, header: &str) -> Result<HttpResponse> {
    response.headers_mut().append(
        SET_COOKIE,
        header.parse().map_err(|cause: actix_web::http::header::InvalidHeaderValue| Error::internal(cause))?,
    );
    Ok(response)
}

/// Percent-encodes a path for a query value.
pub fn encode(path: &str) -> String {
    utf8_percent_encode(path, PLAIN).to_string()
}

/// Where to go after signing in: the path that `?next=` names below the tenant's base, or the base itself when it names
/// anything but a plain path of our own.
pub fn after_sign_in(place: &Place, next: Option<&str>) -> String {
    next.filter(|next| is_own_path(next)).map_or_else(|| place.base.clone(), |next| place.path(next))
}

/// Whether this is a path of ours and not the beginning of another site's address.
pub fn is_own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|b| (0x21..0x7f).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_our_own_are_gone_to() {
        for own in ["/", "/memos/x", "/search?q=a%20b"] {
            assert!(is_own_path(own), "{own}");
        }
        for foreign in
            ["", "x", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nSet-Cookie: x", "/\t/x"]
        {
            assert!(!is_own_path(foreign), "{foreign:?}");
        }
        assert_eq!(encode("/search?q=a b&c"), "/search%3Fq%3Da%20b%26c");
    }
}
