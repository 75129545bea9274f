//! Streams: plain bytes → zstd → age → store, and back.
//!
//! Every stream is what `age -d -i tenant.key | zstd -d` reads. Small ones are done in memory, large ones pass through
//! a thread of their own in portions of 64 KiB, so that a file of any size costs the same memory.

mod channel;
mod compressors;
mod stream;

use std::io::{Read, Write};

use age::x25519::{Identity, Recipient};
use bytes::Bytes;

pub(crate) use self::channel::{END, until_end};
use self::compressors::Compressors;
pub use self::stream::{OpenStream, SealStream, open_stream, seal_stream};
use crate::format::hash::{Measure, Stamp};

/// Why stored bytes do not give back what was stored.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// They were encrypted for someone else.
    #[error("the key at hand does not open it")]
    WrongKey,
    /// They are not what was written.
    #[error("its content is damaged: {0}")]
    Damaged(String),
    /// The bytes could not be read.
    #[error("it could not be read: {0}")]
    Read(#[source] std::io::Error),
}

impl From<age::DecryptError> for OpenError {
    fn from(error: age::DecryptError) -> Self {
        match error {
            age::DecryptError::NoMatchingKeys | age::DecryptError::KeyDecryptionFailed => Self::WrongKey,
            age::DecryptError::Io(source) if channel::is_from_source(&source) => Self::Read(source),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// How a stream is packed. Clones share their compressors.
#[derive(Clone)]
pub struct Packing {
    recipients: Vec<Recipient>,
    /// None where nothing is compressed.
    compressors: Option<Compressors>,
}

impl Packing {
    /// zstd, then age for one recipient: everything in a point.
    pub fn of_point(recipient: Recipient) -> Self {
        Self { recipients: vec![recipient], compressors: Some(Compressors::default()) }
    }

    /// age only, for several recipients: what is compressed already.
    pub fn encrypt_only(recipients: Vec<Recipient>) -> Self {
        Self { recipients, compressors: None }
    }

    fn age_writer<W: Write>(&self, output: W) -> std::io::Result<age::stream::StreamWriter<W>> {
        age::Encryptor::with_recipients(self.recipients.iter().map(|one| one as &dyn age::Recipient))
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error.to_string()))?
            .wrap_output(output)
    }
}

/// Bytes ready for the store.
#[derive(Clone, Debug)]
pub struct SealedBytes {
    /// What to store.
    pub stored: Bytes,
    /// Of the plain bytes.
    pub plain: Measure,
    /// Of the stored bytes.
    pub stamp: Stamp,
}

/// Packs bytes that fit in memory.
pub fn seal(packing: &Packing, plain: &[u8]) -> std::io::Result<SealedBytes> {
    seal_measured(packing, plain, Measure::of(plain))
}

/// The same where the measure of the plain bytes is known.
pub fn seal_measured(packing: &Packing, plain: &[u8], measure: Measure) -> std::io::Result<SealedBytes> {
    let compressed = packing.compressors.as_ref().map(|compressors| compressors.compress(plain)).transpose()?;
    let inside = compressed.as_ref().map_or(plain, AsRef::as_ref);
    let mut writer = packing.age_writer(Vec::with_capacity(inside.len() + inside.len() / 1024 + 1024))?;
    writer.write_all(inside)?;
    let stored = Bytes::from(writer.finish()?);
    Ok(SealedBytes { plain: measure, stamp: Stamp::of(&stored), stored })
}

/// Unpacks bytes that fit in memory; `limit` is the most plain bytes that may come out.
pub fn open(identity: &Identity, stored: &[u8], limit: u64) -> Result<Vec<u8>, OpenError> {
    let reader = age_reader(identity, stored)?;
    let mut plain = Vec::new();
    let decoder = zstd::Decoder::new(reader).map_err(damaged)?;
    decoder.take(limit.saturating_add(1)).read_to_end(&mut plain).map_err(damaged)?;
    if plain.len() as u64 > limit {
        return Err(OpenError::Damaged(format!("more than the recorded {limit} bytes come out of it")));
    }
    Ok(plain)
}

/// Encrypts without compressing: for keys.
pub fn wrap(recipient: &Recipient, plain: &[u8]) -> std::io::Result<Vec<u8>> {
    seal(&Packing::encrypt_only(vec![recipient.clone()]), plain).map(|sealed| sealed.stored.to_vec())
}

/// The other way of [`wrap`].
pub fn unwrap(identity: &Identity, stored: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut plain = Vec::new();
    age_reader(identity, stored)?.read_to_end(&mut plain).map_err(damaged)?;
    Ok(plain)
}

fn age_reader<R: Read>(identity: &Identity, stored: R) -> Result<age::stream::StreamReader<R>, OpenError> {
    Ok(age::Decryptor::new(stored)?.decrypt(std::iter::once(identity as &dyn age::Identity))?)
}

/// Inside the pipe an error that is not of the source means wrong bytes.
fn damaged(error: std::io::Error) -> OpenError {
    if channel::is_from_source(&error) { OpenError::Read(error) } else { OpenError::Damaged(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_come_back_and_only_with_the_key() {
        let (mine, other) = (Identity::generate(), Identity::generate());
        let packing = Packing::of_point(mine.to_public());
        let sealed = seal(&packing, b"one\ttwo\n").unwrap();
        assert_eq!(open(&mine, &sealed.stored, 8).unwrap(), b"one\ttwo\n");
        assert!(matches!(open(&other, &sealed.stored, 8), Err(OpenError::WrongKey)));
        assert!(matches!(open(&mine, &sealed.stored, 7), Err(OpenError::Damaged(_))));
    }

    #[test]
    fn no_single_byte_change_opens() {
        let mine = Identity::generate();
        let wrapped = wrap(&mine.to_public(), b"AGE-SECRET-KEY-1EXAMPLE").unwrap();
        for at in 0..wrapped.len() {
            for mask in [0x01, 0x20, 0x80] {
                let mut bad = wrapped.clone();
                bad[at] ^= mask;
                assert!(unwrap(&mine, &bad).is_err(), "byte {at} ^ {mask:#x}");
            }
        }
        for end in 0..wrapped.len() {
            assert!(unwrap(&mine, &wrapped[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn round_trip(plain in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mine = Identity::generate();
            let sealed = seal(&Packing::of_point(mine.to_public()), &plain).unwrap();
            prop_assert_eq!(sealed.stamp.measure, Measure::of(&sealed.stored));
            prop_assert_eq!(open(&mine, &sealed.stored, plain.len() as u64).unwrap(), plain);
        }
    }
}
