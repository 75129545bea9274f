//! Deciding row by row what is brought, and bringing it, inside one unit of work: rows are locked before they are judged.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{MemberId, NoteId};
use serde_json::Value as Json;
use store::TenantTx;
use store::tenant::bring::{self, Shape};
use store::tenant::cards;

use super::differ::{Change, Difference, REMAINDER};
use super::names::{name_of, notes_of};
use super::{Brought, Refused};
use crate::error::Error;
use crate::row::{cells_of, hash_key, hash_row, json_of, key_json};
use crate::table::{ALL, ATTACHMENT, Cell, MEMBER, NOTE, Target};
use crate::verify::REFERENCES;

/// Rows of one statement.
const AT_ONCE: usize = 500;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) brought: BTreeMap<String, Brought>,
    pub(super) refused: Vec<Refused>,
}

/// A row to be removed.
struct Removal {
    target: &'static Target,
    key: u64,
    cells: Vec<Cell>,
}

struct Work<'a> {
    tx: &'a mut TenantTx,
    out: Settled,
    /// Notes whose cards may have changed.
    touched: BTreeSet<i64>,
    renamed: BTreeSet<i64>,
    /// Notes that are added last.
    coming: BTreeSet<i64>,
    /// Those of them that edited rows lead to already.
    awaited: BTreeSet<i64>,
    /// (table, key hash, hash now); none is gone.
    kept: Vec<(&'static str, u64, Option<u64>)>,
}

/// Brings the difference.
pub(super) async fn settle(tx: &mut TenantTx, mut difference: Difference) -> Result<Settled, Error> {
    cards::lock_many(tx).await?;
    let mut work = Work {
        tx,
        out: Settled::default(),
        touched: BTreeSet::new(),
        renamed: BTreeSet::new(),
        coming: BTreeSet::new(),
        awaited: BTreeSet::new(),
        kept: Vec::new(),
    };
    let changes = std::mem::take(&mut difference.changes);
    let (edited, fresh): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| change.was.is_some());
    work.coming =
        fresh.iter().filter(|change| change.target == &NOTE).filter_map(|change| change.cells[0].int()).collect();
    // Edits first, so that nothing hangs any more on what goes; then what goes, so that names are free for what comes.
    for target in ALL {
        let edited: Vec<&Change> = edited.iter().filter(|change| change.target == target).collect();
        for some in edited.chunks(AT_ONCE) {
            work.edit(target, some).await?;
        }
    }
    let removals = work.removals(&difference).await?;
    work.remove(removals).await?;
    for target in ALL {
        let fresh: Vec<&Change> = fresh.iter().filter(|change| change.target == target).collect();
        for some in fresh.chunks(AT_ONCE) {
            work.add(target, some).await?;
        }
    }
    work.all_came().await?;
    work.replace_remainder(&mut difference).await?;
    work.refresh(&difference).await?;
    let kept = std::mem::take(&mut work.kept);
    let tables: BTreeSet<&str> = kept.iter().map(|(table, ..)| *table).collect();
    for (table, key, base) in &kept {
        difference.base.set(table, *key, *base);
    }
    for table in tables {
        bring::replace_base(work.tx, table, &difference.base.pack(table)).await?;
    }
    Ok(work.out)
}

fn list(rows: impl IntoIterator<Item = Json>) -> Json {
    Json::Array(rows.into_iter().collect())
}

