//! Which handlers a worker of this installation has.

use std::sync::Arc;

use jobs::Handler;
use runtime::exit::CommandError;
use runtime::printer::Printer;

use crate::errors::failed;
use crate::installation::Installation;

/// The handlers of all roofs; only the kinds named, when any are.
pub(crate) fn handlers(installation: &Installation, only: &[String]) -> Result<Vec<Arc<dyn Handler>>, CommandError> {
    let backup = installation.backup(Printer::new(true))?;
    let exe = std::env::current_exe().map_err(failed)?;
    let all = backup::handlers(&backup, exe, installation.reports(), installation.dump_source());
    Ok(all.into_iter().filter(|handler| only.is_empty() || only.iter().any(|kind| kind == handler.kind())).collect())
}
