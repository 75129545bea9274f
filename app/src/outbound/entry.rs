//! Whether anything leaves a tenant.

use domain::id::TenantId;
use domain::tenant::TenantState;
use jobs::Failure;
use store::{Store, TenantScope};

/// The way into a tenant for a job that sends something.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It may send.
    Open(TenantScope),
    /// Nothing is sent, and why.
    Closed(&'static str),
}

impl Entry {
    /// Quiet tenants and those on their way out send nothing; a suspended one waits.
    ///
    /// # Errors
    /// The tenant is suspended: later. The database.
    pub async fn of(store: &Store, tenant: TenantId, job: &'static str) -> Result<Self, Failure> {
        let Some(tenant) = store.registry().by_id(tenant).await? else {
            return Ok(Self::Closed("the tenant is gone"));
        };
        match tenant.state {
            TenantState::Active | TenantState::ReadOnly => Ok(Self::Open(TenantScope::for_job(tenant, job))),
            TenantState::Suspended => Err(Failure::Later(300)),
            _ => Ok(Self::Closed("the tenant is quiet")),
        }
    }
}
