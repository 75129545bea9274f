//! MemoService: each RPC decodes its request, calls the notes' rules and shows what came back.

use domain::note::{Location, Visibility};
use wire::page::Page;
use wire::{Empty, FieldMask, Timestamp, v1};

use super::{ApiError, Ctx, RpcRow, row};
use crate::notes::service::{Draft, ListInput};
use crate::notes::update::Change;
use crate::notes::view::{self, Detail};
use crate::notes::{Desk, Error, attachments, comments, input, reactions, relations, service, shares, update};

const SERVICE: &str = "MemoService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "CreateMemo", create_memo),
        row(SERVICE, "ListMemos", list_memos),
        row(SERVICE, "GetMemo", get_memo),
        row(SERVICE, "UpdateMemo", update_memo),
        row(SERVICE, "DeleteMemo", delete_memo),
        row(SERVICE, "SetMemoAttachments", set_memo_attachments),
        row(SERVICE, "ListMemoAttachments", list_memo_attachments),
        row(SERVICE, "SetMemoRelations", set_memo_relations),
        row(SERVICE, "ListMemoRelations", list_memo_relations),
        row(SERVICE, "CreateMemoComment", create_memo_comment),
        row(SERVICE, "ListMemoComments", list_memo_comments),
        row(SERVICE, "ListMemoReactions", list_memo_reactions),
        row(SERVICE, "UpsertMemoReaction", upsert_memo_reaction),
        row(SERVICE, "DeleteMemoReaction", delete_memo_reaction),
        row(SERVICE, "CreateMemoShare", create_memo_share),
        row(SERVICE, "ListMemoShares", list_memo_shares),
        row(SERVICE, "DeleteMemoShare", delete_memo_share),
        row(SERVICE, "GetSharedMemo", get_shared_memo),
    ]
}

type Answer<T> = Result<T, ApiError>;

async fn create_memo(ctx: Ctx, request: v1::CreateMemoRequest) -> Answer<v1::Memo> {
    let desk = Desk::of(&ctx);
    let memo = request.memo.ok_or_else(|| ApiError::invalid("memo is required"))?;
    let note = service::create(&desk, &draft(memo, request.memo_id)?).await?;
    Ok(view::memo(&note, ctx.actor().member_id(), Detail::Full))
}

async fn list_memos(ctx: Ctx, request: v1::ListMemosRequest) -> Answer<v1::ListMemosResponse> {
    let desk = Desk::of(&ctx);
    let wanted = ListInput {
        page: page(request.page_size, &request.page_token)?,
        archived: request.state() == v1::State::Archived,
        order_by: &request.order_by,
        filter: &request.filter,
        tongue: ctx.tongue(),
    };
    let found = service::list(&desk, &wanted).await?;
    Ok(v1::ListMemosResponse { memos: listed(&ctx, found.notes), next_page_token: found.next_page_token })
}

async fn get_memo(ctx: Ctx, request: v1::GetMemoRequest) -> Answer<v1::Memo> {
    let note = service::get(&Desk::of(&ctx), input::memo_uid(&request.name)?).await?;
    Ok(view::memo(&note, ctx.actor().member_id(), Detail::Full))
}

async fn update_memo(ctx: Ctx, request: v1::UpdateMemoRequest) -> Answer<v1::Memo> {
    let memo = request.memo.ok_or_else(|| ApiError::invalid("memo is required"))?;
    let name = memo.name.clone();
    let uid = input::memo_uid(&name)?;
    let mask = needed(request.update_mask)?;
    let note = update::update(&Desk::of(&ctx), uid, &change(&ctx, memo, &mask)?).await?;
    Ok(view::memo(&note, ctx.actor().member_id(), Detail::Full))
}

async fn delete_memo(ctx: Ctx, request: v1::DeleteMemoRequest) -> Answer<Empty> {
    service::delete(&Desk::of(&ctx), input::memo_uid(&request.name)?).await?;
    Ok(Empty::default())
}

async fn set_memo_attachments(ctx: Ctx, request: v1::SetMemoAttachmentsRequest) -> Answer<Empty> {
    let uid = input::memo_uid(&request.name)?;
    attachments::set(&Desk::of(&ctx), uid, &attachment_uids(&request.attachments)?).await?;
    Ok(Empty::default())
}

async fn list_memo_attachments(
    ctx: Ctx,
    request: v1::ListMemoAttachmentsRequest,
) -> Answer<v1::ListMemoAttachmentsResponse> {
    let note = attachments::list(&Desk::of(&ctx), input::memo_uid(&request.name)?).await?;
    Ok(v1::ListMemoAttachmentsResponse { attachments: view::attachments(&note), next_page_token: String::new() })
}

