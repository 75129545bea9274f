//! After writing: every row is read back and hashed, every reference followed, every file read from the file store.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use store::{Column, Snapshot, Table, TenantScope};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::report::Verified;
use crate::row::{Sum, hash_row, read_row};
use crate::table::{ALL, Cell, Kind, Target};
use crate::write::House;
use crate::writer::Sent;

/// Which column leads to which table, by the position among the cells; NULL leads nowhere.
pub(crate) const REFERENCES: [(&str, usize, &str); 16] = [
    ("note", 2, "member"),
    ("note", 3, "note"),
    ("note_relation", 0, "note"),
    ("note_relation", 1, "note"),
    ("attachment", 2, "member"),
    ("attachment", 3, "note"),
    ("reaction", 1, "note"),
    ("reaction", 2, "member"),
    ("note_share", 2, "note"),
    ("note_share", 3, "member"),
    ("member_setting", 0, "member"),
    ("access_token", 1, "member"),
    ("member_identity", 1, "member"),
    ("notification", 2, "member"),
    ("notification", 3, "member"),
    ("notification", 6, "note"),
];

/// Rows are hashed in pieces of about this many bytes.
const PIECE_BYTES: usize = 512 * 1024;
/// Pieces that are hashed at once.
const PIECES: usize = 4;
/// Files that are read at once.
const FILES_AT_ONCE: usize = 4;

/// A file as its row tells it.
struct FileRow {
    key: String,
    sha256: String,
    size: i64,
}

/// Compares the tenant with what was sent.
///
/// # Errors
/// `Differs`, naming the table and the number of rows.
pub(crate) async fn verify(house: &House, scope: &TenantScope, sent: &Sent) -> Result<Verified, Error> {
    let mut snapshot = house.store.open_snapshot(scope).await?;
    let mut seen = Seen::default();
    for target in ALL {
        let back = read_table(&mut snapshot, target, &mut seen).await?;
        compare(target, sent.get(target.name).copied().unwrap_or_default(), back)?;
    }
    snapshot.finish().await?;
    seen.follow()?;
    let mut reading = futures_util::stream::iter(std::mem::take(&mut seen.files))
        .map(|file| async move { read_file(house, &file).await })
        .buffer_unordered(FILES_AT_ONCE);
    while let Some(read) = reading.next().await {
        read?;
    }
    drop(reading);
    Ok(Verified { counts: true, hashes: true, references: true, files: true, sampled: 0 })
}

fn compare(target: &Target, want: Sum, back: Sum) -> Result<(), Error> {
    if want.rows != back.rows {
        return Err(Error::Differs(format!("table {} has {} rows, not {}", target.name, back.rows, want.rows)));
    }
    if want.hash != back.hash {
        return Err(Error::Differs(format!("rows of table {} came back with other hashes", target.name)));
    }
    Ok(())
}

/// What must be known of all tables before references can be followed.
#[derive(Default)]
struct Seen {
    ids: BTreeMap<&'static str, Vec<i64>>,
    wanted: BTreeMap<(&'static str, usize, &'static str), Vec<i64>>,
    files: Vec<FileRow>,
    file_keys: BTreeSet<String>,
}

impl Seen {
    /// Takes over what was seen in another part.
    fn join(&mut self, other: Self) {
        for (table, ids) in other.ids {
            self.ids.entry(table).or_default().extend(ids);
        }
        for (reference, list) in other.wanted {
            self.wanted.entry(reference).or_default().extend(list);
        }
        for file in other.files {
            if self.file_keys.insert(file.key.clone()) {
                self.files.push(file);
            }
        }
    }

    fn take(&mut self, target: &'static Target, cells: &[Cell]) {
        if matches!(target.name, "note" | "member")
            && let Some(Cell::Int(id)) = cells.first()
        {
            self.ids.entry(target.name).or_default().push(*id);
        }
        for reference in REFERENCES.iter().filter(|(table, ..)| *table == target.name) {
            if let Some(Cell::Int(id)) = cells.get(reference.1) {
                let list = self.wanted.entry(*reference).or_default();
                // Neighbours often share their creator; the rest is sorted out at the end.
                if list.last() != Some(id) {
                    list.push(*id);
                }
            }
        }
        if target.name == "attachment"
            && let (Some(Cell::Int(size)), Some(Cell::Text(sha256)), Some(Cell::Text(key))) =
                (cells.get(9), cells.get(10), cells.get(11))
            && !key.is_empty()
            && self.file_keys.insert(key.clone())
        {
            self.files.push(FileRow { key: key.clone(), sha256: sha256.clone(), size: *size });
        }
    }

