//! One tenant's key and what is derived from it.

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Holder, KeyError};
use crate::format::hash::{Hash, Head, Measure, Stamp};
use crate::seal::{OpenError, Packing, unwrap, wrap};

/// Opens everything of one tenant. Never printed.
#[derive(Clone)]
pub struct TenantKey {
    identity: Identity,
    id: String,
}

/// A wrapped tenant key as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// Its key in the store.
    pub key: String,
    /// For whom.
    pub holder: Holder,
    /// Length in the store.
    pub bytes_stored: u64,
    /// Of the stored bytes.
    pub sha256_stored: Hash,
    /// What the stored bytes begin with.
    pub head_stored: Head,
}

impl WrappedKey {
    /// From what is about to be stored.
    pub fn new(key: String, holder: Holder, stamp: &Stamp) -> Self {
        Self {
            key,
            holder,
            bytes_stored: stamp.measure.bytes,
            sha256_stored: stamp.measure.sha256,
            head_stored: stamp.head,
        }
    }

    /// What is recorded of its stored bytes.
    pub fn stamp(&self) -> Stamp {
        Stamp { measure: Measure { bytes: self.bytes_stored, sha256: self.sha256_stored }, head: self.head_stored }
    }
}

impl TenantKey {
    /// A new one.
    pub fn generate() -> Self {
        Self::new(Identity::generate())
    }

    fn new(identity: Identity) -> Self {
        let public = Hash::of(identity.to_public().to_string().as_bytes()).to_string();
        let id = public.get(..16).unwrap_or_default().to_owned();
        Self { identity, id }
    }

    /// Sixteen hex digits of the hash of its public half: names the key without telling anything of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What opens streams.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How this tenant's streams are packed.
    pub fn packing(&self) -> Packing {
        Packing::of_point(self.identity.to_public())
    }

    /// The key, wrapped for a holder.
    pub fn wrapped_for(&self, recipient: &Recipient) -> Result<Vec<u8>, KeyError> {
        let text = format!("{}\n", self.identity.to_string().expose_secret());
        wrap(recipient, text.as_bytes()).map_err(KeyError::Wrap)
    }

    /// The key out of its wrapping.
    pub fn unwrap(holder: &Identity, stored: &[u8]) -> Result<Self, OpenError> {
        let plain = unwrap(holder, stored)?;
        let identity = std::str::from_utf8(&plain).ok().and_then(|text| text.trim().parse().ok());
        identity.map(Self::new).ok_or_else(|| OpenError::Damaged("it does not hold an age identity".to_owned()))
    }

    /// The name of an object by its plain hash: whoever sees the store cannot tell whether a known file is in it.
    pub fn object_name(&self, plain: &Hash) -> String {
        let mut name = hex::encode(self.mac("holdfast object name v1", &plain.0));
        name.truncate(40);
        name
    }

    /// The seal of a manifest.
    pub fn manifest_mac(&self, content: &[u8]) -> Hash {
        Hash(self.mac("holdfast manifest v1", content))
    }

    fn mac(&self, purpose: &str, content: &[u8]) -> [u8; 32] {
        let secret = self.identity.to_string();
        let derived = hmac(secret.expose_secret().as_bytes(), purpose.as_bytes());
        hmac(&derived, content)
    }
}

fn hmac(key: &[u8], content: &[u8]) -> [u8; 32] {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    for (to, from) in block.iter_mut().zip(Hash::of(key).0) {
        *to = from;
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
    mac.update(content);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_is_the_same_key_for_its_holder_only() {
        let (holder, stranger) = (Identity::generate(), Identity::generate());
        let key = TenantKey::generate();
        let stored = key.wrapped_for(&holder.to_public()).unwrap();
        let back = TenantKey::unwrap(&holder, &stored).unwrap();
        assert_eq!(back.id(), key.id());
        assert_eq!(back.manifest_mac(b"x"), key.manifest_mac(b"x"));
        assert_ne!(TenantKey::generate().manifest_mac(b"x"), key.manifest_mac(b"x"));
        assert!(matches!(TenantKey::unwrap(&stranger, &stored), Err(OpenError::WrongKey)));
    }
}
