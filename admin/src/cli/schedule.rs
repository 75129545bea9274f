//! `holdfast schedule …`

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use crate::schedules::{self, ScheduleView};
use crate::{Admin, By};

/// What to do with schedules.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Set when points, drills, dumps or prunes are due.
    Set {
        /// backup, drill, dump or prune.
        #[arg(value_parser = ["backup", "drill", "dump", "prune"])]
        kind: String,
        /// Slug of one tenant.
        #[arg(long, conflicts_with = "all")]
        tenant: Option<String>,
        /// Every tenant.
        #[arg(long)]
        all: bool,
        /// Six fields: second minute hour day month weekday, UTC.
        #[arg(long)]
        cron: String,
    },
    /// Every schedule with its latest runs.
    List,
    /// Stop enqueuing.
    Pause {
        /// Number of the schedule.
        id: i64,
    },
    /// Enqueue again from now on.
    Resume {
        /// Number of the schedule.
        id: i64,
    },
    /// Remove a schedule.
    Remove {
        /// Number of the schedule.
        id: i64,
    },
}

pub(super) async fn run(verb: Verb, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    let by = By::Command;
    match verb {
        Verb::Set { kind, tenant, all, cron } => {
            let whole = matches!(kind.as_str(), "dump" | "prune");
            if !whole && !all && tenant.is_none() {
                return Err(CommandError::usage("say for which tenant: --tenant SLUG or --all"));
            }
            if whole && tenant.is_some() {
                return Err(CommandError::usage(format!("a {kind} is of all tenants together; leave --tenant out")));
            }
            let view = schedules::set(admin, &by, &kind, tenant.as_deref(), &cron).await?;
            printer.result(&view, line);
        }
        Verb::List => {
            let all = schedules::list(admin).await?;
            printer.result(&all, |all| all.iter().map(line).collect::<Vec<_>>().join("\n"));
        }
        Verb::Pause { id } => {
            schedules::pause(admin, &by, id, true).await?;
            printer.result(&json!({"id": id, "paused": true}), |_| format!("schedule {id} is paused"));
        }
        Verb::Resume { id } => {
            schedules::pause(admin, &by, id, false).await?;
            printer.result(&json!({"id": id, "paused": false}), |_| format!("schedule {id} is in force again"));
        }
        Verb::Remove { id } => {
            schedules::remove(admin, &by, id).await?;
            printer.result(&json!({"id": id, "removed": true}), |_| format!("schedule {id} is removed"));
        }
    }
    Ok(Code::Ok)
}

fn line(view: &ScheduleView) -> String {
    let whom = view.tenant.as_deref().unwrap_or(if view.kind == "dump" { "the database" } else { "every tenant" });
    let state = if view.paused { "paused".to_owned() } else { format!("next {}", view.next_at) };
    format!("{:>4}  {:<7} {:<24} {:<20} {state}", view.id, view.kind, whom, view.cron)
}
