//! Every note as a Markdown file in one tar, sent while the rows are read: readable with `age`, `zstd` and `tar` alone.

use bytes::Bytes;
use objects::ObjectStore;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinHandle;

use super::writer::{Streamed, upload};
use crate::error::Error;
use crate::format::tar;
use crate::seal::{Packing, seal_stream};

/// What is handed on at once.
const PORTION: usize = 256 * 1024;

/// The stream in the making.
pub(super) struct Markdown {
    key: String,
    entries: Sender<Result<Bytes, std::io::Error>>,
    upload: JoinHandle<Result<Streamed, Error>>,
}

impl Markdown {
    pub(super) fn begin(store: ObjectStore, key: String, packing: Packing) -> Self {
        let (entries, mut receiver) = mpsc::channel(4);
        let input = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let at = key.clone();
        let upload = tokio::spawn(async move {
            let input = EndsWell { input, ended: false };
            upload(&store, &at, seal_stream(packing, input, None)).await
        });
        Self { key, entries, upload }
    }

    /// Files of notes as they are in the tar. That the upload has failed is told by [`Markdown::finish`].
    pub(super) async fn add(&mut self, mut entries: Bytes) {
        while !entries.is_empty() {
            let portion = entries.split_to(entries.len().min(PORTION));
            let _ = self.entries.send(Ok(portion)).await;
        }
    }

    /// Ends the tar; where it was stored and what it was.
    pub(super) async fn finish(self) -> Result<(String, Streamed), Error> {
        let _ = self.entries.send(Ok(tar::end().into())).await;
        drop(self.entries);
        match self.upload.await {
            Ok(done) => Ok((self.key, done?)),
            Err(gone) => Err(Error::Pack { what: self.key, source: std::io::Error::other(gone) }),
        }
    }
}

/// The name of a note's file: its uid, as long as that can be a name.
pub(crate) fn file_name(uid: &str) -> String {
    let plain: String = uid.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    format!("{plain}.md")
}

/// A stream that is dropped before the tar's end must not look like a short one.
struct EndsWell<S> {
    input: S,
    ended: bool,
}

impl<S> futures_util::Stream for EndsWell<S>
where
    S: futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Unpin,
{
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let next = std::task::ready!(std::pin::Pin::new(&mut self.input).poll_next(context));
        if let Some(Ok(entry)) = &next {
            self.ended = *entry == tar::end();
        }
        let cut = next.is_none() && !self.ended;
        std::task::Poll::Ready(if cut {
            self.ended = true;
            Some(Err(std::io::Error::other("the point was given up")))
        } else {
            next
        })
    }
}
