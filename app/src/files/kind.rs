//! File names and media types: what may come in, and how it is given out.

use crate::notes::{Error, input};

const OCTETS: &str = "application/octet-stream";

/// Refuses a file name that is not a plain name: empty, with slashes, or with blanks or dots at its ends.
pub fn check_filename(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid("filename is required"));
    }
    input::refuse_nul("filename", name)?;
    let odd = name.contains(['/', '\\']) || name.starts_with([' ', '.']) || name.ends_with([' ', '.']);
    if odd || name.len() > 1024 {
        return Err(Error::invalid("filename contains invalid characters or format"));
    }
    Ok(())
}

/// The media type of an upload: the client's own without parameters, else by extension, else by content.
pub fn media_type(given: &str, filename: &str, content: &[u8]) -> Result<String, Error> {
    let given = given.split(';').next().unwrap_or_default().trim();
    if !given.is_empty() {
        return if is_media_type(given) {
            Ok(given.to_ascii_lowercase())
        } else {
            Err(Error::invalid("invalid MIME type format"))
        };
    }
    if let Some(guess) = mime_guess::from_path(filename).first() {
        return Ok(guess.essence_str().to_owned());
    }
    if let Some(found) = infer::get(content) {
        return Ok(found.mime_type().to_owned());
    }
    let start = content.get(..512.min(content.len())).unwrap_or_default();
    let binary = start.iter().any(|b| matches!(b, 0..=8 | 11 | 14..=26 | 28..=31));
    Ok(if binary { OCTETS } else { "text/plain" }.to_owned())
}

fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        (1..=127).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    matches!(text.split_once('/'), Some((major, minor)) if token(major) && token(minor))
}

/// How a file is given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `Content-Type`.
    pub content_type: String,
    /// Whether a browser may show it; otherwise it saves it.
    pub inline: bool,
    /// A picture or film, whose colours may be wide.
    pub visual: bool,
    /// A film or sound.
    pub plays: bool,
}

/// How a file of this type is given out. What a browser could run never goes out under its own type.
pub fn served(kind: &str) -> Served {
    let kind = if kind.is_empty() { OCTETS } else { kind };
    let major = kind.split('/').next().unwrap_or_default();
    let plays = matches!(major, "video" | "audio");
    let runs = matches!(
        kind,
        "text/html"
            | "text/javascript"
            | "application/javascript"
            | "application/x-javascript"
            | "text/ecmascript"
            | "application/ecmascript"
            | "text/xml"
            | "application/xml"
            | "application/xhtml+xml"
            | "text/xsl"
            | "application/xslt+xml"
            | "multipart/x-mixed-replace"
    );
    let content_type = match major {
        _ if runs => OCTETS.to_owned(),
        "text" => format!("{kind}; charset=utf-8"),
        _ => kind.to_owned(),
    };
    Served {
        content_type,
        inline: !runs && (plays || major == "image" || kind == "application/pdf"),
        visual: matches!(major, "video" | "image"),
        plays,
    }
}

/// `attachment; filename="…"` with the name as raw UTF-8, as clients of the original know it.
pub fn disposition(filename: &str) -> String {
    let mut name = String::with_capacity(filename.len());
    for c in filename.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            name.push('\\');
        }
        name.push(c);
    }
    format!("attachment; filename=\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_plain_names_are_refused() {
        for good in ["a b ü.png", "no-ext", "renamed ✓.html", "a..b"] {
            assert!(check_filename(good).is_ok(), "{good}");
        }
        for bad in ["", "../x", "a\\b", " lead.txt", "dot.", ".hidden", "trail ", "nul\0"] {
            assert!(check_filename(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn types_are_found_by_name_then_content() {
        let kind = |given, name, content: &[u8]| media_type(given, name, content).ok();
        assert_eq!(kind("text/plain; charset=utf-8", "x", b"").as_deref(), Some("text/plain"));
        assert_eq!(kind("", "x.html", b"").as_deref(), Some("text/html"));
        assert_eq!(kind("", "x", b"\x89PNG\r\n\x1a\n0000").as_deref(), Some("image/png"));
        assert_eq!(kind("", "x", b"hello").as_deref(), Some("text/plain"));
        assert_eq!(kind("", "x", b"\0\x01").as_deref(), Some(OCTETS));
        assert_eq!(kind("not a type", "x", b""), None);
    }

    #[test]
    fn nothing_that_runs_goes_out_as_itself() {
        assert_eq!(served("text/html").content_type, OCTETS);
        assert!(!served("text/html").inline && !served("text/plain").inline && served("image/svg+xml").inline);
        assert_eq!(served("text/plain").content_type, "text/plain; charset=utf-8");
        assert_eq!(disposition("a\"b\r\n.txt"), "attachment; filename=\"a\\\"b.txt\"");
    }
}
