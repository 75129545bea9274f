//! MemoViewService: a member's saved filters by the name they have after Memos 0.30.

use wire::{Empty, FieldMask, v1};

use super::{ApiError, Ctx, RpcRow, row};
use crate::notes::Desk;
use crate::people::filters::{self, Change, SavedFilter};

const SERVICE: &str = "MemoViewService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "ListMemoViews", list),
        row(SERVICE, "GetMemoView", get),
        row(SERVICE, "CreateMemoView", create),
        row(SERVICE, "UpdateMemoView", update),
        row(SERVICE, "DeleteMemoView", delete),
    ]
}

type Answer<T> = Result<T, ApiError>;

const KIND: &str = "views";

/// `users/{username}` → username.
pub(super) fn owner(name: &str) -> Answer<&str> {
    let found = name.strip_prefix("users/").filter(|rest| !rest.is_empty() && !rest.contains('/'));
    found.ok_or_else(|| ApiError::invalid(format!("invalid user name: invalid request {name:?}")))
}

/// `users/{username}/{kind}/{id}` → username and id.
pub(super) fn below<'a>(name: &'a str, kind: &str) -> Answer<(&'a str, &'a str)> {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["users", username, found, id] if *found == kind && !username.is_empty() && !id.is_empty() => {
            Ok((username, id))
        }
        _ => Err(ApiError::invalid(format!("invalid name: invalid request {name:?}"))),
    }
}

/// What a mask means to change.
pub(super) fn change(mask: &FieldMask, title: &str, filter: &str) -> Change {
    Change {
        title: mask.names("title").then(|| title.to_owned()),
        filter: mask.names("filter").then(|| filter.to_owned()),
    }
}

fn shown(username: &str, found: SavedFilter) -> v1::MemoView {
    v1::MemoView { name: format!("users/{username}/{KIND}/{}", found.id), title: found.title, filter: found.filter }
}

async fn list(ctx: Ctx, request: v1::ListMemoViewsRequest) -> Answer<v1::ListMemoViewsResponse> {
    let username = owner(&request.parent)?;
    let found = filters::list(&Desk::of(&ctx), username).await?;
    Ok(v1::ListMemoViewsResponse { memo_views: found.into_iter().map(|one| shown(username, one)).collect() })
}

async fn get(ctx: Ctx, request: v1::GetMemoViewRequest) -> Answer<v1::MemoView> {
    let (username, id) = below(&request.name, KIND)?;
    Ok(shown(username, filters::get(&Desk::of(&ctx), username, id).await?))
}

async fn create(ctx: Ctx, request: v1::CreateMemoViewRequest) -> Answer<v1::MemoView> {
    let username = owner(&request.parent)?;
    let new = request.memo_view.unwrap_or_default();
    let made = filters::create(&Desk::of(&ctx), username, new.title, new.filter, request.validate_only).await?;
    Ok(shown(username, made))
}

async fn update(ctx: Ctx, request: v1::UpdateMemoViewRequest) -> Answer<v1::MemoView> {
    let wanted = request.memo_view.ok_or_else(|| ApiError::invalid("memo view is required"))?;
    let (username, id) = below(&wanted.name, KIND)?;
    let mask = request.update_mask.filter(|mask| !mask.paths.is_empty());
    let mask = mask.ok_or_else(|| ApiError::invalid("update mask is required"))?;
    if let Some(other) = mask.paths.iter().find(|path| !matches!(path.as_str(), "title" | "filter" | "name" | "")) {
        return Err(ApiError::invalid(format!("invalid update path: {other}")));
    }
    let made = filters::update(&Desk::of(&ctx), username, id, change(&mask, &wanted.title, &wanted.filter)).await?;
    Ok(shown(username, made))
}

async fn delete(ctx: Ctx, request: v1::DeleteMemoViewRequest) -> Answer<Empty> {
    let (username, id) = below(&request.name, KIND)?;
    filters::delete(&Desk::of(&ctx), username, id).await?;
    Ok(Empty {})
}
