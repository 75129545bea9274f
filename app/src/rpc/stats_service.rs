//! UserService: the RPCs that count a member's notes.

use std::collections::BTreeMap;

use store::tenant::stats::CountedNote;
use wire::{Timestamp, v1};

use super::{ApiError, Ctx, RpcRow, row};
use crate::notes::view::memo_name;
use crate::notes::{Desk, stats};

const SERVICE: &str = "UserService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![row(SERVICE, "GetUserStats", get_user_stats), row(SERVICE, "ListAllUserStats", list_all_user_stats)]
}

async fn get_user_stats(ctx: Ctx, request: v1::GetUserStatsRequest) -> Result<v1::UserStats, ApiError> {
    let username = request.name.strip_prefix("users/").filter(|name| !name.is_empty() && !name.contains('/'));
    let refused = || ApiError::invalid(format!("invalid user name: invalid request {:?}", request.name));
    let username = username.ok_or_else(refused)?;
    let found = stats::of_member(&Desk::of(&ctx), username).await?;
    Ok(counts(username, found.iter()))
}

async fn list_all_user_stats(
    ctx: Ctx,
    request: v1::ListAllUserStatsRequest,
) -> Result<v1::ListAllUserStatsResponse, ApiError> {
    let archived = request.state() == v1::State::Archived;
    let found = stats::of_all(&Desk::of(&ctx), archived, &request.filter).await?;
    let groups = stats::by_member(&found).into_iter();
    let of = |notes: Vec<&CountedNote>| {
        let username = notes.first().map(|note| note.creator.clone()).unwrap_or_default();
        counts(&username, notes.into_iter())
    };
    Ok(v1::ListAllUserStatsResponse { stats: groups.map(|(_, notes)| of(notes)).collect() })
}

fn counts<'a>(username: &str, notes: impl Iterator<Item = &'a CountedNote>) -> v1::UserStats {
    let mut kinds = v1::user_stats::MemoTypeStats::default();
    let mut tags: BTreeMap<String, i32> = BTreeMap::new();
    let mut stats = v1::UserStats { name: format!("users/{username}/stats"), ..v1::UserStats::default() };
    for note in notes {
        kinds.link_count += i32::from(note.has_link);
        kinds.code_count += i32::from(note.has_code);
        kinds.todo_count += i32::from(note.has_task_list);
        kinds.undo_count += i32::from(note.has_incomplete_tasks);
        for tag in &note.tags {
            *tags.entry(tag.clone()).or_default() += 1;
        }
        if note.pinned {
            stats.pinned_memos.push(memo_name(&note.uid));
        }
        stats.memo_created_timestamps.push(Timestamp::from_seconds(note.created_ts));
        stats.memo_updated_timestamps.push(Timestamp::from_seconds(note.updated_ts));
        stats.total_memo_count += 1;
    }
    v1::UserStats { memo_type_stats: Some(kinds), tag_count: tags, ..stats }
}
