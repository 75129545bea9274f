//! What can go wrong with a tenant's settings.

/// An error of this feature, in the words that clients read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has signed in.
    #[error("user not authenticated")]
    SignInFirst,
    /// The member may not.
    #[error("permission denied")]
    Denied,
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Not in the present state.
    #[error("{0}")]
    Refused(&'static str),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<Error> for web::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::SignInFirst => Self::unauthenticated(text),
            Error::Denied => Self::denied(text),
            Error::Invalid(_) => Self::invalid(text),
            Error::Refused(_) => Self::precondition(text),
            Error::Store(inner) => Self::from(inner),
        }
    }
}
