//! The credentials that came with a request, as they were sent; nothing is believed yet.

/// The cookie of a refresh token, as Memos names it.
pub const REFRESH_COOKIE: &str = "memos_refresh";

/// The cookie of a page session.
pub const PAGE_COOKIE: &str = "holdfast_session";

/// The cookie in which Memos before 0.25 kept a token.
pub const OLD_COOKIE: &str = "memos.access-token";

/// At most so many cookies of one name are looked at.
const COOKIES: usize = 4;

/// What a request brought. A bearer token silences the cookies, also when it is worth nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The token of `Authorization: Bearer …`.
    pub bearer: Option<String>,
    /// The values of [`PAGE_COOKIE`], the one with the longest path first. There is more than one when a browser also
    /// knows a tenant whose base path contains this one's.
    pub page: Vec<String>,
    /// The values of [`REFRESH_COOKIE`] in the same order.
    pub refresh: Vec<String>,
    /// The value of [`OLD_COOKIE`].
    pub old: Option<String>,
}

impl Credentials {
    /// From the `Authorization` header and the `Cookie` headers.
    pub fn read<'a>(authorization: Option<&str>, cookies: impl IntoIterator<Item = &'a str>) -> Self {
        let mut out = Self { bearer: authorization.and_then(bearer), ..Self::default() };
        for (name, value) in cookies.into_iter().flat_map(pairs) {
            let list = match name {
                PAGE_COOKIE => &mut out.page,
                REFRESH_COOKIE => &mut out.refresh,
                OLD_COOKIE => {
                    out.old = Some(value.to_owned()).filter(|value| !value.is_empty());
                    continue;
                }
                _ => continue,
            };
            if list.len() < COOKIES && !value.is_empty() {
                list.push(value.to_owned());
            }
        }
        out
    }

    /// Without the refresh cookies, which open files and nothing else.
    #[must_use]
    pub fn without_refresh(mut self) -> Self {
        self.refresh.clear();
        self
    }

    /// Whether a browser may have sent something of ours by itself.
    pub fn has_cookies(&self) -> bool {
        !self.page.is_empty() || !self.refresh.is_empty() || self.old.is_some()
    }

    /// With the token of the old cookie in the place of a bearer token, where nothing else was shown.
    #[must_use]
    pub fn with_old_cookie(mut self) -> Self {
        if self.bearer.is_none() && self.page.is_empty() {
            self.bearer = self.old.clone();
        }
        self
    }
}

/// The `name=value` pairs of one `Cookie` header.
pub fn pairs(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter_map(|pair| pair.trim().split_once('='))
}

/// The token of `Bearer TOKEN`: the scheme in any case, exactly two fields.
fn bearer(header: &str) -> Option<String> {
    let mut fields = header.split_whitespace();
    let (scheme, token) = (fields.next()?, fields.next()?);
    (scheme.eq_ignore_ascii_case("bearer") && fields.next().is_none()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_two_fields_in_any_case() {
        let read = |text| Credentials::read(Some(text), []).bearer;
        for good in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(read(good).as_deref(), Some("abc"), "{good}");
        }
        for bad in ["", "abc", "Bearer", "Token abc", "Bearer a b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn cookies_of_one_name_keep_their_order() {
        let read = Credentials::read(None, ["a=b; holdfast_session=one; memos_refresh=r", "holdfast_session=two"]);
        assert_eq!(read.page, ["one", "two"]);
        assert_eq!(read.refresh, ["r"]);
        assert!(read.has_cookies());
        assert!(read.without_refresh().refresh.is_empty());
    }
}
