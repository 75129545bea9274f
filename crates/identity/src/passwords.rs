//! Passwords: what Memos hashed (bcrypt) still opens, what we hash is argon2id.
//!
//! Hashing takes tens of milliseconds of a core, so it runs on the blocking pool, a few at a time. A wrong password and
//! an unknown name cost the same work: one bcrypt and one argon2id each, whatever kind of hash is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::chance::Chance;
use tokio::sync::Semaphore;

use crate::Error;

/// The longest password, in bytes.
pub const MAX_PASSWORD: usize = 1024;

/// How long a sign-in waits for its turn to be hashed.
const WAIT: Duration = Duration::from_secs(10);

/// A bcrypt hash of nothing anybody knows, of the cost that Memos uses (10).
const DECOY_BCRYPT: &str = "$2b$10$abcdefghijklmnopqrstuuQ6yGkJ9mJ0o3n5mYcB4QeZ0iQvE0c1K";

/// Hashes and checks passwords. Cheap to clone; clones share the bound.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    chance: Chance,
    decoy: Arc<str>,
    computed: Arc<AtomicU64>,
}

impl Passwords {
    /// With at most `at_once` hashes being computed at a time.
    pub fn new(at_once: usize, chance: Chance) -> Self {
        let decoy = decoy(&chance).into();
        Self { turns: Arc::new(Semaphore::new(at_once.max(1))), chance, decoy, computed: Arc::default() }
    }

    /// The argon2id hash of a new password, as a PHC string.
    pub async fn hash(&self, password: &str) -> Result<String, Error> {
        if password.is_empty() || password.len() > MAX_PASSWORD {
            return Err(Error::UnfitPassword);
        }
        let (password, salt) = (password.as_bytes().to_vec(), self.chance.bytes::<16>());
        self.in_turn(move || argon2id(&password, &salt)).await?
    }

    /// Whether the password is the one behind the stored hash. `None` (no such name) and an empty hash (no password was
    /// set) are never right, and take as long as a wrong password.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, Error> {
        let (password, stored) = (password.to_owned(), stored.unwrap_or_default().to_owned());
        let (decoy, computed) = (Arc::clone(&self.decoy), Arc::clone(&self.computed));
        self.in_turn(move || check(&password, &stored, &decoy, &computed)).await
    }

    /// Hashes computed so far to check passwords: the work of which a stranger sees the time.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let turns = Arc::clone(&self.turns);
        let turn = tokio::time::timeout(WAIT, turns.acquire_owned()).await.map_err(|_| Error::Busy)?;
        let turn = turn.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|cause| Error::Crypto(Box::new(cause)))
    }
}

fn argon2id(password: &[u8], salt: &[u8]) -> Result<String, Error> {
    let hash = Argon2::default().hash_password_with_salt(password, salt);
    hash.map(|hash| hash.to_string()).map_err(|cause| Error::Crypto(cause.to_string().into()))
}

/// A hash that no password has, drawn and not computed: one of the cost of ours, which a start need not pay.
fn decoy(chance: &Chance) -> String {
    let (argon2, salt, sum) = (Argon2::default(), chance.bytes::<16>(), chance.bytes::<32>());
    let costs = argon2.params();
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        costs.m_cost(),
        costs.t_cost(),
        costs.p_cost(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(sum)
    )
}

fn check(password: &str, stored: &str, decoy: &str, computed: &AtomicU64) -> bool {
    let short = password.len() <= MAX_PASSWORD;
    let by_bcrypt = |hash: &str| {
        computed.fetch_add(1, Ordering::Relaxed);
        bcrypt::verify(password, hash).unwrap_or(false)
    };
    let by_argon2 = |hash: &str| {
        computed.fetch_add(1, Ordering::Relaxed);
        is_argon2(password, hash)
    };
    if stored.starts_with("$argon2") {
        let right = short && by_argon2(stored);
        if !right {
            by_bcrypt(DECOY_BCRYPT);
        }
        return right;
    }
    let known = stored.starts_with("$2");
    let right = by_bcrypt(if known { stored } else { DECOY_BCRYPT }) && known && short;
    if !right {
        by_argon2(decoy);
    }
    right
}

fn is_argon2(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(2, Chance::seeded(1))
    }

    #[tokio::test]
    async fn new_passwords_are_argon2id_and_open() {
        let passwords = passwords();
        let hash = passwords.hash("pa ß word").await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.verify("pa ß word", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("pa ss word", Some(&hash)).await.unwrap());
        assert_ne!(hash, passwords.hash("pa ß word").await.unwrap());
    }

    #[tokio::test]
    async fn both_kinds_of_bcrypt_open() {
        let passwords = passwords();
        let parts = bcrypt::hash_with_result("secret", 5).unwrap();
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB] {
            let hash = parts.format_for_version(version);
            assert!(passwords.verify("secret", Some(&hash)).await.unwrap(), "{hash}");
            assert!(!passwords.verify("Secret", Some(&hash)).await.unwrap(), "{hash}");
        }
    }

    #[tokio::test]
    async fn no_hash_is_never_right() {
        let passwords = passwords();
        for stored in [None, Some(""), Some("$2b$"), Some("$argon2id$x"), Some("plain")] {
            assert!(!passwords.verify("", stored).await.unwrap(), "{stored:?}");
            assert!(!passwords.verify("plain", stored).await.unwrap(), "{stored:?}");
        }
    }

    #[test]
    fn the_decoys_are_real_hashes() {
        assert!(bcrypt::verify("x", DECOY_BCRYPT).is_ok_and(|right| !right));
        let (decoy, real) = (passwords().decoy, argon2id(b"x", &[7; 16]).unwrap());
        let kind = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(kind(&decoy), kind(&real), "a decoy costs what a hash of ours costs");
        assert_eq!(decoy.len(), real.len());
        let parsed = PasswordHash::new(&decoy).unwrap();
        assert!(matches!(
            Argon2::default().verify_password(b"x", &parsed),
            Err(argon2::password_hash::Error::PasswordInvalid)
        ));
    }

    #[tokio::test]
    async fn unfit_passwords_are_refused() {
        assert!(matches!(passwords().hash("").await, Err(Error::UnfitPassword)));
        assert!(matches!(passwords().hash(&"x".repeat(1025)).await, Err(Error::UnfitPassword)));
    }
}
