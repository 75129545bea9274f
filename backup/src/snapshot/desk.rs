//! What is done with a piece of a table by other threads, while the next one is read: adding up, looking for members, notes
//! and files, hashing, compressing and encrypting.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::notes::file_name;
use super::shown::shown_file;
use crate::error::Error;
use crate::format::buffers::Buffers;
use crate::format::chunker::Piece;
use crate::format::copytext::Columns;
use crate::format::fingerprint::{Fingerprint, lines};
use crate::format::hash::{Hash, Measure};
use crate::format::index;
use crate::format::tar;
use crate::seal::{Packing, SealedBytes, seal_measured};

/// How the pieces of a point are done.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) packing: Packing,
    /// Plain hashes of streams that the point before has: they are not packed again.
    pub(super) known: Arc<HashSet<Hash>>,
    /// Every note's Markdown file is wanted, too.
    pub(super) markdown: bool,
    /// For the files of notes.
    pub(super) tars: Buffers,
}

/// What a table is looked through for.
#[derive(Clone)]
pub(super) enum Look {
    Nothing,
    Members(Arc<Columns>),
    Files(Arc<Columns>),
    /// With usernames by id.
    Notes(Arc<Columns>, Arc<HashMap<i64, String>>),
}

/// A stream, packed unless the point before has it.
pub(super) struct Packed {
    pub(super) plain: Measure,
    pub(super) sealed: Option<SealedBytes>,
}

/// A piece that is done.
pub(super) struct Done {
    pub(super) rows: u64,
    pub(super) ids: Option<(i64, i64)>,
    pub(super) fingerprint: Fingerprint,
    pub(super) packed: Packed,
    pub(super) seen: Seen,
}

/// What was found in it.
pub(super) enum Seen {
    Nothing,
    /// Usernames by id.
    Members(Vec<(i64, String)>),
    /// Places in the file store, with the SHA-256 that the rows tell.
    Files(Vec<(String, String)>),
    /// Hashes of the notes' files, and the files as they are in a tar where that is wanted.
    Notes {
        count: u64,
        hashes: Packed,
        tar: Bytes,
    },
}

impl Desk {
    /// Does a piece on another thread.
    pub(super) fn begin(&self, piece: Piece, look: Look) -> JoinHandle<Result<Done, Error>> {
        let desk = self.clone();
        tokio::task::spawn_blocking(move || desk.work(&piece, &look))
    }

    fn work(&self, piece: &Piece, look: &Look) -> Result<Done, Error> {
        let seen = match look {
            Look::Nothing => Seen::Nothing,
            Look::Members(columns) => Seen::Members(members(&piece.text, columns)),
            Look::Files(columns) => Seen::Files(files(&piece.text, columns)),
            Look::Notes(columns, creators) => self.notes(&piece.text, columns, creators)?,
        };
        let packed = self.pack(&piece.text)?;
        Ok(Done { rows: piece.rows, ids: piece.ids, fingerprint: piece.fingerprint(), packed, seen })
    }

    fn pack(&self, text: &[u8]) -> Result<Packed, Error> {
        let plain = Measure::of(text);
        if self.known.contains(&plain.sha256) {
            return Ok(Packed { plain, sealed: None });
        }
        let sealed = seal_measured(&self.packing, text, plain)
            .map_err(|source| Error::Pack { what: "a piece of a table".to_owned(), source })?;
        Ok(Packed { plain, sealed: Some(sealed) })
    }

    /// Each note is rendered once, for its hash and for the tar.
    fn notes(&self, text: &[u8], columns: &Columns, creators: &HashMap<i64, String>) -> Result<Seen, Error> {
        let mut tar = self.tars.take();
        let (mut hashes, mut count) = (String::with_capacity(16 * 1024), 0);
        for line in rows(text) {
            let note = columns.note(line, creators).ok_or_else(|| {
                let uid = columns.value(line, "uid").unwrap_or_default();
                Error::Refused(format!("note {uid} cannot be read from its row; the point was not taken"))
            })?;
            let file = shown_file(&note);
            let parent = columns.value(line, "parent_id");
            hashes.push_str(&index::line(&note, parent.as_deref(), Hash::of(&file)));
            count += 1;
            if self.markdown {
                tar::append(&mut tar, &file_name(&note.uid), note.updated_ts, &file);
            }
        }
        Ok(Seen::Notes { count, hashes: self.pack(hashes.as_bytes())?, tar: tar.freeze() })
    }
}

fn rows(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(text).filter(|line| !line.is_empty())
}

fn members(text: &[u8], columns: &Columns) -> Vec<(i64, String)> {
    let one = |line| Some((columns.value(line, "id")?.parse().ok()?, columns.value(line, "username")?));
    rows(text).filter_map(one).collect()
}

fn files(text: &[u8], columns: &Columns) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in rows(text) {
        let storage_key = columns.value(line, "storage_key").unwrap_or_default();
        if !storage_key.is_empty() {
            found.push((storage_key, columns.value(line, "sha256").unwrap_or_default()));
        }
    }
    found
}
