//! Opening the streams of a verified point.

use std::collections::{BTreeMap, HashMap};

use age::x25519::Identity;
use bytes::Bytes;

use crate::error::Error;
use crate::format::hash::{HashCheck, Measure};
use crate::format::manifest::Clear;
use crate::format::sealed::Sealed;
use crate::seal::{OpenError, OpenStream, open, open_stream};
use crate::source::Source;

/// Where a stream lies.
#[derive(Clone, Debug)]
struct Location {
    key: String,
    /// Offset and length inside a pack.
    part: Option<(u64, u64)>,
    bytes_stored: u64,
}

/// Fetches streams by their names within the point.
pub(crate) struct Fetch {
    source: Source,
    point: String,
    identity: Identity,
    places: HashMap<String, Location>,
    plain: BTreeMap<String, Measure>,
    check: HashCheck,
}

impl Fetch {
    pub(crate) fn new(source: Source, clear: &Clear, sealed: &Sealed, identity: Identity, check: HashCheck) -> Self {
        let mut places = HashMap::new();
        for object in &clear.objects {
            for member in &object.members {
                let part = Some((member.offset, member.bytes_stored));
                let place = Location { key: object.key.clone(), part, bytes_stored: member.bytes_stored };
                places.insert(member.name.clone(), place);
            }
            if object.members.is_empty() {
                let place = Location { key: object.key.clone(), part: None, bytes_stored: object.bytes_stored };
                places.insert(object.name.clone(), place);
            }
        }
        Self { source, point: clear.point.to_string(), identity, places, plain: sealed.plain.clone(), check }
    }

    fn find(&self, name: &str) -> Result<(&Location, &Measure), Error> {
        match (self.places.get(name), self.plain.get(name)) {
            (Some(place), Some(plain)) => Ok((place, plain)),
            _ => Err(self.wrong(name, OpenError::Damaged("the manifest does not say where it is".to_owned()))),
        }
    }

    fn wrong(&self, name: &str, source: OpenError) -> Error {
        Error::Open { point: self.point.clone(), name: name.to_owned(), source }
    }

    /// A stream that fits in memory, its hash compared.
    pub(crate) async fn bytes(&self, name: &str) -> Result<Bytes, Error> {
        let (place, plain) = self.find(name)?;
        let stored = match place.part {
            Some((offset, length)) => self.source.range(&place.key, offset, length).await?,
            None => self.source.get(&place.key).await?,
        };
        let (identity, limit) = (self.identity.clone(), plain.bytes);
        let opened = tokio::task::spawn_blocking(move || open(&identity, &stored, limit)).await;
        let bytes = match opened {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(source)) => return Err(self.wrong(name, source)),
            Err(gone) => return Err(self.wrong(name, OpenError::Read(std::io::Error::other(gone)))),
        };
        self.compare(name, plain, &Measure::of(&bytes))?;
        Ok(bytes.into())
    }

    /// A stream of any size. [`Fetch::finish`] must be asked after its end.
    pub(crate) async fn stream(&self, name: &str) -> Result<OpenStream, Error> {
        let (place, _) = self.find(name)?;
        let stored = match place.part {
            Some((offset, length)) => {
                let bytes = self.source.range(&place.key, offset, length).await?;
                futures_util::StreamExt::boxed(futures_util::stream::iter([Ok(bytes)]))
            }
            None => self.source.stream(&place.key).await?,
        };
        Ok(open_stream(self.identity.clone(), stored))
    }

    /// Whether a stream was what the point says.
    pub(crate) async fn finish(&self, name: &str, stream: OpenStream) -> Result<Measure, Error> {
        let (place, plain) = self.find(name)?;
        let (found, stored) = stream.finish().await.map_err(|source| self.wrong(name, source))?;
        self.compare(name, plain, &found)?;
        if stored.measure.bytes != place.bytes_stored && self.check == HashCheck::Real {
            return Err(self.wrong(name, OpenError::Damaged("it has another length than was stored".to_owned())));
        }
        Ok(found)
    }

    fn compare(&self, name: &str, plain: &Measure, found: &Measure) -> Result<(), Error> {
        match self.check.compare(plain, found) {
            None => Ok(()),
            Some(_) => Err(self.wrong(name, OpenError::Damaged("other bytes come out of it than went in".to_owned()))),
        }
    }
}
