//! Sends the streams of a point: small ones gather in one pack, large ones become objects, known ones are referred to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use domain::id::TenantId;
use objects::{ObjectStore, PutOptions, keys as layout};
use tokio::task::JoinSet;
use tokio_util::io::StreamReader;

use super::desk::{Desk, Packed};
use crate::error::Error;
use crate::format::buffers::Buffers;
use crate::format::hash::{Hash, Measure, Stamp};
use crate::format::manifest::{Kind, Member, Object};
use crate::format::name::PointName;
use crate::keep::lock_all;
use crate::keys::TenantKey;
use crate::seal::{Packing, SealStream, SealedBytes};

/// A tenant below this is one pack.
pub(super) const PACK_LIMIT: u64 = 4 * 1024 * 1024;
/// In a larger tenant, a stream of at least this size is an object of its own, so that later points may refer to it.
const OWN_OBJECT: u64 = 16 * 1024;
/// Objects on their way to the store at the same time.
const TOGETHER: usize = 4;

/// What the point before has, so that it need not be sent again.
#[derive(Default)]
pub(super) struct Sent {
    /// Chunks by the hash of their plain bytes.
    pub(super) chunks: HashMap<Hash, Object>,
    /// Files by their place in the file store.
    pub(super) files: HashMap<String, (Object, Measure)>,
}

/// What one stream is.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) rows: Option<u64>,
}

/// A stream that the point before has, as it lies there.
pub(super) enum Kept {
    /// An object, which is referred to.
    Object(Box<Object>),
    /// A member of its pack, which is packed again as it is.
    Sealed(SealedBytes),
}

/// The objects of a point in the making.
pub(super) struct Writer {
    store: ObjectStore,
    tenant: TenantId,
    point: PointName,
    key: TenantKey,
    /// One for all streams of the point.
    packing: Packing,
    sent: Sent,
    waiting: Vec<(Stream, SealedBytes)>,
    waiting_bytes: u64,
    large: bool,
    /// What is on its way to the store: all of it is there before the manifest is sent.
    puts: JoinSet<Result<(), objects::Error>>,
    pub(super) objects: Vec<Object>,
    pub(super) plain: BTreeMap<String, Measure>,
    pub(super) bytes_sent: u64,
    pub(super) requests: u64,
}

impl Writer {
    pub(super) fn new(store: ObjectStore, tenant: TenantId, point: PointName, key: TenantKey, sent: Sent) -> Self {
        Self {
            store,
            tenant,
            point,
            packing: key.packing(),
            key,
            sent,
            waiting: Vec::new(),
            waiting_bytes: 0,
            large: false,
            puts: JoinSet::new(),
            objects: Vec::new(),
            plain: BTreeMap::new(),
            bytes_sent: 0,
            requests: 0,
        }
    }

    /// How the pieces of this point are packed.
    pub(super) fn desk(&self, markdown: bool) -> Desk {
        let known: HashSet<Hash> = self.sent.chunks.keys().copied().collect();
        Desk { packing: self.packing.clone(), known: Arc::new(known), markdown, tars: Buffers::default() }
    }

    /// Adds a stream that fits in memory.
    pub(super) async fn add(&mut self, stream: Stream, packed: Packed) -> Result<(), Error> {
        self.plain.insert(stream.name.clone(), packed.plain);
        let Some(stream) = self.refer_chunk(stream, &packed.plain.sha256) else { return Ok(()) };
        match packed.sealed {
            Some(sealed) => self.wait(stream, sealed).await,
            None => Err(Error::Refused(format!("stream {} was not packed; the point was not taken", stream.name))),
        }
    }

    /// Takes a stream over from the point before.
    pub(super) async fn keep(&mut self, stream: Stream, kept: Kept, plain: Measure) -> Result<(), Error> {
        self.plain.insert(stream.name.clone(), plain);
        match kept {
            Kept::Sealed(sealed) => self.wait(stream, sealed).await,
            Kept::Object(object) => {
                let Stream { name, kind, rows } = stream;
                self.objects.push(Object { kind, name, rows, referenced: true, ..*object });
                Ok(())
            }
        }
    }

