//! Operator accounts: made by command, signed in at the console.

use std::net::IpAddr;

use domain::id::{TenantId, is_username};
use serde_json::json;
use store::AuditEvent;
use store::control::operators::OperatorRow;
use time::Duration;

use crate::{Admin, By, Error};

/// How long a sign-in lasts.
pub const SESSION: Duration = Duration::hours(12);

/// The tenant under which operators' wrong passwords are counted: none.
const NOBODY: TenantId = TenantId(uuid::Uuid::nil());

/// Adds an operator.
pub async fn create(admin: &Admin, by: &By, name: &str, password: &str) -> Result<(), Error> {
    if !is_username(name) {
        return Err(Error::Input(format!(
            "{name} cannot be an operator's name: use 1 to 36 letters, digits or -, not digits only"
        )));
    }
    let hash = admin.identity.passwords().hash(password).await?;
    let actor = by.actor();
    let tx = admin.store.control().begin().await?;
    match tx.insert_operator(name, &hash).await {
        Err(store::Error::Conflict { .. }) => return Err(Error::Taken { what: "operator", name: name.to_owned() }),
        other => other?,
    }
    tx.audit(None, &AuditEvent { actor: &actor, event: "operator.created", object: name, detail: json!({}) }).await?;
    Ok(tx.commit().await?)
}

/// Every operator.
pub async fn list(admin: &Admin) -> Result<Vec<OperatorRow>, Error> {
    Ok(admin.store.control().list_operators().await?)
}

/// Sets another password and ends the operator's sign-ins.
pub async fn reset(admin: &Admin, by: &By, name: &str, password: &str) -> Result<(), Error> {
    let hash = admin.identity.passwords().hash(password).await?;
    let actor = by.actor();
    let tx = admin.store.control().begin().await?;
    if !tx.reset_operator(name, &hash).await? {
        return Err(Error::Missing { what: "operator", name: name.to_owned() });
    }
    tx.audit(None, &AuditEvent { actor: &actor, event: "operator.reset", object: name, detail: json!({}) }).await?;
    Ok(tx.commit().await?)
}

/// Signs an operator in and gives the secret of the cookie. Equal time for unknown names, and throttled.
pub async fn sign_in(admin: &Admin, name: &str, password: &str, address: Option<IpAddr>) -> Result<String, Error> {
    let attempt = admin
        .identity
        .throttle()
        .begin(NOBODY, name, address)
        .map_err(|seconds| identity::Error::Throttled { seconds })?;
    let found = admin.store.control().find_operator(name).await?;
    let right = admin.identity.passwords().verify(password, found.as_ref().map(|(_, hash)| hash.as_str())).await?;
    let Some((operator, _)) = found.filter(|(operator, _)| right && !operator.disabled) else {
        let detail = json!({"address": address.map(|a| a.to_string())});
        admin
            .store
            .control()
            .audit(None, &AuditEvent { actor: "stranger", event: "operator.signin.failed", object: "", detail })
            .await?;
        return Err(identity::Error::Unmatched.into());
    };
    admin.identity.throttle().succeeded(&attempt);
    let secret = admin.chance.text(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 43);
    let actor = format!("operator:{}", operator.name);
    let tx = admin.store.control().begin().await?;
    tx.insert_operator_session(&hash_of(&secret), &operator.name, admin.clock.now() + SESSION).await?;
    tx.audit(
        None,
        &AuditEvent { actor: &actor, event: "operator.signin.made", object: &operator.name, detail: json!({}) },
    )
    .await?;
    tx.commit().await?;
    Ok(secret)
}

/// The operator behind a cookie's secret.
pub async fn authenticate(admin: &Admin, secret: &str) -> Result<Option<OperatorRow>, Error> {
    if secret.len() != 43 {
        return Ok(None);
    }
    Ok(admin.store.control().find_operator_session(&hash_of(secret), admin.clock.now()).await?)
}

/// Ends a sign-in.
pub async fn sign_out(admin: &Admin, name: &str, secret: &str) -> Result<(), Error> {
    let actor = format!("operator:{name}");
    let tx = admin.store.control().begin().await?;
    tx.delete_operator_session(&hash_of(secret)).await?;
    tx.audit(None, &AuditEvent { actor: &actor, event: "operator.signout", object: name, detail: json!({}) }).await?;
    Ok(tx.commit().await?)
}

fn hash_of(secret: &str) -> String {
    identity::signing::token_hash(secret)
}
