//! What all protocols have in common: finding the handler, who may pass, what an answer is.

use bytes::Bytes;
use domain::tenant::TenantState;
use identity::Actor;
use wire::table::{Access, Rpc};

use super::{Ctx, Payload};
use crate::error::{ApiError, Code};
use crate::room::Room;

/// The head of a request, as far as the doors look at it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// HTTP method.
    pub verb: String,
    /// Path below the tenant's base, as it was sent.
    pub path: String,
    /// Query without `?`; may be empty.
    pub query: String,
    /// `Content-Type`; may be empty.
    pub content_type: String,
    /// `Content-Encoding`; empty for none.
    pub content_encoding: String,
    /// `Grpc-Encoding`: how single messages of gRPC-Web are packed; empty for none.
    pub grpc_encoding: String,
    /// `X-HTTP-Method-Override`; empty for none.
    pub method_override: String,
    /// `Connect-Protocol-Version`.
    pub connect_version: Option<String>,
    /// `Connect-Timeout-Ms`.
    pub connect_timeout: Option<String>,
}

/// An answer, not yet bound to a server.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers =
            if content_type.is_empty() { Vec::new() } else { vec![("Content-Type", content_type.to_owned())] };
        Self { status, headers, body: body.into() }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Whether this caller may pass to this RPC at all; says in the context which one it is. Handlers refine it.
///
/// # Errors
/// The gate's 401 for strangers, 403 for members who are not admins, 503 for writes while the tenant is read-only.
pub fn admit(rpc: &'static Rpc, ctx: &Ctx) -> Result<(), ApiError> {
    ctx.calls(rpc);
    let known = match rpc.access {
        Access::Bootstrap => true,
        Access::Public if ctx.is_public() => true,
        Access::Public | Access::Login | Access::Admin => ctx.actor() != &Actor::Anonymous,
    };
    if !known {
        return Err(ApiError::gate());
    }
    if ctx.actor().only_reads() && !rpc.is_read() {
        return Err(ApiError::denied("this token may only read"));
    }
    if rpc.access == Access::Admin && !ctx.actor().is_admin() {
        return Err(ApiError::denied("permission denied"));
    }
    let keeps_notes = rpc.is_read() || rpc.service == "AuthService";
    if !keeps_notes && ctx.tenant().state != TenantState::Active {
        return Err(ApiError::unavailable("this workspace is read-only at the moment"));
    }
    if Room::is_needed_by(rpc) {
        ctx.state().room.check(ctx.scope().tenant())?;
    }
    Ok(())
}

/// Runs the handler of an RPC whose caller was admitted.
///
/// # Errors
/// What the handler says; `Unimplemented` when there is none.
pub async fn run(rpc: &Rpc, ctx: Ctx, payload: Payload) -> Result<Vec<u8>, ApiError> {
    match ctx.state().services.handler(rpc).cloned() {
        Some(handler) => handler(ctx, payload).await,
        None => Err(ApiError::new(Code::Unimplemented, format!("{} is not offered", rpc.name()))),
    }
}
