//! Text → tokens.

use super::FilterError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    Text(String),
    /// An operator or bracket, longest first.
    Sign(&'static str),
    End,
}

/// A token and the byte at which it begins.
pub(super) type Placed = (Token, usize);

const SIGNS: [&str; 22] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "+", "-", "*", "/", "%", "?", ":",
];

/// An error at byte `at` of `text`.
pub(super) fn error_at(text: &str, at: usize, message: impl Into<String>) -> FilterError {
    let position = text.get(..at).unwrap_or(text).chars().count() + 1;
    FilterError { position, message: message.into() }
}

/// All tokens of `text`, the last one `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, FilterError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        if first.is_ascii_whitespace() {
            at += 1;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some((value, length)) = string(text, at)? {
            out.push((Token::Text(value), at));
            at += length;
        } else if first.is_ascii_digit() {
            let (value, length) = number(text, at)?;
            out.push((Token::Int(value), at));
            at += length;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            out.push((Token::Name(rest.get(..length).unwrap_or_default().to_owned()), at));
            at += length;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            out.push((Token::Sign(sign), at));
            at += sign.len();
        } else {
            return Err(error_at(text, at, format!("unexpected character {first:?}")));
        }
    }
    out.push((Token::End, text.len()));
    Ok(out)
}

fn number(text: &str, at: usize) -> Result<(i64, usize), FilterError> {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let digits = rest.get(..length).unwrap_or_default();
    let more = rest.as_bytes().get(length..).unwrap_or_default();
    if more.first() == Some(&b'.') && more.get(1).is_some_and(u8::is_ascii_digit) {
        return Err(error_at(text, at, "fractions are not supported"));
    }
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    };
    parsed.map(|value| (value, length)).ok_or_else(|| error_at(text, at, format!("{digits:?} is not a whole number")))
}

/// The string literal at `at`, if there is one, and its length: quotes of either kind, tripled or not, raw or not.
fn string(text: &str, at: usize) -> Result<Option<(String, usize)>, FilterError> {
    let rest = text.get(at..).unwrap_or_default();
    let raw = rest.starts_with(['r', 'R']) && rest.get(1..).is_some_and(|more| more.starts_with(['"', '\'']));
    let body = rest.get(usize::from(raw)..).unwrap_or_default();
    let Some(mark) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|mark| body.starts_with(mark)) else {
        return Ok(None);
    };
    let mut value = String::new();
    let mut i = mark.len();
    while let Some(letter) = body.get(i..).and_then(|more| more.chars().next()) {
        let more = body.get(i..).unwrap_or_default();
        if more.starts_with(mark) {
            return Ok(Some((value, usize::from(raw) + i + mark.len())));
        }
        match letter {
            '\n' if mark.len() == 1 => break,
            '\\' if !raw => {
                let found = escape(more.get(1..).unwrap_or_default());
                let (escaped, length) = found.ok_or_else(|| error_at(text, at + i, "unknown escape in a string"))?;
                value.push(escaped);
                i += 1 + length;
            }
            other => {
                value.push(other);
                i += other.len_utf8();
            }
        }
    }
    Err(error_at(text, at, "a string is not closed"))
}

/// The character that an escape stands for, and the escape's length without its backslash.
fn escape(rest: &str) -> Option<(char, usize)> {
    let numeric = |skip: usize, digits: usize, radix: u32| {
        let code = u32::from_str_radix(rest.get(skip..skip + digits)?, radix).ok()?;
        // A NUL is in no text of the database, and Postgres takes none as a value.
        Some((char::from_u32(code).filter(|letter| *letter != '\0')?, skip + digits))
    };
    match rest.chars().next()? {
        plain @ ('\\' | '"' | '\'' | '`' | '?') => Some((plain, 1)),
        'n' => Some(('\n', 1)),
        't' => Some(('\t', 1)),
        'r' => Some(('\r', 1)),
        'a' => Some(('\u{7}', 1)),
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'v' => Some(('\u{b}', 1)),
        'x' | 'X' => numeric(1, 2, 16),
        'u' => numeric(1, 4, 16),
        'U' => numeric(1, 8, 16),
        '0'..='3' => numeric(0, 3, 8),
        _ => None,
    }
}
