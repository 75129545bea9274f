//! The manifest of a point, version 1: one JSON document.
//!
//! ```json
//! {"format":1, …clear part…, "sealed":"<base64 of zstd → age>", "mac":"<64 hex digits>", "signature":"<128 hex digits>"}
//! ```
//!
//! The *clear part* is what retention, `backup show` and verification need: names, lengths and hashes of stored bytes.
//! The *sealed part* is for the holder of the tenant's key: plain hashes, tables, columns, fingerprints. `mac` is
//! HMAC-SHA256 over every byte before `,"mac":`, keyed from the tenant's key, so that no one without the key writes or
//! edits a manifest. `signature` is Ed25519 over the same bytes by the appliance's signing key, so that who only opens points
//! does not write one either. Unknown fields are kept out of the way: both cover them without understanding them.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::id::TenantId;
use serde::{Deserialize, Serialize};

use super::hash::{Hash, HashCheck, Head, Measure, Stamp};
use super::name::PointName;
use super::sealed::Sealed;
use crate::keys::{Endorsement, Signature, Signer, TenantKey, WrappedKey};
use crate::seal::{OpenError, open, seal};

/// The version this code writes, and the newest it reads.
pub const FORMAT: u32 = 1;
/// No sealed part is larger.
const SEALED_LIMIT: u64 = 512 * 1024 * 1024;
/// `,"mac":"` + 64 hex digits + `","signature":"` + 128 hex digits + `"}` + newline.
const TAIL: usize = 8 + 64 + 15 + 128 + 3;

/// The clear part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clear {
    /// Version of this format.
    pub format: u32,
    /// Which product wrote it, with its version.
    pub product: String,
    /// The point's name.
    pub point: PointName,
    /// Whose point it is.
    pub tenant: TenantId,
    /// How the tenant was called then.
    pub slug: String,
    /// When the point was begun, RFC 3339 in UTC.
    pub created_at: String,
    /// The instant it shows.
    pub snapshot: SnapshotFacts,
    /// Why it was taken: `schedule`, `command`, `console`, `demo`, …
    pub trigger: String,
    /// The tenant's point before this one, none at the first.
    pub previous: Option<Previous>,
    /// The end of the appliance's audit chain then. Points of before 2026-11-24 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditHead>,
    /// The id of the tenant key that opens it.
    pub key: String,
    /// Where that key lies wrapped.
    pub keys: Vec<WrappedKey>,
    /// Everything stored that the point needs, this document left out.
    pub objects: Vec<Object>,
    /// Reserved: ids written since the previous point, by table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_chunks: Option<serde_json::Value>,
    /// The public half of the key that signed it, 64 hex digits.
    pub signed_by: String,
    /// In points of the control plane: every signing key's endorsement by the one before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endorsements: Vec<Endorsement>,
}

/// The instant a point shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// When the snapshot was opened, RFC 3339 in UTC.
    pub at: String,
    /// The database's write-ahead position then.
    pub lsn: String,
    /// The tenant's change counter: everything written under a lower one is in the point.
    pub generation: i64,
    /// The tenant's schema version.
    pub schema_version: i32,
    /// Postgres' `server_version_num`.
    pub server_version: i32,
}

/// The newest event of the audit chain: an audit that does not hold this hash at this place was changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Its place, from 1.
    pub seq: i64,
    /// Its hash, 64 hex digits.
    pub hash: String,
}

/// The entry of the chain before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its name.
    pub point: PointName,
    /// SHA-256 of its manifest as stored.
    pub manifest_sha256: Hash,
}

/// What an object or a part of a pack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Several small streams one after the other.
    Pack,
    /// Rows of one table as COPY text.
    Rows,
    /// Lines `uid TAB sha256` of every note's Markdown file.
    NoteHashes,
    /// The bytes of an attached file.
    File,
    /// Every note as a Markdown file, in a tar.
    Markdown,
    /// The manifest itself.
    Manifest,
    /// A wrapped tenant key.
    Key,
    /// An entry of the log of points.
    Log,
    /// A signing key, wrapped or endorsed.
    Signer,
}

/// One stored object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its key in the store.
    pub key: String,
    /// What it holds.
    pub kind: Kind,
    /// Its name within the point, by which the sealed part speaks of it; empty for a pack.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Rows in it, where it holds rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Length in the store.
    pub bytes_stored: u64,
    /// Of the stored bytes, as `sha256sum` tells it.
    pub sha256_stored: Hash,
    /// What the stored bytes begin with.
    pub head_stored: Head,
    /// An older point sent it; this one only refers to it.
    pub referenced: bool,
    /// What a pack is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

