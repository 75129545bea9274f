//! What the point before has that need not be read again: stretches of tables in which nothing was written since.
//!
//! Postgres says which rows are new (`store::Baseline`); a stretch without one, and with as many rows as then, leaves the
//! database only once. Its stream is taken over from the point before as it lies in the store: an object is referred to, a
//! member of the pack is put into the new pack with its stored bytes. Once a day, and whenever a point was asked for by hand,
//! everything is read, and what would have been taken over is compared.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bytes::Bytes;
use objects::ObjectStore;
use store::{Baseline, Snapshot, Table};

use super::Warnings;
use super::writer::Kept;
use crate::error::Error;
use crate::format::fingerprint::Fingerprint;
use crate::format::hash::{Measure, Stamp};
use crate::format::manifest::{Clear, Kind, Object};
use crate::format::sealed::{PieceEntry, Sealed, TableEntry};
use crate::seal::SealedBytes;

/// Tables with fewer rows are read: that costs less than finding out what has changed.
const WORTH: u64 = 2_000;
/// Tables in which the point looks for something: read each time.
const LOOKED_AT: [&str; 2] = ["member", "attachment"];

/// The newest good point before.
pub(super) struct Before {
    pub(super) clear: Clear,
    pub(super) sealed: Sealed,
}

/// What of the point before may be taken over.
pub(super) struct Reuse<'a> {
    before: &'a Before,
    earlier: &'a Baseline,
    now: &'a Baseline,
    streams: HashMap<&'a str, Place>,
}

/// Where a stream of the point before lies.
enum Place {
    Object(Box<Object>),
    Member(SealedBytes),
}

/// A stretch of a table on its way into a point.
pub(super) enum Step {
    /// Rows whose key is in this range.
    Read(Range<i64>),
    /// Nothing was written in it.
    Keep(Box<KeptPiece>),
}

/// A piece that is taken over, and the hashes of its notes.
pub(super) struct KeptPiece {
    pub(super) entry: PieceEntry,
    pub(super) fingerprint: Fingerprint,
    pub(super) rows: (Kept, Measure),
    pub(super) hashes: Option<(Kept, Measure)>,
}

/// A table stretch by stretch.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// How many rows the table has.
    pub(super) rows: u64,
}

