//! Mails about notifications: asked for in the transaction that makes the notification, sent by a job through the mail
//! server that the workspace has set up.
//!
//! A mail goes out at least once, under one message id; one that the mail server refuses for good is given up.

mod deliver;
mod letter;
mod smtp;

pub use deliver::Mails;
pub use letter::{Letter, Words};
pub use smtp::{Error, send};