impl Object {
    /// What is recorded of its stored bytes.
    pub fn stamp(&self) -> Stamp {
        Stamp { measure: Measure { bytes: self.bytes_stored, sha256: self.sha256_stored }, head: self.head_stored }
    }
}

/// A stream inside a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name within the point.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Rows in it, where it holds rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Where it begins in the pack.
    pub offset: u64,
    /// Its length.
    pub bytes_stored: u64,
    /// Of these bytes.
    pub sha256_stored: Hash,
}

/// A manifest as read from the store: the clear part is only to be believed after [`Manifest::check`] or when the hash
/// of the whole document is known from elsewhere.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The clear part.
    pub clear: Clear,
    sealed: Vec<u8>,
    covered: Vec<u8>,
    mac: Hash,
    signature: Signature,
}

/// What is wrong with a manifest's signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// It is not the signature of this content.
    #[error("its signature does not match its content")]
    Broken,
    /// Someone else signed it.
    #[error("it was signed with key {0}, which is none of this appliance's")]
    Foreign(String),
}

/// Why a document is no manifest that may be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the shape of a manifest.
    #[error("it is not a manifest: {0}")]
    Shape(String),
    /// A newer product wrote it.
    #[error("it has format {0}, and this version reads up to {FORMAT}; use a newer holdfast")]
    Newer(u64),
    /// It was not written by a holder of the tenant's key, or was changed since.
    #[error("its seal does not match its content")]
    Seal,
    /// The sealed part does not open.
    #[error("its sealed part: {0}")]
    Open(#[from] OpenError),
    /// It cannot be written.
    #[error("it could not be written: {0}")]
    Write(String),
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    clear: &'a Clear,
    sealed: String,
}

#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    clear: Clear,
    sealed: String,
    mac: Hash,
    signature: String,
}

impl Manifest {
    /// Writes both parts, the seal and the signature; the bytes are what is stored.
    pub fn write(clear: &Clear, sealed: &Sealed, key: &TenantKey, signer: &Signer) -> Result<Vec<u8>, ManifestError> {
        let clear = &Clear { signed_by: signer.public_key(), ..clear.clone() };
        let wrong = |error: String| ManifestError::Write(error);
        let plain = serde_json::to_vec(sealed).map_err(|error| wrong(error.to_string()))?;
        let stored = seal(&key.packing(), &plain).map_err(|error| wrong(error.to_string()))?.stored;
        let written = Written { clear, sealed: STANDARD.encode(&stored) };
        let mut out = serde_json::to_vec(&written).map_err(|error| wrong(error.to_string()))?;
        out.pop(); // the closing brace comes after the seal
        let tail = tail(&key.manifest_mac(&out), &signer.sign(&out).signature);
        out.extend_from_slice(tail.as_bytes());
        Ok(out)
    }

    /// Reads a document without believing it yet.
    pub fn read(stored: &[u8]) -> Result<Self, ManifestError> {
        let shape = |what: String| ManifestError::Shape(what);
        let value: FormatOnly = serde_json::from_slice(stored).map_err(|error| shape(error.to_string()))?;
        if value.format > u64::from(FORMAT) {
            return Err(ManifestError::Newer(value.format));
        }
        let read: Read = serde_json::from_slice(stored).map_err(|error| shape(error.to_string()))?;
        let (covered, found) = stored
            .len()
            .checked_sub(TAIL)
            .and_then(|at| stored.split_at_checked(at))
            .ok_or_else(|| shape("it is too short".to_owned()))?;
        if found != tail(&read.mac, &read.signature).as_bytes() || read.signature != read.signature.to_ascii_lowercase()
        {
            return Err(shape("it does not end with its seal and its signature".to_owned()));
        }
        let sealed = STANDARD.decode(&read.sealed).map_err(|error| shape(error.to_string()))?;
        let signature = Signature { public_key: read.clear.signed_by.clone(), signature: read.signature };
        Ok(Self { clear: read.clear, sealed, covered: covered.to_vec(), mac: read.mac, signature })
    }

    /// Compares the signature: it must be of this content, and by one of the known keys where any are known.
    pub fn signed(&self, known: Option<&BTreeSet<String>>, check: HashCheck) -> Result<(), NotSigned> {
        if !check.accepts(self.signature.is_of(&self.covered)) {
            return Err(NotSigned::Broken);
        }
        if known.is_none_or(|known| check.accepts(known.contains(&self.signature.public_key))) {
            return Ok(());
        }
        Err(NotSigned::Foreign(self.signature.public_key.clone()))
    }

    /// Compares the seal.
    pub fn check(&self, key: &TenantKey, check: HashCheck) -> Result<(), ManifestError> {
        let right = key.manifest_mac(&self.covered);
        if check.same(&right, &self.mac) { Ok(()) } else { Err(ManifestError::Seal) }
    }