impl Before {
    /// What may be taken over into a point of this snapshot, if anything.
    pub(super) async fn reuse<'a>(
        &'a self,
        store: &ObjectStore,
        now: &'a Baseline,
    ) -> Result<Option<Reuse<'a>>, Error> {
        let Some(base) = &self.sealed.base else { return Ok(None) };
        if self.sealed.tables.iter().all(|table| table.rows < WORTH) {
            return Ok(None);
        }
        let mut streams = HashMap::new();
        for object in &self.clear.objects {
            if object.kind == Kind::Pack {
                self.members(store, object, &mut streams).await?;
            } else {
                streams.insert(object.name.as_str(), Place::Object(Box::new(object.clone())));
            }
        }
        Ok(Some(Reuse { before: self, earlier: &base.baseline, now, streams }))
    }

    /// The members of the pack that are as they were written; those that are not are read anew.
    async fn members<'a>(
        &'a self,
        store: &ObjectStore,
        pack: &'a Object,
        streams: &mut HashMap<&'a str, Place>,
    ) -> Result<(), Error> {
        let wanted = pack.members.iter().filter(|one| matches!(one.kind, Kind::Rows | Kind::NoteHashes));
        let wanted: Vec<_> = wanted.filter(|one| self.sealed.plain.contains_key(&one.name)).collect();
        let bytes = match store.get(&pack.key).await {
            Ok(bytes) => bytes,
            // for verification to report
            Err(objects::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for member in wanted {
            let Some(stored) = slice(&bytes, member.offset, member.bytes_stored) else { continue };
            let stamp = Stamp::of(&stored);
            let plain = self.sealed.plain.get(&member.name).copied();
            if let Some(plain) = plain.filter(|_| stamp.measure.sha256 == member.sha256_stored) {
                streams.insert(member.name.as_str(), Place::Member(SealedBytes { stored, plain, stamp }));
            }
        }
        Ok(())
    }
}

fn slice(bytes: &Bytes, offset: u64, length: u64) -> Option<Bytes> {
    let from = usize::try_from(offset).ok()?;
    let to = from.checked_add(usize::try_from(length).ok()?)?;
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

impl Reuse<'_> {
    /// How a table is to be read; none when all of it. `done`: the tables of this point so far.
    pub(super) async fn plan(
        &self,
        snapshot: &mut Snapshot,
        table: &Table,
        done: &[TableEntry],
    ) -> Result<Option<Plan>, Error> {
        let Some(entry) = self.comparable(table, done) else { return Ok(None) };
        let Some(starts) = starts(entry) else { return Ok(None) };
        let stretches = snapshot.stretches(table, &starts, self.earlier).await?;
        let mut steps = Vec::with_capacity(starts.len());
        for (at, (piece, stretch)) in entry.pieces.iter().zip(&stretches).enumerate() {
            let same = !stretch.written && stretch.rows == piece.rows;
            let kept = if same { self.kept(&entry.name, at, piece) } else { None };
            let low = if at == 0 { i64::MIN } else { starts.get(at).copied().unwrap_or(i64::MIN) };
            let high = starts.get(at + 1).copied().unwrap_or(i64::MAX);
            steps.push(kept.map_or(Step::Read(low..high), |kept| Step::Keep(Box::new(kept))));
        }
        Ok(Some(Plan { steps, rows: stretches.iter().map(|stretch| stretch.rows).sum() }))
    }

    /// The table as the point before has it, where the two can be compared.
    fn comparable(&self, table: &Table, done: &[TableEntry]) -> Option<&TableEntry> {
        let entry = self.before.sealed.tables.iter().find(|entry| entry.name == table.name)?;
        let same_columns = entry.columns.len() == table.columns.len()
            && entry.columns.iter().zip(&table.columns).all(|(one, other)| {
                one.name == other.name && one.type_name == other.type_name && one.not_null == other.not_null
            });
        let fine = entry.rows >= WORTH
            && same_columns
            && entry.primary_key == table.primary_key
            && entry.primary_key.len() == 1
            && !LOOKED_AT.contains(&table.name.as_str())
            && self.now.continues(self.earlier, &table.name);
        if !fine {
            return None;
        }
        if table.name == "note" {
            // a note's file names its creator; and there is a stream of hashes for each piece
            let members =
                |tables: &[TableEntry]| tables.iter().find(|one| one.name == "member").map(|one| one.fingerprint);
            let (then, now) = (members(&self.before.sealed.tables), members(done));
            if then.is_none() || then != now || self.before.sealed.note_hashes.len() != entry.pieces.len() {
                return None;
            }
        }
        Some(entry)
    }

    fn kept(&self, table: &str, at: usize, piece: &PieceEntry) -> Option<KeptPiece> {
        let hashes = if table == "note" { Some(self.stream(self.before.sealed.note_hashes.get(at)?)?) } else { None };
        Some(KeptPiece {
            entry: piece.clone(),
            fingerprint: piece.fingerprint?,
            rows: self.stream(&piece.name)?,
            hashes,
        })
    }

    fn stream(&self, name: &str) -> Option<(Kept, Measure)> {
        let plain = *self.before.sealed.plain.get(name)?;
        let kept = match self.streams.get(name)? {
            Place::Object(object) => Kept::Object(object.clone()),
            Place::Member(sealed) => Kept::Sealed(sealed.clone()),
        };
        Some((kept, plain))
    }
}

/// Where the pieces of a table begin; none where that is not known of each.
fn starts(entry: &TableEntry) -> Option<Vec<i64>> {
    let starts: Vec<i64> = entry.pieces.iter().map(|piece| piece.ids.map(|ids| ids.0)).collect::<Option<_>>()?;
    let rising = starts.windows(2).all(|two| matches!(two, [one, other] if one < other));
    (rising && !starts.is_empty()).then_some(starts)
}

/// Everything was read: what would have been taken over must be what was read.
pub(super) fn compare(plan: &Plan, read: &TableEntry, warnings: &mut Warnings) {
    let found: BTreeMap<(i64, i64), &PieceEntry> =
        read.pieces.iter().filter_map(|piece| Some((piece.ids?, piece))).collect();
    for step in &plan.steps {
        let Step::Keep(kept) = step else { continue };
        let Some(ids) = kept.entry.ids else { continue };
        if let Some(piece) = found.get(&ids)
            && (piece.fingerprint != Some(kept.fingerprint) || piece.rows != kept.entry.rows)
        {
            warnings.push(format!(
                "rows {} to {} of table {} are not those of the point before, and the database does not say that any was written; \
                 the point has them as they are now, look for damage of the database",
                ids.0, ids.1, read.name
            ));
        }
    }
}
