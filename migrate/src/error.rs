//! What stops an import, apart from what is wrong with the source (that is in the report).

use std::path::PathBuf;

/// An import could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried, for the sentence.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refused, in the staged copy or in the scratch file.
    #[error("cannot read the copy of the Memos database ({doing}): {source}")]
    Sqlite {
        /// What was tried, for the sentence.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The source is not what an import can begin with; the check reports it under `code`.
    #[error("{message}")]
    Source {
        /// Short word for scripts.
        code: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// The slug belongs to another tenant.
    #[error(
        "the tenant {0} exists already; choose another --tenant, or remove it with: holdfast migrate rollback --tenant {0}"
    )]
    SlugTaken(String),
    /// Another process imports under this slug.
    #[error("another import into the tenant {0} is under way; wait until it ended")]
    UnderWay(String),
    /// A host name belongs to another tenant.
    #[error("one of the host names {0} leads to another tenant; nothing was kept")]
    HostTaken(String),
    /// The tenant holds nothing to compare a source with.
    #[error("the tenant {0} was not imported, so there is nothing to catch up with")]
    NotImported(String),
    /// The source is another installation than the one the tenant came from.
    #[error(
        "{source_name} is not the Memos that {slug} was imported from: {others} of its notes and members have the numbers of \
         others there; import it into a tenant of its own: holdfast migrate run SOURCE --tenant NEW-SLUG"
    )]
    OtherSource {
        /// The tenant.
        slug: String,
        /// The source.
        source_name: String,
        /// How many rows of the same numbers are not the same.
        others: usize,
    },
    /// The tenant was not imported, or was opened since.
    #[error(
        "the tenant {0} was not imported, so there is no import to take back; to remove it: holdfast tenant delete {0}"
    )]
    NoImport(String),
    /// A file of plans cannot be used.
    #[error("{0}")]
    Plan(String),
    /// No tenant has the slug.
    #[error("there is no tenant {0}")]
    NoTenant(String),
    /// The tenant is not in the state that the command needs.
    #[error("the tenant {slug} is {state}; {command} is only for a closed, imported tenant")]
    WrongState {
        /// Which tenant.
        slug: String,
        /// Its state.
        state: &'static str,
        /// The command.
        command: &'static str,
    },
    /// The database said no.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The file store said no.
    #[error("cannot keep a file in the file store: {0}")]
    Files(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was read back differs from what was sent.
    #[error("the imported tenant differs from the source: {0}; nothing of it was kept")]
    Differs(String),
    /// A worker of the import ended without an answer.
    #[error("the import was broken off: {0}")]
    Broken(String),
}

impl Error {
    /// For `map_err`: an I/O error with what was tried and where.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// For `map_err`: an SQLite error with what was tried.
    pub(crate) fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { doing, source }
    }

    /// A fault of the source itself.
    pub(crate) fn source(code: &'static str, message: impl Into<String>) -> Self {
        Self::Source { code, message: message.into() }
    }
}
