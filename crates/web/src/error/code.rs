//! What can go wrong, in the sixteen words of gRPC; and the one table from word to number, name and HTTP status.

use actix_web::http::StatusCode;

/// The kind of a failure. The numbers and names are those of gRPC and Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The client went away.
    Canceled,
    /// Nobody knows.
    Unknown,
    /// The request itself is wrong, whatever the state.
    InvalidArgument,
    /// It took too long.
    DeadlineExceeded,
    /// There is no such thing, or none that this caller may know of.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The caller is known and may not.
    PermissionDenied,
    /// Too much, too big or too often.
    ResourceExhausted,
    /// Right request, wrong moment.
    FailedPrecondition,
    /// Somebody else changed it first.
    Aborted,
    /// Beyond the end.
    OutOfRange,
    /// Not offered.
    Unimplemented,
    /// Our fault.
    Internal,
    /// Not now; try again.
    Unavailable,
    /// Stored data is damaged.
    DataLoss,
    /// The caller must sign in.
    Unauthenticated,
}

impl Code {
    /// Every code, in the order of its numbers.
    pub const ALL: [Self; 16] = [
        Self::Canceled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    const fn row(self) -> (i32, &'static str, u16) {
        match self {
            Self::Canceled => (1, "canceled", 499),
            Self::Unknown => (2, "unknown", 500),
            Self::InvalidArgument => (3, "invalid_argument", 400),
            Self::DeadlineExceeded => (4, "deadline_exceeded", 504),
            Self::NotFound => (5, "not_found", 404),
            Self::AlreadyExists => (6, "already_exists", 409),
            Self::PermissionDenied => (7, "permission_denied", 403),
            Self::ResourceExhausted => (8, "resource_exhausted", 429),
            Self::FailedPrecondition => (9, "failed_precondition", 400),
            Self::Aborted => (10, "aborted", 409),
            Self::OutOfRange => (11, "out_of_range", 400),
            Self::Unimplemented => (12, "unimplemented", 501),
            Self::Internal => (13, "internal", 500),
            Self::Unavailable => (14, "unavailable", 503),
            Self::DataLoss => (15, "data_loss", 500),
            Self::Unauthenticated => (16, "unauthenticated", 401),
        }
    }

    /// The gRPC number, which REST bodies carry.
    pub const fn number(self) -> i32 {
        self.row().0
    }

    /// The Connect name.
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status of REST and Connect.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().2).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code of a gRPC number; `Unknown` for others.
    pub fn from_number(number: i32) -> Self {
        Self::ALL.into_iter().find(|code| code.number() == number).unwrap_or(Self::Unknown)
    }

    /// Whether it is our fault: logged as an error, and the caller is told no more than the request id.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Unknown | Self::Internal | Self::DataLoss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_grpc() {
        for (at, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code.number(), at as i32 + 1);
            assert_eq!(Code::from_number(code.number()), code);
        }
        assert_eq!(Code::from_number(99), Code::Unknown);
    }
}
