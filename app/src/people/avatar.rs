//! Pictures of members, stored as `data:` URIs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Error;

const ALLOWED: [&str; 5] = ["image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"];

/// The media type and bytes of a stored picture; none when it is not one.
pub fn decode(avatar: &str) -> Option<(String, Vec<u8>)> {
    let (kind, data) = split(avatar)?;
    Some((kind.to_owned(), STANDARD.decode(data).ok()?))
}

fn split(avatar: &str) -> Option<(&str, &str)> {
    avatar.strip_prefix("data:")?.split_once(";base64,")
}

/// Whether this may become a member's picture: nothing, or a base64 `data:` URI of an image type that is safe to show.
///
/// # Errors
/// Another form, another type, or broken base64.
pub fn check(avatar: &str) -> Result<(), Error> {
    if avatar.is_empty() {
        return Ok(());
    }
    let refuse = |why: &str| Err(Error::Invalid(why.to_owned()));
    let Some((kind, _)) = split(avatar) else {
        return refuse("invalid avatar format: invalid data URI format");
    };
    if !ALLOWED.contains(&kind) {
        return Err(Error::Invalid(format!(
            "invalid avatar image type: {kind}. Only PNG, JPEG, GIF, and WebP are allowed"
        )));
    }
    if decode(avatar).is_none() {
        return refuse("invalid avatar format: invalid base64 data");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_pass() {
        assert!(check("").is_ok());
        assert!(check("data:image/png;base64,aGk=").is_ok());
        for bad in [
            "https://example.org/a.png",
            "data:text/html;base64,PGI+",
            "data:image/png;base64,***",
            "data:image/svg+xml;base64,aGk=",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(decode("data:image/gif;base64,aGk="), Some(("image/gif".to_owned(), b"hi".to_vec())));
    }
}
