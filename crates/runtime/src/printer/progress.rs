//! A progress line on stderr, or nothing at all.

use std::fmt::Write;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How far a long run is. Ends, and leaves the screen, when dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Counts and draws nothing.
    pub(super) fn silent() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    pub(super) fn drawn(what: &str, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template =
            if total.is_some() { "{msg} {wide_bar} {human_pos}/{human_len} {eta}" } else { "{spinner} {msg} {done}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            // what is not counted shows no number
            bar.set_style(style.with_key("done", |state: &ProgressState, out: &mut dyn Write| {
                if state.pos() > 0 {
                    let _ = write!(out, "{}", HumanCount(state.pos()));
                }
            }));
        }
        bar.set_message(what.to_owned());
        Self { bar }
    }

    /// `count` more are done.
    pub fn advance(&self, count: u64) {
        self.bar.inc(count);
    }

    /// What is being done now.
    pub fn describe(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