async fn set_memo_relations(ctx: Ctx, request: v1::SetMemoRelationsRequest) -> Answer<Empty> {
    let uid = input::memo_uid(&request.name)?;
    relations::set(&Desk::of(&ctx), uid, &reference_uids(&request.relations)?).await?;
    Ok(Empty::default())
}

async fn list_memo_relations(ctx: Ctx, request: v1::ListMemoRelationsRequest) -> Answer<v1::ListMemoRelationsResponse> {
    let viewer = ctx.actor().member_id();
    let note = relations::list(&Desk::of(&ctx), input::memo_uid(&request.name)?).await?;
    let relations = note.map(|note| view::relations(&note, viewer, Detail::Full)).unwrap_or_default();
    Ok(v1::ListMemoRelationsResponse { relations, next_page_token: String::new() })
}

async fn create_memo_comment(ctx: Ctx, request: v1::CreateMemoCommentRequest) -> Answer<v1::Memo> {
    let uid = input::memo_uid(&request.name)?;
    let comment = request.comment.ok_or_else(|| ApiError::invalid("comment is required"))?;
    let note = comments::create(&Desk::of(&ctx), uid, &draft(comment, request.comment_id)?).await?;
    Ok(view::memo(&note, ctx.actor().member_id(), Detail::Created))
}

async fn list_memo_comments(ctx: Ctx, request: v1::ListMemoCommentsRequest) -> Answer<v1::ListMemoCommentsResponse> {
    let uid = input::memo_uid(&request.name)?;
    let page = page(request.page_size, &request.page_token)?;
    let found = comments::list(&Desk::of(&ctx), uid, page).await?;
    Ok(v1::ListMemoCommentsResponse { memos: listed(&ctx, found.notes), next_page_token: found.next_page_token })
}

async fn list_memo_reactions(ctx: Ctx, request: v1::ListMemoReactionsRequest) -> Answer<v1::ListMemoReactionsResponse> {
    let note = reactions::list(&Desk::of(&ctx), input::memo_uid(&request.name)?).await?;
    Ok(v1::ListMemoReactionsResponse { reactions: view::reactions(&note), next_page_token: String::new() })
}

async fn upsert_memo_reaction(ctx: Ctx, request: v1::UpsertMemoReactionRequest) -> Answer<v1::Reaction> {
    let uid = input::memo_uid(&request.name)?;
    let reaction = request.reaction.ok_or_else(|| ApiError::invalid("reaction is required"))?;
    // Newer clients do not name the memo twice.
    if !(reaction.content_id.is_empty() && ctx.speaks_old()) {
        input::memo_uid(&reaction.content_id)?;
    }
    let stored = reactions::upsert(&Desk::of(&ctx), uid, &reaction.reaction_type).await?;
    let creator = ctx.actor().member().map_or("", |member| member.username.as_str());
    Ok(view::reaction(uid, creator, &stored))
}

async fn delete_memo_reaction(ctx: Ctx, request: v1::DeleteMemoReactionRequest) -> Answer<Empty> {
    let (uid, id) = input::reaction_id(&request.name)?;
    reactions::delete(&Desk::of(&ctx), uid, id).await?;
    Ok(Empty::default())
}

async fn create_memo_share(ctx: Ctx, request: v1::CreateMemoShareRequest) -> Answer<v1::MemoShare> {
    let uid = input::memo_uid(&request.parent)?;
    let expires = request.memo_share.and_then(|share| share.expire_time);
    let share = shares::create(&Desk::of(&ctx), uid, seconds("expire_time", expires)?).await?;
    Ok(view::share(uid, &share))
}

async fn list_memo_shares(ctx: Ctx, request: v1::ListMemoSharesRequest) -> Answer<v1::ListMemoSharesResponse> {
    let uid = input::memo_uid(&request.parent)?;
    let found = shares::list(&Desk::of(&ctx), uid).await?;
    Ok(v1::ListMemoSharesResponse { memo_shares: found.iter().map(|share| view::share(uid, share)).collect() })
}

async fn delete_memo_share(ctx: Ctx, request: v1::DeleteMemoShareRequest) -> Answer<Empty> {
    let (uid, token) = input::share_token(&request.name)?;
    shares::delete(&Desk::of(&ctx), uid, token).await?;
    Ok(Empty::default())
}

