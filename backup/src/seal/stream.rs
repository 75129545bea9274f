//! Streams of any length through a thread.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use age::x25519::Identity;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

use super::channel::{ChannelReader, ChannelWriter, DEPTH, END, PORTION, from_source, until_end};
use super::{OpenError, Packing, age_reader, damaged};
use crate::format::hash::{Measure, Stamp, Tally};

/// Packed bytes on their way to the store. An error of the input ends it with an error, so that no upload completes.
pub struct SealStream {
    portions: Receiver<io::Result<Bytes>>,
    measures: oneshot::Receiver<(Measure, Stamp)>,
}

/// The bytes of a [`SealStream`].
pub struct Portions(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>);

impl SealStream {
    /// The bytes, and what tells the measures of the plain and of the stored bytes once they have ended without an error.
    pub fn split(self) -> (Portions, impl Future<Output = io::Result<(Measure, Stamp)>> + Send) {
        let measures = self.measures;
        let finished = async { measures.await.map_err(|_| io::Error::other("the stream did not reach its end")) };
        (Portions(Box::pin(until_end(self.portions))), finished)
    }
}

impl Stream for Portions {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

/// Packs a stream. `size`: how many bytes will come, where that is known; then a short one costs little memory, and one of
/// another length ends with an error.
pub fn seal_stream<S, E>(packing: Packing, input: S, size: Option<u64>) -> SealStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let source = pump(input);
    let (sender, portions) = mpsc::channel(DEPTH);
    let (told, measures) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        match seal_all(&packing, (ChannelReader::new(source), size), sender) {
            Ok(found) => {
                let _ = told.send(found);
            }
            Err(error) => {
                let _ = failed.blocking_send(Err(error));
            }
        }
    });
    SealStream { portions, measures }
}

/// Plain bytes on their way out of the store.
///
/// Nothing of them may be used for good before [`OpenStream::finish`] has compared the measures.
pub struct OpenStream {
    portions: Receiver<io::Result<Bytes>>,
    outcome: oneshot::Receiver<Result<(Measure, Stamp), OpenError>>,
}

impl OpenStream {
    /// The next portion; `None` at the end and after a failure, which [`OpenStream::finish`] tells.
    pub async fn next_portion(&mut self) -> Option<Bytes> {
        self.portions.recv().await?.ok().filter(|portion| !portion.is_empty())
    }

    /// Measures of the plain and of the stored bytes, or what went wrong.
    pub async fn finish(mut self) -> Result<(Measure, Stamp), OpenError> {
        while self.portions.recv().await.is_some() {}
        self.outcome.await.unwrap_or_else(|_| Err(OpenError::Read(io::Error::other("the reading thread is gone"))))
    }
}

/// Unpacks a stream.
pub fn open_stream<S, E>(identity: Identity, input: S) -> OpenStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let source = pump(input);
    let (sender, portions) = mpsc::channel(DEPTH);
    let (told, outcome) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _ = told.send(open_all(&identity, ChannelReader::new(source), sender));
    });
    OpenStream { portions, outcome }
}

/// Moves a stream into a channel that a thread can wait on.
fn pump<S, E>(input: S) -> Receiver<io::Result<Bytes>>
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, receiver) = mpsc::channel(DEPTH);
    tokio::spawn(async move {
        let mut input = std::pin::pin!(input.map(|portion| portion.map_err(from_source)));
        while let Some(portion) = input.next().await {
            if portion.as_ref().is_ok_and(Bytes::is_empty) {
                continue;
            }
            let failed = portion.is_err();
            if sender.send(portion).await.is_err() || failed {
                return;
            }
        }
        let _ = sender.send(Ok(END)).await;
    });
    receiver
}

fn seal_all(
    packing: &Packing,
    (mut input, size): (ChannelReader, Option<u64>),
    sender: Sender<io::Result<Bytes>>,
) -> io::Result<(Measure, Stamp)> {
    let mut plain = Tally::default();
    let output = Counted { inner: ChannelWriter::new(sender), tally: Tally::default() };
    let mut writer = packing.age_writer(output)?;
    if let Some(compressors) = &packing.compressors {
        writer = compressors.with(|context| {
            let mut encoder = zstd::Encoder::with_context(writer, context);
            encoder.set_pledged_src_size(size)?;
            copy(&mut input, |portion| {
                plain.update(portion);
                encoder.write_all(portion)
            })?;
            encoder.finish()
        })?;
    } else {
        copy(&mut input, |portion| {
            plain.update(portion);
            writer.write_all(portion)
        })?;
    }
    let output = writer.finish()?;
    let stamp = output.tally.stamp();
    output.inner.end()?;
    Ok((plain.finish(), stamp))
}

