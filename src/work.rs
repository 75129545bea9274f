//! Which handlers a worker of this installation has.

use std::sync::Arc;

use app::mail::Mails;
use app::webhooks::Deliveries;
use domain::clock::Clock;
use jobs::Handler;
use runtime::exit::CommandError;
use runtime::printer::Printer;

use crate::errors::failed;
use crate::installation::Installation;

/// The handlers of all roofs that take their time; only the kinds named, when any are.
pub(crate) fn handlers(installation: &Installation, only: &[String]) -> Result<Vec<Arc<dyn Handler>>, CommandError> {
    let backup = installation.backup(Printer::new(true))?;
    let exe = std::env::current_exe().map_err(failed)?;
    let all = backup::handlers(&backup, exe, installation.reports(), installation.dump_source());
    Ok(wanted(all, only))
}

/// The handlers that send messages; only the kinds named, when any are.
pub(crate) fn senders(installation: &Installation, only: &[String]) -> Result<Vec<Arc<dyn Handler>>, CommandError> {
    let (store, outbound) = (installation.store.clone(), installation.reach()?.services);
    let mails = Mails::new(store.clone(), outbound.clone(), Clock::System);
    Ok(wanted(vec![Arc::new(Deliveries::new(store, outbound, Clock::System)), Arc::new(mails)], only))
}

fn wanted(all: Vec<Arc<dyn Handler>>, only: &[String]) -> Vec<Arc<dyn Handler>> {
    all.into_iter().filter(|handler| only.is_empty() || only.iter().any(|kind| kind == handler.kind())).collect()
}
