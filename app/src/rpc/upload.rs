//! Uploads over REST: the content goes to the file store while it arrives, whatever its size; photos, which must be seen
//! whole to take out what they tell about people, are held in memory.

use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use wire::v1;

use super::attachment_service::upload_of;
use super::buffers::Room;
use super::content_member::ContentMember;
use super::door::{Head, admit};
use super::rest::refuse_nul;
use super::row::decode_rest;
use super::{ApiError, Ctx};
use crate::error::Code;
use crate::files::service;
use crate::notes::{Desk, view};

/// Shorter bodies take the ordinary way.
const SHORT: usize = 512 * 1024;
/// What is looked at before it is known how to go on.
const START: usize = 64 * 1024;

/// Whether a request is an upload that should be stored while it arrives.
pub(super) fn is_large(head: &Head, announced: Option<usize>) -> bool {
    head.verb == "POST" && head.path == "/api/v1/attachments" && announced.is_none_or(|length| length > SHORT)
}

/// Where the content of an upload goes.
enum Sink {
    /// Not yet known: what has come so far.
    Start(Vec<u8>),
    /// A photo: all of it.
    Whole(Vec<u8>, Room),
    /// To the file store.
    Store(mpsc::Sender<Result<Bytes, std::io::Error>>),
}

/// Stores the file that a request carries; the JSON of its row.
///
/// # Errors
/// As `CreateAttachment`.
pub(super) async fn answer(ctx: &Ctx, head: &Head, payload: Payload) -> Result<Vec<u8>, ApiError> {
    let wire::table::Found::Rpc(found) = wire::table::find(&head.verb, &head.path) else {
        return Err(ApiError::not_found("Not Found"));
    };
    admit(found.rpc, ctx)?;
    let desk = Desk::of(ctx);
    let limit = service::size_limit(&desk).await?;
    let (sender, receiver) = mpsc::channel(2);
    let mut intake = Intake { sink: Sink::Start(Vec::new()), sender: Some(sender), start: Vec::new(), size: 0, limit };
    let reading = async {
        let read = read(payload, &mut intake).await;
        if read.is_err()
            && let Sink::Store(sender) = &intake.sink
        {
            // What was stored so far is given up.
            sender.send(Err(std::io::Error::other("the upload broke off"))).await.ok();
        }
        let sink = std::mem::replace(&mut intake.sink, Sink::Start(Vec::new()));
        intake.sender = None;
        (read, if let Sink::Store(_) = sink { None } else { Some(sink) })
    };
    let ((beside, kept), stored) = tokio::join!(reading, store(ctx, receiver));
    let beside = match (beside, stored.as_ref()) {
        // The file store ended first; what it says is the reason.
        (Err(broken), Some(Err(_))) if broken.code() == Code::Unavailable => Vec::new(),
        (beside, _) => beside?,
    };
    let stored = stored.transpose()?;
    let message = wire::rest::request(&found, &head.query, &beside);
    let message = message.map_err(|refusal| ApiError::invalid(refusal.0))?;
    refuse_nul(&message)?;
    let request: v1::CreateAttachmentRequest = decode_rest((found.rpc.service, found.rpc.method), message)?;
    let mut upload = upload_of(request)?;
    ctx.state().room.fits(ctx.scope(), intake.size).await?;
    let row = match kept {
        Some(Sink::Start(content) | Sink::Whole(content, _)) => {
            upload.content = content;
            service::create(&desk, &ctx.state().files, upload).await?
        }
        _ => {
            upload.content = intake.start;
            let stored = stored.ok_or_else(|| ApiError::internal("an upload was stored nowhere"))?;
            service::create_stored(&desk, upload, stored).await?
        }
    };
    serde_json::to_vec(&view::attachment(&row)).map_err(ApiError::internal)
}

/// Puts what arrives into the file store; nothing when nothing was meant for it.
async fn store(
    ctx: &Ctx,
    mut receiver: mpsc::Receiver<Result<Bytes, std::io::Error>>,
) -> Option<Result<objects::Stored, ApiError>> {
    let first = receiver.recv().await?;
    let pieces = stream::unfold((Some(first), receiver), |(first, mut receiver)| async move {
        let piece = match first {
            Some(first) => first,
            None => receiver.recv().await?,
        };
        Some((piece, (None, receiver)))
    });
    let source = StreamReader::new(Box::pin(pieces));
    let desk = Desk::of(ctx);
    Some(service::put(&desk, &ctx.state().files, source).await.map_err(ApiError::from))
}

struct Intake {
    sink: Sink,
    sender: Option<mpsc::Sender<Result<Bytes, std::io::Error>>>,
    /// The beginning of what went to the file store.
    start: Vec<u8>,
    size: u64,
    limit: u64,
}

impl Intake {
    /// Takes the next bytes of the content.
    async fn take(&mut self, bytes: Vec<u8>) -> Result<(), ApiError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(service::too_large(self.limit).into());
        }
        match &mut self.sink {
            Sink::Start(start) => {
                start.extend_from_slice(&bytes);
                if start.len() >= START {
                    self.decide().await?;
                }
            }
            Sink::Whole(whole, room) => {
                room.reserve(whole.len() + bytes.len()).await?;
                whole.extend_from_slice(&bytes);
            }
            Sink::Store(sender) => forward(sender, bytes).await?,
        }
        Ok(())
    }

    /// A photo stays in memory, everything else goes on to the file store.
    async fn decide(&mut self) -> Result<(), ApiError> {
        let Sink::Start(start) = &mut self.sink else { return Ok(()) };
        let start = std::mem::take(start);
        if service::is_photo(&start) {
            let mut room = Room::default();
            room.reserve(start.len()).await?;
            self.sink = Sink::Whole(start, room);
            return Ok(());
        }
        let sender = self.sender.take().ok_or_else(|| ApiError::internal("an upload has two beginnings"))?;
        self.start = start.get(..START).unwrap_or(&start).to_vec();
        forward(&sender, start).await?;
        self.sink = Sink::Store(sender);
        Ok(())
    }
}

async fn forward(sender: &mpsc::Sender<Result<Bytes, std::io::Error>>, bytes: Vec<u8>) -> Result<(), ApiError> {
    // Nobody listens when the file store has failed; its own error says more.
    if bytes.is_empty() || sender.send(Ok(bytes.into())).await.is_ok() {
        return Ok(());
    }
    Err(ApiError::unavailable("the file store does not answer, try again in a moment"))
}

/// Reads the whole body; gives the members beside the content.
async fn read(mut payload: Payload, intake: &mut Intake) -> Result<Vec<u8>, ApiError> {
    let mut reader = ContentMember::new();
    let mut length = 0;
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|cause| ApiError::invalid(format!("the body could not be read: {cause}")))?;
        length += piece.len();
        if length > web::API_LIMIT {
            return Err(ApiError::too_large(web::API_LIMIT));
        }
        let mut content = Vec::with_capacity(piece.len());
        reader.feed(&piece, &mut content).map_err(|error| ApiError::invalid(error.to_string()))?;
        intake.take(content).await?;
    }
    let mut content = Vec::new();
    let beside = reader.finish(&mut content).map_err(|error| ApiError::invalid(error.to_string()))?;
    intake.take(content).await?;
    Ok(beside)
}
