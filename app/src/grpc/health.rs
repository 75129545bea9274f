//! gRPC's health protocol: whether the server serves, as a whole and by service.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message as _;
use wire::grpc::health::health_check_response::ServingStatus;
use wire::grpc::health::{HealthCheckRequest, HealthCheckResponse, HealthListResponse};

use super::call::{one_message, read};
use super::{Body, Shared, stream};
use crate::error::{ApiError, Code};
use crate::rpc::framing;

/// The longest request, in bytes.
const LONGEST: usize = 4096;

/// Answers `Check`, `List` and `Watch`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    method: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (body, _room) = read(request.into_body(), LONGEST).await?;
    let message = framing::only_message(&body, "", LONGEST).await?.0;
    let asked = HealthCheckRequest::decode(message)
        .map_err(|error| ApiError::invalid(format!("unmarshal message: {error}")))?;
    match method {
        "Check" => {
            let status = status(shared, &asked.service)
                .await
                .ok_or_else(|| ApiError::not_found(format!("unknown service {:?}", asked.service)))?;
            Ok(one_message(&said(status).encode_to_vec()))
        }
        "List" => {
            let mut list = HealthListResponse::default();
            for name in names() {
                let found = status(shared, &name).await.unwrap_or(ServingStatus::Unknown);
                list.statuses.insert(name, said(found));
            }
            Ok(one_message(&list.encode_to_vec()))
        }
        "Watch" => {
            let (shared, service) = (Arc::clone(shared), asked.service);
            Ok(stream::answer(move |outlet| async move {
                let first = status(&shared, &service).await.unwrap_or(ServingStatus::ServiceUnknown);
                if outlet.send(&said(first)).await {
                    shared.stopping.cancelled().await;
                    outlet.send(&said(ServingStatus::NotServing)).await;
                    outlet.fail(ApiError::unavailable("the server stops")).await;
                }
            }))
        }
        other => Err(ApiError::new(Code::Unimplemented, format!("unknown method {other}"))),
    }
}

fn said(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

/// The server as a whole and every service.
fn names() -> Vec<String> {
    let services = wire::pool().services().map(|service| service.full_name().to_owned());
    std::iter::once(String::new()).chain(services).collect()
}

/// None for a service that is not ours.
async fn status(shared: &Shared, service: &str) -> Option<ServingStatus> {
    if !names().iter().any(|known| known == service) {
        return None;
    }
    let alive = !shared.stopping.is_cancelled() && shared.state.store.control().ping().await.is_ok();
    Some(if alive { ServingStatus::Serving } else { ServingStatus::NotServing })
}
