//! AIService.

use wire::v1;
use wire::v1::transcription_audio::Source;

use super::{ApiError, Ctx, RpcRow, row};
use crate::instance::service::transcription_set_up;
use crate::speech::{self, Error, Recording};

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![row("AIService", "Transcribe", transcribe)]
}

async fn transcribe(ctx: Ctx, request: v1::TranscribeRequest) -> Result<v1::TranscribeResponse, ApiError> {
    ctx.me()?;
    let audio = request.audio.ok_or_else(|| ApiError::invalid("audio is required"))?;
    let content = match audio.source {
        Some(Source::Content(content)) => content,
        Some(Source::Uri(_)) => return Err(ApiError::invalid("audio.uri is not supported; send the content")),
        None => return Err(ApiError::invalid("audio content is required")),
    };
    let recording = Recording { content, filename: audio.filename, kind: audio.content_type };
    recording.check()?;
    let mut tx = ctx.begin();
    let found = transcription_set_up(&mut tx).await?;
    tx.commit().await?;
    let (provider, wanted) = found.ok_or(Error::NotConfigured)?;
    let text = speech::transcribe(&ctx.state().outbound, &provider, &wanted, &recording).await?;
    Ok(v1::TranscribeResponse { text })
}
