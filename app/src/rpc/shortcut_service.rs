//! ShortcutService: a member's saved filters by the name they have in Memos 0.30.

use wire::{Empty, v1};

use super::memo_view_service::{below, change, owner};
use super::{ApiError, Ctx, RpcRow, row};
use crate::notes::Desk;
use crate::people::filters::{self, SavedFilter};

const SERVICE: &str = "ShortcutService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "ListShortcuts", list),
        row(SERVICE, "GetShortcut", get),
        row(SERVICE, "CreateShortcut", create),
        row(SERVICE, "UpdateShortcut", update),
        row(SERVICE, "DeleteShortcut", delete),
    ]
}

type Answer<T> = Result<T, ApiError>;

const KIND: &str = "shortcuts";

fn shown(username: &str, found: SavedFilter) -> v1::Shortcut {
    v1::Shortcut { name: format!("users/{username}/{KIND}/{}", found.id), title: found.title, filter: found.filter }
}

async fn list(ctx: Ctx, request: v1::ListShortcutsRequest) -> Answer<v1::ListShortcutsResponse> {
    let username = owner(&request.parent)?;
    let found = filters::list(&Desk::of(&ctx), username).await?;
    Ok(v1::ListShortcutsResponse { shortcuts: found.into_iter().map(|one| shown(username, one)).collect() })
}

async fn get(ctx: Ctx, request: v1::GetShortcutRequest) -> Answer<v1::Shortcut> {
    let (username, id) = below(&request.name, KIND)?;
    Ok(shown(username, filters::get(&Desk::of(&ctx), username, id).await?))
}

async fn create(ctx: Ctx, request: v1::CreateShortcutRequest) -> Answer<v1::Shortcut> {
    let username = owner(&request.parent)?;
    let new = request.shortcut.unwrap_or_default();
    let made = filters::create(&Desk::of(&ctx), username, new.title, new.filter, request.validate_only).await?;
    Ok(shown(username, made))
}

async fn update(ctx: Ctx, request: v1::UpdateShortcutRequest) -> Answer<v1::Shortcut> {
    let wanted = request.shortcut.ok_or_else(|| ApiError::invalid("shortcut is required"))?;
    let (username, id) = below(&wanted.name, KIND)?;
    let mask = request.update_mask.filter(|mask| !mask.paths.is_empty());
    let mask = mask.ok_or_else(|| ApiError::invalid("update mask is required"))?;
    let made = filters::update(&Desk::of(&ctx), username, id, change(&mask, &wanted.title, &wanted.filter)).await?;
    Ok(shown(username, made))
}

async fn delete(ctx: Ctx, request: v1::DeleteShortcutRequest) -> Answer<Empty> {
    let (username, id) = below(&request.name, KIND)?;
    filters::delete(&Desk::of(&ctx), username, id).await?;
    Ok(Empty {})
}
