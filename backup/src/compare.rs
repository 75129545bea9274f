//! A restored tenant against its point: rows and fingerprint of every table.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use store::{Snapshot, Store, Table, TenantScope};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::format::chunker::{Chunker, Piece, Total};
use crate::format::fingerprint::Fingerprint;
use crate::format::sealed::{Sealed, TableEntry};
use crate::restore::{Place, rewritten, table_of};
use crate::snapshot::BOOKKEEPING;

/// Pieces added up at the same time.
const TOGETHER: usize = 2;

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
            let rewritten = place.rewrites(&entry.name).then(|| Back::new(sealed, entry, place));
            // a sum does not care for order
            let table = Table { primary_key: Vec::new(), ..table_of(entry) };
            total_through(&mut snapshot, &table, rewritten.map(Arc::new)).await?
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
        let total = total_of(&mut snapshot, &table).await?;
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

/// What the rows of a table add up to.
pub(crate) async fn total_of(snapshot: &mut Snapshot, table: &Table) -> Result<Total, Error> {
    total_through(snapshot, table, None).await
}

/// Pieces are added up by other threads while the next ones arrive.
async fn total_through(snapshot: &mut Snapshot, table: &Table, back: Option<Arc<Back>>) -> Result<Total, Error> {
    let wrong = |source| Error::Rows { table: table.name.clone(), source };
    let mut copy = snapshot.copy_out(table, None).await?;
    let (mut chunker, mut total, mut under_way) = (Chunker::new(None), Total::default(), VecDeque::new());
    let begin = |piece: Piece| {
        let back = back.clone();
        tokio::task::spawn_blocking(move || {
            let piece = back.map_or_else(|| piece.clone(), |back| back.turned(&piece));
            let mut one = Total::default();
            one.add(&piece);
            one
        })
    };
    while let Some(portion) = copy.next().await {
        for piece in chunker.push(&portion?).map_err(wrong)? {
            under_way.push_back(begin(piece));
            if under_way.len() > TOGETHER {
                settle(&mut under_way, &mut total, table).await?;
            }
        }
    }
    under_way.extend(chunker.finish().map_err(wrong)?.into_iter().map(begin));
    while !under_way.is_empty() {
        settle(&mut under_way, &mut total, table).await?;
    }
    Ok(total)
}

async fn settle(under_way: &mut VecDeque<JoinHandle<Total>>, total: &mut Total, table: &Table) -> Result<(), Error> {
    let Some(one) = under_way.pop_front() else { return Ok(()) };
    let one =
        one.await.map_err(|gone| Error::Pack { what: table.name.clone(), source: std::io::Error::other(gone) })?;
    total.rows += one.rows;
    total.fingerprint.add(&one.fingerprint);
    Ok(())
}

/// Turns places of files back into those of the point, where rows tell other places now.
struct Back {
    entry: TableEntry,
    places: HashMap<String, String>,
}

impl Back {
    fn new(sealed: &Sealed, entry: &TableEntry, place: &Place) -> Self {
        let places =
            sealed.files.iter().map(|file| (place.file(&file.storage_key), file.storage_key.clone())).collect();
        Self { entry: entry.clone(), places }
    }

    fn turned(&self, piece: &Piece) -> Piece {
        let back = |key: &str| self.places.get(key).cloned().unwrap_or_else(|| key.to_owned());
        Piece { text: rewritten(&piece.text, &self.entry, back), ..piece.clone() }
    }
}
