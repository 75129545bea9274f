//! Values known before any note is looked at: literals, moments, spans, and sums of them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Op;

const SECOND: i128 = 1_000_000_000;

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Text(String),
    /// Nanoseconds since 1970.
    Moment(i128),
    /// Nanoseconds.
    Span(i128),
    Null,
}

impl Value {
    /// What kind of value it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Text(_) => "string",
            Self::Moment(_) => "timestamp",
            Self::Span(_) => "duration",
            Self::Null => "null",
        }
    }
}

/// Seconds since 1970 of a moment, rounded down.
pub(super) fn seconds(moment: i128) -> i64 {
    i64::try_from(moment.div_euclid(SECOND)).unwrap_or(if moment < 0 { i64::MIN } else { i64::MAX })
}

/// `now`, from seconds.
pub(super) fn moment(seconds: i64) -> Value {
    Value::Moment(i128::from(seconds) * SECOND)
}

/// `timestamp("2024-01-31T12:00:00Z")` or `timestamp(1700000000)`.
pub(super) fn timestamp(argument: &Value) -> Result<Value, String> {
    match argument {
        Value::Int(seconds) => Ok(moment(*seconds)),
        Value::Text(text) => OffsetDateTime::parse(text, &Rfc3339)
            .map(|moment| Value::Moment(moment.unix_timestamp_nanos()))
            .map_err(|_| format!("{text:?} is not a timestamp such as 2024-01-31T12:00:00Z")),
        Value::Moment(_) => Ok(argument.clone()),
        other => Err(format!("timestamp() takes a string or an int, not a {}", other.kind())),
    }
}

/// `duration("1h30m")`.
pub(super) fn duration(argument: &Value) -> Result<Value, String> {
    match argument {
        Value::Text(text) => {
            span(text).map(Value::Span).ok_or_else(|| format!("{text:?} is not a duration such as 24h or 1h30m"))
        }
        Value::Span(_) => Ok(argument.clone()),
        other => Err(format!("duration() takes a string, not a {}", other.kind())),
    }
}

fn span(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, more) = rest.split_at_checked(digits)?;
        let length = more.bytes().take_while(|b| !b.is_ascii_digit() && *b != b'.').count();
        let (unit, more) = more.split_at_checked(length)?;
        let unit: i128 = match unit {
            "h" => 3600 * SECOND,
            "m" => 60 * SECOND,
            "s" => SECOND,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        rest = more;
    }
    i64::try_from(total).ok()?;
    Some(if negative { -total } else { total })
}

fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.into() };
    let parts: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    whole.checked_mul(unit)?.checked_add(parts.checked_mul(unit)? / scale)
}

/// `left sign right` on constants.
pub(super) fn arithmetic(sign: char, left: &Value, right: &Value) -> Result<Value, String> {
    let out = match (left, sign, right) {
        (Value::Int(a), '+', Value::Int(b)) => a.checked_add(*b).map(Value::Int),
        (Value::Int(a), '-', Value::Int(b)) => a.checked_sub(*b).map(Value::Int),
        (Value::Int(a), '*', Value::Int(b)) => a.checked_mul(*b).map(Value::Int),
        (Value::Int(a), '/', Value::Int(b)) => a.checked_div(*b).map(Value::Int),
        (Value::Int(a), '%', Value::Int(b)) => a.checked_rem(*b).map(Value::Int),
        (Value::Moment(a), '+', Value::Span(b)) | (Value::Span(a), '+', Value::Moment(b)) => {
            a.checked_add(*b).map(Value::Moment)
        }
        (Value::Moment(a), '-', Value::Span(b)) => a.checked_sub(*b).map(Value::Moment),
        (Value::Span(a), '+', Value::Span(b)) => a.checked_add(*b).map(Value::Span),
        (Value::Moment(a), '-', Value::Moment(b)) | (Value::Span(a), '-', Value::Span(b)) => {
            a.checked_sub(*b).map(Value::Span)
        }
        _ => return Err(format!("{sign} does not apply to {} and {}", left.kind(), right.kind())),
    };
    out.ok_or_else(|| "the result is out of range".to_owned())
}

/// `left op right` on constants.
pub(super) fn compare(op: Op, left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(op.holds(a, b)),
        (Value::Text(a), Value::Text(b)) => Ok(op.holds(a, b)),
        (Value::Moment(a), Value::Moment(b)) | (Value::Span(a), Value::Span(b)) => Ok(op.holds(a, b)),
        (Value::Bool(a), Value::Bool(b)) => Ok(op.holds(a, b)),
        (Value::Null, Value::Null) => Ok(op.holds(&0, &0)),
        _ => Err(format!("a {} cannot be compared with a {}", left.kind(), right.kind())),
    }
}

/// The opposite of a constant.
pub(super) fn negative(value: &Value) -> Result<Value, String> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(|| "the result is out of range".to_owned()),
        Value::Span(value) => Ok(Value::Span(-value)),
        other => Err(format!("- does not apply to a {}", other.kind())),
    }
}

/// First second of the year 1.
pub const CALENDAR_BEGIN: i64 = -62_135_596_800;
/// Last second of the year 9999.
pub const CALENDAR_END: i64 = 253_402_300_799;

/// The UTC calendar's view of seconds since 1970; the ends of the calendar stand for what lies beyond.
pub(super) fn calendar(seconds: i64) -> OffsetDateTime {
    let inside = seconds.clamp(CALENDAR_BEGIN, CALENDAR_END);
    OffsetDateTime::from_unix_timestamp(inside).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
