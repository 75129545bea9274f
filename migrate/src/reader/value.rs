//! One value as SQLite stored it, whatever the column was declared as, and the conversions that never lose it.

use rusqlite::types::ValueRef;
use serde_json::Value as Json;

/// Seconds of 0001-01-01 and 9999-12-31: what a time on the wire can say.
pub(crate) const TIME_RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A value by its storage class.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Int(i64),
    /// REAL.
    Real(f64),
    /// TEXT, which need not be UTF-8.
    Text(Vec<u8>),
    /// BLOB.
    Blob(Vec<u8>),
}

/// What was odd about a value, with the word for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// Short word for scripts.
    pub code: &'static str,
    /// Which column.
    pub column: &'static str,
    /// One sentence.
    pub message: String,
}

impl Value {
    /// Copies what SQLite shows.
    pub(crate) fn copy(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(n) => Self::Int(n),
            ValueRef::Real(n) => Self::Real(n),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }

    /// The value as JSON for the remainder: bytes that are not text become `{"base64": …}`.
    pub(crate) fn to_json(&self) -> Json {
        use base64::Engine as _;
        let packed =
            |bytes: &[u8]| serde_json::json!({ "base64": base64::engine::general_purpose::STANDARD.encode(bytes) });
        match self {
            Self::Null => Json::Null,
            Self::Int(n) => (*n).into(),
            Self::Real(n) => serde_json::Number::from_f64(*n).map_or_else(|| Json::String(n.to_string()), Json::Number),
            Self::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Json::String(text.to_owned()),
                _ => packed(bytes),
            },
            Self::Blob(bytes) => packed(bytes),
        }
    }

    /// A whole number; other classes are converted when they say one.
    pub(crate) fn to_int(&self, column: &'static str, odd: &mut Vec<Oddity>) -> Option<i64> {
        let wrong = |odd: &mut Vec<Oddity>, class: &str, taken: Option<i64>| {
            let taken_text = taken.map_or_else(|| "nothing".to_owned(), |n| n.to_string());
            let message = format!("{column} holds {class} where a whole number belongs; taken as {taken_text}");
            odd.push(Oddity { code: "wrong_type", column, message });
            taken
        };
        match self {
            Self::Null => None,
            Self::Int(n) => Some(*n),
            Self::Real(n) if n.is_finite() => wrong(odd, "a decimal number", Some(*n as i64)),
            Self::Real(_) => wrong(odd, "a number that is none", None),
            Self::Text(bytes) | Self::Blob(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let text = text.trim();
                let number = text
                    .parse::<i64>()
                    .ok()
                    .or_else(|| text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n as i64));
                wrong(odd, "text", number)
            }
        }
    }

    /// Text without NUL; what is not UTF-8 becomes U+FFFD.
    pub(crate) fn to_text(&self, column: &'static str, odd: &mut Vec<Oddity>) -> Option<String> {
        let wrong = |odd: &mut Vec<Oddity>, class: &str| {
            let message = format!("{column} holds {class} where text belongs; taken as text");
            odd.push(Oddity { code: "wrong_type", column, message });
        };
        match self {
            Self::Null => None,
            Self::Int(n) => {
                wrong(odd, "a number");
                Some(n.to_string())
            }
            Self::Real(n) => {
                wrong(odd, "a number");
                Some(n.to_string())
            }
            Self::Text(bytes) => Some(clean(bytes, column, odd)),
            Self::Blob(bytes) => {
                wrong(odd, "bytes");
                Some(clean(bytes, column, odd))
            }
        }
    }

    /// A time in seconds since 1970; larger units are recognised by their size.
    pub(crate) fn to_time(&self, column: &'static str, odd: &mut Vec<Oddity>) -> Option<i64> {
        if let Self::Text(bytes) = self
            && let Some(seconds) = written_time(&String::from_utf8_lossy(bytes))
        {
            let message = format!("{column} holds a written date; taken as {seconds} seconds since 1970");
            odd.push(Oddity { code: "wrong_type", column, message });
            return Some(seconds);
        }
        let raw = self.to_int(column, odd)?;
        let (seconds, unit) = match raw.unsigned_abs() {
            0..=100_000_000_000 => (raw, ""),
            100_000_000_001..=100_000_000_000_000 => (raw.div_euclid(1_000), "milliseconds"),
            100_000_000_000_001..=100_000_000_000_000_000 => (raw.div_euclid(1_000_000), "microseconds"),
            _ => (raw.div_euclid(1_000_000_000), "nanoseconds"),
        };
        if !unit.is_empty() {
            let message = format!("{column} {raw} looks like {unit}; taken as {seconds} seconds");
            odd.push(Oddity { code: "time_unit", column, message });
        }
        let held = seconds.clamp(*TIME_RANGE.start(), *TIME_RANGE.end());
        if held != seconds {
            let message = format!("{column} {raw} is outside the years 1 to 9999; taken as {held}");
            odd.push(Oddity { code: "time_out_of_range", column, message });
        }
        Some(held)
    }
}

