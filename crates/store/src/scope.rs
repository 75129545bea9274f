//! Which tenant, and why.

use std::sync::Arc;

use domain::tenant::Tenant;

use crate::ahead::Ahead;

/// The right to enter one tenant's rows. Made only with a stated reason, which logs and audit carry.
#[derive(Clone, Debug)]
pub struct TenantScope {
    tenant: Arc<Tenant>,
    why: Why,
    ahead: Option<Arc<Ahead>>,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    Request,
    Job(&'static str),
    Command(&'static str),
}

impl TenantScope {
    /// For a request that was led to this tenant by its host, path or the default.
    pub const fn for_request(tenant: Arc<Tenant>) -> Self {
        Self { tenant, why: Why::Request, ahead: None }
    }

    /// For the named job.
    pub const fn for_job(tenant: Arc<Tenant>, job: &'static str) -> Self {
        Self { tenant, why: Why::Job(job), ahead: None }
    }

    /// For the named operator command or console action.
    pub const fn for_command(tenant: Arc<Tenant>, command: &'static str) -> Self {
        Self { tenant, why: Why::Command(command), ahead: None }
    }

    /// The same right for a request that reads ahead.
    pub(crate) fn reading(self, ahead: Arc<Ahead>) -> Self {
        Self { ahead: Some(ahead), ..self }
    }

    pub(crate) fn ahead(&self) -> Option<&Ahead> {
        self.ahead.as_deref()
    }

    /// The tenant.
    pub const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// `request`, `job …` or `command …`.
    pub fn why(&self) -> String {
        match self.why {
            Why::Request => "request".to_owned(),
            Why::Job(name) => format!("job {name}"),
            Why::Command(name) => format!("command {name}"),
        }
    }

    /// What bounds the time of a statement of the tenant's own requests, to be said behind the role; may be empty.
    pub(crate) fn time_limit(&self) -> String {
        match (self.why, self.tenant.limits.statement_ms) {
            (Why::Request, Some(ms)) => format!(";SET LOCAL statement_timeout={ms}"),
            _ => String::new(),
        }
    }

    /// The key of the tenant's advisory lock: writers hold it shared, a snapshot holds it alone while it opens.
    pub(crate) fn lock_key(&self) -> i64 {
        lock_key(self.tenant.id)
    }
}

pub(crate) fn lock_key(id: domain::id::TenantId) -> i64 {
    let (high, low) = id.0.as_u64_pair();
    (high ^ low) as i64
}
