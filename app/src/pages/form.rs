//! A form with files: `multipart/form-data` as browsers send it, or plain fields from whoever sends none.
//!
//! Files go to the file store while they arrive; photos, which must be seen whole to take out what they tell about people,
//! are held in memory within the room that large bodies share.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use objects::{FileStore, Stored};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use web::Error;

use crate::files::service;
use crate::notes::{self, Desk};
use crate::rpc::buffers::Room;

/// The longest form with files, in bytes: what one request may send at all. The tenant's own limit holds for each file.
pub(super) const UPLOAD_LIMIT: usize = web::API_LIMIT;
/// The longest text of a form, in bytes.
const TEXT_LIMIT: usize = 16 * 1024 * 1024;
/// What is looked at of a file before it is known where it goes.
const START: usize = 64 * 1024;
/// Most parts of a form.
const MOST_PARTS: usize = 200;

type Result<T> = std::result::Result<T, Error>;
type Pieces = mpsc::Receiver<std::io::Result<Bytes>>;

/// Where the bytes of a sent file are.
#[derive(Debug)]
pub(super) enum Content {
    /// Here, within the room that they take.
    Held(Vec<u8>, Room),
    /// In the file store; this is how they begin.
    Stored(Vec<u8>, Stored),
}

/// A file of a form.
#[derive(Debug)]
pub(super) struct SentFile {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) content: Content,
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    fields: Vec<(String, String)>,
    pub(super) files: Vec<SentFile>,
    /// Why a file was not taken; the form is then shown again with what was written.
    pub(super) refused: Option<notes::Error>,
}

/// Who stores the files of a form, and where.
#[derive(Clone, Copy)]
pub(super) struct Keeper<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) files: &'a FileStore,
}

fn broken<E>(_: E) -> Error {
    Error::invalid("the form arrived damaged; send it again")
}

impl Sent {
    /// Reads the body of a form, in whichever of the two ways it was sent.
    pub(super) async fn read(request: &HttpRequest, payload: Payload, keeper: Keeper<'_>) -> Result<Self> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (sender, receiver) = mpsc::channel(2);
        let reading = async {
            match multer::parse_boundary(kind) {
                Ok(boundary) => Self::parts(receiver, boundary, keeper).await,
                Err(_) => {
                    let body = whole(pieces(receiver), TEXT_LIMIT).await?;
                    let fields = url::form_urlencoded::parse(&body).into_owned().collect();
                    Ok(Self { fields, ..Self::default() })
                }
            }
        };
        let (pumped, sent) = tokio::join!(pump(payload, sender), reading);
        match sent {
            // What was wrong with the body says more than that it ended early.
            Err(error) => Err(pumped.err().unwrap_or(error)),
            Ok(sent) => pumped.map(|()| sent),
        }
    }

    async fn parts(receiver: Pieces, boundary: String, keeper: Keeper<'_>) -> Result<Self> {
        let mut parts = multer::Multipart::new(pieces(receiver), boundary);
        let mut sent = Self::default();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            if sent.fields.len() + sent.files.len() >= MOST_PARTS {
                return Err(Error::invalid(format!("a form has at most {MOST_PARTS} parts")));
            }
            let name = part.name().unwrap_or_default().to_owned();
            match part.file_name().map(base_name) {
                // An empty file input is sent as a file without a name.
                Some(file) if file.is_empty() => {}
                Some(file) => {
                    let kind = part.content_type().map(ToString::to_string).unwrap_or_default();
                    match keep(part, keeper).await {
                        Ok(content) => sent.files.push(SentFile { name: file, kind, content }),
                        Err(Unkept::Refused(why @ notes::Error::Invalid(_))) => sent.refused = Some(why),
                        Err(Unkept::Refused(why)) => return Err(why.into()),
                        Err(Unkept::Broken(error)) => return Err(error),
                    }
                }
                None => {
                    let text = whole(part, TEXT_LIMIT).await?;
                    sent.fields.push((name, String::from_utf8_lossy(&text).into_owned()));
                }
            }
        }
        Ok(sent)
    }

    /// The first value of a field; empty when it was not sent.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A long text. Browsers send line ends as CR LF; notes keep LF, as every other client writes them.
    pub(super) fn text(&self, name: &str) -> String {
        self.field(name).replace("\r\n", "\n")
    }
}

