//! What can go wrong with the database, in words that do not know HTTP.

use tokio_postgres::error::SqlState;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The row asked for is not there.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// A rule of uniqueness was hit.
    #[error("already exists ({constraint})")]
    Conflict {
        /// Name of the constraint in the schema.
        constraint: String,
    },
    /// The database does not answer or ended the connection.
    #[error("the database is not reachable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Every connection is in use, or a lock or statement took too long.
    #[error("the database is busy, try again in a moment")]
    TooBusy,
    /// The tenant got other rows while this waited: nothing was written, and the next try meets the new ones.
    #[error("restored notes have just taken the place of this workspace's; nothing was written, try again")]
    Exchanged,
    /// The database's disk is full.
    #[error("the database's disk is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored row does not have the shape it must have.
    #[error("row {id} of {table} is damaged: {what}")]
    Corrupt {
        /// Table of the row.
        table: &'static str,
        /// Its key.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// The request cannot be carried out in the present state.
    #[error("{0}")]
    Refused(String),
    /// Anything else the database said.
    #[error("database error: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether this is a conflict on the named constraint.
    pub fn is_conflict(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }

    /// A short class for metrics: `conflict`, `unavailable`, `busy`, `other`, …
    pub const fn class(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::TooBusy => "busy",
            Self::Exchanged => "exchanged",
            Self::Full(_) => "full",
            Self::Corrupt { .. } => "corrupt",
            Self::Refused(_) => "refused",
            Self::Database(_) => "other",
        }
    }
}

/// Starts counting the database's refusals, each class at nothing, so that their absence can be told from their silence.
pub fn count_errors() {
    for class in ["conflict", "unavailable", "busy", "exchanged", "full", "not_found", "other"] {
        metrics::counter!("holdfast_database_errors_total", "class" => class).increment(0);
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let out = from_postgres(error);
        metrics::counter!("holdfast_database_errors_total", "class" => out.class()).increment(1);
        out
    }
}

fn from_postgres(error: tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        let broken = error.is_closed()
            || std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return if broken { Error::Unavailable(Box::new(error)) } else { Error::Database(Box::new(error)) };
    };
    let code = db.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return Error::Conflict { constraint: db.constraint().unwrap_or_default().to_owned() };
    }
    if [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
    {
        return Error::TooBusy;
    }
    // the fence of `swap`: who changes rows marks the tenant as changed, and the old rows' mark is nobody's to make
    if *code == SqlState::INSUFFICIENT_PRIVILEGE && db.message().contains("change_mark") {
        return Error::Exchanged;
    }
    if *code == SqlState::DISK_FULL {
        return Error::Full(Box::new(error));
    }
    if code.code().starts_with("57P") || code.code().starts_with("08") {
        return Error::Unavailable(Box::new(error));
    }
    Error::Database(Box::new(error))
}

impl From<deadpool::managed::PoolError<tokio_postgres::Error>> for Error {
    fn from(error: deadpool::managed::PoolError<tokio_postgres::Error>) -> Self {
        match error {
            deadpool::managed::PoolError::Timeout(_) => Self::TooBusy,
            // Whatever a new connection is refused for, the database cannot be had now.
            deadpool::managed::PoolError::Backend(inner) => Self::Unavailable(Box::new(inner)),
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        use sea_orm::{DbErr, SqlErr};
        let out = match (&error, error.sql_err()) {
            (_, Some(SqlErr::UniqueConstraintViolation(text))) => Self::Conflict { constraint: constraint_in(&text) },
            (DbErr::Conn(_) | DbErr::ConnectionAcquire(_), _) => Self::Unavailable(Box::new(error)),
            (DbErr::RecordNotFound(_), _) => Self::NotFound("row"),
            _ => Self::Database(Box::new(error)),
        };
        metrics::counter!("holdfast_database_errors_total", "class" => out.class()).increment(1);
        out
    }
}

/// The driver tells the constraint only inside its sentence: `… unique constraint "name"`.
fn constraint_in(text: &str) -> String {
    text.split('"').nth(1).unwrap_or_default().to_owned()
}
