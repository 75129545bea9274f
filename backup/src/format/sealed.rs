//! The sealed part of a manifest: what only the holder of the tenant's key may know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::hash::Measure;

/// Plain hashes, tables, fingerprints and files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Every table of the point.
    pub tables: Vec<TableEntry>,
    /// The last id the tenant's sequence gave.
    pub last_id: i64,
    /// How many notes there are, comments and archived ones included.
    pub notes: u64,
    /// Streams with a line per note: its uid, a tab, the SHA-256 of its Markdown file, and which row it is (`format::index`).
    pub note_hashes: Vec<String>,
    /// Attached files.
    pub files: Vec<FileEntry>,
    /// Places of files that attachments name and that were not in the file store when the point was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Places of files whose bytes were not what their attachment says when the point was taken; the point has them as
    /// they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub altered: Vec<String>,
    /// The stream with every note's Markdown file, where the point has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markdown: Option<String>,
    /// What the point was read of, so that the next one need not read what has not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Length and hash of the plain bytes of every stream, by its name.
    pub plain: BTreeMap<String, Measure>,
}

/// Where a point stands in its database's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Cluster, tables and transactions.
    #[serde(flatten)]
    pub baseline: store::Baseline,
    /// When every row was last read, in seconds since 1970.
    pub read_at: i64,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its name.
    pub name: String,
    /// Its columns in the order of the COPY text.
    pub columns: Vec<ColumnEntry>,
    /// Names of the key's columns.
    pub primary_key: Vec<String>,
    /// How many rows.
    pub rows: u64,
    /// What they add up to.
    pub fingerprint: Fingerprint,
    /// Its streams in order.
    pub pieces: Vec<PieceEntry>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
    /// Its type as Postgres writes it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Whether it may not be null.
    pub not_null: bool,
}

/// One stream of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceEntry {
    /// Its name within the point.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Smallest and largest id, where the table has ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<(i64, i64)>,
    /// What its rows add up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// One attached file: its bytes are stored once, however many attachments have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The stream's name within the point.
    pub name: String,
    /// Where the attachments' rows say the bytes are.
    pub storage_key: String,
}
