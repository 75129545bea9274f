//! Who asks: the ways in which a credential travels, foreign or garbage.

use super::world::Keys;
use crate::support::http::Header;

/// A credential in its header.
pub(super) struct Caller {
    pub(super) name: &'static str,
    pub(super) headers: Vec<Header>,
}

fn bearer(name: &'static str, token: &str) -> Caller {
    Caller { name, headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))] }
}

fn cookie(name: &'static str, cookie: String) -> Caller {
    Caller { name, headers: vec![("Cookie".to_owned(), cookie)] }
}

/// Every credential of a person, each beside the garbage that it must be answered like at another tenant.
pub(super) fn foreign_and_garbage(keys: &Keys) -> Vec<(Caller, Caller)> {
    vec![
        (bearer("access token", &keys.access), bearer("garbage token", "not-a-token")),
        (
            bearer("personal token", &keys.token),
            bearer("garbage personal token", "memos_pat_00000000000000000000000000000000"),
        ),
        (bearer("access token", &keys.access), bearer("altered token", &altered(&keys.access))),
        (bearer("refresh token as bearer", &keys.refresh), bearer("garbage token", "not.a.token")),
        (
            cookie("session cookie", format!("holdfast_session={}", keys.page)),
            cookie("garbage session", "holdfast_session=garbage".to_owned()),
        ),
        (
            cookie("refresh cookie", format!("memos_refresh={}", keys.refresh)),
            cookie("altered refresh token", format!("memos_refresh={}", altered(&keys.refresh))),
        ),
    ]
}

/// A signed token whose signature nobody made.
fn altered(token: &str) -> String {
    let (claims, signature) = token.rsplit_once('.').expect("a signed token");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{claims}.{first}{}", &signature[1..])
}

/// The same person at home.
pub(super) fn own(keys: &Keys) -> Caller {
    bearer("own access token", &keys.access)
}

/// The same person about to sign out: with the session that is to end, in the header of either protocol.
pub(super) fn leaving(keys: &Keys) -> Caller {
    let mut caller = own(keys);
    for name in ["Cookie", "Grpc-Metadata-Cookie"] {
        caller.headers.push((name.to_owned(), format!("memos_refresh={}", keys.refresh)));
    }
    caller
}
