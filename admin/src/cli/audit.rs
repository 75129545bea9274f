//! `holdfast audit …`

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use crate::{Admin, audit};

/// What to do with the audit chain.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// The newest events.
    Tail {
        /// Only those of one tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: i64,
    },
    /// Recompute every link of the chain.
    Verify,
}

pub(super) async fn run(verb: Verb, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        Verb::Tail { tenant, lines } => {
            let events = audit::tail(admin, tenant.as_deref(), lines.clamp(1, 100_000)).await?;
            printer.result(&events, |events| {
                let line = |e: &audit::EventView| {
                    format!("{:>7}  {}  {:<24} {:<24} {}", e.seq, e.at, e.actor, e.event, e.object)
                };
                events.iter().map(line).collect::<Vec<_>>().join("\n")
            });
            Ok(Code::Ok)
        }
        Verb::Verify => {
            let verdict = audit::verify(admin).await?;
            printer.result(&verdict, |v| match &v.broken {
                None => format!("{} events, every link holds; head {}", v.events, v.head),
                Some(broken) => format!("the chain breaks at event {}: {}", broken.seq, broken.problem),
            });
            Ok(if verdict.broken.is_none() { Code::Ok } else { Code::Negative })
        }
    }
}
