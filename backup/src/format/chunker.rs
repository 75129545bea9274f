//! Cuts the rows of one table, as COPY text, into pieces that stay the same when other rows change.
//!
//! With a bigint key as its first key column a table is cut where the id passes a multiple of 1,024, once the piece
//! is worth an object of its own; without one only where a piece would pass 4 MiB. A row is never cut. What the rows add up
//! to is reckoned from the pieces, by whoever has time for it.

use bytes::{Bytes, BytesMut};

use super::buffers::{Buffer, Buffers};
use super::fingerprint::Fingerprint;

/// A piece is not let grow past this, save by a single row that is larger.
pub const PIECE_LIMIT: usize = 4 * 1024 * 1024;
/// Ids that share a bucket stay in one piece.
pub const BUCKET: i64 = 1024;
/// Below this a piece goes on into the next bucket: many tiny pieces cost more than they save.
const WORTH_CUTTING: usize = 64 * 1024;

/// Consecutive rows of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// COPY text, each row ended by a newline.
    pub text: Bytes,
    /// How many rows.
    pub rows: u64,
    /// Smallest and largest id in it, where the table has ids.
    pub ids: Option<(i64, i64)>,
}

impl Piece {
    /// What its rows add up to.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut sum = Fingerprint::default();
        sum.add_rows(&self.text);
        sum
    }
}

/// Rows, and what they add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How many rows.
    pub rows: u64,
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
}

impl Total {
    /// Adds a piece.
    pub fn add(&mut self, piece: &Piece) {
        self.rows += piece.rows;
        self.fingerprint.add(&piece.fingerprint());
    }
}

/// The row's id is not where the table's columns say it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} has no whole number in its id column")]
pub struct NoId {
    /// Counted from 1.
    pub row: u64,
}

/// Takes COPY text in any portions and hands out pieces.
#[derive(Debug)]
pub struct Chunker {
    id_column: Option<usize>,
    /// The beginning of a row whose end has not come yet.
    partial: BytesMut,
    open: Buffer,
    buffers: Buffers,
    open_rows: u64,
    open_ids: Option<(i64, i64)>,
    /// Rows that went by.
    rows: u64,
}

impl Chunker {
    /// `id_column`: which column (from 0) holds the bigint id by which rows are ordered, if any.
    pub fn new(id_column: Option<usize>) -> Self {
        Self::within(id_column, &Buffers::default())
    }

    /// The same, with buffers that it shares with others.
    pub fn within(id_column: Option<usize>, buffers: &Buffers) -> Self {
        Self {
            id_column,
            partial: BytesMut::new(),
            open: buffers.take(),
            buffers: buffers.clone(),
            open_rows: 0,
            open_ids: None,
            rows: 0,
        }
    }

    /// Takes the next portion; returns the pieces that are complete now.
    pub fn push(&mut self, portion: &[u8]) -> Result<Vec<Piece>, NoId> {
        let mut done = Vec::new();
        let mut rest = portion;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if self.partial.is_empty() {
                done.extend(self.row(line)?);
            } else {
                self.partial.extend_from_slice(line);
                let whole = self.partial.split().freeze();
                done.extend(self.row(&whole)?);
            }
        }
        self.partial.extend_from_slice(rest);
        Ok(done)
    }

    /// What is left. COPY ends every row with a newline; a last row without one counts too.
    pub fn finish(mut self) -> Result<Vec<Piece>, NoId> {
        let mut left = Vec::new();
        if !self.partial.is_empty() {
            let whole = self.partial.split().freeze();
            left.extend(self.row(&whole)?);
        }
        left.extend(self.cut());
        Ok(left)
    }

    fn row(&mut self, line: &[u8]) -> Result<Option<Piece>, NoId> {
        self.rows += 1;
        let id = match self.id_column {
            None => None,
            Some(column) => Some(id_in(line, column).ok_or(NoId { row: self.rows })?),
        };
        let cut = if self.must_cut(line.len() + 1, id) { self.cut() } else { None };
        self.open.extend_from_slice(line);
        self.open.extend_from_slice(b"\n");
        self.open_rows += 1;
        if let Some(id) = id {
            self.open_ids = Some(self.open_ids.map_or((id, id), |(low, high)| (low.min(id), high.max(id))));
        }
        Ok(cut)
    }

    fn must_cut(&self, incoming: usize, id: Option<i64>) -> bool {
        if self.open.is_empty() {
            return false;
        }
        let new_bucket = match (id, self.open_ids) {
            (Some(id), Some((_, high))) => id.div_euclid(BUCKET) != high.div_euclid(BUCKET),
            _ => false,
        };
        self.open.len() + incoming > PIECE_LIMIT || (new_bucket && self.open.len() >= WORTH_CUTTING)
    }

    fn cut(&mut self) -> Option<Piece> {
        let rows = std::mem::take(&mut self.open_rows);
        let ids = self.open_ids.take();
        (rows > 0).then(|| {
            let full = std::mem::replace(&mut self.open, self.buffers.take());
            Piece { text: full.freeze(), rows, ids }
        })
    }
}

