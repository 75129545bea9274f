//! What can go wrong with members.

/// An error of this feature, in the words that clients read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has signed in.
    #[error("user not authenticated")]
    SignInFirst,
    /// The member may not.
    #[error("{0}")]
    Denied(&'static str),
    /// There is no such member.
    #[error("user not found")]
    NotFound,
    /// There is no such thing of a member's.
    #[error("{0}")]
    Missing(&'static str),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The username is taken.
    #[error("username \"{0}\" is already taken")]
    Taken(String),
    /// Not in the present state.
    #[error("{0}")]
    Refused(&'static str),
    /// Passwords, sessions, tokens.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// May not, without a reason.
    pub const DENIED: Self = Self::Denied("permission denied");
}

impl From<Error> for web::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::SignInFirst => Self::unauthenticated(text),
            Error::Denied(_) => Self::denied(text),
            Error::NotFound | Error::Missing(_) => Self::not_found(text),
            Error::Invalid(_) => Self::invalid(text),
            Error::Taken(_) => Self::exists(text),
            Error::Refused(_) => Self::precondition(text),
            Error::Identity(inner) => Self::from(inner),
            Error::Store(inner) => Self::from(inner),
        }
    }
}
