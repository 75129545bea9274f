//! After an import: opening the tenant for its members, or removing it again.

use domain::id::Slug;
use domain::tenant::TenantState;
use serde_json::json;
use store::{AuditEvent, TenantChange};

use crate::error::Error;
use crate::write::{House, discard};

/// Opens a closed tenant for its members.
///
/// # Errors
/// `NoTenant`; `WrongState` when it is not closed.
pub async fn open_tenant(house: &House, slug: &Slug, actor: &str) -> Result<(), Error> {
    let tenant = closed(house, slug, "open").await?;
    let event = AuditEvent { actor, event: "tenant.opened", object: slug.as_str(), detail: json!({}) };
    house.store.registry().change(tenant.id, &TenantChange::State(TenantState::Active), &event).await?;
    Ok(())
}

/// Removes a closed, imported tenant: rows, role and files. A tenant that was opened is never touched, nor one that came from
/// elsewhere: made by hand, or restored from a point.
///
/// # Errors
/// `NoTenant`; `WrongState` when it is not closed; `NoImport`.
pub async fn rollback(house: &House, slug: &Slug, actor: &str) -> Result<(), Error> {
    let tenant = closed(house, slug, "rollback").await?;
    let origin = house.store.origin(tenant.id).await?;
    if origin.get("import").is_none() || origin.get("restored_of").is_some() {
        return Err(Error::NoImport(slug.to_string()));
    }
    let event = AuditEvent { actor, event: "tenant.rolled_back", object: slug.as_str(), detail: json!({}) };
    house.store.control().audit(Some(tenant.id), &event).await?;
    discard(house, &tenant).await;
    Ok(())
}

async fn closed(
    house: &House,
    slug: &Slug,
    command: &'static str,
) -> Result<std::sync::Arc<domain::tenant::Tenant>, Error> {
    let found = house.store.registry().by_slug(slug.as_str()).await?;
    let tenant = found.ok_or_else(|| Error::NoTenant(slug.to_string()))?;
    if !matches!(tenant.state, TenantState::Closed | TenantState::Provisioning) {
        return Err(Error::WrongState { slug: slug.to_string(), state: tenant.state.as_str(), command });
    }
    Ok(tenant)
}
