//! What is wrong with a stored object.

use serde::{Deserialize, Serialize};

use crate::format::hash::Mismatch;
use crate::format::manifest::Kind;

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// It is not there.
    Missing,
    /// Its end is not there.
    Truncated,
    /// Its bytes are others.
    Altered,
    /// It was encrypted for someone else.
    WrongKey,
    /// It belongs to another point.
    Stale,
    /// Someone else than this appliance wrote it, with a key that opens it.
    Forged,
}

impl ProblemKind {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Truncated => "truncated",
            Self::Altered => "altered",
            Self::WrongKey => "wrong_key",
            Self::Stale => "stale",
            Self::Forged => "forged",
        }
    }
}

/// One stored object and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its key in the store.
    pub object: String,
    /// What is wrong.
    pub problem: ProblemKind,
    /// What it holds.
    pub kind: Kind,
    /// A sentence for people.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(object: &str, kind: Kind, problem: ProblemKind, message: String) -> Self {
        Self { object: object.to_owned(), problem, kind, message }
    }

    pub(crate) fn missing(object: &str, kind: Kind) -> Self {
        Self::new(object, kind, ProblemKind::Missing, "it is not in the store".to_owned())
    }

    pub(crate) fn mismatch(object: &str, kind: Kind, mismatch: Mismatch) -> Self {
        let message = match mismatch {
            Mismatch::Truncated => "it is shorter than what was stored",
            Mismatch::Altered => "its bytes are not those that were stored",
        };
        Self::new(object, kind, mismatch.into(), message.to_owned())
    }

    /// Whether all that is wrong is that the identity at hand opens no key: that says nothing of the point, whose stored
    /// bytes are those that were written.
    pub(crate) fn only_of_identity(all: &[Self]) -> bool {
        !all.is_empty() && all.iter().all(|one| one.problem == ProblemKind::WrongKey && one.kind == Kind::Key)
    }

    /// The first of several in one sentence.
    pub(crate) fn sentence(all: &[Self]) -> String {
        let more = match all.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        all.first().map_or_else(String::new, |first| {
            format!("{} is {}: {}{more}", first.object, first.problem.as_str(), first.message)
        })
    }
}