fn open_all(
    identity: &Identity,
    input: ChannelReader,
    sender: Sender<io::Result<Bytes>>,
) -> Result<(Measure, Stamp), OpenError> {
    let mut counted = Counted { inner: input, tally: Tally::default() };
    let mut plain = Tally::default();
    let mut output = ChannelWriter::new(sender);
    {
        let reader = age_reader(identity, &mut counted)?;
        let mut decoder = zstd::Decoder::new(reader).map_err(damaged)?;
        copy(&mut decoder, |portion| {
            plain.update(portion);
            // a reader that went away is told by `finish`; the rest is still hashed
            let _ = output.write_all(portion);
            Ok(())
        })
        .map_err(damaged)?;
    }
    let _ = output.end();
    copy(&mut counted, |_| Ok(())).map_err(damaged)?;
    Ok((plain.finish(), counted.tally.stamp()))
}

fn copy(input: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; PORTION];
    loop {
        let count = input.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(portion) if count > 0 => each(portion)?,
            _ => return Ok(()),
        }
    }
}

/// Takes note of the bytes that pass.
struct Counted<T> {
    inner: T,
    tally: Tally,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.tally.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.tally.update(out.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collect(stream: SealStream) -> io::Result<(Vec<u8>, Measure, Stamp)> {
        let (mut portions, finished) = stream.split();
        let mut all = Vec::new();
        while let Some(portion) = portions.next().await {
            all.extend_from_slice(&portion?);
        }
        let (plain, stored) = finished.await?;
        Ok((all, plain, stored))
    }

    fn portions(bytes: &[u8], size: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let parts: Vec<_> = bytes.chunks(size).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        futures_util::stream::iter(parts)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_stream_comes_back() {
        let identity = Identity::generate();
        let plain: Vec<u8> = (0..700_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (stored, measured, of_stored) =
            collect(seal_stream(Packing::of_point(identity.to_public()), portions(&plain, 10_007), None))
                .await
                .unwrap();
        assert_eq!((measured, of_stored), (Measure::of(&plain), Stamp::of(&stored)));
        let mut back = open_stream(identity.clone(), portions(&stored, 999));
        let mut all = Vec::new();
        while let Some(portion) = back.next_portion().await {
            all.extend_from_slice(&portion);
        }
        assert_eq!(back.finish().await.unwrap(), (measured, of_stored));
        assert_eq!(all, plain);
        let cut = open_stream(identity, portions(&stored[..stored.len() - 1], 999));
        assert!(matches!(cut.finish().await, Err(OpenError::Damaged(_))));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sender_that_is_gone_in_the_middle_is_no_end() {
        // a task that panics drops its sender: exactly this
        let (sender, receiver) = mpsc::channel(4);
        sender.send(Ok(Bytes::from_static(b"half of a dump"))).await.unwrap();
        drop(sender);
        let identity = Identity::generate();
        let half = until_end(receiver);
        assert!(collect(seal_stream(Packing::of_point(identity.to_public()), half, None)).await.is_err());
        let (sender, receiver) = mpsc::channel(4);
        sender.send(Ok(Bytes::from_static(b"all of it"))).await.unwrap();
        sender.send(Ok(END)).await.unwrap();
        drop(sender);
        let packing = Packing::of_point(identity.to_public());
        let whole = collect(seal_stream(packing.clone(), until_end(receiver), None)).await.unwrap();
        assert_eq!(whole.1, Measure::of(b"all of it"));
        // nor is a stream of another length than its source said
        for (said, good) in [(8, false), (9, true), (10, false)] {
            let sealed = collect(seal_stream(packing.clone(), portions(b"all of it", 4), Some(said))).await;
            assert_eq!(sealed.is_ok(), good, "{said}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_input_error_ends_the_stream_with_an_error() {
        let identity = Identity::generate();
        let input = futures_util::stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("killed"))]);
        assert!(collect(seal_stream(Packing::of_point(identity.to_public()), input, None)).await.is_err());
        let input = futures_util::stream::iter([Err::<Bytes, _>(io::Error::other("store gone"))]);
        assert!(matches!(open_stream(identity, input).finish().await, Err(OpenError::Read(_))));
    }
}
