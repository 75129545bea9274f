//! `holdfast demo`: a Memos data folder becomes a tenant, is served, backed up and proven by a drill.

use std::path::{Path, PathBuf};

use admin::{Admin, By};
use backup::{Backup, DrillOptions, PointOptions};
use domain::chance::Chance;
use domain::tenant::TenantState;
use migrate::{Reach, Run, Source, Watch};
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use runtime::settings::Settings;
use runtime::shutdown::Shutdown;
use serde::Serialize;
use store::TenantScope;

use crate::errors::{failed, of_store};
use crate::installation::{Installation, Share};
use crate::serve;

/// The demo's tenant.
const SLUG: &str = "default";
/// The demo's operator.
const OPERATOR: &str = "operator";
/// Letters of made-up passwords: nothing that looks like something else.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArguments {
    /// A Memos data folder or database; without it a sample is written and imported.
    #[arg(long, value_name = "FOLDER|FILE")]
    from: Option<PathBuf>,
    /// Address and port; the other listeners then take free ports of the same address.
    #[arg(long)]
    listen: Option<String>,
    /// Address and port of native gRPC.
    #[arg(long)]
    grpc_listen: Option<String>,
    /// Address and port of metrics and health.
    #[arg(long)]
    ops_listen: Option<String>,
    /// End after the drill: 0 when it passed, 4 otherwise.
    #[arg(long)]
    once: bool,
}

impl DemoArguments {
    pub(crate) fn flags(&self, flags: &mut Vec<(String, String)>) {
        let given = [("listen", &self.listen), ("grpc_listen", &self.grpc_listen), ("ops_listen", &self.ops_listen)];
        flags.extend(given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))));
    }
}

/// The last line of a demo.
#[derive(Debug, Serialize)]
struct Outcome {
    url: String,
    tenant: &'static str,
    owner: Option<String>,
    password: Option<String>,
    operator: &'static str,
    operator_password: Option<String>,
    import_warnings: usize,
    restore_point: String,
    drill: DrillLine,
}

#[derive(Debug, Serialize)]
struct DrillLine {
    verdict: String,
    notes: u64,
    rto_seconds: Option<f64>,
}

/// Who may sign in, as far as the demo knows.
#[derive(Default)]
struct SignIns {
    owner: Option<String>,
    password: Option<String>,
    operator_password: Option<String>,
    warnings: usize,
}

/// `holdfast demo`
pub(crate) async fn run(
    arguments: DemoArguments,
    mut settings: Settings,
    printer: Printer,
) -> Result<Code, CommandError> {
    if settings.database_url.is_some() {
        return Err(CommandError::usage(
            "the demo runs its own database; leave database_url out, or use `holdfast serve`",
        ));
    }
    settings.derive_listeners();
    settings.default_tenant.get_or_insert_with(|| SLUG.to_owned());
    let shutdown = Shutdown::install().map_err(failed)?;
    printer.note("starting database and store …");
    let installation = Installation::open(settings, Share::Owner).await?;
    let outcome = Box::pin(rehearse(&arguments, &installation, &shutdown, printer)).await;
    installation.close().await;
    outcome
}

async fn rehearse(
    arguments: &DemoArguments,
    installation: &Installation,
    shutdown: &Shutdown,
    printer: Printer,
) -> Result<Code, CommandError> {
    let sign_ins = furnish(arguments, installation, printer).await?;
    let served = serve::start(installation, shutdown).await?;
    printer.event(&served.ready);
    printer.say(&format!("your notes are at {}", served.ready.url));
    let url = served.ready.url.clone();
    let proven = tokio::select! {
        proven = prove(installation, url, sign_ins, printer) => proven,
        () = shutdown.asked_for() => Err(CommandError::of(Code::Cancelled, "ended before the drill was done")),
    };
    let code = match proven {
        Ok(outcome) => {
            printer.result(&outcome, human);
            if outcome.drill.verdict == "pass" { Code::Ok } else { Code::Negative }
        }
        Err(error) => {
            served.stop().await;
            return Err(error);
        }
    };
    if arguments.once {
        served.stop().await;
        return Ok(code);
    }
    let working = crate::worker::work(installation, &[]).await?;
    printer.say("press Ctrl-C to end");
    shutdown.asked_for().await;
    served.stop().await;
    working.stop().await;
    Ok(Code::Ok)
}

