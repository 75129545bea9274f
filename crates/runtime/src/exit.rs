//! How a command ends: the exit codes that scripts rely on, and the one error that carries them.

use std::fmt;
use std::process::ExitCode;

/// The exit codes of every command. The numbers are a promise to scripts and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// Failed for a reason that no other code names.
    Failed = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// Finished, but with warnings that someone should read.
    Warnings = 3,
    /// Ran fine, and the verdict is negative (verify, drill, check).
    Negative = 4,
    /// The thing named does not exist.
    NotFound = 5,
    /// It exists already, or someone else holds it.
    Conflict = 6,
    /// Refused, or not confirmed.
    Refused = 7,
    /// Not authorised.
    Unauthorised = 8,
    /// Database, store or peer could not be reached.
    Unreachable = 9,
    /// Took longer than allowed.
    TimedOut = 10,
    /// Cancelled by a signal.
    Cancelled = 130,
}

impl Code {
    /// The number given to the system.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The word used as error code when nothing more exact is known.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Warnings => "warnings",
            Self::Negative => "negative",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unauthorised => "unauthorised",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

/// Why a command failed, in the parts that `--json` prints and scripts read.
#[derive(Debug)]
pub struct CommandError {
    /// Exit code.
    pub exit: Code,
    /// Stable word for the case, such as `slug_taken`.
    pub code: String,
    /// One sentence that says what is wrong.
    pub message: String,
    /// The thing it is about: a slug, a path, a point.
    pub object: Option<String>,
    /// What to do next.
    pub next: Option<String>,
    source: Option<anyhow::Error>,
}

impl CommandError {
    /// An error with an exit code, a stable word and one sentence.
    pub fn new(exit: Code, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), object: None, next: None, source: None }
    }

    /// The command line or a setting is wrong (2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::of(Code::Usage, message)
    }

    /// The thing does not exist (5).
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::of(Code::NotFound, message)
    }

    /// It exists already or is held (6).
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::of(Code::Conflict, message)
    }

    /// Refused or not confirmed (7).
    pub fn refused(message: impl Into<String>) -> Self {
        Self::of(Code::Refused, message)
    }

    /// Database, store or peer not reachable (9).
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::of(Code::Unreachable, message)
    }

    /// An exit code and a sentence; the stable word is the code's own.
    pub fn of(exit: Code, message: impl Into<String>) -> Self {
        Self::new(exit, exit.word(), message)
    }

    /// Names the thing that the error is about.
    #[must_use]
    pub fn object(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Keeps what caused it; the log shows it, the printed error does not.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(next) => write!(f, "; {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// A `CommandError` inside keeps its code; anything else is "failed", with its causes in the sentence.
impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<CommandError>() {
            Ok(known) => known,
            Err(error) => Self::from_causes(error),
        }
    }
}

impl CommandError {
    fn from_causes(error: anyhow::Error) -> Self {
        let mut message = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Many errors repeat their source in their own text.
            if !message.contains(&cause) {
                message = format!("{message}: {cause}");
            }
        }
        let exit = known_exit(&error);
        Self { exit, code: exit.word().to_owned(), message, object: None, next: None, source: Some(error) }
    }
}

/// The exit code of our own errors, wherever they are in the chain.
fn known_exit(error: &anyhow::Error) -> Code {
    for cause in error.chain() {
        if cause.is::<crate::settings::Error>() {
            return Code::Usage;
        }
        if let Some(error) = cause.downcast_ref::<crate::postgres::Error>() {
            return error.exit();
        }
        if let Some(error) = cause.downcast_ref::<crate::data_dir::Error>() {
            return error.exit();
        }
    }
    Code::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_error_survives_the_way_through_anyhow() {
        let way: anyhow::Error = CommandError::conflict("the slug acme is taken").object("acme").into();
        let back = CommandError::from(way);
        assert_eq!((back.exit, back.code.as_str(), back.object.as_deref()), (Code::Conflict, "conflict", Some("acme")));
    }

    #[test]
    fn another_error_is_failed_and_tells_its_causes_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write the report");
        let back = CommandError::from(error);
        assert_eq!((back.exit.number(), back.message.as_str()), (1, "cannot write the report: disk full"));
    }
}
