//! Webhooks: addresses that are told what happens to a member's notes.
//!
//! A message is queued in the transaction of the change, so none is lost and none is made up; a job delivers it, again
//! and again with the same id until the receiver has taken it, in order per note and webhook. What came of each is kept.

mod deliver;
mod payload;
pub mod service;
mod signature;

pub use deliver::Deliveries;
pub use service::{Error, Webhook};

/// A note was written; also a comment, to the webhooks of who wrote it.
pub const CREATED: &str = "memos.memo.created";
/// A note or comment was changed.
pub const UPDATED: &str = "memos.memo.updated";
/// A note or comment was deleted.
pub const DELETED: &str = "memos.memo.deleted";
/// A note was commented on; the message shows the comment.
pub const COMMENTED: &str = "memos.memo.comment.created";