/// Imports on the first run; on later ones everything is there.
async fn furnish(
    arguments: &DemoArguments,
    installation: &Installation,
    printer: Printer,
) -> Result<SignIns, CommandError> {
    let admin = installation.admin();
    let mut sign_ins = SignIns::default();
    let mut found = installation.store.registry().by_slug(SLUG).await.map_err(of_store)?;
    if let Some(half) = found.take_if(|tenant| tenant.state == TenantState::Provisioning) {
        // an import was killed in the middle; no other process can be at it, the data is ours alone
        installation.store.discard_tenant(half.id).await.map_err(of_store)?;
    }
    if found.is_none() {
        let folder = match &arguments.from {
            Some(folder) => folder.clone(),
            None => sample(installation, &mut sign_ins).await?,
        };
        printer.note(&format!("importing {} …", folder.display()));
        sign_ins.warnings = import(installation, &folder).await?;
    } else if arguments.from.is_some() {
        printer.note("a tenant \"default\" is there already; nothing is imported");
    }
    if sign_ins.owner.is_none() {
        sign_ins.owner = owner_of(&admin).await?;
    }
    if admin::operators::list(&admin).await?.is_empty() {
        let password = Chance::System.text(LETTERS, 20);
        admin::operators::create(&admin, &By::Command, OPERATOR, &password).await?;
        sign_ins.operator_password = Some(password);
    }
    Ok(sign_ins)
}

async fn sample(installation: &Installation, sign_ins: &mut SignIns) -> Result<PathBuf, CommandError> {
    let folder = installation.data.root().join("sample");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    let target = folder.clone();
    let written = tokio::task::spawn_blocking(move || migrate::sample::write_sample(&target, &Chance::System))
        .await
        .map_err(failed)?;
    let sample = written.map_err(migrate::cli::told)?;
    if let Some(owner) = sample.people.first() {
        sign_ins.owner = Some(owner.username.clone());
        sign_ins.password = Some(owner.password.clone());
    }
    Ok(folder)
}

async fn import(installation: &Installation, folder: &Path) -> Result<usize, CommandError> {
    let house = installation.house().await?;
    let slug = SLUG.parse().map_err(failed)?;
    let source = Source::new(folder, installation.data.root(), false);
    let report = migrate::run(
        &house,
        &Run {
            source,
            slug,
            reach: Reach::default(),
            open: true,
            actor: "command".to_owned(),
            watch: Watch::default(),
        },
    )
    .await
    .map_err(migrate::cli::told)?;
    if let Some(error) = report.errors.first() {
        return Err(CommandError::new(Code::Negative, error.code.clone(), error.message.clone())
            .object(folder.display().to_string())
            .next("`holdfast migrate check` tells more"));
    }
    Ok(report.warnings.len())
}

async fn owner_of(admin: &Admin) -> Result<Option<String>, CommandError> {
    let members = admin::members::list(admin, SLUG).await?;
    let owner = members
        .iter()
        .filter(|member| !member.archived)
        .max_by_key(|member| (member.role, std::cmp::Reverse(member.id)));
    Ok(owner.map(|member| member.username.clone()))
}

async fn prove(
    installation: &Installation,
    url: String,
    sign_ins: SignIns,
    printer: Printer,
) -> Result<Outcome, CommandError> {
    let backup: Backup = installation.backup(printer)?;
    let tenant = backup.tenant(SLUG).await?;
    let scope = TenantScope::for_command(tenant, "demo");
    printer.note("taking a point …");
    let options = PointOptions { trigger: "demo", actor: "command".to_owned(), markdown: true };
    let point = backup.take_point(&scope, &options).await?;
    backup.verify_point(&point.point, "command").await?;
    printer.note("drilling: restoring it beside, reading every note back, damaging copies …");
    let drill = backup
        .drill(&point.point, &DrillOptions::full(std::env::current_exe().map_err(failed)?, installation.reports()))
        .await?;
    Ok(Outcome {
        url,
        tenant: SLUG,
        owner: sign_ins.owner,
        password: sign_ins.password,
        operator: OPERATOR,
        operator_password: sign_ins.operator_password,
        import_warnings: sign_ins.warnings,
        restore_point: point.point,
        drill: DrillLine {
            verdict: drill.verdict.to_string(),
            notes: drill.notes_compared,
            rto_seconds: drill.rto_seconds,
        },
    })
}

fn human(outcome: &Outcome) -> String {
    let password = outcome.password.as_deref().unwrap_or("(as before)");
    let operator = outcome.operator_password.as_deref().unwrap_or("(as before)");
    let took = outcome
        .drill
        .rto_seconds
        .map_or_else(String::new, |seconds| format!(" in {}", admin::recovery::duration(seconds)));
    let proof = match outcome.drill.verdict.as_str() {
        "pass" => format!(
            "proven: point {} came back{took}, {} notes matched byte for byte",
            outcome.restore_point, outcome.drill.notes
        ),
        verdict => format!(
            "NOT proven: the drill of point {} ended with {verdict}; see `holdfast drill list`",
            outcome.restore_point
        ),
    };
    format!(
        "\n  members    {url}          {owner}  {password}\n  operators  {url}/console  {name}  {operator}\n\n{proof}",
        url = outcome.url,
        owner = outcome.owner.as_deref().unwrap_or("-"),
        name = outcome.operator,
    )
}
