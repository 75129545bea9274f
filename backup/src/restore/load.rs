//! Loading an opened point: files into a file store, rows into a tenant that is not open yet.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use domain::id::TenantId;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use objects::{ObjectStore, PutOptions, keys as layout};
use store::{Column, Store, Table, TenantScope};
use tokio_util::io::StreamReader;

use super::Fetch;
use crate::error::Error;
use crate::format::copytext::{Columns, escaped};
use crate::format::sealed::{Sealed, TableEntry};
use crate::seal::{END, until_end};

/// Files loaded, or pieces of a table opened, at the same time.
const TOGETHER: usize = 4;
/// Tables with so many rows are filled without their keys, which are made afterwards.
const MANY: u64 = 2_000;

/// Where the copy's files go, and what of the rows is not taken over.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A tenant of this appliance beside the live one: files under its own prefix, no sign-ins taken over.
    Beside(TenantId),
    /// The tenant itself, come back on another machine: files where they were, no sign-ins taken over.
    Again,
    /// A scratch copy that must equal the point in everything.
    Exact,
}

impl Place {
    pub(crate) fn beside(tenant: TenantId) -> Self {
        Self::Beside(tenant)
    }

    /// Where a file's bytes go.
    pub(crate) fn file(&self, storage_key: &str) -> String {
        match self {
            Self::Beside(tenant) => layout::live_file(*tenant, storage_key.rsplit('/').next().unwrap_or(storage_key)),
            Self::Again | Self::Exact => storage_key.to_owned(),
        }
    }

    /// Whether a table's rows are taken over.
    pub(crate) fn takes(&self, table: &str) -> bool {
        matches!(self, Self::Exact) || table != "session"
    }

    /// Whether rows of this table are other here than in the point.
    pub(crate) fn rewrites(&self, table: &str) -> bool {
        matches!(self, Self::Beside(_)) && table == "attachment"
    }
}

/// Loads files, a few at a time; the keys written are in `written` also after an error.
pub(crate) async fn load_files(
    fetch: &Arc<Fetch>,
    sealed: &Sealed,
    files: &ObjectStore,
    place: &Place,
    written: &mut Vec<String>,
) -> Result<(), Error> {
    let wanted: Vec<_> = sealed.files.iter().map(|file| (file.name.clone(), place.file(&file.storage_key))).collect();
    written.extend(wanted.iter().map(|(_, key)| key.clone()));
    futures_util::stream::iter(wanted)
        .map(|(name, key)| load_file(Arc::clone(fetch), files.clone(), name, key).boxed())
        .buffer_unordered(TOGETHER)
        .try_collect::<()>()
        .await
}

pub(super) async fn load_file(fetch: Arc<Fetch>, files: ObjectStore, name: String, key: String) -> Result<(), Error> {
    let mut opened = fetch.stream(&name).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(4);
    let portions = until_end(receiver);
    let pump = async {
        while let Some(portion) = opened.next_portion().await {
            if sender.send(Ok(portion)).await.is_err() {
                break;
            }
        }
        let outcome = fetch.finish(&name, opened).await;
        // the upload must not complete with what is wrong
        let end = outcome.as_ref().map(|_| END).map_err(|error| std::io::Error::other(error.to_string()));
        let _ = sender.send(end).await;
        drop(sender);
        outcome
    };
    let put = files.put_stream(&key, StreamReader::new(portions), PutOptions::default());
    let (outcome, put) = tokio::join!(pump, put);
    outcome?;
    put?;
    Ok(())
}

