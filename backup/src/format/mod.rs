//! What a point is made of: names, pieces, hashes, fingerprints and the manifest. No input or output here.

pub mod buffers;
pub mod chunker;
pub mod copytext;
pub mod fingerprint;
pub mod hash;
pub mod index;
pub mod manifest;
pub mod name;
pub mod sealed;
pub mod tar;