fn clean(bytes: &[u8], column: &'static str, odd: &mut Vec<Oddity>) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let message = format!("{column} is not UTF-8; the wrong bytes became U+FFFD, the original is kept aside");
            odd.push(Oddity { code: "invalid_utf8", column, message });
            String::from_utf8_lossy(bytes).into_owned()
        }
    };
    if !text.contains('\0') {
        return text;
    }
    let message = format!("{column} holds NUL characters; they became U+FFFD, the original is kept aside");
    odd.push(Oddity { code: "nul_replaced", column, message });
    text.replace('\0', "\u{fffd}")
}

/// `2024-01-02 03:04:05`, with `T`, zone or fraction, as hand edits leave them.
pub(crate) fn written_time(text: &str) -> Option<i64> {
    use time::format_description::well_known::Rfc3339;
    let text = text.trim();
    if text.len() < 19 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let mut full = text.replacen(' ', "T", 1);
    if !full.ends_with('Z') && !full.get(19..).is_some_and(|rest| rest.contains(['+', '-'])) {
        full.push('Z');
    }
    time::OffsetDateTime::parse(&full, &Rfc3339).ok().map(time::OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_of(value: Value) -> (Option<i64>, Vec<&'static str>) {
        let mut odd = Vec::new();
        let time = value.to_time("created_ts", &mut odd);
        (time, odd.iter().map(|o| o.code).collect())
    }

    #[test]
    fn times_keep_their_meaning() {
        assert_eq!(time_of(Value::Int(1_700_000_000)), (Some(1_700_000_000), vec![]));
        assert_eq!(time_of(Value::Int(-86_400)), (Some(-86_400), vec![]));
        assert_eq!(time_of(Value::Int(1_700_000_000_123)), (Some(1_700_000_000), vec!["time_unit"]));
        assert_eq!(time_of(Value::Text(b"1700000000".to_vec())), (Some(1_700_000_000), vec!["wrong_type"]));
        assert_eq!(time_of(Value::Text(b"2023-11-14 22:13:20".to_vec())), (Some(1_700_000_000), vec!["wrong_type"]));
        assert_eq!(time_of(Value::Null), (None, vec![]));
        assert_eq!(time_of(Value::Int(i64::MIN)).1, vec!["time_unit"]);
    }

    #[test]
    fn text_never_holds_what_postgres_refuses() {
        let mut odd = Vec::new();
        assert_eq!(Value::Text(b"a\0b".to_vec()).to_text("content", &mut odd).as_deref(), Some("a\u{fffd}b"));
        assert_eq!(Value::Text(vec![b'x', 0xff]).to_text("content", &mut odd).as_deref(), Some("x\u{fffd}"));
        assert_eq!(Value::Blob(b"ok".to_vec()).to_text("content", &mut odd).as_deref(), Some("ok"));
        assert_eq!(Value::Int(7).to_text("content", &mut odd).as_deref(), Some("7"));
        let codes: Vec<_> = odd.iter().map(|o| o.code).collect();
        assert_eq!(codes, ["nul_replaced", "invalid_utf8", "wrong_type", "wrong_type"]);
    }
}
