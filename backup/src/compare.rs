//! A restored tenant against its point: rows and fingerprint of every table.

use std::collections::HashMap;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use store::{Store, TenantScope};

use crate::error::Error;
use crate::format::chunker::{Chunker, Piece, Total};
use crate::format::fingerprint::Fingerprint;
use crate::format::sealed::{Sealed, TableEntry};
use crate::restore::{Place, rewritten, table_of};
use crate::snapshot::BOOKKEEPING;

/// One table of the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableResult {
    /// Its name.
    pub name: String,
    /// Rows found.
    pub rows: u64,
    /// What they add up to.
    pub fingerprint: Fingerprint,
    /// Both are those of the point.
    pub equal: bool,
}

/// Compares every table the point has, and names tables with rows that it does not have.
pub(crate) async fn compare(
    store: &Store,
    scope: &TenantScope,
    sealed: &Sealed,
    place: &Place,
) -> Result<Vec<TableResult>, Error> {
    let mut snapshot = store.open_snapshot(scope).await?;
    let present: Vec<_> = snapshot.tables().await?;
    let mut out = Vec::new();
    for entry in sealed.tables.iter().filter(|entry| place.takes(&entry.name)) {
        let there = present.iter().any(|table| has_columns(table, entry));
        let found = if there {
            let mut copy = snapshot.copy_out(&table_of(entry), None).await?;
            let mut sum = Sum::new(sealed, entry, place);
            while let Some(portion) = copy.next().await {
                sum.push(&portion?)?;
            }
            sum.finish()?
        } else {
            Total::default()
        };
        let equal = there && found.rows == entry.rows && found.fingerprint == entry.fingerprint;
        out.push(TableResult { name: entry.name.clone(), rows: found.rows, fingerprint: found.fingerprint, equal });
    }
    for table in present {
        let known = sealed.tables.iter().any(|entry| entry.name == table.name);
        if known || BOOKKEEPING.contains(&table.name.as_str()) {
            continue;
        }
        let mut copy = snapshot.copy_out(&table, None).await?;
        let mut chunker = Chunker::new(None);
        while let Some(portion) = copy.next().await {
            chunker.push(&portion?).map_err(|source| Error::Rows { table: table.name.clone(), source })?;
        }
        let (_, total) = chunker.finish().map_err(|source| Error::Rows { table: table.name.clone(), source })?;
        if total.rows > 0 {
            out.push(TableResult { name: table.name, rows: total.rows, fingerprint: total.fingerprint, equal: false });
        }
    }
    snapshot.finish().await?;
    Ok(out)
}

fn has_columns(table: &store::Table, entry: &TableEntry) -> bool {
    table.name == entry.name
        && entry.columns.iter().all(|wanted| table.columns.iter().any(|column| column.name == wanted.name))
}

/// Adds up a table's rows as they were in the point.
struct Sum<'a> {
    entry: &'a TableEntry,
    chunker: Chunker,
    /// Present places of files and those of the point, where rows tell other places now.
    back: Option<HashMap<String, String>>,
    total: Total,
}

impl<'a> Sum<'a> {
    fn new(sealed: &Sealed, entry: &'a TableEntry, place: &Place) -> Self {
        let back = place.rewrites(&entry.name).then(|| {
            sealed.files.iter().map(|file| (place.file(&file.storage_key), file.storage_key.clone())).collect()
        });
        Self { entry, chunker: Chunker::new(None), back, total: Total::default() }
    }

    fn push(&mut self, portion: &[u8]) -> Result<(), Error> {
        let pieces =
            self.chunker.push(portion).map_err(|source| Error::Rows { table: self.entry.name.clone(), source })?;
        for piece in &pieces {
            self.add_back(piece);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Total, Error> {
        let chunker = std::mem::take(&mut self.chunker);
        let (left, total) =
            chunker.finish().map_err(|source| Error::Rows { table: self.entry.name.clone(), source })?;
        if self.back.is_none() {
            return Ok(total);
        }
        for piece in &left {
            self.add_back(piece);
        }
        Ok(self.total)
    }

    /// With places of files turned back, rows add up anew.
    fn add_back(&mut self, piece: &Piece) {
        let Some(back) = &self.back else { return };
        let text = rewritten(&piece.text, self.entry, |key| back.get(key).cloned().unwrap_or_else(|| key.to_owned()));
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.total.rows += 1;
            self.total.fingerprint.add_row(line);
        }
    }
}
