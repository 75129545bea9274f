//! `holdfast status`

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde::Serialize;

use crate::Admin;
use crate::recovery::{Recovery, duration, recoveries};

#[derive(Serialize)]
struct Line {
    tenant: String,
    state: String,
    #[serde(flatten)]
    recovery: Recovery,
}

pub(super) async fn run(admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    let mut lines = Vec::new();
    for (tenant, recovery) in recoveries(admin).await.map_err(crate::Error::from)? {
        lines.push(Line { tenant: tenant.slug.to_string(), state: tenant.state.as_str().to_owned(), recovery });
    }
    printer.result(&lines, |lines| lines.iter().map(human).collect::<Vec<_>>().join("\n"));
    Ok(Code::Ok)
}

fn human(line: &Line) -> String {
    let rpo = line.recovery.rpo_seconds.map_or("unknown".to_owned(), duration);
    let proof = line.recovery.last_proof.as_ref().map_or("never restored".to_owned(), crate::recovery::Proof::sentence);
    format!("{:<24} {:<9} RPO now {:<10} {proof}", line.tenant, line.recovery.status, rpo)
}
