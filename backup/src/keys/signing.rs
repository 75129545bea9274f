//! What this appliance signs with (Ed25519): `sign.key` (32 bytes in hex, mode 0600) and `sign.pub` beside the other keys.
//!
//! Manifests and certificates are signed. The drill identity opens points, and whoever opens a point could seal another one;
//! the signing key is neither needed for drills nor for restores, so it need not be where they are carried out.

use std::io::ErrorKind;
use std::path::Path;

use domain::chance::Chance;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::directory::{file_error, write_first};
use super::{KeyDirectory, KeyError};

/// Signs in the appliance's name. Never printed.
pub struct Signer(SigningKey);

/// A signature with the key that it is to be compared by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The public key, 64 hex digits, as in `sign.pub`.
    pub public_key: String,
    /// Ed25519, 128 hex digits.
    pub signature: String,
}

/// A signing key, named by the one before it. It says nothing secret and proves itself, wherever it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsement {
    /// The new key.
    pub public_key: String,
    /// By the old one.
    pub follows: Signature,
}

impl Endorsement {
    pub(crate) fn by(old: &Signer, public_key: String) -> Self {
        let follows = old.sign(&Self::words(&public_key));
        Self { public_key, follows }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.follows.is_of(&Self::words(&self.public_key))
    }

    fn words(public_key: &str) -> Vec<u8> {
        format!("holdfast signing key v1\n{public_key}\n").into_bytes()
    }

    /// The bytes of its object, always the same.
    pub(crate) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl KeyDirectory {
    /// The signing key, made at first use.
    pub fn signer(&self) -> Result<Signer, KeyError> {
        signer_in(self.path())
    }

    /// The public half of the signing key, where it is known here.
    pub fn signing_key(&self) -> Result<Option<String>, KeyError> {
        published(self.path())
    }

    /// The key that will sign after the present one; made once, so that an interrupted rotation goes on with it.
    pub(crate) fn next_signer(&self) -> Result<Signer, KeyError> {
        let path = self.path().join("sign.key.next");
        if !path.exists() {
            write_first(&path, &Signer::generate().text(), 0o600)?;
        }
        read_signer(&path)
    }

    /// Puts the next signing key in place of the present one.
    pub(crate) fn switch_signer(&self) -> Result<(), KeyError> {
        let (next, secret) = (self.path().join("sign.key.next"), self.path().join("sign.key"));
        std::fs::rename(&next, &secret).map_err(|source| file_error(&secret, source))?;
        publish(self.path(), &read_signer(&secret)?)
    }

    /// Makes a key that the appliance had elsewhere the one of this machine.
    pub(crate) fn adopt_signer(&self, signer: &Signer) -> Result<(), KeyError> {
        let next = self.path().join("sign.key.next");
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(file_error(&next, error)),
            _ => {}
        }
        write_first(&next, &signer.text(), 0o600)?;
        self.switch_signer()
    }
}

/// The signing key in a folder, made at first use.
pub(super) fn signer_in(folder: &Path) -> Result<Signer, KeyError> {
    let secret = folder.join("sign.key");
    if !secret.exists() {
        write_first(&secret, &Signer::generate().text(), 0o600)?;
    }
    let signer = read_signer(&secret)?;
    publish(folder, &signer)?;
    Ok(signer)
}

fn read_signer(path: &Path) -> Result<Signer, KeyError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(KeyError::NoSigner),
        Err(error) => return Err(file_error(path, error)),
    };
    Signer::read(&text).ok_or_else(|| KeyError::NoKey {
        path: path.display().to_string(),
        what: "signing key",
        prefix: "64 hex digits",
    })
}

/// Writes the public half beside the secret one, unless it is there.
fn publish(folder: &Path, signer: &Signer) -> Result<(), KeyError> {
    let public = folder.join("sign.pub");
    match published(folder)? {
        Some(key) if key == signer.public_key() => return Ok(()),
        // a rotation was interrupted between the two files
        Some(_) => std::fs::remove_file(&public).map_err(|source| file_error(&public, source))?,
        None => {}
    }
    write_first(&public, &format!("{}\n", signer.public_key()), 0o644).map(|_| ())
}

fn published(folder: &Path) -> Result<Option<String>, KeyError> {
    let public = folder.join("sign.pub");
    match std::fs::read_to_string(&public) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(&public, error)),
    }
}

impl Signer {
    /// A new one.
    pub(crate) fn generate() -> Self {
        Self(SigningKey::from_bytes(&Chance::System.bytes::<32>()))
    }

    /// From 64 hex digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed).ok()?;
        Some(Self(SigningKey::from_bytes(&seed)))
    }

    /// The secret half, as it is kept.
    pub(crate) fn text(&self) -> String {
        format!("{}\n", hex::encode(self.0.to_bytes()))
    }

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
            (Ok(()), Ok(key)) => key.verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(&signature)).is_ok(),
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

    #[test]
    fn a_rotation_that_was_interrupted_goes_on_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (keys, sheet) = KeyDirectory::open(&path).unwrap();
        let old = keys.signer().unwrap().public_key();
        assert!(sheet.unwrap().text().contains(&format!("# signing key: {old}\n")), "the sheet names it");
        let next = keys.next_signer().unwrap().public_key();
        assert_eq!(keys.next_signer().unwrap().public_key(), next);
        // killed between the two files
        std::fs::rename(path.join("sign.key.next"), path.join("sign.key")).unwrap();
        assert_eq!(keys.signing_key().unwrap(), Some(old));
        assert_eq!(keys.signer().unwrap().public_key(), next);
        assert_eq!(keys.signing_key().unwrap(), Some(next));
    }
}
