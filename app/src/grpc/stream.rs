//! Answers that go on: messages sent while the client listens.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use prost::Message;
use tokio::sync::mpsc;

use super::Body;
use super::call::trailers;
use crate::error::ApiError;
use crate::rpc::framing;

/// The longest single message of a streaming request, in bytes.
const LONGEST: usize = 64 * 1024;

/// Where a streaming answer's messages are put; its end is the end of the answer.
pub(super) struct Outlet(mpsc::Sender<Result<Bytes, ApiError>>);

impl Outlet {
    /// Sends one message; false when nobody listens any more.
    pub(super) async fn send<M: Message>(&self, message: &M) -> bool {
        let mut frame = Vec::new();
        framing::push(&mut frame, 0, &message.encode_to_vec());
        self.0.send(Ok(frame.into())).await.is_ok()
    }

    /// Ends the answer with an error.
    pub(super) async fn fail(&self, error: ApiError) {
        self.0.send(Err(error)).await.ok();
    }
}

/// An answer whose messages `work` sends.
pub(super) fn answer<F>(work: impl FnOnce(Outlet) -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(work(Outlet(sender)));
    let frames = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        let (frame, next) = match receiver.recv().await {
            Some(Ok(data)) => (Frame::data(data), Some(receiver)),
            Some(Err(error)) => (Frame::trailers(trailers(Some(&error))), None),
            None => (Frame::trailers(trailers(None)), None),
        };
        Some((Ok::<_, Infallible>(frame), next))
    });
    Response::new(StreamBody::new(frames.boxed()).boxed_unsync())
}

/// The messages of a streaming request, one by one.
pub(super) struct Inlet {
    body: Incoming,
    rest: Vec<u8>,
}

impl Inlet {
    /// Of this body.
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, rest: Vec::new() }
    }

    /// The next message; none at the end.
    pub(super) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, ApiError> {
        loop {
            if let Some((flags, length)) = framing::head(&self.rest) {
                if flags != 0 || length > LONGEST {
                    return Err(ApiError::invalid("a message is compressed or too long"));
                }
                let end = framing::HEAD + length;
                if self.rest.len() >= end {
                    let frame: Vec<u8> = self.rest.drain(..end).collect();
                    let message = M::decode(frame.get(framing::HEAD..).unwrap_or_default());
                    return message.map(Some).map_err(|error| ApiError::invalid(format!("unmarshal message: {error}")));
                }
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|cause| ApiError::invalid(format!("the body could not be read: {cause}")))?;
            if let Ok(data) = frame.into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }
}
