//! Connect, unary: an RPC by its name, JSON or protobuf.

use std::time::Duration;

use bytes::Bytes;
use wire::table::{Rpc, by_connect_path};

use super::buffers::Room;
use super::door::{Head, Reply, admit, run};
use super::{Ctx, Payload, framing};
use crate::error::{ApiError, Code};

/// What may be posted, as Memos says it; native gRPC has a listener of its own.
const ACCEPT_POST: &str = "application/grpc, application/grpc+json, application/grpc+json; charset=utf-8, \
    application/grpc+proto, application/grpc-web, application/grpc-web+json, application/grpc-web+json; charset=utf-8, \
    application/grpc-web+proto, application/json, application/json; charset=utf-8, application/proto";

/// Answers a request below `/memos.api.v1.`.
///
/// # Errors
/// The gate's 401, a body that is no message (400), time over (504), what the handler says.
pub async fn answer(ctx: Ctx, head: &Head, body: Bytes) -> Result<Reply, ApiError> {
    let Some(rpc) = by_connect_path(&head.path) else {
        return Ok(Reply::new(404, "text/plain; charset=utf-8", "404 page not found\n")
            .with("X-Content-Type-Options", "nosniff"));
    };
    if head.verb != "POST" {
        return Ok(Reply::new(405, "", "").with("Allow", "POST"));
    }
    let kind = head.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if let Some(form) = super::grpc_web::Form::of(&kind) {
        return Ok(super::grpc_web::answer(rpc, ctx, form, head, &body).await);
    }
    let known = matches!(kind.as_str(), "application/json" | "application/proto");
    let (body, _room) = if known {
        framing::unpacked(&body, &head.content_encoding, ctx.body_limit()).await?
    } else {
        (Bytes::new(), Room::default())
    };
    let payload = match kind.as_str() {
        "application/json" => Payload::Json(body),
        "application/proto" => Payload::Proto(body),
        _ => return Ok(Reply::new(415, "", "").with("Accept-Post", ACCEPT_POST)),
    };
    if let Some(version) = head.connect_version.as_deref().filter(|version| *version != "1") {
        return Err(ApiError::invalid(format!("Connect-Protocol-Version must be \"1\": got \"{version}\"")));
    }
    let message = within(head.connect_timeout.as_deref(), call(rpc, &ctx, payload)).await?;
    let mut reply = fresh(Reply::new(200, &head.content_type, message));
    for cookie in ctx.take_cookies().into_iter().filter(|_| ctx.leaves_cookies()) {
        reply = reply.with("Set-Cookie", cookie);
    }
    Ok(reply)
}

/// Admits, decodes, runs.
pub(crate) async fn call(rpc: &'static Rpc, ctx: &Ctx, payload: Payload) -> Result<Vec<u8>, ApiError> {
    admit(rpc, ctx)?;
    run(rpc, ctx.clone(), payload).await
}

/// Answers of RPCs are never kept by caches.
pub(super) fn fresh(reply: Reply) -> Reply {
    reply.with("Cache-Control", "no-cache, no-store, must-revalidate").with("Pragma", "no-cache").with("Expires", "0")
}

/// Gives up after the time the client allows, in milliseconds.
async fn within<F>(limit: Option<&str>, work: F) -> Result<Vec<u8>, ApiError>
where
    F: Future<Output = Result<Vec<u8>, ApiError>>,
{
    let Some(limit) = limit else { return work.await };
    let late = || ApiError::new(Code::DeadlineExceeded, "context deadline exceeded");
    let millis = limit.parse::<u64>().ok().filter(|_| limit.len() <= 10);
    match millis {
        None => Err(ApiError::invalid(format!("protocol error: invalid timeout \"{limit}\""))),
        Some(0) => Err(late()),
        Some(millis) => tokio::time::timeout(Duration::from_millis(millis), work).await.unwrap_or_else(|_| Err(late())),
    }
}
