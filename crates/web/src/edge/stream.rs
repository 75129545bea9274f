//! Event streams never end by themselves; these end when the server is told to stop, so that stopping need not wait for
//! every open browser window.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A body that ends early.
struct UntilStopped {
    body: BoxBody,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl MessageBody for UntilStopped {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// Lets an event stream end with the server; leaves every other answer alone.
pub(super) fn end_with_server<B: MessageBody + 'static>(
    response: ServiceResponse<EitherBody<B, BoxBody>>,
    stopping: &CancellationToken,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let kind = response.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    let stopped = Box::pin(stopping.clone().cancelled_owned());
    response.map_body(|_, body| EitherBody::Right {
        body: BoxBody::new(UntilStopped { body: BoxBody::new(body), stopped }),
    })
}
