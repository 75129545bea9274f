//! The versions of rows, and the answers that were made of them.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type, accepts};

use crate::check::Checked;

/// The longest answer that is kept: some pages of long notes.
const LONGEST: usize = 64 * 1024;
/// What all kept answers take together, at most.
const TOGETHER: usize = 32 * 1024 * 1024;
/// What one takes beside its body: its entry, the versions, and the rows of its check, which lie in the buffer that they arrived
/// in. Measured: a hundred thousand different notes, read one by one, took 130 MiB when only bodies counted.
const BESIDE: usize = 2 * 1024;

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
    /// From the rows of a proof: three columns.
    pub(crate) fn of_proof(rows: &[Row]) -> Option<Self> {
        rows.iter().map(|row| one(row, row.try_get(0).ok()?, 1)).collect::<Option<Vec<_>>>().map(Self)
    }

    /// From the rows of the read itself: the id first, the two writers last.
    pub(crate) fn of_read(rows: &[Row]) -> Option<Self> {
        let writers = rows.first().map_or(0, |row| row.len().saturating_sub(2));
        rows.iter().map(|row| one(row, row.try_get(0).ok()?, writers)).collect::<Option<Vec<_>>>().map(Self)
    }

    /// With those of the check before them, whose proof speaks of them as of something with the id 0: its row ends in
    /// `pairs` times two writers, of which a pair without the first one is of nothing that is there.
    pub(crate) fn after_check(self, rows: &[Row], pairs: usize) -> Option<Self> {
        let mut all = Vec::with_capacity(self.0.len() + pairs);
        for row in rows {
            let first = row.len().checked_sub(2 * pairs)?;
            for writers in (first..row.len()).step_by(2) {
                if row.try_get::<_, Option<Writer>>(writers).ok()?.is_some() {
                    all.push(one(row, 0, writers)?);
                }
            }
        }
        all.extend(self.0);
        Some(Self(all))
    }
}

fn one(row: &Row, id: i64, writers: usize) -> Option<(i64, u32, Option<u32>)> {
    let (first, second): (Writer, Option<Writer>) = (row.try_get(writers).ok()?, row.try_get(writers + 1).ok()?);
    Some((id, first.0, second.map(|second| second.0)))
}

/// What was answered to a request, and of what it was made.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) stamp: u64,
    /// What the check of the caller read; its versions come before those of the answer's rows.
    pub(crate) checked: Checked,
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
        self.bytes += cost(&answer);
        self.kept.put(key, Arc::new(answer));
        while self.bytes > TOGETHER {
            let Some((_, oldest)) = self.kept.pop_lru() else { break };
            self.bytes -= cost(&oldest);
        }
    }

    pub(crate) fn forget(&mut self, key: u64) {
        if let Some(gone) = self.kept.pop(&key) {
            self.bytes -= cost(&gone);
        }
    }
}

fn cost(answer: &Answer) -> usize {
    answer.body.len() + BESIDE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(length: usize) -> Answer {
        Answer {
            stamp: 0,
            checked: Checked::nothing(),
            versions: Versions(Vec::new()),
            body: Bytes::from(vec![b'x'; length]),
        }
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
        for key in 0..100_000 {
            answers.keep(key, answer(1));
        }
        assert!(answers.kept.len() < 20_000, "short ones take memory, too");
    }
}
