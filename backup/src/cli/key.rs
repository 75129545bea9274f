//! `holdfast key …`

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use crate::context::Backup;
use crate::keys::Holder;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// For whom points can be opened. The escrow sheet itself was shown once, when the keys were made.
    Escrow,
}

#[expect(clippy::unused_async, reason = "verbs are alike")]
pub(super) async fn run(verb: Verb, backup: &Backup, printer: Printer) -> Result<Code, CommandError> {
    let Verb::Escrow = verb;
    let (escrow, drill) = (backup.keys.recipient(Holder::Escrow), backup.keys.recipient(Holder::Drill));
    let document = json!({ "escrow": escrow.to_string(), "drill": drill.to_string() });
    printer.result(&document, |_| {
        format!(
            "escrow  {escrow}\ndrill   {drill}\nthe escrow sheet was shown once and is stored nowhere; prove yours with \
             `holdfast drill run --tenant SLUG --identity FILE`"
        )
    });
    Ok(Code::Ok)
}
