//! Operator accounts: made by command, or by the first sign-in at the operators' provider, which is in `identity`.

use domain::id::is_username;
use serde_json::json;
use store::AuditEvent;
use store::control::operators::OperatorRow;

use crate::{Admin, By, Error};

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

/// Lets an operator in no more, ending the sign-ins, or lets him in again. Nobody disables himself in the console.
pub async fn set_disabled(admin: &Admin, by: &By, name: &str, disabled: bool) -> Result<(), Error> {
    if disabled && *by == By::Operator(name.to_owned()) {
        return Err(Error::Refused("nobody disables himself; another operator does, or a command".to_owned()));
    }
    let (actor, event) = (by.actor(), if disabled { "operator.disabled" } else { "operator.enabled" });
    let tx = admin.store.control().begin().await?;
    if !tx.set_operator_disabled(name, disabled).await? {
        return Err(Error::Missing { what: "operator", name: name.to_owned() });
    }
    tx.audit(None, &AuditEvent { actor: &actor, event, object: name, detail: json!({}) }).await?;
    Ok(tx.commit().await?)
}

/// How an operator signs in, in words.
pub const fn ways(row: &OperatorRow) -> &'static str {
    match (row.by_password, row.by_provider) {
        (true, true) => "password, provider",
        (true, false) => "password",
        (false, true) => "provider",
        (false, false) => "nothing",
    }
}
