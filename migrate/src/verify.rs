//! After writing: every row is read back and hashed, every reference followed, every file read from the file store.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use store::{Column, Snapshot, Table, TenantScope};
use tokio::io::AsyncReadExt as _;

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
    for file in &seen.files {
        read_file(house, file).await?;
    }
    Ok(Verified { counts: true, hashes: true, references: true, files: true })
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

async fn read_table(snapshot: &mut Snapshot, target: &'static Target, seen: &mut Seen) -> Result<Sum, Error> {
    let mut sum = Sum::default();
    each_row(snapshot, target, &mut |cells| {
        sum.add(&hash_row(target, &cells));
        seen.take(target, &cells);
        Ok(())
    })
    .await?;
    Ok(sum)
}

/// Every row of a table that an import fills.
pub(crate) async fn each_row(
    snapshot: &mut Snapshot,
    target: &'static Target,
    visit: &mut dyn FnMut(Vec<Cell>) -> Result<(), Error>,
) -> Result<(), Error> {
    let column =
        |(name, _): &(&str, Kind)| Column { name: (*name).to_owned(), type_name: String::new(), not_null: false };
    let key = target.columns.iter().take(target.key).map(|(name, _)| (*name).to_owned()).collect();
    let table =
        Table { name: target.name.to_owned(), columns: target.columns.iter().map(column).collect(), primary_key: key };
    let kinds: Vec<Kind> = target.columns.iter().map(|(_, kind)| *kind).collect();
    each_line(snapshot, &table, &mut |line| {
        let cells = read_row(line, &kinds)
            .ok_or_else(|| Error::Differs(format!("a row of table {} came back in another shape", target.name)))?;
        visit(cells)
    })
    .await
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
