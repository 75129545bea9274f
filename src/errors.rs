//! Errors of the ground floor as commands end with them.

use runtime::exit::{Code, CommandError};

/// A store error with the code its class has.
pub(crate) fn of_store(error: store::Error) -> CommandError {
    let message = error.to_string();
    match &error {
        store::Error::NotFound(_) => CommandError::not_found(message),
        store::Error::Conflict { .. } => CommandError::conflict(message),
        store::Error::Refused(_) => CommandError::refused(message),
        store::Error::Unavailable(_) => CommandError::unreachable(message).next("see `holdfast doctor`"),
        store::Error::TooBusy | store::Error::Exchanged => CommandError::of(Code::TimedOut, message),
        store::Error::Corrupt { .. } | store::Error::Full(_) | store::Error::Database(_) => {
            CommandError::of(Code::Failed, message)
        }
    }
    .caused_by(error)
}

/// An object store's error with the code its class has.
pub(crate) fn of_objects(error: objects::Error) -> CommandError {
    let code = match &error {
        objects::Error::Denied { .. } => Code::Unauthorised,
        _ => Code::Unreachable,
    };
    CommandError::of(code, error.to_string()).next("see `holdfast store probe`").caused_by(error)
}

/// Anything else that fails.
pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::of(Code::Failed, error.to_string()).caused_by(anyhow::Error::new(error))
}
