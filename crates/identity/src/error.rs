//! Why somebody was not let in.

use std::borrow::Cow;

/// Of which kind a [`Refusal`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// What was sent cannot be used.
    Invalid,
    /// It is known who asks, and that one may not.
    Denied,
    /// The account belongs to somebody already.
    Conflict,
    /// Not in the present state.
    Precondition,
    /// There is no such thing.
    NotFound,
    /// Another server is needed and does not answer.
    Unavailable,
}

/// A sign-in or a change of how one signs in that was refused: the sentence is for the person, the reason for the log and
/// the audit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind.
    pub why: Why,
    /// What the person reads.
    pub message: Cow<'static, str>,
    /// What happened exactly; never shown to strangers.
    pub reason: String,
}

impl Refusal {
    /// A refusal whose reason is its message.
    pub fn new(why: Why, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { why, reason: message.to_string(), message }
    }

    /// With the exact reason.
    #[must_use]
    pub fn because(mut self, reason: impl std::fmt::Display) -> Self {
        self.reason = reason.to_string();
        self
    }
}

/// An error of sign-in, sessions, tokens or passwords. The sentences are those that clients see.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such name or a wrong password; never said which.
    #[error("unmatched username and password")]
    Unmatched,
    /// The right password of an archived member.
    #[error("user has been archived with username {username}")]
    Archived {
        /// The name he gave.
        username: String,
    },
    /// The tenant lets only admins sign in by password.
    #[error("password signin is not allowed")]
    PasswordSignInOff,
    /// Too many wrong passwords; try again after so many seconds.
    #[error("too many failed sign-ins; try again in {seconds} seconds")]
    Throttled {
        /// Seconds to wait.
        seconds: u32,
    },
    /// No refresh token came with the request.
    #[error("refresh token not found")]
    NoRefreshToken,
    /// The refresh token is worth nothing.
    #[error("invalid refresh token: {0}")]
    BadRefreshToken(&'static str),
    /// A new password must not be empty and at most [`MAX_PASSWORD`](crate::passwords::MAX_PASSWORD) bytes long.
    #[error("a password must have 1 to 1024 bytes")]
    UnfitPassword,
    /// A token's name or life is out of bounds.
    #[error("{0}")]
    UnfitToken(&'static str),
    /// A provider, a directory or a second factor stands against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The password was right, and the second factor is still to be given.
    #[error("a code of your authenticator app is needed")]
    SecondFactorNeeded {
        /// What the page keeps until the code comes.
        pending: String,
    },
    /// Too many passwords are being checked at this moment.
    #[error("too many sign-ins at this moment; try again")]
    Busy,
    /// A password could not be hashed or a token not be signed.
    #[error("cryptography failed: {0}")]
    Crypto(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}