/// Loads every table in one transaction.
pub(crate) async fn load_rows(
    store: &Store,
    scope: &TenantScope,
    fetch: &Arc<Fetch>,
    sealed: &Sealed,
    place: &Place,
) -> Result<(), Error> {
    let mut load = store.load(scope).await?;
    for entry in sealed.tables.iter().filter(|entry| place.takes(&entry.name)) {
        load.ensure_table(&table_of(entry)).await?;
        if entry.rows >= MANY {
            load.empty_for_many(&entry.name).await?;
        } else {
            load.empty(&entry.name).await?;
        }
        let columns: Vec<&str> = entry.columns.iter().map(|column| column.name.as_str()).collect();
        let mut sink = load.copy_in(&entry.name, &columns).await?;
        let mut pieces = opened(fetch, entry);
        while let Some(text) = pieces.next().await {
            let text = text?;
            let text = if place.rewrites(&entry.name) {
                rewritten(&text, entry, |storage_key| place.file(storage_key))
            } else {
                text
            };
            sink.send(text).await?;
        }
        let rows = sink.finish().await?;
        if rows != entry.rows {
            return Err(Error::Unequal { table: entry.name.clone() });
        }
    }
    Ok(load.finish(sealed.last_id).await?)
}

/// The pieces of a table in their order, opened by other threads while rows are sent.
fn opened(fetch: &Arc<Fetch>, entry: &TableEntry) -> impl Stream<Item = Result<Bytes, Error>> {
    let names: Vec<String> = entry.pieces.iter().map(|piece| piece.name.clone()).collect();
    let fetch = Arc::clone(fetch);
    futures_util::stream::iter(names)
        .map(move |name| {
            let fetch = Arc::clone(&fetch);
            let what = name.clone();
            let opening = tokio::spawn(async move { fetch.bytes(&name).await });
            opening.map(|opened| match opened {
                Ok(opened) => opened,
                Err(gone) => Err(Error::Pack { what, source: std::io::Error::other(gone) }),
            })
        })
        .buffered(TOGETHER)
}

/// The table as the catalogue told it.
pub(crate) fn table_of(entry: &TableEntry) -> Table {
    let column = |column: &crate::format::sealed::ColumnEntry| Column {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        not_null: column.not_null,
    };
    Table {
        name: entry.name.clone(),
        columns: entry.columns.iter().map(column).collect(),
        primary_key: entry.primary_key.clone(),
    }
}

/// Rows with another value in `storage_key`, where there is one.
pub(crate) fn rewritten(text: &[u8], entry: &TableEntry, change: impl Fn(&str) -> String) -> Bytes {
    let columns = Columns::new(entry.columns.iter().map(|column| column.name.as_str()));
    let Some(place) = columns.position("storage_key") else { return Bytes::copy_from_slice(text) };
    let mut out = BytesMut::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let (line, end) = match line.split_last() {
            Some((b'\n', rest)) => (rest, &b"\n"[..]),
            _ => (line, &b""[..]),
        };
        for (at, raw) in line.split(|byte| *byte == b'\t').enumerate() {
            if at > 0 {
                out.extend_from_slice(b"\t");
            }
            match columns.value(line, "storage_key").filter(|value| at == place && !value.is_empty()) {
                Some(value) => out.extend_from_slice(escaped(&change(&value)).as_bytes()),
                None => out.extend_from_slice(raw),
            }
        }
        out.extend_from_slice(end);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sealed::ColumnEntry;

    #[test]
    fn only_the_storage_key_is_rewritten() {
        let column = |name: &str| ColumnEntry { name: name.to_owned(), type_name: "text".to_owned(), not_null: true };
        let entry = TableEntry {
            name: "attachment".to_owned(),
            columns: ["id", "storage_key", "filename"].map(column).to_vec(),
            primary_key: vec!["id".to_owned()],
            rows: 0,
            fingerprint: crate::format::fingerprint::Fingerprint::default(),
            pieces: Vec::new(),
        };
        let text = b"1\tf/a/ab/abcd\tx\\ty\n2\t\tz\n";
        let new = rewritten(text, &entry, |key| key.replace("f/a/", "f/b/"));
        assert_eq!(&new[..], b"1\tf/b/ab/abcd\tx\\ty\n2\t\tz\n");
        assert_eq!(&rewritten(&new, &entry, |key| key.replace("f/b/", "f/a/"))[..], text);
    }
}
