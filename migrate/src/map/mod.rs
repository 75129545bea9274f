//! Pure mapping: a row of Memos in, a row of a tenant out. Nothing here reads or writes.

pub mod attachments;
pub mod inbox;
pub mod members;
pub mod notes;
pub mod providers;
pub mod settings;
pub mod tokens;
pub mod user_settings;
pub mod views;

use sha2::{Digest as _, Sha256};

/// A number above this one is kept, but new numbers do not follow it: there would be no room for them.
pub(crate) const HIGHEST: i64 = i64::MAX / 2;

/// The highest of sorted numbers that new ones may follow; 0 when there is none.
pub(crate) fn last_of(numbers: &[i64]) -> i64 {
    numbers.iter().rev().copied().find(|number| *number <= HIGHEST).unwrap_or_default().max(0)
}

/// Letters of generated public ids, as `domain::Chance::uid` uses them.
const LETTERS: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A public id for a row that has none (before 0.19), or whose id another row has too. The same source gives the same
/// ids in every run; `seed` is a secret of the source, so that outsiders cannot compute them.
pub fn uid_for(seed: &str, kind: &str, id: i64) -> String {
    let digest = Sha256::digest(format!("{seed}\n{kind}\n{id}").as_bytes());
    digest.iter().take(22).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_numbers_have_room() {
        assert_eq!(last_of(&[-4, 3, 9, i64::MAX]), 9);
        assert_eq!((last_of(&[]), last_of(&[i64::MAX]), last_of(&[i64::MIN])), (0, 0, 0));
    }

    #[test]
    fn generated_ids_are_stable_and_distinct() {
        assert_eq!(uid_for("s", "memo", 1), uid_for("s", "memo", 1));
        assert_ne!(uid_for("s", "memo", 1), uid_for("s", "memo", 2));
        assert_ne!(uid_for("s", "memo", 1), uid_for("t", "memo", 1));
        assert!(domain::id::is_client_uid(&uid_for("s", "memo", 1)));
    }
}
