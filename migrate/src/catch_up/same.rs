//! Whether a source is the installation that the tenant was imported from. Every Memos counts its rows from 1, so rows of
//! another one have the same numbers, and bringing them would overwrite the tenant's.

use store::tenant::bring;
use store::{Error, TenantTx};

use super::differ::Difference;
use crate::table::{Cell, MEMBER, NOTE, Target};

/// Where a note's uid is among its cells, and when a member was made: neither ever changes.
const UID: usize = 1;
const MADE: usize = 9;

/// How many notes and members of the source have numbers that mean others in the tenant, when those are most; none when it
/// is the same installation. What was imported and is as it was speaks for it.
pub(super) async fn others(tx: &mut TenantTx, difference: &Difference) -> Result<Option<usize>, Error> {
    let notes = edited(difference, &NOTE, |cells| match cells.get(UID) {
        Some(Cell::Text(uid)) => Some(uid.clone()),
        _ => None,
    });
    let members = edited(difference, &MEMBER, |cells| match cells.get(MADE) {
        Some(Cell::Int(at)) => Some(*at),
        _ => None,
    });
    let note_ids: Vec<i64> = notes.iter().map(|(id, _)| *id).collect();
    let member_ids: Vec<i64> = members.iter().map(|(id, _)| *id).collect();
    let uids = bring::note_uids(tx, &note_ids).await?;
    let times = bring::member_times(tx, &member_ids).await?;
    let other_notes = notes.iter().filter(|(id, uid)| uids.get(id).is_some_and(|here| here != uid)).count();
    let other_members = members.iter().filter(|(id, at)| times.get(id).is_some_and(|here| here != at)).count();
    let (mut known, mut gone) = (0, 0);
    for target in [&NOTE, &MEMBER] {
        known += difference.base.count(target.name);
        gone += difference.base.unseen(target.name).len();
    }
    let others = other_notes + other_members;
    let same = known.saturating_sub(gone).saturating_sub(others);
    Ok((known > 0 && others >= same).then_some(others))
}

/// Rows that were imported and are others now, with what never changes of each.
fn edited<T>(difference: &Difference, target: &Target, of: impl Fn(&[Cell]) -> Option<T>) -> Vec<(i64, T)> {
    let edited = difference.changes.iter().filter(|change| change.target.name == target.name && change.was.is_some());
    let read = edited.filter_map(|change| match change.cells.first() {
        Some(Cell::Int(id)) => Some((*id, of(&change.cells)?)),
        _ => None,
    });
    read.collect()
}
