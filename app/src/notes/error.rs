//! Why something about a note or a file was not done, in words without HTTP.

use std::borrow::Cow;

/// An error of the notes' and files' rules. The texts are part of the API: clients read them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gate's own refusal: this needs a signed-in member.
    #[error("authentication required")]
    SignInFirst,
    /// A stranger asked for something that members may read.
    #[error("user not authenticated")]
    NotSignedIn,
    /// Known, and may not.
    #[error("permission denied")]
    Denied,
    /// Known, and may not, with a reason of its own.
    #[error("{0}")]
    DeniedBecause(&'static str),
    /// There is no such thing, or none that this caller may know of.
    #[error("{0}")]
    NotFound(Cow<'static, str>),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// A part of a note could not be set as the note's request wants it.
    #[error("failed to set memo {part}: rpc error: code = {} desc = {why}", why.code())]
    Part {
        /// `attachments` or `relations`.
        part: &'static str,
        /// Why not.
        why: Box<Error>,
    },
    /// The name is taken.
    #[error("{0}")]
    Exists(String),
    /// Right request, wrong moment.
    #[error("{0}")]
    Precondition(&'static str),
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The file store could not do it.
    #[error("the file store failed: {0}")]
    Files(#[from] objects::Error),
    /// A background step ended without an answer.
    #[error("a step of the work was interrupted: {0}")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The request itself is wrong.
    pub fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(text.into())
    }

    /// The same refusal, where the part was only one of several things asked for.
    #[must_use]
    pub fn in_part(self, part: &'static str) -> Self {
        if self.code().is_empty() { self } else { Self::Part { part, why: Box::new(self) } }
    }

    /// gRPC's word for a refusal; empty for what is no refusal of the request.
    const fn code(&self) -> &'static str {
        match self {
            Self::Denied | Self::DeniedBecause(_) => "PermissionDenied",
            Self::NotFound(_) => "NotFound",
            Self::Invalid(_) => "InvalidArgument",
            Self::Precondition(_) => "FailedPrecondition",
            _ => "",
        }
    }

    /// No such note.
    pub const fn no_note() -> Self {
        Self::NotFound(Cow::Borrowed("memo not found"))
    }

    /// No such file.
    pub const fn no_attachment() -> Self {
        Self::NotFound(Cow::Borrowed("attachment not found"))
    }
}

impl From<Error> for web::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::SignInFirst => Self::gate(),
            Error::NotSignedIn => Self::unauthenticated(text),
            Error::Denied | Error::DeniedBecause(_) => Self::denied(text),
            Error::NotFound(_) => Self::not_found(text),
            Error::Invalid(_) => Self::invalid(text),
            Error::Part { why, .. } => match *why {
                Error::Denied | Error::DeniedBecause(_) => Self::denied(text),
                Error::NotFound(_) => Self::not_found(text),
                Error::Precondition(_) => Self::precondition(text),
                Error::Invalid(_) => Self::invalid(text),
                other => Self::from(other),
            },
            Error::Exists(_) => Self::exists(text),
            Error::Precondition(_) => Self::precondition(text),
            Error::Store(inner) => Self::from(inner),
            Error::Files(inner) => match inner {
                objects::Error::Unreachable { .. } | objects::Error::Full => {
                    Self::unavailable("the file store does not answer, try again in a moment").because(inner)
                }
                other => Self::internal(other),
            },
            Error::Interrupted(inner) => Self::internal(inner),
        }
    }
}
