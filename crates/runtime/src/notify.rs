//! Telling systemd how we are; without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// The service serves now.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// The service is on its way out.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// A line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// The start takes longer than usual: it may take this much more.
pub fn extend_start(by: Duration) {
    send(&[NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))]);
}

/// Keeps the watchdog content for as long as `alive` says yes, until `stop`. Ends at once when there is no watchdog.
///
/// `alive` must ask the loop that does the work, otherwise the watchdog proves nothing.
pub async fn watch(stop: CancellationToken, mut alive: impl AsyncFnMut() -> bool) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(limit / 3);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                if alive().await {
                    send(&[NotifyState::Watchdog]);
                } else {
                    tracing::error!("the service does not answer itself; systemd will restart it");
                }
            }
        }
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
