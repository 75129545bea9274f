//! Patterns of `matches()`: RE2's language, evaluated here and written out for Postgres.
//!
//! What means something else in one of the three (RE2, Rust, Postgres) is refused, so that an answer never depends on
//! where the pattern runs.

use std::fmt::Write;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Longest pattern, in bytes.
const MAX_LENGTH: usize = 1000;
/// Bound on a compiled pattern, in bytes.
const MAX_SIZE: usize = 512 * 1024;
/// Postgres' own bound on `{n}`.
const MAX_REPEAT: u32 = 255;

/// A checked pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    regex: regex::Regex,
    postgres: String,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Pattern {
    /// Checks `source`; the error says why it is refused.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("a pattern may have {MAX_LENGTH} bytes at most"));
        }
        let plain = plain(source)?;
        let hir = regex_syntax::ParserBuilder::new()
            .nest_limit(50)
            .build()
            .parse(&plain)
            .map_err(|_| "invalid matches argument".to_owned())?;
        let regex = regex::RegexBuilder::new(&plain)
            .size_limit(MAX_SIZE)
            .nest_limit(50)
            .build()
            .map_err(|_| "invalid matches argument: the pattern is too large".to_owned())?;
        let mut postgres = String::new();
        write_postgres(&hir, &mut postgres)?;
        Ok(Self { source: source.to_owned(), regex, postgres })
    }

    /// Whether `text` has a match inside.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The same pattern as a Postgres advanced regular expression, for the operator `~`.
    pub fn postgres(&self) -> &str {
        &self.postgres
    }
}

/// RE2's `\d \w \s \b` know ASCII only: written out. What Rust reads otherwise than RE2 is refused.
fn plain(source: &str) -> Result<String, String> {
    let mut out = String::with_capacity(source.len());
    let mut letters = source.chars().peekable();
    let mut class = false;
    let mut fresh = false;
    while let Some(letter) = letters.next() {
        let opened = std::mem::take(&mut fresh);
        match letter {
            '\\' => {
                let next = letters.next().ok_or("invalid matches argument")?;
                out.push_str(&escaped(next, class)?);
            }
            '[' if class && letters.peek() == Some(&':') => {
                out.push('[');
                for inner in letters.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '[' if class => out.push_str("\\["),
            '[' => {
                (class, fresh) = (true, true);
                out.push('[');
                if letters.peek() == Some(&'^') {
                    letters.next();
                    out.push('^');
                }
            }
            ']' if class && opened => out.push_str("\\]"),
            ']' => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(letter);
            }
            '-' if class && letters.peek() == Some(&'-') => return Err("invalid matches argument".to_owned()),
            '(' if !class && letters.peek() == Some(&'?') => {
                out.push('(');
                group(&mut letters, &mut out)?;
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

fn escaped(letter: char, class: bool) -> Result<String, String> {
    let ascii = |inside: &str, negated: bool| {
        if class && negated {
            return Err(format!("\\{letter} inside brackets is not supported"));
        }
        let hat = if negated { "^" } else { "" };
        Ok(if class { inside.to_owned() } else { format!("[{hat}{inside}]") })
    };
    match letter {
        'd' => ascii("0-9", false),
        'D' => ascii("0-9", true),
        'w' => ascii("0-9A-Za-z_", false),
        'W' => ascii("0-9A-Za-z_", true),
        's' => ascii("\\t\\n\\x0C\\r ", false),
        'S' => ascii("\\t\\n\\x0C\\r ", true),
        'b' if !class => Ok("(?-u:\\b)".to_owned()),
        'A' | 'z' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'p' | 'P' => Ok(format!("\\{letter}")),
        other if other.is_ascii_punctuation() && !matches!(other, '<' | '>') => Ok(format!("\\{other}")),
        '<' | '>' => Ok(letter.to_string()),
        other => Err(format!("\\{other} is not supported in a pattern")),
    }
}

/// What follows `(`: flags `imsU`, or a name.
fn group(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), String> {
    let refused = || "this kind of group is not supported in a pattern".to_owned();
    out.push('?');
    letters.next();
    let mut first = true;
    for letter in letters.by_ref() {
        out.push(letter);
        match letter {
            'i' | 'm' | 's' | 'U' | '-' => {}
            ':' | ')' => return Ok(()),
            'P' | '<' if first => return Ok(()),
            _ => return Err(refused()),
        }
        first = false;
    }
    Err(refused())
}

fn write_postgres(hir: &Hir, out: &mut String) -> Result<(), String> {
    match hir.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| "invalid matches argument".to_owned())?;
            text.chars().for_each(|letter| push_letter(letter, out));
        }
        HirKind::Class(class) => write_class(class, out),
        HirKind::Look(look) => out.push_str(look_postgres(*look)?),
        HirKind::Repetition(repetition) => {
            if repetition.min > MAX_REPEAT || repetition.max.is_some_and(|max| max > MAX_REPEAT) {
                return Err(format!("a pattern may repeat a part {MAX_REPEAT} times at most"));
            }
            out.push_str("(?:");
            write_postgres(&repetition.sub, out)?;
            out.push(')');
            let bound = match (repetition.min, repetition.max) {
                (0, None) => "*".to_owned(),
                (1, None) => "+".to_owned(),
                (min, None) => format!("{{{min},}}"),
                (min, Some(max)) => format!("{{{min},{max}}}"),
            };
            out.push_str(&bound);
        }
        HirKind::Capture(capture) => {
            out.push_str("(?:");
            write_postgres(&capture.sub, out)?;
            out.push(')');
        }
        HirKind::Concat(parts) => {
            for part in parts {
                write_postgres(part, out)?;
            }
        }
        HirKind::Alternation(parts) => {
            out.push_str("(?:");
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    out.push('|');
                }
                write_postgres(part, out)?;
            }
            out.push(')');
        }
    }
    Ok(())
}

fn look_postgres(look: Look) -> Result<&'static str, String> {
    match look {
        Look::Start => Ok("\\A"),
        Look::End => Ok("\\Z"),
        Look::StartLF => Ok("(?:\\A|(?<=\\n))"),
        Look::EndLF => Ok("(?:\\Z|(?=\\n))"),
        Look::WordAscii => Ok("(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))"),
        _ => Err("this boundary is not supported in a pattern".to_owned()),
    }
}

fn write_class(class: &Class, out: &mut String) {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => class.iter().map(|range| (range.start().into(), range.end().into())).collect(),
        Class::Bytes(class) => class.iter().map(|range| (range.start().into(), range.end().into())).collect(),
    };
    // Text in Postgres has no NUL, so the ranges may begin at 1.
    let ranges: Vec<(u32, u32)> =
        ranges.into_iter().map(|(from, to)| (from.max(1), to)).filter(|(from, to)| from <= to).collect();
    if ranges.is_empty() {
        out.push_str("(?!)");
        return;
    }
    out.push('[');
    for (from, to) in ranges {
        push_code(from, out);
        if to > from {
            out.push('-');
            push_code(to, out);
        }
    }
    out.push(']');
}

fn push_letter(letter: char, out: &mut String) {
    if letter.is_ascii_alphanumeric() || letter == ' ' {
        out.push(letter);
    } else {
        push_code(letter.into(), out);
    }
}

fn push_code(code: u32, out: &mut String) {
    let letter = char::from_u32(code).filter(char::is_ascii_alphanumeric);
    // Writing to a String cannot fail.
    let _ = match letter {
        Some(letter) => write!(out, "{letter}"),
        None if code <= 0xffff => write!(out, "\\u{code:04x}"),
        None => write!(out, "\\U{code:08x}"),
    };
}
