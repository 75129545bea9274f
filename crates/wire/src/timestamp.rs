//! A moment, written in JSON the one way that every client reads: UTC, `Z`, and a fraction only where there is one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of that second, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;

impl Timestamp {
    /// The moment `seconds` after 1970 began; the unit of notes, members and files.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// The moment `nanos` nanoseconds after 1970 began; the unit of tokens and sessions.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { seconds: nanos.div_euclid(1_000_000_000), nanos: nanos.rem_euclid(1_000_000_000) as i32 }
    }

    /// Whether JSON and the database can hold it: years 1 to 9999, nanoseconds within a second.
    pub const fn is_valid(self) -> bool {
        self.seconds >= FIRST && self.seconds <= LAST && self.nanos >= 0 && self.nanos < 1_000_000_000
    }

    /// Nanoseconds since 1970, as far as 64 bits reach.
    pub const fn nanos_since_epoch(self) -> i64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(self.nanos as i64)
    }

    /// Reads RFC 3339 text.
    ///
    /// # Errors
    /// The text is not a moment between the years 1 and 9999.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let refused = || InvalidTimestamp(text.to_owned());
        if text.as_bytes().get(10) != Some(&b'T') || text.bytes().last().is_some_and(|b| b == b'z') {
            return Err(refused());
        }
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refused())?;
        let parsed = Self { seconds: moment.unix_timestamp(), nanos: moment.nanosecond() as i32 };
        if parsed.is_valid() { Ok(parsed) } else { Err(refused()) }
    }

    /// RFC 3339 in UTC with a fraction of 0, 3, 6 or 9 digits; empty for a moment out of range.
    pub fn text(self) -> String {
        let Some(moment) =
            Some(self).filter(|t| t.is_valid()).and_then(|t| OffsetDateTime::from_unix_timestamp(t.seconds).ok())
        else {
            return String::new();
        };
        let (year, month, day) = (moment.year(), u8::from(moment.month()), moment.day());
        let (hour, minute, second) = (moment.hour(), moment.minute(), moment.second());
        // By hand: a list writes three for every note, and `format!` shows in its profile.
        let mut text = String::with_capacity(30);
        digits(&mut text, year.unsigned_abs(), 4);
        for (sign, number) in [('-', month), ('-', day), ('T', hour), (':', minute), (':', second)] {
            text.push(sign);
            digits(&mut text, u32::from(number), 2);
        }
        let (fraction, width) = match self.nanos.unsigned_abs() {
            0 => (0, 0),
            n if n % 1_000_000 == 0 => (n / 1_000_000, 3),
            n if n % 1_000 == 0 => (n / 1_000, 6),
            n => (n, 9),
        };
        if width > 0 {
            text.push('.');
            digits(&mut text, fraction, width);
        }
        text.push('Z');
        text
    }
}

/// Appends `number` with `width` digits, zeros in front.
fn digits(text: &mut String, number: u32, width: u32) {
    for place in (0..width).rev() {
        text.push(char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8));
    }
}

/// The text is not an RFC 3339 moment between the years 1 and 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid google.protobuf.Timestamp value \"{0}\"")]
pub struct InvalidTimestamp(String);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_has_three_six_or_nine_digits() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:01Z"),
            (500_000_000, "1970-01-01T00:00:01.500Z"),
            (1_000, "1970-01-01T00:00:01.000001Z"),
            (1, "1970-01-01T00:00:01.000000001Z"),
        ] {
            let moment = Timestamp { seconds: 1, nanos };
            assert_eq!(moment.text(), text);
            assert_eq!(Timestamp::parse(text), Ok(moment));
        }
    }

    #[test]
    fn offsets_are_read_and_nonsense_is_not() {
        assert_eq!(Timestamp::parse("2020-01-01T02:00:00+02:00"), Ok(Timestamp::from_seconds(1_577_836_800)));
        for bad in
            ["yesterday", "", "2020-01-01", "2020-01-01 00:00:00Z", "2020-13-01T00:00:00Z", "2020-01-01T00:00:00"]
        {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn negative_nanoseconds_fall_into_the_second_before() {
        assert_eq!(Timestamp::from_nanos(-1), Timestamp { seconds: -1, nanos: 999_999_999 });
    }
}