/// Hands the body on, piece by piece. A request's body stays on its thread; what reads it here need not.
async fn pump(mut payload: Payload, sender: mpsc::Sender<std::io::Result<Bytes>>) -> Result<()> {
    let mut length = 0;
    while let Some(piece) = payload.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(cause) => {
                sender.send(Err(std::io::Error::other("the body broke off"))).await.ok();
                return Err(Error::invalid(format!("the body could not be read: {cause}")));
            }
        };
        length += piece.len();
        if length > UPLOAD_LIMIT {
            sender.send(Err(std::io::Error::other("the body is too large"))).await.ok();
            return Err(Error::too_large(UPLOAD_LIMIT));
        }
        // Nobody listens any more when the form was refused, which is then said.
        if sender.send(Ok(piece)).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn pieces(receiver: Pieces) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin + 'static {
    Box::pin(stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }))
}

/// All of a short stream.
async fn whole<E>(
    mut source: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
    limit: usize,
) -> Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(piece) = source.next().await {
        let piece = piece.map_err(broken)?;
        if body.len() + piece.len() > limit {
            return Err(Error::too_large(limit));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Why a file was not kept.
enum Unkept {
    /// It may not be.
    Refused(notes::Error),
    /// It did not arrive.
    Broken(Error),
}

impl From<notes::Error> for Unkept {
    fn from(error: notes::Error) -> Self {
        Self::Refused(error)
    }
}

/// Keeps one file: in memory while it is short or a photo, else in the file store.
async fn keep(mut part: multer::Field<'static>, keeper: Keeper<'_>) -> std::result::Result<Content, Unkept> {
    let limit = service::size_limit(keeper.desk).await?;
    let (mut held, mut room) = (Vec::new(), Room::default());
    while held.len() < START || service::is_photo(&held) {
        let piece = part.chunk().await.map_err(|error| Unkept::Broken(broken(error)))?;
        let Some(piece) = piece else { return Ok(Content::Held(held, room)) };
        held.extend_from_slice(&piece);
        if held.len() as u64 > limit {
            return Err(service::too_large(limit).into());
        }
        room.reserve(held.len()).await.map_err(Unkept::Broken)?;
    }
    let start = held.get(..START).unwrap_or(&held).to_vec();
    let (sender, receiver) = mpsc::channel(2);
    let storing = service::put(keeper.desk, keeper.files, StreamReader::new(pieces(receiver)));
    let (read, stored) = tokio::join!(hand_on(part, held, limit, sender), storing);
    read?;
    Ok(Content::Stored(start, stored?))
}

/// Sends what was held and what is still to come of a file, up to its limit. What breaks off is given up by the receiver.
async fn hand_on(
    mut part: multer::Field<'static>,
    held: Vec<u8>,
    limit: u64,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
) -> std::result::Result<(), Unkept> {
    let mut length = 0;
    let mut next = Some(Bytes::from(held));
    while let Some(bytes) = next {
        length += bytes.len() as u64;
        if length > limit {
            sender.send(Err(std::io::Error::other("the file is too large"))).await.ok();
            return Err(service::too_large(limit).into());
        }
        if sender.send(Ok(bytes)).await.is_err() {
            return Ok(()); // The file store has failed, and says why.
        }
        next = match part.chunk().await {
            Ok(next) => next,
            Err(error) => {
                sender.send(Err(std::io::Error::other("the form broke off"))).await.ok();
                return Err(Unkept::Broken(broken(error)));
            }
        };
    }
    Ok(())
}

/// The plain name: some browsers send a path, and names with dots or blanks at their ends are not taken in.
fn base_name(sent: &str) -> String {
    sent.rsplit(['/', '\\']).next().unwrap_or_default().trim_matches([' ', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(base_name("C:\\dir\\ä.txt"), "ä.txt");
        assert_eq!(base_name("../..//x. "), "x");
        assert_eq!(base_name(".."), "");
    }
}
