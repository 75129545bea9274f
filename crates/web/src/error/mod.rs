//! The one error type of everything that speaks HTTP, and the only place that knows statuses.
//!
//! A service's error becomes an [`Error`] by `From`; the edge ([`face`]) gives it the face of the door it leaves by:
//! REST JSON, Connect JSON, the short JSON of files and feeds, or a page. Causes are logged once, there, and never sent.

mod code;
pub mod face;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

pub use code::Code;
pub use face::Face;

/// A cause that may travel between threads.
pub type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// Why a request was not done.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: Cow<'static, str>,
    status: Option<StatusCode>,
    retry_after: Option<u32>,
    gate: bool,
    source: Option<Cause>,
}

/// What a handler gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind, with the sentence that the caller reads.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), status: None, retry_after: None, gate: false, source: None }
    }

    /// The request itself is wrong (400).
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// No such thing, or none that this caller may know of (404).
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// Known, and may not (403).
    pub fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// The name is taken (409).
    pub fn exists(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::AlreadyExists, message)
    }

    /// A credential was needed inside a handler (401).
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unauthenticated, message)
    }

    /// The gate refused a stranger before any handler ran (401). REST has a shape of its own for it.
    pub fn gate() -> Self {
        Self { gate: true, ..Self::new(Code::Unauthenticated, "authentication required") }
    }

    /// Right request, wrong moment (400).
    pub fn precondition(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::FailedPrecondition, message)
    }

    /// Not now (503); the caller may try again in 5 seconds.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(5), ..Self::new(Code::Unavailable, message) }
    }

    /// Too often (429); the caller may try again in so many seconds.
    pub fn too_often(message: impl Into<Cow<'static, str>>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(Code::ResourceExhausted, message) }
    }

    /// The body is longer than `limit` bytes (413).
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the request is larger than {limit} bytes");
        Self::new(Code::ResourceExhausted, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// Our fault (500): the cause goes to the log, the caller gets the request id.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self { source: Some(cause.into()), ..Self::new(Code::Internal, "internal error") }
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Answers with another status than the code's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// The kind.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Seconds after which trying again makes sense.
    pub const fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// Whether the gate refused a stranger before any handler ran.
    pub const fn is_gate(&self) -> bool {
        self.gate
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.code.status())
    }

    /// The whole chain of causes in one line, for the log.
    pub fn chain(&self) -> String {
        let mut line = self.message.to_string();
        let mut cause = self.source();
        while let Some(inner) = cause {
            line.push_str(": ");
            line.push_str(&inner.to_string());
            cause = inner.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// A bare answer; the edge dresses it ([`face::dress`]), because only the edge knows the door.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status())
    }
}

impl Error {
    /// For what the server itself refuses: a body that is no form, a path that is no number.
    pub fn of_status(status: StatusCode, message: String) -> Self {
        let code = match status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            405 | 501 => Code::Unimplemented,
            408 | 504 => Code::DeadlineExceeded,
            409 => Code::Aborted,
            413 | 429 => Code::ResourceExhausted,
            503 => Code::Unavailable,
            500.. => return Self::new(Code::Internal, "internal error").with_status(status),
            _ => Code::InvalidArgument,
        };
        Self::new(code, message).with_status(status)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        use store::Error as Store;
        match error {
            Store::NotFound(what) => Self::not_found(format!("{what} not found")),
            Store::Conflict { .. } => Self::exists("that name is already taken").because(error),
            Store::Refused(sentence) => Self::precondition(sentence),
            Store::Unavailable(_) | Store::TooBusy => {
                Self::unavailable("the database does not answer at present; try again in a moment").because(error)
            }
            Store::Exchanged => Self::unavailable(error.to_string()).because(error),
            Store::Full(_) => Self::new(
                Code::ResourceExhausted,
                "this server is short of disk space, so nothing more is stored; reading goes on",
            )
            .because(error),
            Store::Corrupt { .. } => {
                Self::new(Code::DataLoss, "stored data is damaged; tell the operator").because(error)
            }
            Store::Database(_) => Self::internal(error),
        }
    }
}

impl From<identity::Error> for Error {
    fn from(error: identity::Error) -> Self {
        use identity::Error as Identity;
        match error {
            Identity::Unmatched | Identity::UnfitPassword | Identity::UnfitToken(_) => Self::invalid(error.to_string()),
            Identity::Archived { .. } | Identity::PasswordSignInOff | Identity::SecondFactorNeeded { .. } => {
                Self::denied(error.to_string())
            }
            Identity::Throttled { seconds } => Self::too_often(error.to_string(), seconds),
            Identity::NoRefreshToken | Identity::BadRefreshToken(_) => Self::unauthenticated(error.to_string()),
            Identity::Busy => Self::unavailable(error.to_string()),
            Identity::Refused(refusal) => Self::from(refusal),
            Identity::Crypto(_) => Self::internal(error),
            Identity::Store(inner) => Self::from(inner),
        }
    }
}

impl From<identity::Refusal> for Error {
    fn from(refusal: identity::Refusal) -> Self {
        use identity::Why;
        let message = refusal.message;
        match refusal.why {
            Why::Invalid => Self::invalid(message),
            Why::Denied => Self::denied(message),
            Why::Conflict => Self::exists(message),
            Why::Precondition => Self::precondition(message),
            Why::NotFound => Self::not_found(message),
            Why::Unavailable => Self::unavailable(message),
        }
    }
}

impl From<identity::NotServed> for Error {
    fn from(reason: identity::NotServed) -> Self {
        use identity::NotServed;
        match reason {
            NotServed::Unknown => Self::not_found(reason.to_string()),
            NotServed::Closed => Self { retry_after: Some(60), ..Self::unavailable(reason.to_string()) },
            NotServed::Suspended | NotServed::Leaving => Self::denied(reason.to_string()),
        }
    }
}
