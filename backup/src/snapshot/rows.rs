//! The rows of a tenant on their way into a point: cut, added up, and looked at for notes and files.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use domain::id::TenantId;
use store::Table;

use super::before::KeptPiece;
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
    read: u64,
}

struct Open {
    entry: TableEntry,
    columns: Columns,
    id_column: Option<usize>,
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
            read: 0,
        }
    }

    /// The tables that are done.
    pub(super) fn tables(&self) -> &[TableEntry] {
        &self.sealed.tables
    }

    /// How many rows left the database.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// The next table.
    pub(super) fn begin(&mut self, table: &Table) {
        let columns = Columns::new(table.columns.iter().map(|column| column.name.as_str()));
        let id_column = match table.primary_key.as_slice() {
            [only] => table.columns.iter().position(|column| column.name == *only && column.type_name == "bigint"),
            _ => None,
        };
        self.open = Some(Open { entry: entry_of(table), columns, id_column, chunker: Chunker::new(id_column) });
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

    /// The end of a stretch that was read: what follows is no part of its last piece.
    pub(super) async fn cut(&mut self, writer: &mut Writer) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let chunker = std::mem::replace(&mut open.chunker, Chunker::new(open.id_column));
        let (left, total) =
            chunker.finish().map_err(|source| Error::Rows { table: open.entry.name.clone(), source })?;
        open.entry.rows += total.rows;
        open.entry.fingerprint.add(&total.fingerprint);
        self.read += total.rows;
        for piece in left {
            self.piece(writer, piece).await?;
        }
        Ok(())
    }

    /// A stretch that is as the point before has it.
    pub(super) async fn keep(&mut self, writer: &mut Writer, kept: KeptPiece) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let name = format!("{}/{:06}", open.entry.name, open.entry.pieces.len());
        let count = kept.entry.rows;
        let rows = Some(count);
        open.entry.rows += count;
        open.entry.fingerprint.add(&kept.fingerprint);
        open.entry.pieces.push(PieceEntry { name: name.clone(), ..kept.entry });
        let (stream, plain) = kept.rows;
        writer.keep(Stream { name, kind: Kind::Rows, rows }, stream, plain).await?;
        if let Some((stream, plain)) = kept.hashes {
            self.sealed.notes += count;
            let name = self.next_hashes();
            writer.keep(Stream { name, kind: Kind::NoteHashes, rows }, stream, plain).await?;
        }
        Ok(())
    }

    /// The table's end. `expected`: how many rows it has, where that was counted.
    pub(super) async fn end(&mut self, writer: &mut Writer, expected: Option<u64>) -> Result<(), Error> {
        self.cut(writer).await?;
        let Some(open) = self.open.take() else { return Ok(()) };
        let entry = open.entry;
        if let Some(expected) = expected.filter(|expected| *expected != entry.rows) {
            return Err(Error::Refused(format!(
                "table {} has {expected} rows and {} came; the point was not taken, report this",
                entry.name, entry.rows
            )));
        }
        self.sealed.tables.push(entry);
        Ok(())
    }

    fn next_hashes(&mut self) -> String {
        let name = format!("note_hashes/{:06}", self.sealed.note_hashes.len());
        self.sealed.note_hashes.push(name.clone());
        name
    }

    async fn piece(&mut self, writer: &mut Writer, piece: Piece) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let name = format!("{}/{:06}", open.entry.name, open.entry.pieces.len());
        let fingerprint = Some(piece.fingerprint);
        open.entry.pieces.push(PieceEntry { name: name.clone(), rows: piece.rows, ids: piece.ids, fingerprint });
        let rows = Some(piece.rows);
        self.look_at(&piece.text).await?;
        writer.add(Stream { name, kind: Kind::Rows, rows }, piece.text).await?;
        // one stream of hashes for each piece of notes: it stays when the piece stays
        self.send_hashes(writer).await
    }

    /// Members are remembered by name, notes are rendered and hashed, files are listed.
    async fn look_at(&mut self, text: &Bytes) -> Result<(), Error> {
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
                    self.note(&columns, line).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn note(&mut self, columns: &Columns, line: &[u8]) -> Result<(), Error> {
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
        Ok(())
    }

    async fn send_hashes(&mut self, writer: &mut Writer) -> Result<(), Error> {
        if self.hashes_in == 0 {
            return Ok(());
        }
        let name = self.next_hashes();
        let rows = Some(std::mem::take(&mut self.hashes_in));
        let text = Bytes::from(std::mem::take(&mut self.hashes));
        writer.add(Stream { name, kind: Kind::NoteHashes, rows }, text).await
    }

    /// After the last table: what was seen, and the Markdown stream where one was wanted.
    pub(super) async fn finish(self) -> Result<Seen, Error> {
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