    async fn wait(&mut self, stream: Stream, sealed: SealedBytes) -> Result<(), Error> {
        self.waiting_bytes += sealed.stamp.measure.bytes;
        self.waiting.push((stream, sealed));
        if self.waiting_bytes > PACK_LIMIT {
            self.large = true;
        }
        if self.large { self.send_large().await } else { Ok(()) }
    }

    /// A large tenant: what is worth it leaves as an object of its own; if the rest still is too much, all of it does.
    async fn send_large(&mut self) -> Result<(), Error> {
        let all = std::mem::take(&mut self.waiting);
        let (mut leave, mut stay): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, sealed)| sealed.stamp.measure.bytes >= OWN_OBJECT);
        if stay.iter().map(|(_, sealed)| sealed.stamp.measure.bytes).sum::<u64>() > PACK_LIMIT {
            leave.append(&mut stay);
        }
        for (stream, sealed) in leave {
            self.send_chunk(stream, sealed).await?;
        }
        self.waiting_bytes = stay.iter().map(|(_, sealed)| sealed.stamp.measure.bytes).sum();
        self.waiting = stay;
        Ok(())
    }

    /// Refers to a chunk with these bytes that was sent already; gives the stream back when there is none.
    fn refer_chunk(&mut self, stream: Stream, plain: &Hash) -> Option<Stream> {
        let Some(known) = self.sent.chunks.get(plain) else { return Some(stream) };
        let Stream { name, kind, rows } = stream;
        let referenced = !known.key.ends_with(self.point.tail());
        self.objects.push(Object { kind, name, rows, referenced, ..known.clone() });
        None
    }

    async fn send_chunk(&mut self, stream: Stream, sealed: SealedBytes) -> Result<(), Error> {
        // two equal chunks of one point would have one name: the second refers to the first
        let Some(stream) = self.refer_chunk(stream, &sealed.plain.sha256) else { return Ok(()) };
        let key = layout::chunk(self.tenant, &self.object_name(&sealed.plain.sha256));
        self.put(&key, sealed.stored, sealed.stamp.measure.sha256).await?;
        let object = object(key, stream, &sealed.stamp);
        self.sent.chunks.insert(sealed.plain.sha256, object.clone());
        self.objects.push(object);
        Ok(())
    }

    /// A keyed hash, and what keeps two writers apart: an object of the store is never written twice.
    fn object_name(&self, hash: &Hash) -> String {
        format!("{}-{}", self.key.object_name(hash), self.point.tail())
    }

    async fn put(&mut self, key: &str, bytes: Bytes, sha256: Hash) -> Result<(), Error> {
        self.bytes_sent += bytes.len() as u64;
        self.requests += 1;
        while self.puts.len() >= TOGETHER {
            self.one_is_there().await?;
        }
        let (store, key) = (self.store.clone(), key.to_owned());
        let options = PutOptions { if_none_match: false, sha256: Some(sha256.0) };
        self.puts.spawn(async move { store.put(&key, bytes, options).await });
        Ok(())
    }

    /// Waits until one more object is in the store; whether any was on its way.
    async fn one_is_there(&mut self) -> Result<bool, Error> {
        match self.puts.join_next().await {
            None => Ok(false),
            Some(Ok(put)) => Ok(put.map(|()| true)?),
            Some(Err(gone)) => Err(Error::Pack { what: "an object".to_owned(), source: std::io::Error::other(gone) }),
        }
    }

    async fn all_are_there(&mut self) -> Result<(), Error> {
        while self.one_is_there().await? {}
        Ok(())
    }

    /// A file that the point before has already.
    pub(super) fn known_file(&self, storage_key: &str) -> Option<(Object, Measure)> {
        self.sent.files.get(storage_key).cloned()
    }

    /// Refers to a file of the point before.
    pub(super) fn refer(&mut self, name: String, object: Object, plain: Measure) {
        self.plain.insert(name.clone(), plain);
        self.objects.push(Object { name, referenced: true, ..object });
    }

    /// How this tenant's streams are packed.
    pub(super) fn packing(&self) -> Packing {
        self.packing.clone()
    }

    /// The key of a file's object.
    pub(super) fn file_key(&self, storage_key: &str) -> String {
        layout::file(self.tenant, &self.object_name(&Hash::of(storage_key.as_bytes())))
    }

    /// Notes an object that was sent as a stream.
    pub(super) fn streamed(&mut self, key: String, stream: Stream, sent: Streamed) {
        self.bytes_sent += sent.stored.measure.bytes;
        self.requests += u64::from(sent.requests);
        self.plain.insert(stream.name.clone(), sent.plain);
        self.objects.push(object(key, stream, &sent.stored));
    }

    /// Sends the pack. After this `objects` is complete, and everything but the manifest is in the store.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        if !self.waiting.is_empty() {
            self.send_pack().await?;
        }
        self.all_are_there().await
    }

    async fn send_pack(&mut self) -> Result<(), Error> {
        let mut pack = BytesMut::with_capacity(self.waiting_bytes as usize);
        let mut members = Vec::with_capacity(self.waiting.len());
        for (stream, sealed) in std::mem::take(&mut self.waiting) {
            members.push(Member {
                name: stream.name,
                kind: stream.kind,
                rows: stream.rows,
                offset: pack.len() as u64,
                bytes_stored: sealed.stamp.measure.bytes,
                sha256_stored: sealed.stamp.measure.sha256,
            });
            pack.extend_from_slice(&sealed.stored);
        }
        let pack = pack.freeze();
        let stamp = Stamp::of(&pack);
        let key = layout::pack(self.tenant, self.point.as_str());
        self.put(&key, pack, stamp.measure.sha256).await?;
        let stream = Stream { name: String::new(), kind: Kind::Pack, rows: None };
        self.objects.insert(0, Object { members, ..object(key, stream, &stamp) });
        Ok(())
    }

    /// Sends the manifest: from now on the point counts. What it refers to is locked for as long as itself, where stores lock.
    pub(super) async fn send_manifest(&mut self, manifest: Vec<u8>) -> Result<Measure, Error> {
        let referred =
            self.objects.iter().filter(|object| object.referenced).map(|object| object.key.clone()).collect();
        self.requests += lock_all(&self.store, referred, None).await?;
        let measure = Measure::of(&manifest);
        let key = layout::manifest(self.tenant, self.point.as_str());
        self.put(&key, manifest.into(), measure.sha256).await?;
        self.all_are_there().await?;
        Ok(measure)
    }
}

