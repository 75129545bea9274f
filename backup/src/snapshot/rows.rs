//! The rows of a tenant on their way into a point: cut, added up, and looked at for notes and files.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use domain::id::TenantId;
use store::Table;
use tokio::task::JoinHandle;

use super::before::KeptPiece;
use super::desk::{Desk, Done, Look, Seen};
use super::notes::Markdown;
use super::writer::{Stream, Streamed, Writer};
use crate::context::Backup;
use crate::error::Error;
use crate::format::buffers::Buffers;
use crate::format::chunker::{Chunker, NoId, Piece};
use crate::format::copytext::Columns;
use crate::format::manifest::Kind;
use crate::format::name::PointName;
use crate::format::sealed::{ColumnEntry, PieceEntry, Sealed, TableEntry};
use crate::shown::Shown;

/// Pieces that are done by other threads at the same time, while the next one is read.
const TOGETHER: usize = 3;

/// Files by their place in the file store, with the SHA-256 their rows tell.
pub(super) type Files = BTreeMap<String, String>;

/// The tables of one point.
pub(super) struct Rows {
    desk: Desk,
    open: Option<Open>,
    /// Pieces of the open table in their order.
    under_way: VecDeque<UnderWay>,
    sealed: Sealed,
    creators: Arc<HashMap<i64, String>>,
    files: Files,
    markdown: Option<Markdown>,
    read: u64,
    shown: Shown,
    /// For the text of pieces.
    texts: Buffers,
}

struct Open {
    entry: TableEntry,
    look: Look,
    id_column: Option<usize>,
    chunker: Chunker,
}

/// A piece that has not entered the point yet.
enum UnderWay {
    Read(JoinHandle<Result<Done, Error>>),
    Kept(Box<KeptPiece>),
}

impl Open {
    fn wrong(&self) -> impl Fn(NoId) -> Error + use<> {
        let table = self.entry.name.clone();
        move |source| Error::Rows { table: table.clone(), source }
    }

    fn next_name(&self) -> String {
        format!("{}/{:06}", self.entry.name, self.entry.pieces.len())
    }
}

impl Rows {
    pub(super) fn new(backup: &Backup, tenant: TenantId, point: &PointName, desk: Desk) -> Self {
        let markdown = desk.markdown.then(|| {
            let key = format!("{}markdown.tar.zst.age", objects::keys::point(tenant, point.as_str()));
            Markdown::begin(backup.objects.clone(), key, desk.packing.clone())
        });
        Self {
            desk,
            open: None,
            under_way: VecDeque::new(),
            sealed: Sealed::default(),
            creators: Arc::default(),
            files: Files::new(),
            markdown,
            read: 0,
            shown: backup.shown.clone(),
            texts: Buffers::default(),
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
        let columns = Arc::new(Columns::new(table.columns.iter().map(|column| column.name.as_str())));
        let id_column = match table.primary_key.as_slice() {
            [only] => table.columns.iter().position(|column| column.name == *only && column.type_name == "bigint"),
            _ => None,
        };
        let look = match table.name.as_str() {
            "member" => Look::Members(columns),
            "attachment" => Look::Files(columns),
            "note" => Look::Notes(columns, Arc::clone(&self.creators)),
            _ => Look::Nothing,
        };
        self.open =
            Some(Open { entry: entry_of(table), look, id_column, chunker: Chunker::within(id_column, &self.texts) });
    }

    /// A portion of its COPY text.
    pub(super) async fn push(&mut self, writer: &mut Writer, portion: &Bytes) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let pieces = open.chunker.push(portion).map_err(open.wrong())?;
        self.take(writer, pieces).await
    }

    /// The end of a stretch that was read: what follows is no part of its last piece.
    pub(super) async fn cut(&mut self, writer: &mut Writer) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let chunker = std::mem::replace(&mut open.chunker, Chunker::within(open.id_column, &self.texts));
        let left = chunker.finish().map_err(open.wrong())?;
        self.take(writer, left).await
    }

    /// A stretch that is as the point before has it.
    pub(super) async fn keep(&mut self, writer: &mut Writer, kept: KeptPiece) -> Result<(), Error> {
        self.under_way.push_back(UnderWay::Kept(Box::new(kept)));
        self.settle(writer, TOGETHER).await
    }

    async fn take(&mut self, writer: &mut Writer, pieces: Vec<Piece>) -> Result<(), Error> {
        for piece in pieces {
            let Some(open) = &self.open else { return Ok(()) };
            self.under_way.push_back(UnderWay::Read(self.desk.begin(piece, open.look.clone())));
            self.settle(writer, TOGETHER).await?;
        }
        Ok(())
    }

    /// Pieces enter the point in their order, until only so many are under way.
    async fn settle(&mut self, writer: &mut Writer, left: usize) -> Result<(), Error> {
        while self.under_way.len() > left {
            match self.under_way.pop_front() {
                Some(UnderWay::Read(piece)) => match piece.await {
                    Ok(done) => self.enter(writer, done?).await?,
                    Err(gone) => {
                        let source = std::io::Error::other(gone);
                        return Err(Error::Pack { what: "a piece of a table".to_owned(), source });
                    }
                },
                Some(UnderWay::Kept(kept)) => self.enter_kept(writer, *kept).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// The table's end. `expected`: how many rows it has, where that was counted.
    pub(super) async fn end(&mut self, writer: &mut Writer, expected: Option<u64>) -> Result<(), Error> {
        self.cut(writer).await?;
        self.settle(writer, 0).await?;
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

    async fn enter(&mut self, writer: &mut Writer, done: Done) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let name = open.next_name();
        open.entry.rows += done.rows;
        open.entry.fingerprint.add(&done.fingerprint);
        self.read += done.rows;
        self.shown.advance(done.rows);
        let fingerprint = Some(done.fingerprint);
        open.entry.pieces.push(PieceEntry { name: name.clone(), rows: done.rows, ids: done.ids, fingerprint });
        writer.add(Stream { name, kind: Kind::Rows, rows: Some(done.rows) }, done.packed).await?;
        match done.seen {
            Seen::Nothing => {}
            Seen::Members(found) => Arc::make_mut(&mut self.creators).extend(found),
            Seen::Files(found) => self.files.extend(found),
            // one stream of hashes for each piece of notes: it stays when the piece stays
            Seen::Notes { count, hashes, tar } => {
                self.sealed.notes += count;
                let name = self.next_hashes();
                writer.add(Stream { name, kind: Kind::NoteHashes, rows: Some(count) }, hashes).await?;
                if let Some(markdown) = &mut self.markdown {
                    markdown.add(tar).await;
                }
            }
        }
        Ok(())
    }

    async fn enter_kept(&mut self, writer: &mut Writer, kept: KeptPiece) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let name = open.next_name();
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

    /// After the last table: what was seen, and the Markdown stream where one was wanted.
    pub(super) async fn finish(self) -> Result<Found, Error> {
        let markdown = match self.markdown {
            Some(markdown) => Some(markdown.finish().await?),
            None => None,
        };
        Ok((self.sealed, self.files, markdown))
    }
}

/// Tables and notes, files, and where the Markdown went.
pub(super) type Found = (Sealed, Files, Option<(String, Streamed)>);

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
