//! How long and by whom a file may be kept.
//!
//! Memos says `public, max-age=3600` of every file, and clients see exactly that. For a file that not everybody may read
//! this would let a shared cache in between hand it to strangers; so whatever such caches read before that header tells
//! them to keep nothing, and where the request shows that something is in between, the header itself says `private`.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use domain::note::Visibility;
use store::tenant::attachments::Attachment;

use crate::notes::Desk;

/// What every file says where nothing speaks against it.
const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=3600");
/// What a private file says when it passes a proxy.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, max-age=3600");
/// Headers by which proxies and content networks show themselves.
const BETWEEN: [&str; 8] =
    ["via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cdn-loop", "cf-ray"];
/// What shared caches look at before `Cache-Control`: nginx, content networks (RFC 9213), surrogates.
const TO_CACHES: [(&str, &str); 3] =
    [("x-accel-expires", "0"), ("cdn-cache-control", "no-store"), ("surrogate-control", "no-store")];

/// Who may keep a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Everybody: strangers may read it.
    #[default]
    Anyone,
    /// The client alone.
    Client,
    /// The client alone, and there is a proxy between.
    ClientBehindProxy,
}

impl Keep {
    /// For something that everybody may read or not.
    pub fn of(open: bool, behind_proxy: bool) -> Self {
        match (open, behind_proxy) {
            (true, _) => Self::Anyone,
            (false, false) => Self::Client,
            (false, true) => Self::ClientBehindProxy,
        }
    }

    /// Writes it into an answer.
    pub fn mark(self, answer: &mut HttpResponse) {
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, if self == Self::ClientBehindProxy { PRIVATE } else { PUBLIC });
        if self != Self::Anyone {
            for (name, value) in TO_CACHES {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
    }
}

/// Whether a request shows that it has passed a proxy.
pub fn is_behind_proxy(headers: &HeaderMap) -> bool {
    BETWEEN.iter().any(|name| headers.contains_key(*name))
}

/// Whether strangers may read this file.
pub fn is_open(desk: &Desk<'_>, file: &Attachment) -> bool {
    let public = |visibility: Visibility| visibility == Visibility::Public;
    desk.scope.tenant().public_url.is_some()
        && file.note.as_ref().is_some_and(|note| {
            let top = note.parent.as_ref().is_none_or(|top| public(top.visibility) && !top.archived);
            public(note.visibility) && !note.archived && top
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_files_are_kept_by_no_shared_cache() {
        let mut headers = HeaderMap::new();
        assert_eq!(Keep::of(true, true), Keep::Anyone);
        assert_eq!(Keep::of(false, is_behind_proxy(&headers)), Keep::Client);
        headers.insert(HeaderName::from_static("via"), HeaderValue::from_static("1.1 cache"));
        let keep = Keep::of(false, is_behind_proxy(&headers));
        let mut answer = HttpResponse::Ok().finish();
        keep.mark(&mut answer);
        assert_eq!(answer.headers().get(CACHE_CONTROL), Some(&PRIVATE));
        assert!(answer.headers().contains_key("x-accel-expires"));
    }
}
