//! The command line as data, and one call per command.

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _};
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use runtime::settings::{Settings, Sources};

use crate::demo::DemoArguments;
use crate::installation::{Installation, Share};
use crate::serve::ServeArguments;
use crate::worker::WorkerArguments;

/// Memos-compatible notes for many teams, with restores that are proven.
#[derive(Debug, clap::Parser)]
#[command(name = "holdfast", version, about, arg_required_else_help = true)]
pub(crate) struct Line {
    /// Print one JSON document (or JSON Lines) for scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Settings file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded default.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

impl Line {
    /// The command line of this process; help of a command ends with what it leaves in the audit.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut line = crate::declared::told(Self::command());
        let mut matches = line.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches_mut(&mut matches).map_err(|wrong| wrong.format(&mut line))
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Everything embedded: import, serve, take a point, drill.
    Demo(DemoArguments),
    /// Serve members, operators and the API.
    Serve(ServeArguments),
    /// Do what is due: points, drills, dumps, outgoing messages.
    Worker(WorkerArguments),
    #[command(flatten)]
    Admin(admin::cli::Noun),
    /// Move a Memos installation into a tenant.
    #[command(subcommand)]
    Migrate(migrate::cli::Command),
    /// Settings in force.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// The backup store.
    #[command(subcommand)]
    Store(StoreVerb),
    /// Look at everything that must be right, and say what to do.
    Doctor,
    #[command(flatten)]
    Backup(backup::cli::Noun),
}

#[derive(Debug, clap::Subcommand)]
enum ConfigVerb {
    /// Every setting, its value and where it comes from.
    Show,
    /// Whether the settings can be used.
    Check,
}

#[derive(Debug, clap::Subcommand)]
enum StoreVerb {
    /// Learn what the backup store can do.
    Probe,
}

/// Runs the command and ends with its code.
pub(crate) async fn run(line: Line) -> Code {
    runtime::tls::install_provider();
    let printer = Printer::new(line.json);
    match Box::pin(dispatch(line, printer)).await {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "the command failed");
            printer.error(&error);
            error.exit
        }
    }
}

async fn dispatch(line: Line, printer: Printer) -> Result<Code, CommandError> {
    let mut flags = Vec::new();
    if let Some(data) = &line.data {
        flags.push(("data".to_owned(), data.display().to_string()));
    }
    match &line.command {
        Command::Demo(arguments) => arguments.flags(&mut flags),
        Command::Serve(arguments) => arguments.flags(&mut flags),
        Command::Worker(arguments) => arguments.flags(&mut flags),
        _ => {}
    }
    let settings = Settings::load(&Sources::of_process(line.config.clone(), flags))
        .map_err(|e| CommandError::usage(e.to_string()))?;
    // A command that answers in one breath logs only what is wrong; services tell what they do.
    let quiet = !matches!(line.command, Command::Serve(_) | Command::Worker(_)) && !settings.is_given("log_filter");
    runtime::logging::init(settings.log_format, if quiet { "warn" } else { &settings.log_filter })
        .map_err(|e| CommandError::usage(e.to_string()))?;
    match line.command {
        Command::Demo(arguments) => Box::pin(crate::demo::run(arguments, settings, printer)).await,
        Command::Serve(arguments) => Box::pin(crate::serve::run(arguments, settings, printer)).await,
        Command::Worker(arguments) => Box::pin(crate::worker::run(arguments, settings, printer)).await,
        Command::Admin(noun) => {
            let installation = Installation::open(settings, Share::Allowed).await?;
            let outcome = admin::cli::run(noun, &installation.admin(), printer).await;
            installation.close().await;
            outcome
        }
        Command::Migrate(command) => Box::pin(migrate(command, settings, printer)).await,
        Command::Config(verb) => Ok(config(&verb, &settings, printer)),
        Command::Store(StoreVerb::Probe) => crate::stores::probe(settings, printer).await,
        Command::Doctor => Box::pin(doctor(settings, printer)).await,
        Command::Backup(noun) => Box::pin(points(noun, settings, printer)).await,
    }
}

