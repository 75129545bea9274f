//! AttachmentService: each RPC decodes its request, calls the files' rules and shows what came back.

use domain::note::MotionMedia;
use wire::{Empty, v1};

use super::memo_service::needed;
use super::{ApiError, Ctx, RpcRow, row};
use crate::files::service::{self, Upload};
use crate::notes::{Desk, attachments, input, view};

const SERVICE: &str = "AttachmentService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "CreateAttachment", create_attachment),
        row(SERVICE, "ListAttachments", list_attachments),
        row(SERVICE, "GetAttachment", get_attachment),
        row(SERVICE, "UpdateAttachment", update_attachment),
        row(SERVICE, "DeleteAttachment", delete_attachment),
        row(SERVICE, "BatchDeleteAttachments", batch_delete_attachments),
    ]
}

async fn create_attachment(ctx: Ctx, request: v1::CreateAttachmentRequest) -> Result<v1::Attachment, ApiError> {
    let upload = upload_of(request)?;
    ctx.state().room.fits(ctx.scope(), upload.content.len() as u64).await?;
    let stored = service::create(&Desk::of(&ctx), &ctx.state().files, upload).await?;
    Ok(view::attachment(&stored))
}

/// The file that a request wants stored.
pub(super) fn upload_of(request: v1::CreateAttachmentRequest) -> Result<Upload, ApiError> {
    let file = request.attachment.ok_or_else(|| ApiError::invalid("attachment is required"))?;
    Ok(Upload {
        uid: request.attachment_id,
        motion: file.motion_media.as_ref().map(motion),
        memo: file.memo.filter(|name| !name.is_empty()),
        filename: file.filename,
        kind: file.r#type,
        content: file.content,
    })
}

fn motion(wire: &v1::MotionMedia) -> MotionMedia {
    MotionMedia {
        family: wire.family().as_str_name().to_owned(),
        role: wire.role().as_str_name().to_owned(),
        group_id: wire.group_id.clone(),
        presentation_timestamp_us: wire.presentation_timestamp_us,
        has_embedded_video: wire.has_embedded_video,
    }
}

async fn list_attachments(
    ctx: Ctx,
    request: v1::ListAttachmentsRequest,
) -> Result<v1::ListAttachmentsResponse, ApiError> {
    let found = service::list(&Desk::of(&ctx), request.page_size, &request.page_token, &request.filter).await?;
    Ok(v1::ListAttachmentsResponse {
        attachments: found.files.iter().map(view::attachment).collect(),
        next_page_token: found.next_page_token,
    })
}

async fn get_attachment(ctx: Ctx, request: v1::GetAttachmentRequest) -> Result<v1::Attachment, ApiError> {
    let file = service::get(&Desk::of(&ctx), input::attachment_uid(&request.name)?).await?;
    Ok(view::attachment(&file))
}

async fn update_attachment(ctx: Ctx, request: v1::UpdateAttachmentRequest) -> Result<v1::Attachment, ApiError> {
    let file = request.attachment.ok_or_else(|| ApiError::invalid("attachment is required"))?;
    let mask = needed(request.update_mask)?;
    let uid = input::attachment_uid(&file.name)?;
    let filename = mask.names("filename").then_some(file.filename.as_str());
    // Clients before 0.24 hang a file on a note here.
    if ctx.speaks_old()
        && mask.names("memo")
        && let Some(memo) = file.memo.as_deref().filter(|memo| !memo.is_empty())
    {
        attachments::add(&Desk::of(&ctx), input::memo_uid(memo)?, uid).await?;
    }
    Ok(view::attachment(&service::update(&Desk::of(&ctx), uid, filename).await?))
}

async fn delete_attachment(ctx: Ctx, request: v1::DeleteAttachmentRequest) -> Result<Empty, ApiError> {
    service::delete(&Desk::of(&ctx), input::attachment_uid(&request.name)?).await?;
    Ok(Empty::default())
}

async fn batch_delete_attachments(ctx: Ctx, request: v1::BatchDeleteAttachmentsRequest) -> Result<Empty, ApiError> {
    let mut uids = Vec::with_capacity(request.names.len());
    for name in &request.names {
        uids.push(input::attachment_uid(name)?.to_owned());
    }
    service::delete_many(&Desk::of(&ctx), &uids).await?;
    Ok(Empty::default())
}
