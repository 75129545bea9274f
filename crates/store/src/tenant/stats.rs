//! What the counts on a member's page are made of.

use domain::id::MemberId;

use crate::tx::Param;
use crate::{Error, Row, TenantTx, Type};

/// One note as the counts see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedNote {
    /// Public id.
    pub uid: String,
    /// Who wrote it.
    pub creator_id: MemberId,
    /// Their username now.
    pub creator: String,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
    /// Held at the top.
    pub pinned: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// Has a link.
    pub has_link: bool,
    /// Has a task checkbox.
    pub has_task_list: bool,
    /// Has code.
    pub has_code: bool,
    /// Has an unchecked task.
    pub has_incomplete_tasks: bool,
}

fn counted(row: &Row) -> Result<CountedNote, Error> {
    Ok(CountedNote {
        uid: row.try_get(0)?,
        creator_id: MemberId(row.try_get(1)?),
        creator: row.try_get(2)?,
        created_ts: row.try_get(3)?,
        updated_ts: row.try_get(4)?,
        pinned: row.try_get(5)?,
        tags: row.try_get(6)?,
        has_link: row.try_get(7)?,
        has_task_list: row.try_get(8)?,
        has_code: row.try_get(9)?,
        has_incomplete_tasks: row.try_get(10)?,
    })
}

/// Notes (no comments) in the state asked for that `viewer` may see, newest first; of one creator when given.
/// `filter` is a condition over `note n` and `member m` with its own parameters from `$3` on.
pub async fn list_counted(
    tx: TenantTx,
    viewer: super::feed::Viewer,
    archived: bool,
    creator: Option<MemberId>,
    filter: Option<(&str, &[Param<'_>])>,
) -> Result<Vec<CountedNote>, Error> {
    let (me, one) = (viewer.member().map(|member| member.0), creator.map(|member| member.0));
    let mut params: Vec<Param<'_>> = vec![(&me, Type::INT8), (&one, Type::INT8)];
    let mut condition = String::new();
    if let Some((sql, more)) = filter {
        condition = format!(" AND ({sql})");
        params.extend(more.iter().map(|(value, kind)| (*value, kind.clone())));
    }
    let state = if archived { "n.archived AND n.creator_id = $1" } else { "NOT n.archived" };
    let sql = format!(
        "SELECT n.uid, n.creator_id, coalesce(m.username, ''), n.created_ts, n.updated_ts, n.pinned, n.tags, n.has_link,
           n.has_task_list, n.has_code, n.has_incomplete_tasks
         FROM note n LEFT JOIN member m ON m.id = n.creator_id
         WHERE n.parent_id IS NULL AND {state} AND ($2::bigint IS NULL OR n.creator_id = $2)
           AND (n.visibility = 'PUBLIC' OR $1::bigint IS NOT NULL AND (n.creator_id = $1 OR n.visibility = 'PROTECTED'))
           {condition}
         ORDER BY n.created_ts DESC, n.id DESC"
    );
    tx.read_once(&sql, &params).await?.iter().map(counted).collect()
}
