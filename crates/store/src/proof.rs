//! The versions of rows, and the answers that were made of them.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type, accepts};

/// The longest answer that is kept: some pages of long notes.
const LONGEST: usize = 64 * 1024;
/// What all kept answers take together, at most.
const TOGETHER: usize = 32 * 1024 * 1024;

/// Which transaction wrote a row (`xmin`).
struct Writer(u32);

impl<'a> FromSql<'a> for Writer {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(u32::from_be_bytes(raw.try_into()?)))
    }

    accepts!(XID);
}

/// Rows in order: the note's id, who wrote it, and who wrote its author's row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Versions(Vec<(i64, u32, Option<u32>)>);

impl Versions {
    /// From the rows of a proof: three columns, from `first` on.
    pub(crate) fn of_proof(rows: &[Row], first: usize) -> Option<Self> {
        Self::read(rows, first, first + 1)
    }

    /// From the rows of the read itself: the id first, the two writers last.
    pub(crate) fn of_read(rows: &[Row]) -> Option<Self> {
        Self::read(rows, 0, rows.first().map_or(1, |row| row.len().saturating_sub(2)))
    }

    fn read(rows: &[Row], id: usize, writers: usize) -> Option<Self> {
        let one = |row: &Row| {
            let (note, author): (Writer, Option<Writer>) = (row.try_get(writers).ok()?, row.try_get(writers + 1).ok()?);
            Some((row.try_get(id).ok()?, note.0, author.map(|author| author.0)))
        };
        rows.iter().map(one).collect::<Option<Vec<_>>>().map(Self)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) stamp: u64,
    pub(crate) versions: Versions,
    pub(crate) body: Bytes,
}

/// Answers by request, those asked for longest ago going first.
pub(crate) struct Answers {
    kept: LruCache<u64, Arc<Answer>>,
    bytes: usize,
}

impl Default for Answers {
    fn default() -> Self {
        Self { kept: LruCache::unbounded(), bytes: 0 }
    }
}

impl Answers {
    pub(crate) fn get(&mut self, key: u64) -> Option<Arc<Answer>> {
        self.kept.get(&key).cloned()
    }

    pub(crate) fn keep(&mut self, key: u64, answer: Answer) {
        self.forget(key);
        if answer.body.len() > LONGEST {
            return;
        }
        self.bytes += answer.body.len();
        self.kept.put(key, Arc::new(answer));
        while self.bytes > TOGETHER {
            let Some((_, oldest)) = self.kept.pop_lru() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    pub(crate) fn forget(&mut self, key: u64) {
        if let Some(gone) = self.kept.pop(&key) {
            self.bytes -= gone.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(length: usize) -> Answer {
        Answer { stamp: 0, versions: Versions(Vec::new()), body: Bytes::from(vec![b'x'; length]) }
    }

    #[test]
    fn answers_are_bounded() {
        let mut answers = Answers::default();
        for key in 0..2_000 {
            answers.keep(key, answer(LONGEST));
        }
        assert!(answers.bytes <= TOGETHER && answers.get(0).is_none() && answers.get(1_999).is_some());
        answers.keep(1_999, answer(LONGEST + 1));
        assert!(answers.get(1_999).is_none(), "too long, and the old one is no answer any more");
        for key in 0..2_000 {
            answers.forget(key);
        }
        assert_eq!(answers.bytes, 0);
    }
}
