//! Why an operator's wish was not carried out.

use runtime::exit::{Code, CommandError};

/// An error of the operators' side.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name does not have its shape.
    #[error(transparent)]
    Id(#[from] domain::id::InvalidId),
    /// Nothing of that name.
    #[error("{what} {name} does not exist")]
    Missing {
        /// tenant, member, operator, schedule, token
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("{what} {name} exists already")]
    Taken {
        /// tenant, member, operator, host
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The present state does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The input cannot be used.
    #[error("{0}")]
    Input(String),
    /// A schedule cannot be read.
    #[error(transparent)]
    Cron(#[from] jobs::CronError),
    /// Passwords and tokens.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The file store.
    #[error(transparent)]
    Files(#[from] objects::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    pub(crate) fn no_tenant(slug: &str) -> Self {
        Self::Missing { what: "tenant", name: slug.to_owned() }
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match &error {
            Error::Missing { what, name } => {
                Self::new(Code::NotFound, format!("{what}_not_found"), message).object(name.clone())
            }
            Error::Taken { what, name } => {
                Self::new(Code::Conflict, format!("{what}_taken"), message).object(name.clone())
            }
            Error::Refused(_) => Self::refused(message),
            Error::Identity(identity::Error::Refused(refusal)) => match refusal.why {
                identity::Why::NotFound => Self::not_found(message),
                identity::Why::Conflict => Self::conflict(message),
                identity::Why::Precondition | identity::Why::Denied => Self::refused(message),
                identity::Why::Unavailable => Self::unreachable(message),
                identity::Why::Invalid => Self::usage(message),
            },
            Error::Files(_) => Self::unreachable(message),
            Error::Identity(identity::Error::Store(store)) | Error::Store(store) => of_store(store, message),
            Error::Id(_) | Error::Input(_) | Error::Cron(_) | Error::Identity(_) => Self::usage(message),
        }
        .caused_by(error)
    }
}

fn of_store(error: &store::Error, message: String) -> CommandError {
    match error {
        store::Error::NotFound(_) => CommandError::not_found(message),
        store::Error::Conflict { .. } => CommandError::conflict(message),
        store::Error::Refused(_) => CommandError::refused(message),
        store::Error::Unavailable(_) => CommandError::unreachable(message).next("see `holdfast doctor`"),
        store::Error::TooBusy | store::Error::Exchanged => CommandError::of(Code::TimedOut, message),
        store::Error::Corrupt { .. } | store::Error::Full(_) | store::Error::Database(_) => {
            CommandError::of(Code::Failed, message)
        }
    }
}

impl From<Error> for web::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(inner) | Error::Identity(identity::Error::Store(inner)) => inner.into(),
            Error::Identity(inner) => inner.into(),
            Error::Missing { .. } => Self::not_found(error.to_string()),
            Error::Taken { .. } => Self::exists(error.to_string()),
            Error::Refused(sentence) => Self::precondition(sentence),
            Error::Files(_) => Self::unavailable(error.to_string()),
            Error::Id(_) | Error::Input(_) | Error::Cron(_) => Self::invalid(error.to_string()),
        }
    }
}