async fn migrate(command: migrate::cli::Command, settings: Settings, printer: Printer) -> Result<Code, CommandError> {
    let data = settings.data.clone();
    if !command.needs_house() {
        return migrate::cli::execute(&command, &data, None, printer).await;
    }
    let installation = Installation::open(settings, Share::Allowed).await?;
    let outcome = match installation.house().await {
        Ok(house) => migrate::cli::execute(&command, &data, Some(&house), printer).await,
        Err(error) => Err(error),
    };
    installation.close().await;
    outcome
}

fn config(verb: &ConfigVerb, settings: &Settings, printer: Printer) -> Code {
    match verb {
        ConfigVerb::Show => printer.result(&settings.shown(), |shown| {
            let line = |s: &runtime::settings::Shown| {
                format!("{:<24} {:<40} {}", s.key, s.value.as_deref().unwrap_or("-"), s.origin)
            };
            shown.iter().map(line).collect::<Vec<_>>().join("\n")
        }),
        ConfigVerb::Check => {
            if let Err(error) = usable(settings) {
                printer.error(&error);
                return error.exit;
            }
            printer.result(&serde_json::json!({"ok": true}), |_| "the settings can be used".to_owned());
        }
    }
    Code::Ok
}

/// What commands would refuse only when they come to use it.
fn usable(settings: &Settings) -> Result<(), CommandError> {
    let refused = |what: String| CommandError::usage(what);
    settings.retention.parse::<backup::Policy>().map_err(|error| refused(format!("retention: {error}")))?;
    if let Some(slug) = &settings.default_tenant {
        slug.parse::<domain::id::Slug>().map_err(|error| refused(format!("default_tenant: {error}")))?;
    }
    if settings.store_endpoint.is_some() && settings.store_access_key_file.is_none() {
        return Err(refused("store_endpoint needs store_access_key_file and store_secret_key_file".to_owned()));
    }
    Ok(())
}

async fn points(noun: backup::cli::Noun, settings: Settings, printer: Printer) -> Result<Code, CommandError> {
    let installation = Installation::open(settings, Share::Allowed).await?;
    let opened = noun.prepare(&installation.keys()).and_then(|()| installation.backup(printer));
    let outcome = match (opened, std::env::current_exe()) {
        (Ok(backup), Ok(exe)) => {
            let place =
                backup::cli::Place { exe, reports: installation.reports(), dump: Some(installation.dump_source()) };
            backup::cli::run(noun, &backup, &place, printer).await
        }
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(crate::errors::failed(error)),
    };
    installation.close().await;
    outcome
}

/// Dumps that doctor looks at.
const MANY_DUMPS: u64 = 10_000;

async fn doctor(settings: Settings, printer: Printer) -> Result<Code, CommandError> {
    use admin::doctor::{Finding, of_archiving, of_dumps, of_server, of_space, verdict};
    let mut findings = Vec::new();
    match Installation::open(settings, Share::Allowed).await {
        Err(error) => findings.push(Finding::failed(
            "installation",
            error.message.clone(),
            error.next.clone().unwrap_or_default(),
        )),
        Ok(installation) => {
            findings.push(Finding::ok("database", "answers"));
            match (installation.store.server_facts().await, installation.store.control_version().await) {
                (Ok(facts), Ok(version)) => {
                    findings.extend(of_server(&facts, version, domain::clock::Clock::System.seconds()));
                }
                (Err(error), _) | (_, Err(error)) => {
                    findings.push(Finding::failed("server facts", error.to_string(), ""));
                }
            }
            match installation.store.wal_archiving().await {
                Ok(seen) => findings.push(of_archiving(&seen)),
                Err(error) => findings.push(Finding::degraded("WAL archiving", error.to_string(), "")),
            }
            match installation.store.control().list_dumps(MANY_DUMPS).await {
                Ok(rows) => findings.extend(of_dumps(&rows)),
                Err(error) => findings.push(Finding::degraded("dumps", error.to_string(), "")),
            }
            findings.extend(crate::stores::findings(&installation).await);
            let space = installation.space().await;
            findings.extend(of_space(&space.look(), space.floor()));
            installation.close().await;
        }
    }
    printer.result(&findings, |findings| findings.iter().map(rung).collect::<Vec<_>>().join("\n"));
    Ok(verdict(&findings))
}

fn rung(finding: &admin::doctor::Finding) -> String {
    let next = if finding.next.is_empty() { String::new() } else { format!("\n{:<28}→ {}", "", finding.next) };
    format!("{:<9} {:<18} {}{next}", finding.status, finding.check, finding.found)
}
