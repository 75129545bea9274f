//! Forms that are sent.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web::Data, web::Form, web::Path};
use identity::cookies::{SetCookie, clear};
use identity::{Client, OPERATOR_COOKIE, OPERATOR_PATH};
use jobs::{BackupTenant, DrillTenant, Kind, Trigger};
use serde::Deserialize;
use serde_json::json;
use store::AuditEvent;
use store::control::jobs::NewJob;
use web::{Error, Facts, OperatorVisit, Result, page};

use super::pages::{SignIn, found};
use super::view::Frame;
use crate::Admin;

/// The sign-in form.
#[derive(Deserialize)]
pub(super) struct SignInForm {
    name: String,
    password: String,
}

/// Signs in, or shows the form again with what is wrong.
pub(super) async fn sign_in(facts: Facts, admin: Data<Admin>, form: Form<SignInForm>) -> Result<HttpResponse> {
    let who = identity::SignIn { username: form.name.trim(), password: &form.password };
    let client = Client { address: facts.address, user_agent: facts.user_agent.clone() };
    match admin.identity.operator_sign_in(who, &client).await {
        Ok(session) => {
            let cookie = SetCookie {
                name: OPERATOR_COOKIE,
                value: &session.cookie,
                path: OPERATOR_PATH,
                expires: session.expires,
                secure: facts.https,
            };
            page::set_cookie(page::see_other("/console"), &cookie.header())
        }
        Err(problem @ (identity::Error::Unmatched | identity::Error::Throttled { .. })) => {
            let again = SignIn {
                frame: Frame::new(None, "signin", None),
                problem: Some(problem.to_string()),
                name: form.name.clone(),
            };
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
        Err(error) => Err(error.into()),
    }
}

/// Signs out everywhere this cookie counts.
pub(super) async fn sign_out(visit: OperatorVisit, admin: Data<Admin>) -> Result<HttpResponse> {
    admin.identity.operator_sign_out(&visit.operator, &visit.cookies).await?;
    page::set_cookie(page::see_other("/console/signin"), &clear(OPERATOR_COOKIE, OPERATOR_PATH, visit.facts.https))
}

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
