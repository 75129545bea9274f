//! Cancelling a run that has not passed its point of no return.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use jobs::{JobRow, kind};
use serde_json::json;
use store::AuditEvent;
use store::control::cancel::Cancelling;
use web::{Error, OperatorVisit, Result, page};

use super::runs::kinds;
use crate::Admin;

/// What can be said about cancelling a run.
pub(super) struct Cancel {
    /// It can be asked for now.
    pub(super) possible: bool,
    /// What would become of it, or why it cannot be.
    pub(super) words: &'static str,
}

impl Cancel {
    pub(super) fn of(row: &JobRow) -> Self {
        let known = kind::CANCELLABLE.contains(&row.kind.as_str());
        let (possible, words) = match row.state.as_str() {
            "queued" | "running" if !known => (false, ""),
            "queued" | "running" if row.cancel_by.is_some() => (false, "It ends at the next possible moment."),
            "queued" | "running" if row.settled => (false, "Its last step has begun: it can no longer be cancelled."),
            "queued" | "running" => (true, consequence(&row.kind)),
            _ => (false, ""),
        };
        Self { possible, words }
    }
}

fn consequence(kind: &str) -> &'static str {
    match kind {
        kind::RESTORE => "Possible until the copy is complete; nothing is left of it.",
        kind::PART => "Possible until the first row comes back; the tenant stays as it is.",
        kind::SWAP => "Possible until they change places; both stay as they are.",
        _ => "Nothing depends on it.",
    }
}

/// What is said of a run that was cancelled.
pub(super) fn cancelled(row: &JobRow) -> String {
    let by = row.cancel_by.as_deref().unwrap_or("an operator");
    match row.kind.as_str() {
        kind::RESTORE | kind::PART | kind::SWAP => format!("cancelled by {by}; nothing was changed"),
        _ => format!("cancelled by {by} before it had ended"),
    }
}

/// Asks for it.
pub(super) async fn ask(visit: OperatorVisit, admin: Data<Admin>, id: Path<i64>) -> Result<HttpResponse> {
    let control = admin.store.control();
    let row = control.find_job(*id).await?.filter(|row| kinds().contains(&row.kind));
    let row = row.ok_or_else(|| Error::not_found("there is no such run"))?;
    let tx = control.begin().await?;
    let outcome = tx.cancel_job(row.id, &visit.operator.name, &kind::CANCELLABLE).await?;
    if outcome != Cancelling::TooLate {
        let (actor, object) = (visit.operator.audit_actor(), row.id.to_string());
        let detail = json!({ "kind": row.kind, "begun": outcome == Cancelling::Asked });
        tx.audit(row.tenant, &AuditEvent { actor: &actor, event: "run.cancel.asked", object: &object, detail }).await?;
    }
    tx.commit().await?;
    let said = match outcome {
        Cancelling::Cancelled => "Cancelled before it had begun.",
        Cancelling::Asked => "It is being cancelled.",
        Cancelling::TooLate => "Too late: it has ended, or its last step has begun.",
    };
    Ok(page::see_other_saying(&format!("/console/runs/{}", row.id), said, "/console"))
}
