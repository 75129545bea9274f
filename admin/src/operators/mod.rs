//! Operator accounts: made by command. Their sign-in is in `identity`.

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
