//! Memos' API: one table of RPCs, one handler each, several protocols.
//!
//! A service file gives its handlers: `pub fn rows() -> Vec<RpcRow>` with `row("MemoService", "GetMemo", get_memo)`,
//! where `async fn get_memo(ctx: Ctx, request: v1::GetMemoRequest) -> Result<v1::Memo, ApiError>`. The table in
//! `wire::table` says how each is reached and who may call it; the door checks that before the handler runs.

pub mod ai_service;
pub mod attachment_service;
pub mod auth_service;
pub(crate) mod buffers;
pub mod connect;
mod content_member;
mod ctx;
mod dialect;
pub mod document;
pub mod door;
pub(crate) mod framing;
pub mod grpc_web;
pub mod instance_service;
pub mod link_service;
pub mod memo_service;
pub mod memo_view_service;
pub mod mount;
pub mod notification_service;
pub mod provider_service;
pub mod rest;
mod row;
pub mod shortcut_service;
pub mod stats_service;
mod upload;
pub mod user_service;
pub mod webhook_service;

pub use ctx::{Ctx, RequestInfo};
pub use row::{Handler, Payload, RpcRow, row};

pub use crate::error::ApiError;

/// Handlers by their place in `wire::table::all()`.
pub struct Services {
    handlers: Vec<Option<Handler>>,
}

impl Services {
    /// From rows; a row that the table does not have is passed over (a test looks for such).
    fn new(rows: Vec<RpcRow>) -> Self {
        let mut handlers: Vec<Option<Handler>> = wire::table::all().iter().map(|_| None).collect();
        for row in rows {
            if let Some(slot) = wire::table::index_of(row.service, row.method).and_then(|at| handlers.get_mut(at)) {
                *slot = Some(row.handler);
            }
        }
        Self { handlers }
    }

    /// The handler of an RPC, when there is one yet.
    pub fn handler(&self, rpc: &wire::table::Rpc) -> Option<&Handler> {
        self.handlers.get(rpc.index())?.as_ref()
    }
}

/// Every handler there is.
fn rows() -> Vec<RpcRow> {
    let services = [
        auth_service::rows(),
        user_service::rows(),
        instance_service::rows(),
        memo_service::rows(),
        notification_service::rows(),
        webhook_service::rows(),
        link_service::rows(),
        ai_service::rows(),
        provider_service::rows(),
        stats_service::rows(),
        attachment_service::rows(),
        shortcut_service::rows(),
        memo_view_service::rows(),
    ];
    services.into_iter().flatten().collect()
}

/// Every handler in its place.
pub fn services() -> Services {
    Services::new(rows())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table has and nothing answers yet: 501.
    const UNANSWERED: &[&str] = &[];

    #[test]
    fn every_handler_is_in_the_table_once() {
        let mut seen = std::collections::BTreeSet::new();
        for row in rows() {
            assert!(wire::table::index_of(row.service, row.method).is_some(), "{}/{}", row.service, row.method);
            assert!(seen.insert((row.service, row.method)), "{}/{} twice", row.service, row.method);
        }
    }

    #[test]
    fn what_is_not_answered_is_known() {
        let services = services();
        let missing = wire::table::all().iter().filter(|rpc| services.handler(rpc).is_none());
        let missing: Vec<String> = missing.map(wire::table::Rpc::name).collect();
        assert_eq!(missing, UNANSWERED);
    }
}
