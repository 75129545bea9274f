//! Counts of notes, by member.

use domain::filter;
use domain::id::MemberId;
use store::tenant::filter_sql;
use store::tenant::stats::{self, CountedNote};

use super::{Desk, Error};

/// The notes of one member that the caller may see, newest first.
pub async fn of_member(desk: &Desk<'_>, username: &str) -> Result<Vec<CountedNote>, Error> {
    desk.enter()?;
    let mut tx = desk.begin();
    let member = crate::people::service::find(&mut tx, desk, username).await?;
    tx.commit().await?;
    let member = member.ok_or_else(|| Error::NotFound("user not found".into()))?;
    Ok(stats::list_counted(desk.begin(), desk.viewer(), false, Some(member.id), None).await?)
}

/// The notes of all members that the caller may see, newest first; or those of his own archive.
pub async fn of_all(desk: &Desk<'_>, archived: bool, filter: &str) -> Result<Vec<CountedNote>, Error> {
    desk.enter()?;
    let condition = match filter {
        "" => None,
        text => {
            let parsed = filter::parse(text, desk.now()).map_err(|e| Error::invalid(format!("invalid filter: {e}")))?;
            Some(filter_sql::compile(&parsed, 3))
        }
    };
    if archived && desk.actor.member_id().is_none() {
        return Ok(Vec::new());
    }
    let params = condition.as_ref().map(filter_sql::Condition::params).unwrap_or_default();
    let condition = condition.as_ref().map(|condition| (condition.sql.as_str(), params.as_slice()));
    Ok(stats::list_counted(desk.begin(), desk.viewer(), archived, None, condition).await?)
}

/// The notes of each member, in the order in which the members first appear.
pub fn by_member(notes: &[CountedNote]) -> Vec<(MemberId, Vec<&CountedNote>)> {
    let mut groups: Vec<(MemberId, Vec<&CountedNote>)> = Vec::new();
    for note in notes {
        match groups.iter_mut().find(|(member, _)| *member == note.creator_id) {
            Some((_, group)) => group.push(note),
            None => groups.push((note.creator_id, vec![note])),
        }
    }
    groups
}
