//! Jobs that are asked for: with their audit event, in one transaction.

use actix_web::{HttpResponse, web::Data, web::Path};
use jobs::{BackupTenant, DrillTenant, Kind, Trigger};
use serde_json::json;
use store::AuditEvent;
use store::control::jobs::NewJob;
use web::{Error, OperatorVisit, Result, page};

use super::pages::found;
use crate::Admin;

/// Asks for a point of the tenant.
pub(super) async fn back_up(visit: OperatorVisit, admin: Data<Admin>, slug: Path<String>) -> Result<HttpResponse> {
    let tenant = found(&admin, &slug).await?.id;
    let message = BackupTenant { tenant, trigger: by(&visit) };
    let added = ask(&visit, &admin, "backup.asked", &slug, &message).await?;
    Ok(back(added, &of_tenant(&slug)))
}

/// Asks for a drill of the tenant's newest point.
pub(super) async fn drill(visit: OperatorVisit, admin: Data<Admin>, slug: Path<String>) -> Result<HttpResponse> {
    let tenant = found(&admin, &slug).await?.id;
    let message = DrillTenant { tenant, trigger: by(&visit) };
    let added = ask(&visit, &admin, "drill.asked", &slug, &message).await?;
    Ok(back(added, &of_tenant(&slug)))
}

/// The page of a tenant.
pub(super) fn of_tenant(slug: &str) -> String {
    format!("/console/tenants/{}", page::encode(slug))
}

pub(super) fn by(visit: &OperatorVisit) -> Trigger {
    Trigger::Operator { name: visit.operator.name.clone() }
}

/// Back to a page, on which the work can be seen.
pub(super) fn back(added: Option<i64>, location: &str) -> HttpResponse {
    match added {
        Some(_) => page::see_other(location),
        None => page::see_other_saying(location, "That is already under way.", "/console"),
    }
}

/// To the page of the run; to another one when the same is already under way.
pub(super) fn follow(added: Option<i64>, otherwise: &str) -> HttpResponse {
    match added {
        Some(id) => page::see_other(&format!("/console/runs/{id}")),
        None => back(None, otherwise),
    }
}

/// Adds the job and its audit event in one transaction; none when the same work waits or runs.
pub(super) async fn ask<K: Kind>(
    visit: &OperatorVisit,
    admin: &Admin,
    event: &str,
    object: &str,
    message: &K,
) -> Result<Option<i64>> {
    let once = message.once_key();
    let payload = serde_json::to_value(message).map_err(Error::internal)?;
    let (tenant, once_key) = (message.tenant(), once.as_deref());
    let job = NewJob { kind: K::NAME, tenant, payload, once_key, max_attempts: K::TRIES, not_before: None };
    let actor = visit.operator.audit_actor();
    let tx = admin.store.control().begin().await?;
    let added = tx.enqueue(&job).await?;
    if added.is_some() {
        tx.audit(message.tenant(), &AuditEvent { actor: &actor, event, object, detail: json!({ "job": added }) })
            .await?;
    }
    tx.commit().await?;
    Ok(added)
}
