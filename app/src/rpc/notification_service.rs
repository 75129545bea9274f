//! UserService: the RPCs of a member's notifications.

use std::collections::BTreeMap;

use domain::id::MemberId;
use domain::member::Member;
use domain::note::CardEnd;
use store::tenant::members;
use store::tenant::notifications::Notification;
use wire::v1::user_notification::{MemoCommentPayload, MemoMentionPayload, Payload, Status, Type};
use wire::{Empty, Timestamp, v1};

use super::memo_service::needed;
use super::{ApiError, Ctx, RpcRow, row};
use crate::notes::mentions::COMMENT;
use crate::notes::view::memo_name;
use crate::notes::{Desk, Error, notifications};
use crate::people;

const SERVICE: &str = "UserService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "ListUserNotifications", list_user_notifications),
        row(SERVICE, "UpdateUserNotification", update_user_notification),
        row(SERVICE, "DeleteUserNotification", delete_user_notification),
    ]
}

async fn list_user_notifications(
    ctx: Ctx,
    request: v1::ListUserNotificationsRequest,
) -> Result<v1::ListUserNotificationsResponse, ApiError> {
    let desk = Desk::of(&ctx);
    only_self(&desk, username(&request.parent).ok_or_else(|| invalid("user", &request.parent))?).await?;
    let found = notifications::list(&desk).await?;
    let senders = senders(&desk, &found).await?;
    let notifications = found.iter().filter_map(|one| shown(&ctx, one, &senders)).collect();
    Ok(v1::ListUserNotificationsResponse { notifications, next_page_token: String::new() })
}

async fn update_user_notification(
    ctx: Ctx,
    request: v1::UpdateUserNotificationRequest,
) -> Result<v1::UserNotification, ApiError> {
    let desk = Desk::of(&ctx);
    let wanted = request.notification.ok_or_else(|| ApiError::invalid("notification is required"))?;
    let id = own_id(&desk, &wanted.name).await?;
    let mask = needed(request.update_mask)?;
    if let Some(path) = mask.paths.iter().find(|path| *path != "status") {
        return Err(ApiError::invalid(format!("invalid update path: {path}")));
    }
    let archived = match wanted.status() {
        Status::Unread => false,
        Status::Archived => true,
        Status::Unspecified => return Err(ApiError::invalid("invalid status")),
    };
    let found = notifications::archive(&desk, id, archived).await?;
    let senders = senders(&desk, std::slice::from_ref(&found)).await?;
    shown(&ctx, &found, &senders).ok_or_else(|| ApiError::not_found("notification not found"))
}

async fn delete_user_notification(ctx: Ctx, request: v1::DeleteUserNotificationRequest) -> Result<Empty, ApiError> {
    let desk = Desk::of(&ctx);
    let id = own_id(&desk, &request.name).await?;
    notifications::delete(&desk, id).await?;
    Ok(Empty::default())
}

fn username(name: &str) -> Option<&str> {
    name.strip_prefix("users/").filter(|username| !username.is_empty() && !username.contains('/'))
}

fn invalid(what: &str, name: &str) -> ApiError {
    ApiError::invalid(format!("invalid {what} name: invalid request {name:?}"))
}

/// `users/{username}/notifications/{number}` of the caller → number.
async fn own_id(desk: &Desk<'_>, name: &str) -> Result<i64, ApiError> {
    let (user, id) = name.split_once("/notifications/").ok_or_else(|| invalid("notification", name))?;
    let user = username(user).ok_or_else(|| invalid("notification", name))?;
    let number = id
        .parse()
        .map_err(|_| ApiError::invalid(format!("invalid notification name: invalid notification id: {id}")))?;
    only_self(desk, user).await?;
    Ok(number)
}

/// Refuses everyone but the member himself; a name that nobody has is a mistake of the request.
async fn only_self(desk: &Desk<'_>, username: &str) -> Result<(), ApiError> {
    if notifications::only_self(desk, username).is_ok() {
        return Ok(());
    }
    desk.member()?;
    let mut tx = desk.begin();
    let known = members::find_member_by_name(&mut tx, username).await.map_err(Error::from)?;
    tx.commit().await.map_err(Error::from)?;
    match known {
        Some(_) => Err(Error::Denied.into()),
        None => Err(ApiError::invalid(format!("invalid user name: user not found: users/{username}"))),
    }
}

type Senders = BTreeMap<MemberId, Member>;

async fn senders(desk: &Desk<'_>, found: &[Notification]) -> Result<Senders, ApiError> {
    let mut ids: Vec<i64> = found.iter().map(|one| one.sender_id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut tx = desk.begin();
    let members = members::list_members_by_id(&mut tx, &ids).await.map_err(Error::from)?;
    tx.commit().await.map_err(Error::from)?;
    Ok(members.into_iter().map(|member| (member.id, member)).collect())
}

/// The notification as a message; none when its sender is gone.
fn shown(ctx: &Ctx, one: &Notification, senders: &Senders) -> Option<v1::UserNotification> {
    let sender = senders.get(&one.sender_id)?;
    let me = ctx.actor().member()?;
    let kind = if one.kind == COMMENT { Type::MemoComment } else { Type::MemoMention };
    let status = if one.archived { Status::Archived } else { Status::Unread };
    Some(v1::UserNotification {
        name: format!("users/{}/notifications/{}", me.username, one.id),
        sender: people::view::name(&sender.username),
        status: status.into(),
        create_time: Some(Timestamp::from_seconds(one.created_ts)),
        r#type: kind.into(),
        sender_user: Some(people::view::user(sender, ctx.actor())),
        payload: payload(one),
    })
}

fn payload(one: &Notification) -> Option<Payload> {
    let note = one.note.as_ref()?;
    let (memo, memo_snippet) = (memo_name(&note.uid), note.snippet.clone());
    let related = |end: Option<&CardEnd>| end.map(|end| (memo_name(&end.uid), end.snippet.clone())).unwrap_or_default();
    let (related_memo, related_memo_snippet) = related(one.related.as_ref());
    Some(if one.kind == COMMENT {
        Payload::MemoComment(MemoCommentPayload { memo, related_memo, memo_snippet, related_memo_snippet })
    } else {
        Payload::MemoMention(MemoMentionPayload { memo, related_memo, memo_snippet, related_memo_snippet })
    })
}
