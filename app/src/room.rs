//! Whether there is room for what a request would store: on the disks, and in what the tenant may hold. Reading, exporting
//! and deleting go on without.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::id::TenantId;
use domain::tenant::Tenant;
use runtime::space::Space;
use store::tenant::counts;
use store::{Store, TenantScope};
use wire::table::Rpc;

use crate::error::{ApiError, Code};

/// How long a measured size stands.
const STANDS: Duration = Duration::from_secs(5);

/// Knows what room there is. Cheap to clone.
#[derive(Clone)]
pub struct Room(Arc<Inner>);

struct Inner {
    store: Store,
    space: Space,
    usual: u64,
    held: Mutex<HashMap<TenantId, Held>>,
}

#[derive(Clone, Copy)]
struct Held {
    bytes: u64,
    at: Option<Instant>,
    measuring: bool,
}

impl Room {
    /// On these disks; `usual`: bytes that a tenant may hold where nothing else is set for it, 0 for any number.
    pub fn new(store: Store, space: Space, usual: u64) -> Self {
        Self(Arc::new(Inner { store, space, usual, held: Mutex::default() }))
    }

    /// Whether an RPC stores something: reading, deleting, signing in and out and trials do not.
    pub fn is_needed_by(rpc: &Rpc) -> bool {
        let deletes = rpc.method.starts_with("Delete") || rpc.method.starts_with("BatchDelete");
        !(rpc.is_read() || deletes || rpc.service == "AuthService" || rpc.method == "TestInstanceEmailSetting")
    }

    /// Refuses to store anything more where there is no room.
    ///
    /// # Errors
    /// A disk is below the floor, or the tenant holds what it may.
    pub fn check(&self, tenant: &Arc<Tenant>) -> Result<(), ApiError> {
        if let Some(place) = self.0.space.low() {
            let message = format!(
                "this server is short of disk space ({place}), so nothing more is stored; reading and deleting go on"
            );
            return Err(ApiError::new(Code::ResourceExhausted, message));
        }
        match self.limit(tenant) {
            Some(limit) if self.held(tenant) >= limit => Err(full(limit)),
            _ => Ok(()),
        }
    }

    /// Refuses a file that does not fit into what the tenant may still hold.
    ///
    /// # Errors
    /// It does not fit. The database.
    pub async fn fits(&self, scope: &TenantScope, size: u64) -> Result<(), ApiError> {
        let Some(limit) = self.limit(scope.tenant()) else { return Ok(()) };
        let held = self.measure(scope).await?;
        if held.saturating_add(size) > limit { Err(full(limit)) } else { Ok(()) }
    }

    fn limit(&self, tenant: &Tenant) -> Option<u64> {
        let own = tenant.limits.stored_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        own.or(Some(self.0.usual)).filter(|bytes| *bytes > 0)
    }

    /// What the tenant held a moment ago; measured anew beside the request where that is long ago.
    fn held(&self, tenant: &Arc<Tenant>) -> u64 {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.entry(tenant.id).or_insert(Held { bytes: 0, at: None, measuring: false });
        if !known.measuring && known.at.is_none_or(|at| at.elapsed() >= STANDS) {
            known.measuring = true;
            let (this, scope) = (self.clone(), TenantScope::for_job(Arc::clone(tenant), "measure"));
            tokio::spawn(async move {
                if let Err(error) = this.measure(&scope).await {
                    tracing::warn!(tenant = %scope.tenant().slug, %error, "cannot tell how much a tenant holds");
                    this.note(scope.tenant().id, None);
                }
            });
        }
        known.bytes
    }

    async fn measure(&self, scope: &TenantScope) -> Result<u64, store::Error> {
        let sizes = counts::read_sizes(self.0.store.begin(scope)).await?;
        let bytes = u64::try_from(sizes.database.saturating_add(sizes.files)).unwrap_or(0);
        self.note(scope.tenant().id, Some(bytes));
        Ok(bytes)
    }

    fn note(&self, tenant: TenantId, bytes: Option<u64>) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.get(&tenant).map_or(0, |known| known.bytes);
        held.insert(tenant, Held { bytes: bytes.unwrap_or(before), at: Some(Instant::now()), measuring: false });
    }
}

fn full(limit: u64) -> ApiError {
    let message = format!(
        "this workspace holds all that it may ({} MiB); delete something, or ask the operator for more room",
        limit.div_ceil(1024 * 1024)
    );
    ApiError::new(Code::ResourceExhausted, message)
}
