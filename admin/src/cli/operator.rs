//! `holdfast operator …`

use std::path::PathBuf;

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use super::read_password;
use crate::{Admin, By, operators};

/// What to do with operators.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Add an operator.
    Create {
        /// Name to sign in with.
        name: String,
        /// File with the password, or - for standard input.
        #[arg(long)]
        password_file: PathBuf,
    },
    /// Every operator.
    List,
    /// Set another password and end the operator's sign-ins.
    Reset {
        /// Name.
        name: String,
        /// File with the password, or - for standard input.
        #[arg(long)]
        password_file: PathBuf,
    },
    /// End the operator's sign-ins and let in no new one.
    Disable {
        /// Name.
        name: String,
    },
    /// Let a disabled operator in again.
    Enable {
        /// Name.
        name: String,
    },
}

pub(super) async fn run(verb: Verb, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    let by = By::Command;
    match verb {
        Verb::Create { name, password_file } => {
            operators::create(admin, &by, &name, &read_password(&password_file)?).await?;
            printer.result(&json!({"operator": name}), |_| format!("{name} may sign in at /console"));
        }
        Verb::List => {
            let all = operators::list(admin).await?;
            let row = |o: &store::control::operators::OperatorRow| {
                let since = crate::audit::rfc3339(o.created_at);
                json!({"name": o.name, "disabled": o.disabled, "created_at": since, "signs_in_by": operators::ways(o)})
            };
            let rows: Vec<_> = all.iter().map(row).collect();
            let named = |o: &store::control::operators::OperatorRow| {
                if o.disabled { format!("{}  disabled", o.name) } else { o.name.clone() }
            };
            printer.result(&rows, |_| all.iter().map(named).collect::<Vec<_>>().join("\n"));
        }
        Verb::Reset { name, password_file } => {
            operators::reset(admin, &by, &name, &read_password(&password_file)?).await?;
            printer
                .result(&json!({"operator": name}), |_| format!("{name} has a new password; the sign-ins are ended"));
        }
        Verb::Disable { name } => {
            operators::set_disabled(admin, &by, &name, true).await?;
            printer.result(&json!({"operator": name}), |_| format!("{name} is disabled; the sign-ins are ended"));
        }
        Verb::Enable { name } => {
            operators::set_disabled(admin, &by, &name, false).await?;
            printer.result(&json!({"operator": name}), |_| format!("{name} may sign in again"));
        }
    }
    Ok(Code::Ok)
}