    /// The sealed part.
    pub fn unseal(&self, key: &TenantKey) -> Result<Sealed, ManifestError> {
        let plain = open(key.identity(), &self.sealed, SEALED_LIMIT)?;
        serde_json::from_slice(&plain).map_err(|error| ManifestError::Shape(format!("sealed part: {error}")))
    }
}

/// What a manifest ends with.
fn tail(mac: &Hash, signature: &str) -> String {
    format!(",\"mac\":\"{mac}\",\"signature\":\"{signature}\"}}\n")
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn clear(key: &TenantKey) -> Clear {
        Clear {
            format: FORMAT,
            product: "holdfast 0.1.0".to_owned(),
            point: "20261122T143500Z-0a1b2c3d".parse().unwrap(),
            tenant: TenantId(uuid::Uuid::from_u128(7)),
            slug: "team".to_owned(),
            created_at: "2026-11-22T14:35:00Z".to_owned(),
            snapshot: SnapshotFacts {
                at: "2026-11-22T14:35:00Z".to_owned(),
                lsn: "0/1".to_owned(),
                generation: 3,
                schema_version: 1,
                server_version: 150_000,
            },
            trigger: "command".to_owned(),
            previous: None,
            audit: Some(AuditHead { seq: 1, hash: "0".repeat(64) }),
            key: key.id().to_owned(),
            keys: Vec::new(),
            objects: Vec::new(),
            dirty_chunks: None,
            signed_by: String::new(),
            endorsements: Vec::new(),
        }
    }

    /// A written manifest and the key that signed it.
    fn written(key: &TenantKey) -> (Vec<u8>, BTreeSet<String>) {
        let signer = Signer::generate();
        let stored = Manifest::write(&clear(key), &Sealed::default(), key, &signer).unwrap();
        (stored, BTreeSet::from([signer.public_key()]))
    }

    #[test]
    fn both_parts_come_back() {
        let key = TenantKey::generate();
        let (stored, known) = written(&key);
        let read = Manifest::read(&stored).unwrap();
        read.check(&key, HashCheck::Real).unwrap();
        read.signed(Some(&known), HashCheck::Real).unwrap();
        let others = BTreeSet::from([Signer::generate().public_key()]);
        assert!(
            matches!(read.signed(Some(&others), HashCheck::Real), Err(NotSigned::Foreign(key)) if known.contains(&key))
        );
        assert_eq!(read.clear, Clear { signed_by: known.first().unwrap().clone(), ..clear(&key) });
        assert_eq!(read.unseal(&key).unwrap(), Sealed::default());
        let stranger = TenantKey::generate();
        assert!(read.check(&stranger, HashCheck::Real).is_err());
        assert!(matches!(read.unseal(&stranger), Err(ManifestError::Open(OpenError::WrongKey))));
    }

    #[test]
    fn every_single_byte_change_is_detected() {
        let key = TenantKey::generate();
        let (stored, known) = written(&key);
        for at in 0..stored.len() {
            for mask in [0x01, 0x20] {
                let mut bad = stored.clone();
                bad[at] ^= mask;
                let accepted = Manifest::read(&bad).is_ok_and(|read| {
                    read.check(&key, HashCheck::Real).is_ok() && read.signed(Some(&known), HashCheck::Real).is_ok()
                });
                assert!(!accepted, "byte {at} ^ {mask:#x} of {}", stored.len());
            }
        }
        let mut longer = stored.clone();
        longer.push(b' ');
        assert!(Manifest::read(&longer).is_err());
    }

    #[test]
    fn a_newer_format_is_named() {
        let text = br#"{"format":2,"anything":"else"}"#;
        let Err(error) = Manifest::read(text) else { panic!("format 2 is not ours") };
        assert!(error.to_string().contains("newer holdfast"), "{error}");
    }

    #[test]
    fn fields_of_later_versions_are_covered_without_being_known() {
        let key = TenantKey::generate();
        let signer = Signer::generate();
        let stored = Manifest::write(&clear(&key), &Sealed::default(), &key, &signer).unwrap();
        let text = String::from_utf8(stored).unwrap();
        let body = text.split(",\"mac\"").next().unwrap().replacen("\"format\":1,", "\"format\":1,\"later\":[1],", 1);
        let end = tail(&key.manifest_mac(body.as_bytes()), &signer.sign(body.as_bytes()).signature);
        let read = Manifest::read(format!("{body}{end}").as_bytes()).unwrap();
        read.check(&key, HashCheck::Real).unwrap();
        read.signed(None, HashCheck::Real).unwrap();
        assert_eq!(read.clear.slug, "team");
    }
}
