//! What a tenant may use, where that differs from the installation's settings.

use std::sync::Arc;

use domain::tenant::{Limits, Tenant};
use runtime::settings::bytes;
use serde_json::json;
use store::{AuditEvent, TenantChange};

use super::find;
use crate::{Admin, By, Error};

/// Limits as an operator writes them; what is none stays, `default` takes one away.
#[derive(Clone, Debug, Default)]
pub struct WantedLimits {
    /// Bytes that it may hold, as `10G`.
    pub stored_bytes: Option<String>,
    /// Seconds that one statement may take, as `0.5`.
    pub statement_seconds: Option<String>,
}

/// Sets what a tenant may use.
///
/// # Errors
/// No such tenant, or what is given is no limit.
pub async fn limit(admin: &Admin, by: &By, slug: &str, wanted: &WantedLimits) -> Result<Arc<Tenant>, Error> {
    let tenant = find(admin, slug).await?;
    let mut limits: Limits = tenant.limits;
    if let Some(text) = &wanted.stored_bytes {
        limits.stored_bytes = unless_default(text, |text| {
            let bytes = bytes(text)?;
            i64::try_from(bytes).map_err(|_| format!("{text} is too many bytes"))
        })?;
    }
    if let Some(text) = &wanted.statement_seconds {
        limits.statement_ms = unless_default(text, |text| match text.parse::<f64>() {
            Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok((seconds * 1000.0) as i32),
            _ => Err(format!("{text} is no number of seconds from 0.05 to 3600")),
        })?;
    }
    let actor = by.actor();
    let detail = json!({ "limits": limits });
    let event = AuditEvent { actor: &actor, event: "tenant.changed", object: slug, detail };
    Ok(admin.store.registry().change(tenant.id, &TenantChange::Limits(limits), &event).await?)
}

fn unless_default<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, Error> {
    if text == "default" { Ok(None) } else { read(text).map(Some).map_err(Error::Input) }
}
