//! `holdfast store probe`, and the rungs of `holdfast doctor` that are about stores: the first one and the further ones.

use admin::doctor::{Finding, of_store};
use objects::ObjectStore;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use runtime::settings::Settings;

use crate::installation::{Installation, Share};
use crate::named_stores::copy_store;

/// The further stores.
fn further(settings: &Settings) -> Result<Vec<ObjectStore>, CommandError> {
    settings.store_copies.iter().map(|place| copy_store(place, settings)).collect()
}

/// What `store probe` tells: the first store as it is, the further ones below it.
#[derive(serde::Serialize)]
struct Probed {
    #[serde(flatten)]
    first: objects::ProbeReport,
    copies: Vec<ProbedCopy>,
}

/// A further store, or why it does not answer.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum ProbedCopy {
    Seen(objects::ProbeReport),
    Failed { location: String, error: String },
}

async fn probed(store: &ObjectStore) -> Result<objects::ProbeReport, objects::Error> {
    objects::probe(store, &domain::clock::Clock::System, &domain::chance::Chance::System).await
}

/// Tries every store out: 3 with a warning, 9 when a further one does not answer.
pub(crate) async fn probe(settings: Settings, printer: Printer) -> Result<Code, CommandError> {
    let installation = Installation::open(settings, Share::Allowed).await?;
    let outcome = probe_all(&installation).await;
    installation.close().await;
    let report = outcome?;
    printer.result(&report, |report| {
        let copies = report.copies.iter().map(|copy| match copy {
            ProbedCopy::Seen(seen) => told(seen),
            ProbedCopy::Failed { location, error } => format!("{location}\n  failed: {error}"),
        });
        std::iter::once(told(&report.first)).chain(copies).collect::<Vec<_>>().join("\n")
    });
    let mut code = if report.first.sentences.is_empty() { Code::Ok } else { Code::Warnings };
    for copy in &report.copies {
        match copy {
            ProbedCopy::Failed { .. } => return Ok(Code::Unreachable),
            ProbedCopy::Seen(seen) if !seen.sentences.is_empty() => code = Code::Warnings,
            ProbedCopy::Seen(_) => {}
        }
    }
    Ok(code)
}

async fn probe_all(installation: &Installation) -> Result<Probed, CommandError> {
    let first = probed(&installation.objects).await.map_err(crate::errors::of_objects)?;
    let mut copies = Vec::new();
    for store in further(&installation.settings)? {
        copies.push(match probed(&store).await {
            Ok(seen) => ProbedCopy::Seen(seen),
            Err(error) => ProbedCopy::Failed { location: store.location(), error: error.to_string() },
        });
    }
    Ok(Probed { first, copies })
}

/// A store in lines: what follows from each answer, then what someone should look at.
fn told(report: &objects::ProbeReport) -> String {
    let therefore = report.therefore.iter().map(|line| format!("  {line}"));
    let wrong = report.sentences.iter().map(|line| format!("  warning: {line}"));
    std::iter::once(report.location.clone()).chain(therefore).chain(wrong).collect::<Vec<_>>().join("\n")
}

/// Every store, the first one and the further ones.
pub(crate) async fn findings(installation: &Installation) -> Vec<Finding> {
    let failed = |place: &str, error: String| {
        Finding::failed("backup store", format!("{place}: {error}"), "check endpoint, bucket and keys")
    };
    let mut all = vec![installation.objects.clone()];
    let mut findings = Vec::new();
    match further(&installation.settings) {
        Ok(copies) => all.extend(copies),
        Err(error) => findings.push(failed("store_copies", error.message)),
    }
    for store in all {
        match probed(&store).await {
            Ok(report) => {
                findings.extend(of_store(&report));
                findings.extend(signing_keys(installation, &store).await);
            }
            Err(error) => findings.push(failed(&store.location(), error.to_string())),
        }
    }
    findings
}

/// Whether a store has what the escrow sheet needs beside the points.
async fn signing_keys(installation: &Installation, store: &ObjectStore) -> Vec<Finding> {
    const CHECK: &str = "signing keys";
    let place = store.location();
    match backup::missing_of_signers(&installation.store, store).await {
        Ok(missing) if missing.is_empty() => {
            vec![Finding::ok(CHECK, format!("{place} has what the escrow sheet leads by"))]
        }
        Ok(missing) => {
            let told = |at: String| {
                let found = format!("{place} lacks {at}, which the escrow sheet needs");
                Finding::degraded(CHECK, found, "`holdfast backup run --control` puts it there again")
            };
            missing.into_iter().map(told).collect()
        }
        Err(error) => vec![Finding::degraded(CHECK, format!("{place}: {error}"), "")],
    }
}
