//! What can go wrong with points, and with which exit code it ends.

use runtime::exit::{Code, CommandError};

use crate::format::manifest::ManifestError;
use crate::keys::KeyError;
use crate::seal::OpenError;
use crate::verify::Problem;

/// An error of points, restores and drills.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The backup store or the file store.
    #[error(transparent)]
    Objects(#[from] objects::Error),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No such tenant.
    #[error("there is no tenant {0}; `holdfast tenant list` names them")]
    NoTenant(String),
    /// `latest` without a tenant.
    #[error("latest of which tenant? add --tenant SLUG")]
    WhichTenant,
    /// The tenant has no mirror.
    #[error("tenant {0} has no mirror; switch one on with `holdfast mirror on --tenant {0}`")]
    NoMirror(String),
    /// Somebody else is at the mirror.
    #[error("another run is at the mirror of {0}; wait until it has ended")]
    MirrorBusy(String),
    /// No such point.
    #[error("there is no point {0}; `holdfast backup list` names them")]
    NoPoint(String),
    /// The point does not hold it.
    #[error("{0} is not in point {1}")]
    NotInPoint(String, String),
    /// The store has no control point.
    #[error(
        "{0} holds no control point, so the appliance cannot come back from it; take one with `holdfast backup run --control`, or name another store"
    )]
    NoControlPoint(String),
    /// The tenant has no point that may be used.
    #[error("tenant {0} has no {1} point; take one with `holdfast backup run --tenant {0}`")]
    NoUsablePoint(String, &'static str),
    /// Stored objects are not what was stored.
    #[error("point {point} is damaged and was not used: {}", Problem::sentence(.problems))]
    Damaged {
        /// Which point.
        point: String,
        /// Every object that is wrong.
        problems: Vec<Problem>,
    },
    /// Nothing leads from the sheet to the key that signed a control point.
    #[error(
        "control point {point} was not used: key {key} signed it, which is none of this appliance's as far as the sheet leads, for \
         the endorsement {object} is missing; look for that object in another store and put it there (where none has it, somebody \
         else wrote the point)"
    )]
    NotEndorsed {
        /// Which point.
        point: String,
        /// The key in hex.
        key: String,
        /// What is missing.
        object: String,
    },
    /// A point that was just taken does not read back.
    #[error("point {point} was taken and does not read back: {}; look at the store, then take another", Problem::sentence(.problems))]
    ReadsBadly {
        /// Which point.
        point: String,
        /// Every object that is wrong.
        problems: Vec<Problem>,
    },
    /// A manifest could not be written.
    #[error("the manifest of {point}: {source}")]
    Manifest {
        /// Which point.
        point: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// A stream could not be opened although its stored bytes are right.
    #[error("{name} of point {point}: {source}")]
    Open {
        /// Which point.
        point: String,
        /// Which stream.
        name: String,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// Rows came back different from the point.
    #[error(
        "table {table} differs from the point after loading; nothing was kept. Run `holdfast backup verify`, then report this"
    )]
    Unequal {
        /// Which table.
        table: String,
    },
    /// The copy of an older point could not be brought to the present schema version.
    #[error(
        "the point's rows are of schema version {from}, and step {to} failed on their copy: {source}; nothing was kept, the point is as it was"
    )]
    Step {
        /// The version of the point.
        from: i32,
        /// The step that failed.
        to: i32,
        /// Why.
        #[source]
        source: store::Error,
    },
    /// A table has rows that cannot be cut.
    #[error("table {table}: {source}")]
    Rows {
        /// Which table.
        table: String,
        /// Why.
        #[source]
        source: crate::format::chunker::NoId,
    },
    /// Packing failed.
    #[error("{what} could not be packed: {source}")]
    Pack {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody wanted the run to end before its point of no return.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// It cannot be done as things are.
    #[error("{0}")]
    Refused(String),
    /// A tool or child process failed.
    #[error("{what}: {said}")]
    Process {
        /// Which.
        what: String,
        /// What it said.
        said: String,
    },
    /// The file system.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code of a command that ends with this.
    pub fn exit(&self) -> Code {
        match self {
            Self::NoTenant(_)
            | Self::NoMirror(_)
            | Self::NoPoint(_)
            | Self::NoUsablePoint(..)
            | Self::NoControlPoint(_)
            | Self::NotInPoint(..)
            | Self::Store(store::Error::NotFound(_))
            | Self::Objects(objects::Error::NotFound { .. }) => Code::NotFound,
            Self::WhichTenant => Code::Usage,
            Self::ReadsBadly { .. } => Code::Negative,
            Self::Cancelled => Code::Cancelled,
            Self::Damaged { .. }
            | Self::NotEndorsed { .. }
            | Self::Refused(_)
            | Self::Manifest { source: ManifestError::Newer(_), .. }
            | Self::Store(store::Error::Refused(_)) => Code::Refused,
            Self::MirrorBusy(_)
            | Self::Store(store::Error::Conflict { .. } | store::Error::TooBusy | store::Error::Exchanged) => {
                Code::Conflict
            }
            Self::Store(store::Error::Unavailable(_))
            | Self::Objects(objects::Error::Unreachable { .. } | objects::Error::NoBucket { .. }) => Code::Unreachable,
            Self::Objects(objects::Error::Denied { .. }) | Self::Key(KeyError::NoIdentity) => Code::Unauthorised,
            _ => Code::Failed,
        }
    }

    /// A stable word for scripts.
    fn word(&self) -> &'static str {
        match self {
            Self::NoTenant(_) => "no_tenant",
            Self::NoMirror(_) => "no_mirror",
            Self::NoPoint(_) | Self::NoUsablePoint(..) | Self::NoControlPoint(_) => "no_point",
            Self::Damaged { .. } | Self::ReadsBadly { .. } => "damaged",
            Self::NotEndorsed { .. } => "not_endorsed",
            Self::Unequal { .. } => "unequal",
            Self::Store(error) if error.is_conflict("note_uid_key") || error.is_conflict("attachment_uid_key") => {
                "present"
            }
            Self::Store(store::Error::Conflict { .. }) => "slug_taken",
            other => other.exit().word(),
        }
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        let message = match &error {
            Error::Store(inner) if inner.is_conflict("tenant_slug_key") => {
                "the slug is taken; choose another with --as".to_owned()
            }
            Error::Store(inner) if inner.is_conflict("note_uid_key") || inner.is_conflict("attachment_uid_key") => {
                "it is there already, and was left as it is".to_owned()
            }
            other => other.to_string(),
        };
        let out = Self::new(error.exit(), error.word(), message);
        let object = match &error {
            Error::NoTenant(name)
            | Error::NoMirror(name)
            | Error::NoPoint(name)
            | Error::NoUsablePoint(name, _)
            | Error::Open { name, .. } => Some(name.clone()),
            Error::Damaged { problems, .. } | Error::ReadsBadly { problems, .. } => {
                problems.first().map(|problem| problem.object.clone())
            }
            Error::NotEndorsed { object, .. } => Some(object.clone()),
            Error::Unequal { table } => Some(table.clone()),
            _ => None,
        };
        let out = match object {
            Some(object) => out.object(object),
            None => out,
        };
        out.caused_by(error)
    }
}