impl Work<'_> {
    fn refuse(&mut self, target: &Target, cells: &[Cell], message: &str) {
        let key: Vec<String> = cells.iter().take(target.key).map(Cell::shown).collect();
        self.out.refused.push(Refused {
            table: target.name.to_owned(),
            row: key.join(" "),
            name: name_of(target, cells),
            message: message.to_owned(),
        });
    }

    fn count(&mut self, target: &Target) -> &mut Brought {
        self.out.brought.entry(target.name.to_owned()).or_default()
    }

    /// Rows as they are in the tenant now, by the hash of their key, locked.
    async fn present(&mut self, target: &'static Target, keys: Json) -> Result<BTreeMap<u64, Vec<Cell>>, Error> {
        let names = target.names();
        let shape = Shape { name: target.name, columns: &names, key: target.key };
        let rows = bring::rows_by_key(self.tx, &shape, &keys).await?;
        let mut found = BTreeMap::new();
        for row in rows {
            let cells = cells_of(target, &row)
                .ok_or_else(|| Error::Differs(format!("a row of table {} has another shape", target.name)))?;
            found.insert(hash_row(target, &cells).key, cells);
        }
        Ok(found)
    }

    /// What the source has no more and the tenant left as it was.
    async fn removals(&mut self, difference: &Difference) -> Result<Vec<Removal>, Error> {
        let mut removals = Vec::new();
        for target in ALL.into_iter().filter(|target| target.name != REMAINDER) {
            let gone = difference.base.unseen(target.name);
            if gone.is_empty() {
                continue;
            }
            let names = target.names();
            let shape = Shape { name: target.name, columns: &names, key: target.key };
            let mut keys = Vec::new();
            for key in bring::all_keys(self.tx, &shape).await? {
                if key_cells(target, &key).is_some_and(|cells| gone.contains_key(&hash_key(&cells))) {
                    keys.push(key);
                }
            }
            let mut there = BTreeSet::new();
            for some in keys.chunks(AT_ONCE) {
                for (key, cells) in self.present(target, list(some.iter().cloned())).await? {
                    there.insert(key);
                    if gone.get(&key) == Some(&hash_row(target, &cells).base) {
                        removals.push(Removal { target, key, cells });
                    } else {
                        self.refuse(target, &cells, "it was removed at the source and edited here");
                    }
                }
            }
            // Removed on both sides.
            self.kept.extend(gone.keys().filter(|key| !there.contains(key)).map(|key| (target.name, *key, None)));
        }
        Ok(removals)
    }

    async fn remove(&mut self, removals: Vec<Removal>) -> Result<(), Error> {
        let held = self.held(&removals).await?;
        for target in ALL.into_iter().rev() {
            let mut keys = Vec::new();
            for removal in removals.iter().filter(|removal| removal.target == target) {
                if held.contains(&(target.name, removal.key)) {
                    self.refuse(target, &removal.cells, "it was removed at the source, but rows made here hang on it");
                    continue;
                }
                self.note_touched(target, &removal.cells);
                self.count(target).deleted += 1;
                self.kept.push((target.name, removal.key, None));
                keys.push(key_json(target, &removal.cells));
            }
            let names = target.names();
            let shape = Shape { name: target.name, columns: &names, key: target.key };
            for some in keys.chunks(AT_ONCE) {
                bring::delete_rows(self.tx, &shape, &list(some.iter().cloned())).await?;
            }
        }
        Ok(())
    }

    /// Notes and members that must stay because of rows that are not removed with them.
    async fn held(&mut self, removals: &[Removal]) -> Result<BTreeSet<(&'static str, u64)>, Error> {
        let going: BTreeSet<(&str, u64)> = removals.iter().map(|removal| (removal.target.name, removal.key)).collect();
        let mut held = BTreeSet::new();
        for holder in [&NOTE, &MEMBER] {
            let holder: &'static Target = holder;
            let ids: BTreeMap<i64, u64> = removals
                .iter()
                .filter(|removal| removal.target == holder)
                .filter_map(|removal| Some((removal.cells.first()?.int()?, removal.key)))
                .collect();
            if ids.is_empty() {
                continue;
            }
            let numbers: Vec<i64> = ids.keys().copied().collect();
            for (table, column, _) in REFERENCES.iter().filter(|(_, _, to)| *to == holder.name) {
                let Some(target) = Target::named(table) else { continue };
                let names = target.names();
                let shape = Shape { name: target.name, columns: &names, key: target.key };
                for (to, key) in bring::referring(self.tx, &shape, target.columns[*column].0, &numbers).await? {
                    let hash = key_cells(target, &key).map(|cells| hash_key(&cells)).unwrap_or_default();
                    if !going.contains(&(target.name, hash))
                        && let Some(own) = ids.get(&to)
                    {
                        held.insert((holder.name, *own));
                    }
                }
            }
        }
        Ok(held)
    }

    async fn edit(&mut self, target: &'static Target, changes: &[&Change]) -> Result<(), Error> {
        let keys = list(changes.iter().map(|change| key_json(target, &change.cells)));
        let present = self.present(target, keys).await?;
        let missing: BTreeSet<i64> =
            self.missing_notes(target, changes).await?.difference(&self.coming).copied().collect();
        let mut rows = Vec::new();
        for change in changes {
            let Some(now) = present.get(&change.key) else {
                self.refuse(target, &change.cells, "it was edited at the source and removed here");
                continue;
            };
            let here = hash_row(target, now).base;
            if here != change.base && Some(here) != change.was {
                self.refuse(target, now, "it was edited at the source and here");
                continue;
            }
            if leads_nowhere(target, change, &missing) {
                self.refuse(target, &change.cells, "the note it belongs to was removed here");
                continue;
            }
            self.kept.push((target.name, change.key, Some(change.base)));
            if here == change.base && !change.other_bytes {
                continue;
            }
            self.note_touched(target, now);
            self.note_touched(target, &change.cells);
            self.count(target).updated += 1;
            let coming = notes_of(target, &change.cells).into_iter().filter(|note| self.coming.contains(note));
            self.awaited.extend(coming);
            rows.push(json_of(target, &change.cells));
        }
        let names = target.names();
        let shape = Shape { name: target.name, columns: &names, key: target.key };
        if rows.is_empty() { Ok(()) } else { Ok(bring::update_rows(self.tx, &shape, &list(rows)).await?) }
    }

    async fn add(&mut self, target: &'static Target, changes: &[&Change]) -> Result<(), Error> {
        let keys = list(changes.iter().map(|change| key_json(target, &change.cells)));
        let present = self.present(target, keys).await?;
        let missing = self.missing_notes(target, changes).await?;
        let mut rows = Vec::new();
        let mut sent: Vec<&Change> = Vec::new();
        for change in changes {
            if let Some(now) = present.get(&change.key) {
                if hash_row(target, now).base == change.base {
                    self.kept.push((target.name, change.key, Some(change.base)));
                } else {
                    self.refuse(target, &change.cells, "it is new at the source, and its number or name is taken here");
                }
            } else if leads_nowhere(target, change, &missing) {
                self.refuse(
                    target,
                    &change.cells,
                    "it is new at the source, and the note it belongs to was removed here",
                );
            } else {
                rows.push(json_of(target, &change.cells));
                sent.push(change);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let names = target.names();
        let shape = Shape { name: target.name, columns: &names, key: target.key };
        let placed = bring::insert_rows(self.tx, &shape, &list(rows)).await?;
        let placed: BTreeSet<u64> =
            placed.iter().filter_map(|key| key_cells(target, key)).map(|cells| hash_key(&cells)).collect();
        for change in sent {
            if placed.contains(&change.key) {
                self.kept.push((target.name, change.key, Some(change.base)));
                self.note_touched(target, &change.cells);
                self.count(target).inserted += 1;
            } else {
                self.refuse(target, &change.cells, "it is new at the source, and its number or name is taken here");
            }
        }
        Ok(())
    }

    /// Notes that these rows belong to and that are not there.
    async fn missing_notes(&mut self, target: &'static Target, changes: &[&Change]) -> Result<BTreeSet<i64>, Error> {
        let mut wanted = BTreeSet::new();
        for change in changes {
            wanted.extend(notes_of(target, &change.cells));
        }
        if target == &NOTE {
            // Comments on notes that come with them.
            for change in changes {
                wanted.remove(&change.cells[0].int().unwrap_or_default());
            }
        }
        let numbers: Vec<i64> = wanted.iter().copied().collect();
        let there = bring::lock_notes(self.tx, &numbers).await?;
        for note in there {
            wanted.remove(&note);
        }
        Ok(wanted)
    }

    /// Whether every note that edited rows lead to has come.
    async fn all_came(&mut self) -> Result<(), Error> {
        let awaited: Vec<i64> = self.awaited.iter().copied().collect();
        let there = bring::lock_notes(self.tx, &awaited).await?;
        match awaited.iter().find(|note| !there.contains(note)) {
            None => Ok(()),
            Some(lost) => Err(Error::Differs(format!("edited rows lead to the new note {lost}, which found no place"))),
        }
    }

    fn note_touched(&mut self, target: &Target, cells: &[Cell]) {
        self.touched.extend(notes_of(target, cells));
        match target.name {
            "note" => self.touched.extend(cells[0].int()),
            "member" => self.renamed.extend(cells[0].int()),
            _ => {}
        }
    }

    /// Its rows are the source's alone and their numbers mean nothing: where any differs, all are written anew.
    async fn replace_remainder(&mut self, difference: &mut Difference) -> Result<(), Error> {
        let Some(target) = Target::named(REMAINDER) else { return Ok(()) };
        if !difference.other_remainder && difference.base.unseen(REMAINDER).is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut difference.remainder);
        let count = self.count(target);
        (count.inserted, count.deleted) = (rows.len() as u64, difference.base.count(REMAINDER) as u64);
        let names = target.names();
        let shape = Shape { name: target.name, columns: &names, key: target.key };
        bring::delete_all(self.tx, &shape).await?;
        for some in rows.chunks(AT_ONCE) {
            bring::insert_rows(self.tx, &shape, &list(some.iter().map(|cells| json_of(target, cells)))).await?;
        }
        difference.base.replace(target, &rows);
        Ok(bring::replace_base(self.tx, target.name, &difference.base.pack(target.name)).await?)
    }

    /// Places of files and cards, where anything around a note changed.
    async fn refresh(&mut self, difference: &Difference) -> Result<(), Error> {
        let places = self.touched.iter().filter_map(|note| difference.places.get(note)).flatten();
        let rows: Vec<Json> = places.map(|(id, at)| serde_json::json!({ "id": id, "position": at })).collect();
        let shape = Shape { name: ATTACHMENT.name, columns: &["id", "position"], key: 1 };
        for some in rows.chunks(AT_ONCE) {
            bring::update_rows(self.tx, &shape, &list(some.iter().cloned())).await?;
        }
        let touched: Vec<i64> = self.touched.iter().copied().collect();
        let locked = bring::lock_notes(self.tx, &touched).await?;
        let mut notes: Vec<NoteId> = locked.into_iter().map(NoteId).collect();
        let touched: Vec<NoteId> = touched.into_iter().map(NoteId).collect();
        notes.extend(cards::lock_around(self.tx, &touched).await?);
        cards::refresh_cards(self.tx, &notes).await?;
        for member in self.renamed.clone() {
            cards::rename_member(self.tx, MemberId(member)).await?;
        }
        Ok(())
    }
}

/// Whether a row belongs to a note that is not there.
fn leads_nowhere(target: &Target, change: &Change, missing: &BTreeSet<i64>) -> bool {
    notes_of(target, &change.cells).iter().any(|note| missing.contains(note))
}

/// The cells of a key given as JSON.
fn key_cells(target: &Target, key: &Json) -> Option<Vec<Cell>> {
    target.columns.iter().take(target.key).map(|(name, kind)| Cell::from_json(*kind, key.get(name)?)).collect()
}
