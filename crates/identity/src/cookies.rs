//! The text of `Set-Cookie`.

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const HTTP_DATE: StaticFormatDescription =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A cookie to be set. All of ours are `HttpOnly` and `SameSite=Lax`.
#[derive(Clone, Copy, Debug)]
pub struct SetCookie<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; of the letters that cookies allow.
    pub value: &'a str,
    /// The base path of the tenant, or that of the console.
    pub path: &'a str,
    /// When the browser forgets it.
    pub expires: OffsetDateTime,
    /// Only over https.
    pub secure: bool,
}

impl SetCookie<'_> {
    /// The header's value, with the attributes in the order in which Memos gives them.
    pub fn header(&self) -> String {
        let expires = self.expires.to_offset(time::UtcOffset::UTC).format(HTTP_DATE).unwrap_or_default();
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={}; Path={}; HttpOnly; Expires={expires}; SameSite=Lax{secure}", self.name, self.value, self.path)
    }
}

/// The header's value that makes a browser forget a cookie.
pub fn clear(name: &str, path: &str, secure: bool) -> String {
    SetCookie { name, value: "", path, expires: OffsetDateTime::UNIX_EPOCH, secure }.header()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_memos() {
        assert_eq!(
            clear("memos_refresh", "/", false),
            "memos_refresh=; Path=/; HttpOnly; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax"
        );
        let cookie = SetCookie {
            name: "holdfast_session",
            value: "x",
            path: "/t/team/",
            expires: OffsetDateTime::UNIX_EPOCH + time::Duration::days(40),
            secure: true,
        };
        assert_eq!(
            cookie.header(),
            "holdfast_session=x; Path=/t/team/; HttpOnly; Expires=Tue, 10 Feb 1970 00:00:00 GMT; SameSite=Lax; Secure"
        );
    }
}