async fn get_shared_memo(ctx: Ctx, request: v1::GetSharedMemoRequest) -> Answer<v1::Memo> {
    let note = shares::get_shared(&Desk::of(&ctx), &request.share_token).await?;
    Ok(view::memo(&note, ctx.actor().member_id(), Detail::Shared))
}

/// A mask that names something; REST names the empty path for a body without keys.
pub(super) fn needed(mask: Option<FieldMask>) -> Answer<FieldMask> {
    mask.filter(|mask| !mask.paths.is_empty()).ok_or_else(|| ApiError::invalid("update mask is required"))
}

fn page(size: i32, token: &str) -> Answer<Page> {
    Page::read(size, token).map_err(|error| ApiError::invalid(error.to_string()))
}

fn listed(ctx: &Ctx, notes: Vec<domain::note::Note>) -> Vec<v1::Memo> {
    let viewer = ctx.actor().member_id();
    notes.into_iter().map(|note| view::memo_of(note, viewer, Detail::Listed)).collect()
}

fn seconds(field: &str, time: Option<Timestamp>) -> Answer<Option<i64>> {
    match time {
        None => Ok(None),
        Some(time) if time.is_valid() => Ok(Some(time.seconds)),
        Some(_) => Err(ApiError::invalid(format!("invalid {field}: outside of the years 1 to 9999"))),
    }
}

fn draft(memo: v1::Memo, uid: String) -> Answer<Draft> {
    Ok(Draft {
        uid,
        visibility: visibility(memo.visibility()),
        created_ts: seconds("create_time", memo.create_time)?,
        updated_ts: seconds("update_time", memo.update_time)?,
        location: memo.location.map(location),
        attachments: attachment_uids(&memo.attachments).map_err(|why| why.in_part("attachments"))?,
        references: reference_uids(&memo.relations).map_err(|why| why.in_part("relations"))?,
        content: memo.content,
    })
}

const fn visibility(wire: v1::Visibility) -> Option<Visibility> {
    match wire {
        v1::Visibility::Unspecified => None,
        v1::Visibility::Private => Some(Visibility::Private),
        v1::Visibility::Protected => Some(Visibility::Protected),
        v1::Visibility::Public => Some(Visibility::Public),
    }
}

fn location(wire: v1::Location) -> Location {
    Location { placeholder: wire.placeholder, latitude: wire.latitude, longitude: wire.longitude }
}

fn attachment_uids(files: &[v1::Attachment]) -> Result<Vec<String>, Error> {
    files.iter().map(|file| Ok(input::attached_uid(&file.name)?.to_owned())).collect()
}

/// The notes that a list of relations refers to; comments are made elsewhere and passed over.
fn reference_uids(relations: &[v1::MemoRelation]) -> Result<Vec<String>, Error> {
    relations
        .iter()
        .filter(|relation| relation.r#type() != v1::memo_relation::Type::Comment)
        .map(|relation| {
            let name = relation.related_memo.as_ref().map_or("", |end| end.name.as_str());
            Ok(input::related_uid(name)?.to_owned())
        })
        .collect()
}

/// What the mask names; other paths are passed over, as recorded.
fn change(ctx: &Ctx, memo: v1::Memo, mask: &FieldMask) -> Answer<Change> {
    if mask.names("display_time") {
        return Err(ApiError::invalid("display_time is not supported"));
    }
    let mut change = Change::default();
    if mask.names("visibility") {
        change.visibility = Some(visibility(memo.visibility()).unwrap_or(Visibility::Private));
    }
    if mask.names("pinned") {
        change.pinned = Some(memo.pinned);
    }
    if mask.names("state") {
        change.archived = Some(memo.state() == v1::State::Archived);
    }
    if mask.names("create_time") {
        let time = seconds("create_time", memo.create_time)?;
        change.created_ts = Some(time.ok_or_else(|| ApiError::invalid("invalid create_time: it is not set"))?);
    }
    if mask.names("update_time") {
        change.updated_ts = Some(seconds("update_time", memo.update_time)?.unwrap_or_else(|| ctx.seconds()));
    }
    if mask.names("attachments") {
        change.attachments = Some(attachment_uids(&memo.attachments).map_err(|why| why.in_part("attachments"))?);
    }
    if mask.names("relations") {
        change.references = Some(reference_uids(&memo.relations).map_err(|why| why.in_part("relations"))?);
    }
    // Parts of a place mean the whole to clients that send no mask; to a session of 0.30 they mean nothing, as recorded.
    if mask.names("location") || ctx.speaks_old() && mask.touches("location") {
        change.location = Some(memo.location.map(location));
    }
    if mask.names("content") {
        change.content = Some(memo.content);
    }
    Ok(change)
}
