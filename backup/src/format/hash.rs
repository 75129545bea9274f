//! SHA-256 as points use it: of plain bytes, of stored bytes, and whether anybody looks at it. Reckoned by ring, which is
//! twice as fast as the crate `sha2` where the processor has no instructions for it.

use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

/// A SHA-256; in text 64 lower-case hex digits, as `sha256sum` prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

/// The text is not a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: 64 lower-case hex digits are expected")]
pub struct InvalidHash;

impl Hash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(digest(&SHA256, bytes))
    }

    /// Whether these bytes, one of them from `from` on being another, have the hash `right`.
    pub fn is_one_byte_off(stored: &[u8], from: usize, right: &Self) -> bool {
        let Some((head, tail)) = stored.split_at_checked(from) else { return false };
        let mut begun = Context::new(&SHA256);
        begun.update(head);
        let mut tail = tail.to_vec();
        (0..tail.len()).any(|at| {
            let found = tail[at];
            let hit = (0..=u8::MAX).filter(|byte| *byte != found).any(|byte| {
                tail[at] = byte;
                let mut whole = begun.clone();
                whole.update(&tail);
                Self::from_digest(whole.finish()) == *right
            });
            tail[at] = found;
            hit
        })
    }

    fn from_digest(digest: ring::digest::Digest) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest.as_ref());
        Self(out)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let lower = text.bytes().all(|b| !b.is_ascii_uppercase());
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out).map_err(|_| InvalidHash)?;
        if lower { Ok(Self(out)) } else { Err(InvalidHash) }
    }
}

impl TryFrom<String> for Hash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// How many of an object's first bytes its [`Head`] covers.
const HEAD: usize = 96;

/// What an object begins with: tells an object that lost its end from another, shorter object in its place.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head([u8; 8]);

impl Head {
    fn of(bytes: &[u8]) -> Self {
        let hash = Hash::of(bytes.get(..HEAD).unwrap_or(bytes)).0;
        Self(hash.first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl TryFrom<String> for Head {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let mut out = [0; 8];
        hex::decode_to_slice(text, &mut out).map_err(|_| InvalidHash)?;
        Ok(Self(out))
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        hex::encode(head.0)
    }
}

/// What is recorded of stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Length and hash.
    pub measure: Measure,
    /// What they begin with.
    pub head: Head,
}

impl Stamp {
    /// The stamp of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { measure: Measure::of(bytes), head: Head::of(bytes) }
    }
}

/// Counts and hashes bytes as they go by.
#[derive(Clone)]
pub struct Tally {
    sha256: Context,
    bytes: u64,
    head: Vec<u8>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { sha256: Context::new(&SHA256), bytes: 0, head: Vec::new() }
    }
}

impl Tally {
    /// Takes note of `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        let wanted = HEAD - self.head.len();
        self.head.extend_from_slice(bytes.get(..wanted).unwrap_or(bytes));
    }

    /// What went by, as stored bytes.
    pub fn stamp(self) -> Stamp {
        Stamp { head: Head::of(&self.head), measure: self.finish() }
    }

    /// What went by.
    pub fn finish(self) -> Measure {
        Measure { bytes: self.bytes, sha256: Hash::from_digest(self.sha256.finish()) }
    }
}

/// How many bytes there are, and their SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Length in bytes.
    pub bytes: u64,
    /// Of all of them.
    pub sha256: Hash,
}

impl Measure {
    /// The measure of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: Hash::of(bytes) }
    }
}

/// Whether lengths and hashes are compared. Passed in, so that a test can show what would go unseen without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashCheck {
    /// Every length and hash is compared.
    #[default]
    Real,
    /// Everything is taken as right. Only a test that proves the checks' worth may ask for this.
    #[cfg(any(test, feature = "testing"))]
    PassThrough,
}

impl HashCheck {
    /// What is wrong with bytes measured as `found` where `expected` was recorded, if anything.
    pub fn compare(self, expected: &Measure, found: &Measure) -> Option<Mismatch> {
        match self {
            Self::Real if found.bytes < expected.bytes => Some(Mismatch::Truncated),
            Self::Real if found != expected => Some(Mismatch::Altered),
            Self::Real => None,
            #[cfg(any(test, feature = "testing"))]
            Self::PassThrough => None,
        }
    }

    /// The same of stored bytes: shorter ones that begin otherwise are not what is left of the right ones.
    pub fn compare_stored(self, expected: &Stamp, found: &Stamp) -> Option<Mismatch> {
        let mismatch = self.compare(&expected.measure, &found.measure)?;
        let other = found.measure.bytes >= HEAD as u64 && found.head != expected.head;
        Some(if other { Mismatch::Altered } else { mismatch })
    }

    /// Whether two hashes are to be taken as equal.
    pub fn same(self, expected: &Hash, found: &Hash) -> bool {
        self.accepts(expected == found)
    }

    /// Whether what was compared is to be accepted.
    pub const fn accepts(self, equal: bool) -> bool {
        match self {
            Self::Real => equal,
            #[cfg(any(test, feature = "testing"))]
            Self::PassThrough => true,
        }
    }
}

/// In which way stored bytes are not what was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Fewer bytes than were stored.
    Truncated,
    /// Other bytes.
    Altered,
}
