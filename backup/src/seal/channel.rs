//! The two ends of a pipe between asynchronous code and a thread that compresses and encrypts.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc::{Receiver, Sender};

/// What is handed over at once.
pub(super) const PORTION: usize = 64 * 1024;
/// How many portions may wait.
pub(super) const DEPTH: usize = 8;

/// An error that came from outside the pipe, marked so that it is not taken for damage.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct FromSource(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Marks an error of the input.
pub(super) fn from_source(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(FromSource(error.into()))
}

/// Whether [`from_source`] made it.
pub(super) fn is_from_source(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync + 'static>::is::<FromSource>)
}

/// The last portion of a stream that ended well. A channel that closes without it lost its sender: what came before may
/// be a part of something, and must not be taken for the whole.
pub(crate) const END: Bytes = Bytes::new();

fn cut_off() -> io::Error {
    from_source(io::Error::new(io::ErrorKind::UnexpectedEof, "the source of the stream ended in the middle"))
}

/// What arrives in a channel, as a stream that ends well only after [`END`].
pub(crate) fn until_end(
    mut portions: Receiver<io::Result<Bytes>>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + Unpin {
    let mut ended = false;
    futures_util::stream::poll_fn(move |context| {
        if ended {
            return std::task::Poll::Ready(None);
        }
        let next = std::task::ready!(portions.poll_recv(context));
        std::task::Poll::Ready(match next {
            Some(Ok(portion)) if portion.is_empty() => {
                ended = true;
                None
            }
            Some(other) => Some(other),
            None => {
                ended = true;
                Some(Err(cut_off()))
            }
        })
    })
}

/// Reads what the asynchronous side sends.
pub(super) struct ChannelReader {
    portions: Receiver<io::Result<Bytes>>,
    current: Bytes,
    ended: bool,
}

impl ChannelReader {
    pub(super) fn new(portions: Receiver<io::Result<Bytes>>) -> Self {
        Self { portions, current: Bytes::new(), ended: false }
    }
}

impl Read for ChannelReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.portions.blocking_recv() {
                None => return Err(cut_off()),
                Some(portion) => self.current = portion?,
            }
            self.ended = self.current.is_empty();
        }
        let count = out.len().min(self.current.len());
        let (head, _) = out.split_at_mut(count);
        self.current.copy_to_slice(head);
        Ok(count)
    }
}

/// Sends what is written to the asynchronous side.
pub(super) struct ChannelWriter {
    portions: Sender<io::Result<Bytes>>,
    open: BytesMut,
}

impl ChannelWriter {
    pub(super) fn new(portions: Sender<io::Result<Bytes>>) -> Self {
        Self { portions, open: BytesMut::with_capacity(PORTION) }
    }

    /// Tells the reader that this was all.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.portions.blocking_send(Ok(END)).map_err(|_| gone())
    }

    fn send(&mut self) -> io::Result<()> {
        let portion = self.open.split().freeze();
        self.portions.blocking_send(Ok(portion)).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the reader of the stream is gone")
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        if self.open.len() >= PORTION {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.open.is_empty() { Ok(()) } else { self.send() }
    }
}
