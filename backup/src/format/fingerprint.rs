//! A number that two tables share when they hold the same rows, in whatever order.
//!
//! It is the sum, modulo 2^256, of the SHA-256 of each row's line of COPY text without its newline. A sum does not
//! care for order, and unlike an exclusive or it does not forget a row that is there twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hash::{Hash, InvalidHash};

/// The sum so far; little-endian limbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u64; 4]);

impl Fingerprint {
    /// Adds one row: its line of COPY text, newline left out.
    pub fn add_row(&mut self, line: &[u8]) {
        self.add(&Self::from_bytes(Hash::of(line).0));
    }

    /// Adds whole rows of COPY text, each ended by a newline.
    pub fn add_rows(&mut self, text: &[u8]) {
        for line in lines(text) {
            self.add_row(line);
        }
    }

    /// Adds a whole other sum.
    pub fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = mine.overflowing_add(theirs);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *mine = sum;
            carry = first || second;
        }
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, part) in limbs.iter_mut().zip(bytes.rchunks_exact(8)) {
            *limb = part.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        Self(limbs)
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (limb, part) in self.0.iter().zip(bytes.rchunks_exact_mut(8)) {
            part.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }
}

/// The rows of a piece of COPY text, newlines left out.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash(self.to_bytes()).fmt(f)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        text.parse::<Hash>().map(|hash| Self::from_bytes(hash.0))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(sum: Fingerprint) -> Self {
        sum.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rows: &[Vec<u8>]) -> Fingerprint {
        let mut sum = Fingerprint::default();
        for row in rows {
            sum.add_row(row);
        }
        sum
    }

    #[test]
    fn one_row_is_its_hash() {
        assert_eq!(of(&[b"1\tx".to_vec()]).to_string(), Hash::of(b"1\tx").to_string());
    }

    #[test]
    fn empty_rows_count() {
        let mut sum = Fingerprint::default();
        sum.add_rows(b"a\n\nb\n");
        assert_eq!(sum, of(&[b"a".to_vec(), Vec::new(), b"b".to_vec()]));
        sum.add_rows(b"");
        assert_eq!(sum, of(&[b"a".to_vec(), Vec::new(), b"b".to_vec()]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn order_does_not_matter_and_content_does(mut rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..20)) {
            let before = of(&rows);
            rows.reverse();
            prop_assert_eq!(of(&rows), before);
            prop_assert_eq!(before.to_string().parse::<Fingerprint>(), Ok(before));
            let twice: Vec<_> = rows.iter().chain(rows.first()).cloned().collect();
            prop_assert_ne!(of(&twice), before);
            rows[0].push(b'!');
            prop_assert_ne!(of(&rows), before);
        }
    }
}
