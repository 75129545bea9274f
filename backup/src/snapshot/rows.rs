//! The rows of a tenant on their way into a point: cut, added up, and looked at for notes and files.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use domain::id::TenantId;
use store::Table;

use super::notes::Markdown;
use super::shown::shown_file;
use super::writer::{Stream, Streamed, Writer};
use crate::context::{Backup, Known};
use crate::error::Error;
use crate::format::chunker::{Chunker, Piece};
use crate::format::copytext::{Columns, escaped};
use crate::format::hash::Hash;
use crate::format::manifest::Kind;
use crate::format::name::PointName;
use crate::format::sealed::{ColumnEntry, PieceEntry, Sealed, TableEntry};

/// Lines of note hashes per stream.
const HASHES: usize = 32 * 1024;

/// Files by their place in the file store, with the SHA-256 their rows tell.
pub(super) type Files = BTreeMap<String, String>;

/// The tables of one point.
pub(super) struct Rows {
    open: Option<Open>,
    sealed: Sealed,
    creators: HashMap<i64, String>,
    files: Files,
    hashes: String,
    hashes_in: u64,
    markdown: Option<Markdown>,
}

struct Open {
    entry: TableEntry,
    columns: Columns,
    chunker: Chunker,
}

impl Rows {
    pub(super) fn new(backup: &Backup, tenant: TenantId, point: &PointName, known: &Known, markdown: bool) -> Self {
        let markdown = markdown.then(|| {
            let key = format!("{}markdown.tar.zst.age", objects::keys::point(tenant, point.as_str()));
            Markdown::begin(backup.objects.clone(), key, known.key.packing())
        });
        Self {
            open: None,
            sealed: Sealed::default(),
            creators: HashMap::new(),
            files: Files::new(),
            hashes: String::new(),
            hashes_in: 0,
            markdown,
        }
    }

    /// The next table.
    pub(super) fn begin(&mut self, table: &Table) {
        let columns = Columns::new(table.columns.iter().map(|column| column.name.as_str()));
        let id_column = match table.primary_key.as_slice() {
            [only] => table.columns.iter().position(|column| column.name == *only && column.type_name == "bigint"),
            _ => None,
        };
        self.open = Some(Open { entry: entry_of(table), columns, chunker: Chunker::new(id_column) });
    }

    /// A portion of its COPY text.
    pub(super) async fn push(&mut self, writer: &mut Writer, portion: &Bytes) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let pieces =
            open.chunker.push(portion).map_err(|source| Error::Rows { table: open.entry.name.clone(), source })?;
        for piece in pieces {
            self.piece(writer, piece).await?;
        }
        Ok(())
    }

    /// The table's end.
    pub(super) async fn end(&mut self, writer: &mut Writer) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let chunker = std::mem::take(&mut open.chunker);
        let (left, total) =
            chunker.finish().map_err(|source| Error::Rows { table: open.entry.name.clone(), source })?;
        for piece in left {
            self.piece(writer, piece).await?;
        }
        if let Some(mut open) = self.open.take() {
            open.entry.rows = total.rows;
            open.entry.fingerprint = total.fingerprint;
            self.sealed.tables.push(open.entry);
        }
        Ok(())
    }

    async fn piece(&mut self, writer: &mut Writer, piece: Piece) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let name = format!("{}/{:06}", open.entry.name, open.entry.pieces.len());
        open.entry.pieces.push(PieceEntry { name: name.clone(), rows: piece.rows, ids: piece.ids });
        let rows = Some(piece.rows);
        self.look_at(writer, &piece.text).await?;
        writer.add(Stream { name, kind: Kind::Rows, rows }, piece.text).await
    }

    /// Members are remembered by name, notes are rendered and hashed, files are listed.
    async fn look_at(&mut self, writer: &mut Writer, text: &Bytes) -> Result<(), Error> {
        let Some(open) = &self.open else { return Ok(()) };
        let columns = open.columns.clone();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        match open.entry.name.as_str() {
            "member" => {
                for line in lines {
                    let id = columns.value(line, "id").and_then(|id| id.parse().ok());
                    if let (Some(id), Some(name)) = (id, columns.value(line, "username")) {
                        self.creators.insert(id, name);
                    }
                }
            }
            "attachment" => {
                for line in lines {
                    let storage_key = columns.value(line, "storage_key").unwrap_or_default();
                    if !storage_key.is_empty() {
                        self.files.insert(storage_key, columns.value(line, "sha256").unwrap_or_default());
                    }
                }
            }
            "note" => {
                for line in lines {
                    self.note(writer, &columns, line).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn note(&mut self, writer: &mut Writer, columns: &Columns, line: &[u8]) -> Result<(), Error> {
        let note = columns.note(line, &self.creators).ok_or_else(|| {
            let uid = columns.value(line, "uid").unwrap_or_default();
            Error::Refused(format!("note {uid} cannot be read from its row; the point was not taken"))
        })?;
        let file = shown_file(&note);
        self.sealed.notes += 1;
        self.hashes.push_str(&format!("{}\t{}\n", escaped(&note.uid), Hash::of(&file)));
        self.hashes_in += 1;
        if let Some(markdown) = &mut self.markdown {
            markdown.add(&note, &file).await;
        }
        if self.hashes_in as usize >= HASHES { self.send_hashes(writer).await } else { Ok(()) }
    }

    async fn send_hashes(&mut self, writer: &mut Writer) -> Result<(), Error> {
        if self.hashes_in == 0 {
            return Ok(());
        }
        let name = format!("note_hashes/{:06}", self.sealed.note_hashes.len());
        self.sealed.note_hashes.push(name.clone());
        let rows = Some(std::mem::take(&mut self.hashes_in));
        let text = Bytes::from(std::mem::take(&mut self.hashes));
        writer.add(Stream { name, kind: Kind::NoteHashes, rows }, text).await
    }

    /// After the last table: what was seen, and the Markdown stream where one was wanted.
    pub(super) async fn finish(mut self, writer: &mut Writer) -> Result<Seen, Error> {
        self.send_hashes(writer).await?;
        let markdown = match self.markdown {
            Some(markdown) => Some(markdown.finish().await?),
            None => None,
        };
        Ok((self.sealed, self.files, markdown))
    }
}

/// Tables and notes, files, and where the Markdown went.
pub(super) type Seen = (Sealed, Files, Option<(String, Streamed)>);

fn entry_of(table: &Table) -> TableEntry {
    let column = |column: &store::Column| ColumnEntry {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        not_null: column.not_null,
    };
    TableEntry {
        name: table.name.clone(),
        columns: table.columns.iter().map(column).collect(),
        primary_key: table.primary_key.clone(),
        rows: 0,
        fingerprint: crate::format::fingerprint::Fingerprint::default(),
        pieces: Vec::new(),
    }
}