    fn follow(&mut self) -> Result<(), Error> {
        for ids in self.ids.values_mut() {
            ids.sort_unstable();
        }
        for ((table, column, to), list) in &self.wanted {
            let there = self.ids.get(to).map(Vec::as_slice).unwrap_or_default();
            if let Some(lost) = list.iter().find(|id| there.binary_search(id).is_err()) {
                return Err(Error::Differs(format!(
                    "a row of {table} (column {column}) leads to {to} {lost}, which does not exist"
                )));
            }
        }
        Ok(())
    }
}

/// What one piece of a table came to.
type Hashed = Result<(Sum, Seen), Error>;

/// Reads one table; pieces of it are hashed beside each other, since their sum does not depend on order.
async fn read_table(snapshot: &mut Snapshot, target: &'static Target, seen: &mut Seen) -> Result<Sum, Error> {
    let mut sum = Sum::default();
    let mut hashing = JoinSet::new();
    let mut take = |hashed: Option<Result<Hashed, tokio::task::JoinError>>| {
        let Some(hashed) = hashed else { return Ok(()) };
        let (part, found) = hashed.map_err(|err| Error::Broken(err.to_string()))??;
        sum.rows += part.rows;
        sum.hash = sum.hash.wrapping_add(part.hash);
        seen.join(found);
        Ok::<(), Error>(())
    };
    let mut rest: Vec<u8> = Vec::with_capacity(PIECE_BYTES * 2);
    let mut stream = snapshot.copy_out(&table_of(target, false), None).await?;
    loop {
        let piece = stream.next().await.transpose()?;
        let more = piece.is_some();
        rest.extend_from_slice(piece.as_deref().unwrap_or_default());
        if more && rest.len() < PIECE_BYTES {
            continue;
        }
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole > 0 {
            let tail = rest.split_off(whole);
            let lines = std::mem::replace(&mut rest, tail);
            if hashing.len() >= PIECES {
                take(hashing.join_next().await)?;
            }
            hashing.spawn_blocking(move || hash_lines(target, &lines));
        }
        if !more {
            break;
        }
    }
    while !hashing.is_empty() {
        take(hashing.join_next().await)?;
    }
    Ok(sum)
}

fn hash_lines(target: &'static Target, lines: &[u8]) -> Hashed {
    let (mut sum, mut seen) = (Sum::default(), Seen::default());
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let cells = read_cells(target, line)?;
        sum.add(&hash_row(target, &cells));
        seen.take(target, &cells);
    }
    Ok((sum, seen))
}

fn read_cells(target: &Target, line: &[u8]) -> Result<Vec<Cell>, Error> {
    read_row(line, target.columns.iter().map(|(_, kind)| *kind))
        .ok_or_else(|| Error::Differs(format!("a row of table {} came back in another shape", target.name)))
}

/// The table as it is read; in the order of its key, or in any.
fn table_of(target: &Target, ordered: bool) -> Table {
    let column =
        |(name, _): &(&str, Kind)| Column { name: (*name).to_owned(), type_name: String::new(), not_null: false };
    let key = target.columns.iter().take(if ordered { target.key } else { 0 });
    Table {
        name: target.name.to_owned(),
        columns: target.columns.iter().map(column).collect(),
        primary_key: key.map(|(name, _)| (*name).to_owned()).collect(),
    }
}

/// Every row of a table that an import fills.
pub(crate) async fn each_row(
    snapshot: &mut Snapshot,
    target: &'static Target,
    visit: &mut dyn FnMut(Vec<Cell>) -> Result<(), Error>,
) -> Result<(), Error> {
    each_line(snapshot, &table_of(target, true), &mut |line| visit(read_cells(target, line)?)).await
}

/// Every row of a table as a line of COPY's text format.
pub(crate) async fn each_line(
    snapshot: &mut Snapshot,
    table: &Table,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut rest: Vec<u8> = Vec::new();
    let mut stream = snapshot.copy_out(table, None).await?;
    while let Some(piece) = stream.next().await {
        rest.extend_from_slice(&piece?);
        let mut from = 0;
        while let Some(end) = rest[from..].iter().position(|byte| *byte == b'\n') {
            visit(&rest[from..from + end])?;
            from += end + 1;
        }
        rest.drain(..from);
    }
    Ok(())
}

async fn read_file(house: &House, file: &FileRow) -> Result<(), Error> {
    let failed = |err: objects::Error| Error::Files(Box::new(err));
    let mut download = house.files.read(&file.key, None).await.map_err(failed)?;
    let mut hash = Sha256::new();
    let mut size = 0_i64;
    let mut piece = vec![0_u8; 128 * 1024];
    loop {
        let got = download.reader.read(&mut piece).await.map_err(|err| Error::Files(Box::new(err)))?;
        if got == 0 {
            break;
        }
        hash.update(&piece[..got]);
        size += got as i64;
    }
    if size != file.size || hex::encode(hash.finalize()) != file.sha256 {
        return Err(Error::Differs(format!("the file {} came back with other bytes", file.key)));
    }
    Ok(())
}
