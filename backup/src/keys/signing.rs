//! What this appliance signs with (Ed25519): `sign.key` (32 bytes in hex, mode 0600) and `sign.pub` beside the other keys.

use std::io::ErrorKind;

use domain::chance::Chance;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::directory::{file_error, write_first};
use super::{KeyDirectory, KeyError};

/// Signs in the appliance's name.
pub struct Signer(SigningKey);

/// A signature with the key that it is to be compared by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The public key, 64 hex digits, as in `sign.pub`.
    pub public_key: String,
    /// Ed25519, 128 hex digits.
    pub signature: String,
}

impl KeyDirectory {
    /// The signing key, made at first use.
    pub fn signer(&self) -> Result<Signer, KeyError> {
        let (secret, public) = (self.path().join("sign.key"), self.path().join("sign.pub"));
        if !secret.exists() {
            write_first(&secret, &format!("{}\n", hex::encode(Chance::System.bytes::<32>())), 0o600)?;
        }
        let text = match std::fs::read_to_string(&secret) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(KeyError::NoSigner),
            Err(error) => return Err(file_error(&secret, error)),
        };
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| KeyError::NoKey {
            path: secret.display().to_string(),
            what: "signing key",
            prefix: "64 hex digits",
        })?;
        let signer = Signer(SigningKey::from_bytes(&seed));
        write_first(&public, &format!("{}\n", signer.public_key()), 0o644)?;
        Ok(signer)
    }
}

impl Signer {
    /// The public half in hex.
    pub fn public_key(&self) -> String {
        hex::encode(self.0.verifying_key().to_bytes())
    }

    /// Signs bytes.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature { public_key: self.public_key(), signature: hex::encode(self.0.sign(bytes).to_bytes()) }
    }
}

impl Signature {
    /// Whether this is the signature of these bytes by the key that it names.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        let (mut key, mut signature) = ([0; 32], [0; 64]);
        let read = hex::decode_to_slice(&self.public_key, &mut key)
            .and_then(|()| hex::decode_to_slice(&self.signature, &mut signature));
        let key = VerifyingKey::from_bytes(&key);
        match (read, key) {
            (Ok(()), Ok(key)) => key.verify(bytes, &ed25519_dalek::Signature::from_bytes(&signature)).is_ok(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_these_bytes_only() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, _) = KeyDirectory::open(&folder.path().join("keys")).unwrap();
        let signature = keys.signer().unwrap().sign(b"gone");
        assert!(signature.is_of(b"gone") && !signature.is_of(b"here"));
        assert_eq!(keys.signer().unwrap().public_key(), signature.public_key);
        let stranger = Signature { public_key: "00".repeat(32), ..signature };
        assert!(!stranger.is_of(b"gone"));
    }
}
