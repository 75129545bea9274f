//! Log lines on stderr, for eyes or as JSON. Request id and tenant come from the spans that `web` opens.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::settings::LogFormat;

/// Logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not understood.
    #[error("log_filter {filter}: {source}; expected something like info or info,store=debug")]
    Filter {
        /// As given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Someone has begun it already.
    #[error("logging was begun twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Begins logging for the whole process.
pub fn init(format: LogFormat, filter: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(filter).map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    // Whoever reads the log may go; the complaint about that would panic in the middle of a request.
    let common =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        LogFormat::Json => common.json().flatten_event(true).with_span_list(false).finish().try_init()?,
        LogFormat::Human => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            common.with_ansi(colours).finish().try_init()?;
        }
    }
    Ok(())
}