fn object(key: String, stream: Stream, stored: &Stamp) -> Object {
    Object {
        key,
        kind: stream.kind,
        name: stream.name,
        rows: stream.rows,
        bytes_stored: stored.measure.bytes,
        sha256_stored: stored.measure.sha256,
        head_stored: stored.head,
        referenced: false,
        members: Vec::new(),
    }
}

/// What a streamed upload was.
pub(crate) struct Streamed {
    pub(crate) plain: Measure,
    pub(crate) stored: Stamp,
    pub(crate) requests: u32,
}

/// Uploads a packed stream; when it ends in an error nothing is stored.
pub(crate) async fn upload(store: &ObjectStore, key: &str, stream: SealStream) -> Result<Streamed, Error> {
    let (portions, finished) = stream.split();
    let reader = StreamReader::new(portions);
    let written = store.put_stream(key, reader, PutOptions::default()).await.map_err(|error| match error {
        // what could not be read tells more than that it could not be read
        objects::Error::Source(source) => Error::Pack { what: key.to_owned(), source },
        other => Error::Objects(other),
    })?;
    let (plain, stored) = finished.await.map_err(|source| Error::Pack { what: key.to_owned(), source })?;
    if written.size != stored.measure.bytes {
        let source =
            std::io::Error::other(format!("{} bytes were made, {} arrived", stored.measure.bytes, written.size));
        return Err(Error::Pack { what: key.to_owned(), source });
    }
    Ok(Streamed { plain, stored, requests: written.requests })
}
