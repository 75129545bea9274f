//! Where a point is read from: the backup store, or the backup store with damage laid over it.
//!
//! A drill damages points without touching the store: the overlay answers for single objects with other bytes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use objects::{Error, ObjectStore};

use crate::shown::Shown;

/// What the overlay does to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit of the byte at this place is another.
    Flip(u64),
    /// Only so many bytes are left.
    Truncate(u64),
    /// It is not there.
    Remove,
    /// The bytes of another object are there in its place.
    Replace(String),
    /// These bytes are there in its place.
    Bytes(Bytes),
}

/// A readable view of the backup store.
#[derive(Clone, Debug)]
pub struct Source {
    store: ObjectStore,
    overlay: Arc<HashMap<String, Damage>>,
    /// Who watches how much has been read.
    pub(crate) shown: Shown,
}

/// The bytes of an object as they arrive.
pub type ByteStream = futures_util::stream::BoxStream<'static, std::io::Result<Bytes>>;

impl Source {
    /// The store as it is.
    pub fn plain(store: ObjectStore) -> Self {
        Self { store, overlay: Arc::default(), shown: Shown::default() }
    }

    /// The store with damage laid over it.
    pub fn damaged(store: ObjectStore, overlay: HashMap<String, Damage>) -> Self {
        Self { store, overlay: Arc::new(overlay), shown: Shown::default() }
    }

    /// The same for somebody who watches.
    #[must_use]
    pub(crate) fn shown_by(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    /// Names of objects as the store lists them; what was damaged is still listed.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        Ok(self.store.list(prefix).await?.into_iter().map(|object| object.key).collect())
    }

    /// The same with their lengths.
    pub async fn sizes(&self, prefix: &str) -> Result<Vec<(String, u64)>, Error> {
        Ok(self.store.list(prefix).await?.into_iter().map(|object| (object.key, object.size)).collect())
    }

    /// A whole object that is known to be small.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        match self.overlay.get(key) {
            None => self.store.get(key).await,
            Some(Damage::Remove) => Err(Error::NotFound { key: key.to_owned() }),
            Some(Damage::Replace(other)) => self.store.get(other).await,
            Some(Damage::Bytes(bytes)) => Ok(bytes.clone()),
            Some(Damage::Truncate(left)) => {
                let whole = self.store.get(key).await?;
                Ok(whole.slice(..whole.len().min(*left as usize)))
            }
            Some(Damage::Flip(at)) => {
                let mut whole = self.store.get(key).await?.to_vec();
                if let Some(byte) = whole.get_mut(*at as usize) {
                    *byte ^= 0x40;
                }
                Ok(whole.into())
            }
        }
    }

    /// An object of any size as it arrives.
    pub async fn stream(&self, key: &str) -> Result<ByteStream, Error> {
        match self.overlay.get(key) {
            None => Ok(self.store.get_stream(key).await?.into_stream().boxed()),
            Some(Damage::Remove) => Err(Error::NotFound { key: key.to_owned() }),
            Some(Damage::Replace(other)) => Ok(self.store.get_stream(other).await?.into_stream().boxed()),
            Some(Damage::Bytes(bytes)) => Ok(once(bytes.clone())),
            Some(Damage::Truncate(left)) => Ok(cut(self.store.get_stream(key).await?.into_stream(), *left).boxed()),
            Some(Damage::Flip(at)) => Ok(flip(self.store.get_stream(key).await?.into_stream(), *at).boxed()),
        }
    }

    /// A part of an object. For members of packs, which are small as a whole.
    pub async fn range(&self, key: &str, from: u64, length: u64) -> Result<Bytes, Error> {
        if self.overlay.contains_key(key) {
            let whole = self.get(key).await?;
            let end = whole.len().min((from + length) as usize);
            return Ok(whole.slice(end.min(from as usize)..end));
        }
        self.store.get_range(key, from..from + length).await
    }
}

fn once(bytes: Bytes) -> ByteStream {
    futures_util::stream::iter([Ok(bytes)]).boxed()
}

fn cut(
    stream: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    left: u64,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let mut left = left as usize;
    stream.map(move |portion| {
        portion.map(|bytes| {
            let taken = bytes.slice(..bytes.len().min(left));
            left -= taken.len();
            taken
        })
    })
}

fn flip(
    stream: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    at: u64,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let mut passed = 0;
    stream.map(move |portion| {
        portion.map(|bytes| {
            let here = at.checked_sub(passed).map(|offset| offset as usize).filter(|offset| *offset < bytes.len());
            passed += bytes.len() as u64;
            let Some(offset) = here else { return bytes };
            let mut changed = bytes.to_vec();
            if let Some(byte) = changed.get_mut(offset) {
                *byte ^= 0x40;
            }
            changed.into()
        })
    })
}

#[cfg(test)]
mod tests {
    use objects::PutOptions;

    use super::*;

    #[tokio::test]
    async fn damage_shows_and_the_store_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = ObjectStore::directory(folder.path()).unwrap();
        store.put("a", "hello", PutOptions::default()).await.unwrap();
        store.put("b", "world", PutOptions::default()).await.unwrap();
        let with = |damage| Source::damaged(store.clone(), HashMap::from([("a".to_owned(), damage)]));
        for (damage, expected) in [
            (Damage::Flip(0), &b"(ello"[..]),
            (Damage::Truncate(2), b"he"),
            (Damage::Replace("b".to_owned()), b"world"),
            (Damage::Bytes(Bytes::from_static(b"x")), b"x"),
        ] {
            let source = with(damage.clone());
            assert_eq!(source.get("a").await.unwrap(), expected, "{damage:?}");
            let streamed: Vec<u8> = source.stream("a").await.unwrap().map(|part| part.unwrap().to_vec()).concat().await;
            assert_eq!(streamed, expected, "{damage:?}");
            assert_eq!(source.get("b").await.unwrap(), "world");
        }
        assert!(matches!(with(Damage::Remove).stream("a").await, Err(Error::NotFound { .. })));
        assert_eq!(with(Damage::Flip(4)).range("a", 3, 2).await.unwrap(), &b"l/"[..]);
        assert_eq!(Source::plain(store).range("a", 1, 3).await.unwrap(), "ell");
    }
}
