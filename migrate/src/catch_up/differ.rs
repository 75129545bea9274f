//! What is different at the source from what was imported: told by the hashes that the import left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::check::{Source, open_source};
use crate::error::Error;
use crate::map::attachments::attachment_cells;
use crate::map::notes::{ReadyNote, note_cells, tell_of_text};
use crate::pipeline::{self, Outlet};
use crate::reader::Reader;
use crate::reader::files::{copy_blob, sum_blob, sum_file};
use crate::reader::scratch::{Attachment, Place};
use crate::report::{Finding, SourceInfo};
use crate::row::hash_row;
use crate::table::{ATTACHMENT, Cell, NOTE, Target};

/// The hash of one row as it was imported.
#[derive(Clone, Copy, Debug)]
struct Known {
    key: u64,
    base: u64,
    seen: bool,
}

/// The hashes that an import left.
#[derive(Debug, Default)]
pub(super) struct Base {
    tables: BTreeMap<String, Vec<Known>>,
}

impl Base {
    pub(super) fn unpack(parts: Vec<(String, Vec<u8>)>) -> Self {
        let mut base = Self::default();
        for (table, hashes) in parts {
            let rows = base.tables.entry(table).or_default();
            for pair in hashes.chunks_exact(16) {
                let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
                rows.push(Known { key: number(&pair[..8]), base: number(&pair[8..]), seen: false });
            }
        }
        for rows in base.tables.values_mut() {
            rows.sort_unstable_by_key(|row| row.key);
        }
        base
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    fn find(&mut self, table: &str, key: u64) -> Option<&mut Known> {
        let rows = self.tables.get_mut(table)?;
        let at = rows.binary_search_by_key(&key, |row| row.key).ok()?;
        rows.get_mut(at)
    }

    /// Keys that the source has no more: key → hash.
    pub(super) fn unseen(&self, table: &str) -> BTreeMap<u64, u64> {
        let rows = self.tables.get(table).map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter(|row| !row.seen).map(|row| (row.key, row.base)).collect()
    }

    /// Keys of a table that the import left.
    pub(super) fn count(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, Vec::len)
    }

    /// What the tenant has now from the source.
    pub(super) fn set(&mut self, table: &str, key: u64, base: Option<u64>) {
        let rows = self.tables.entry(table.to_owned()).or_default();
        match (rows.binary_search_by_key(&key, |row| row.key), base) {
            (Ok(at), Some(base)) => rows[at].base = base,
            (Ok(at), None) => drop(rows.remove(at)),
            (Err(at), Some(base)) => rows.insert(at, Known { key, base, seen: true }),
            (Err(_), None) => {}
        }
    }

    /// Takes these rows for all that the table has.
    pub(super) fn replace(&mut self, target: &Target, rows: &[Vec<Cell>]) {
        let known = rows.iter().map(|cells| hash_row(target, cells));
        let mut known: Vec<Known> = known.map(|hash| Known { key: hash.key, base: hash.base, seen: true }).collect();
        known.sort_unstable_by_key(|row| row.key);
        self.tables.insert(target.name.to_owned(), known);
    }

    /// One table, packed as it is kept.
    pub(super) fn pack(&self, table: &str) -> Vec<Vec<u8>> {
        let rows = self.tables.get(table).map(Vec::as_slice).unwrap_or_default();
        let pack = |rows: &[Known]| {
            rows.iter().flat_map(|row| row.key.to_be_bytes().into_iter().chain(row.base.to_be_bytes())).collect()
        };
        rows.chunks(crate::spool::ROWS_PER_PART).map(pack).collect()
    }
}

/// A row that is new at the source, or was edited there.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) target: &'static Target,
    pub(super) cells: Vec<Cell>,
    pub(super) key: u64,
    pub(super) base: u64,
    /// The hash it was imported with; none when it is new.
    pub(super) was: Option<u64>,
    /// Its bytes, still to be stored.
    pub(super) file: Option<PathBuf>,
    /// The row is as it was, its bytes are others.
    pub(super) other_bytes: bool,
}

/// What is known of the files that the tenant has.
#[derive(Debug, Default)]
pub(super) struct KnownFiles {
    /// SHA-256 by the number of the row.
    pub(super) sums: BTreeMap<i64, String>,
    /// When they were imported, in seconds since 1970; none when that is not known.
    pub(super) since: Option<i64>,
}

/// Clocks of two machines may differ by so many seconds.
const CLOCKS_DIFFER: i64 = 3_600;

