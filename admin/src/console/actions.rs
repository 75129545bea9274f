//! Jobs that are asked for.

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
    ask(&visit, &admin, &slug, "backup.asked", &BackupTenant { tenant, trigger: by(&visit) }).await
}

/// Asks for a drill of the tenant's newest point.
pub(super) async fn drill(visit: OperatorVisit, admin: Data<Admin>, slug: Path<String>) -> Result<HttpResponse> {
    let tenant = found(&admin, &slug).await?.id;
    ask(&visit, &admin, &slug, "drill.asked", &DrillTenant { tenant, trigger: by(&visit) }).await
}

fn by(visit: &OperatorVisit) -> Trigger {
    Trigger::Operator { name: visit.operator.name.clone() }
}

/// Adds the job and its audit event in one transaction.
async fn ask<K: Kind>(
    visit: &OperatorVisit,
    admin: &Admin,
    slug: &str,
    event: &str,
    message: &K,
) -> Result<HttpResponse> {
    let once = message.once_key();
    let payload = serde_json::to_value(message).map_err(Error::internal)?;
    let job =
        NewJob { kind: K::NAME, tenant: message.tenant(), payload, once_key: once.as_deref(), max_attempts: K::TRIES };
    let actor = visit.operator.audit_actor();
    let tx = admin.store.control().begin().await?;
    let added = tx.enqueue(&job).await?;
    if added.is_some() {
        tx.audit(message.tenant(), &AuditEvent { actor: &actor, event, object: slug, detail: json!({ "job": added }) })
            .await?;
    }
    tx.commit().await?;
    let location = format!("/console/tenants/{}", page::encode(slug));
    Ok(match added {
        Some(_) => page::see_other(&location),
        None => page::see_other_saying(&location, "That is already under way.", "/console"),
    })
}
