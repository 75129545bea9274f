//! Chance is passed in, so that a run can be repeated from its seed.

use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// Letters of generated public ids: base57, without the look-alikes `0 1 I O l`.
const UID_ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Where random bytes come from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Chance {
    /// The operating system's generator: the only one fit for secrets.
    #[default]
    System,
    /// A repeatable sequence from a seed; for tests, samples and drills' choices.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Chance {
    /// A repeatable sequence.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        match self {
            Self::System => rand::rng().fill_bytes(bytes),
            Self::Seeded(rng) => match rng.lock() {
                Ok(mut rng) => rng.fill_bytes(bytes),
                Err(poisoned) => poisoned.into_inner().fill_bytes(bytes),
            },
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random number.
    pub fn u64(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number below `limit`, evenly spread; 0 when `limit` is 0.
    pub fn below(&self, limit: u64) -> u64 {
        if limit == 0 {
            return 0;
        }
        let fair = u64::MAX - u64::MAX % limit;
        loop {
            let drawn = self.u64();
            if drawn < fair {
                return drawn % limit;
            }
        }
    }

    /// `length` letters drawn evenly from `alphabet` (at most 256 letters, not empty).
    pub fn text(&self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .map(|_| {
                let at = self.below(alphabet.len() as u64) as usize;
                alphabet.get(at).copied().unwrap_or(b'x') as char
            })
            .collect()
    }

    /// A new public id of a note, attachment or share: 22 letters, about 128 bits.
    pub fn uid(&self) -> String {
        self.text(UID_ALPHABET, 22)
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}