/// Everything that is different.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) source: SourceInfo,
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    pub(super) base: Base,
    pub(super) changes: Vec<Change>,
    known: KnownFiles,
    /// Rows of `import_remainder`, all of them: their numbers mean nothing.
    pub(super) remainder: Vec<Vec<Cell>>,
    /// Whether they are others than before, apart from such as went.
    pub(super) other_remainder: bool,
    /// Note → its files with their places.
    pub(super) places: BTreeMap<i64, Vec<(i64, i64)>>,
}

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        let gone = self.base.tables.values().any(|rows| rows.iter().any(|row| !row.seen));
        self.changes.is_empty() && !gone && !self.other_remainder
    }

    fn take(&mut self, target: &'static Target, cells: Vec<Cell>) -> Option<&mut Change> {
        let hash = hash_row(target, &cells);
        let was = match self.base.find(target.name, hash.key) {
            Some(known) => {
                known.seen = true;
                if known.base == hash.base {
                    return None;
                }
                Some(known.base)
            }
            None => None,
        };
        self.changes.push(Change {
            target,
            cells,
            key: hash.key,
            base: hash.base,
            was,
            file: None,
            other_bytes: false,
        });
        self.changes.last_mut()
    }

    /// Whether the bytes of an unchanged row are not those that the tenant has; then that is a change, too. What is in a
    /// bucket is fetched for it when it was written there since the import.
    fn has_other_bytes(&mut self, reader: &Reader, row: &Attachment, cells: Vec<Cell>) -> Result<bool, Error> {
        let Some(known) = self.known.sums.get(&row.id) else { return Ok(false) };
        let sum = match &row.place {
            Place::File(path) => sum_file(Path::new(path))?,
            Place::Blob(table, rowid) => sum_blob(reader, table, *rowid)?,
            Place::Bucket(at, key) => {
                let since = self.known.since.unwrap_or_default().saturating_sub(CLOCKS_DIFFER);
                if reader.buckets.written(*at, key).is_some_and(|written| written < since) {
                    return Ok(false);
                }
                let path = place_for(reader, row);
                let sum = reader.buckets.fetch(*at, key, &path)?;
                let _ = std::fs::remove_file(&path);
                sum
            }
            Place::Nowhere => return Ok(false),
        };
        if sum.sha256 == *known {
            return Ok(false);
        }
        let hash = hash_row(&ATTACHMENT, &cells);
        let (key, base) = (hash.key, hash.base);
        self.changes.push(Change {
            target: &ATTACHMENT,
            cells,
            key,
            base,
            was: Some(base),
            file: None,
            other_bytes: true,
        });
        Ok(true)
    }

    fn place(&mut self, row: &Attachment) {
        if let Some(note) = row.note_id {
            self.places.entry(note).or_default().push((row.id, row.position));
        }
    }
}

pub(super) const REMAINDER: &str = "import_remainder";

impl Outlet for Difference {
    fn note(&mut self, note: ReadyNote) -> Result<(), Error> {
        // What the text says about itself does not tell whether it was edited, and is asked of edited ones only.
        if let Some(change) = self.take(&NOTE, note_cells(note)) {
            tell_of_text(&mut change.cells);
        }
        Ok(())
    }

    fn row(&mut self, target: &'static Target, cells: Vec<Cell>) -> Result<(), Error> {
        if target.name == REMAINDER {
            let hash = hash_row(target, &cells);
            match self.base.find(REMAINDER, hash.key) {
                Some(known) => {
                    known.seen = true;
                    self.other_remainder |= known.base != hash.base;
                }
                None => self.other_remainder = true,
            }
            self.remainder.push(cells);
        } else {
            self.take(target, cells);
        }
        Ok(())
    }

    fn file(&mut self, reader: &Reader, row: Attachment) -> Result<(), Error> {
        self.place(&row);
        // Any text says that there are bytes, which is all that counts here.
        let cells = attachment_cells(&row, row.size, "?", "?");
        if self.take(&ATTACHMENT, cells.clone()).is_none() && !self.has_other_bytes(reader, &row, cells)? {
            return Ok(());
        }
        let Some(change) = self.changes.last_mut() else { return Ok(()) };
        let path = place_for(reader, &row);
        match &row.place {
            Place::File(found) => change.file = Some(PathBuf::from(found)),
            Place::Blob(table, rowid) => {
                copy_blob(reader, table, *rowid, &path)?;
                change.file = Some(path);
            }
            Place::Bucket(at, key) => {
                reader.buckets.fetch(*at, key, &path)?;
                change.file = Some(path);
            }
            Place::Nowhere => {}
        }
        Ok(())
    }
}

/// Where bytes wait until they are stored.
fn place_for(reader: &Reader, row: &Attachment) -> PathBuf {
    reader.staged.dir.path().join(format!("file-{}", row.id))
}

/// Reads the source and compares. The reader holds the bytes that are still to be stored.
pub(super) fn read_difference(
    source: &Source,
    base: Base,
    known: KnownFiles,
) -> Result<(Difference, Option<Reader>), Error> {
    let mut difference = Difference { base, known, ..Difference::default() };
    let (reader, mut findings) = match open_source(source)? {
        Ok(opened) => opened,
        Err(refused) => {
            difference.source = refused.source;
            difference.errors = refused.errors;
            return Ok((difference, None));
        }
    };
    difference.source = reader.info();
    match pipeline::run(&reader, &mut findings, &mut difference) {
        Ok(_) => {}
        Err(Error::Source { code, message }) => findings.error(code, "", "", message),
        Err(other) => return Err(other),
    }
    (difference.errors, difference.warnings) = findings.into_lists();
    Ok((difference, Some(reader)))
}
