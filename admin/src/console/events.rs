//! A job's progress as server-sent events.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpResponse, web::Bytes, web::Data, web::Path};
use futures_util::stream;
use web::{Error, OperatorVisit, Result};

use super::runs::JobBox;
use crate::Admin;

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Looks after which the browser must ask again: an hour.
const LOOKS: u32 = 7_200;

/// Tells what the job says of itself whenever that changes, until it has ended.
pub(super) async fn follow(_: OperatorVisit, admin: Data<Admin>, id: Path<i64>) -> Result<HttpResponse> {
    if admin.store.control().find_job(*id).await?.is_none() {
        return Err(Error::not_found("there is no such job"));
    }
    let begin = (admin.into_inner(), *id, String::new(), LOOKS);
    let events = stream::unfold(begin, |(admin, id, last, left)| async move {
        for looked in 0..left {
            let row = admin.store.control().find_job(id).await.ok()??;
            let told = JobBox::from(&row);
            let text = serde_json::to_string(&told).ok()?;
            if text != last {
                let frame = Bytes::from(format!("data: {text}\n\n"));
                let left = if told.ended { 0 } else { left - looked - 1 };
                return Some((Ok::<_, Error>(frame), (admin, id, text, left)));
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(events))
}