fn id_in(line: &[u8], column: usize) -> Option<i64> {
    let field = line.split(|byte| *byte == b'\t').nth(column)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(chunker: Chunker, text: &[u8], portion: usize) -> (Vec<Piece>, Total) {
        let mut chunker = chunker;
        let mut pieces = Vec::new();
        for part in text.chunks(portion.max(1)) {
            pieces.extend(chunker.push(part).unwrap());
        }
        pieces.extend(chunker.finish().unwrap());
        let mut total = Total::default();
        for piece in &pieces {
            total.add(piece);
        }
        (pieces, total)
    }

    #[test]
    fn cuts_at_buckets_once_worth_it() {
        let wide = "x".repeat(200);
        let text: String = (1..=3000).flat_map(|id| [id.to_string(), format!("\t{wide}\n")]).collect();
        let (pieces, total) = all(Chunker::new(Some(0)), text.as_bytes(), 4096);
        let ids: Vec<_> = pieces.iter().map(|piece| piece.ids.unwrap()).collect();
        assert_eq!(ids, [(1, 1023), (1024, 2047), (2048, 3000)]);
        assert_eq!(total.rows, 3000);
        // a change in one bucket leaves the other pieces as they were
        let edited = text.replacen("1500\tx", "1500\ty", 1);
        let (after, other) = all(Chunker::new(Some(0)), edited.as_bytes(), 999);
        assert_eq!((&after[0], &after[2]), (&pieces[0], &pieces[2]));
        assert_ne!(after[1], pieces[1]);
        assert_ne!(other.fingerprint, total.fingerprint);
    }

    #[test]
    fn small_tables_are_one_piece_and_large_rows_stand_alone() {
        let (pieces, _) = all(Chunker::new(Some(1)), b"a\t1\nb\t5000\nc\t900000\n", 3);
        assert_eq!(pieces.len(), 1);
        let big = format!("1\t{}\n", "y".repeat(PIECE_LIMIT + 5));
        let text = format!("0\ts\n{big}2\ts\n");
        let (pieces, _) = all(Chunker::new(Some(0)), text.as_bytes(), 1 << 20);
        assert_eq!(pieces.iter().map(|piece| piece.rows).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn a_missing_id_is_named() {
        let mut chunker = Chunker::new(Some(1));
        assert_eq!(chunker.push(b"a\t1\nb\t\\N\n"), Err(NoId { row: 2 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_joined_are_the_rows(rows in prop::collection::vec("[a-z\\t\\\\é]{0,40}", 0..60), portion in 1usize..50) {
            let text: String = rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect();
            let (pieces, total) = all(Chunker::new(None), text.as_bytes(), portion);
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.text.to_vec()).collect();
            prop_assert_eq!(joined, text.into_bytes());
            prop_assert_eq!(total.rows, rows.len() as u64);
            let mut sum = Fingerprint::default();
            for row in &rows {
                sum.add_row(row.as_bytes());
            }
            prop_assert_eq!(total.fingerprint, sum);
        }
    }
}
