//! Names of points. Where they are in the store is in `objects::keys`.

use std::fmt;
use std::str::FromStr;

use domain::chance::Chance;
use domain::clock::Clock;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

/// The name of a point: `20261122T143500Z-8hex`.
///
/// The time in it is for people. Order comes from the recorded time, never from the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PointName(String);

/// The text is not the name of a point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a point; one looks like 20261122T143500Z-0a1b2c3d")]
pub struct InvalidPointName(String);

impl PointName {
    /// A new name for a point of this moment.
    pub fn draw(clock: &Clock, chance: &Chance) -> Self {
        let tail = hex::encode(chance.bytes::<4>());
        Self(format!("{}-{tail}", compact_time(clock.now())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The eight hex digits at the end: what makes two points of one second different.
    pub fn tail(&self) -> &str {
        self.0.rsplit('-').next().unwrap_or_default()
    }
}

/// `20261122T143500Z`.
pub(crate) fn compact_time(at: OffsetDateTime) -> String {
    at.format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .unwrap_or_else(|_| "19700101T000000Z".to_owned())
}

impl FromStr for PointName {
    type Err = InvalidPointName;

    fn from_str(text: &str) -> Result<Self, InvalidPointName> {
        let bytes = text.as_bytes();
        let digits =
            |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
        let hex = |range: std::ops::Range<usize>| {
            bytes.get(range).is_some_and(|part| part.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)))
        };
        let right = bytes.len() == 25
            && digits(0..8)
            && bytes.get(8) == Some(&b'T')
            && digits(9..15)
            && bytes.get(15..17) == Some(b"Z-")
            && hex(17..25);
        if right { Ok(Self(text.to_owned())) } else { Err(InvalidPointName(text.to_owned())) }
    }
}

impl TryFrom<String> for PointName {
    type Error = InvalidPointName;

    fn try_from(text: String) -> Result<Self, InvalidPointName> {
        text.parse()
    }
}

impl From<PointName> for String {
    fn from(name: PointName) -> Self {
        name.0
    }
}

impl fmt::Display for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_names_parse() {
        let name = PointName::draw(&Clock::fixed(1_795_358_100), &Chance::seeded(1));
        assert_eq!(name.as_str().parse::<PointName>(), Ok(name.clone()));
        assert_eq!(name.tail().len(), 8);
        for bad in ["", "latest", "20261122T143500Z-0A1B2C3D", "20261122T143500Z-0a1b2c3", "20261122T143500Z-0a1b2c3dd"]
        {
            assert!(bad.parse::<PointName>().is_err(), "{bad}");
        }
    }
}
