//! Why somebody was not let in.

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
