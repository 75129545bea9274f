//! Files of notes: taking them in, giving them out.
//!
//! Rows are in the tenant's schema, bytes in the file store; a row is committed only after its bytes are there. What is
//! about people rather than pictures (where, when, with which camera) is taken out of a photo before it is stored.

pub mod avatar;
pub mod caching;
pub mod download;
pub mod kind;
pub mod motion;
pub mod range;
pub mod routes;
pub mod service;
pub mod strip;
pub mod thumbnail;
