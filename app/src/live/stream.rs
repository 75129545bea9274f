//! The event stream of a member: `GET /api/v1/sse`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data};
use futures_util::stream::unfold;
use identity::{Actor, Credentials, MemberActor, Via};
use serde_json::json;
use store::TenantScope;
use store::tenant::members;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use web::{Access, Face, Route, Visit};

use super::Subscription;
use crate::error::ApiError;
use crate::state::AppState;

/// How often a stream says that it is there, and asks whether its member still may listen.
const BEAT: Duration = Duration::from_secs(30);

/// The rows.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/sse", || actix_web::web::to(listen))
            .access(Access::Public)
            .face(Face::Rest)
            .expects(EXPECTS),
    ]
}

const EXPECTS: &[web::Expect] = &[
    web::Expect::new(web::Caller::Stranger, &[401]),
    web::Expect::new(web::Caller::Foreigner, &[401]),
    web::Expect::new(web::Caller::Member, &[200]),
];

async fn listen(visit: Visit, state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    // Neither cookies nor a token in the address: only what a page of another site cannot send.
    let member = match &visit.actor {
        Actor::Member(member) if matches!(member.via, Via::AccessToken(_) | Via::PersonalToken { .. }) => {
            member.clone()
        }
        _ => {
            return Ok(
                HttpResponse::build(StatusCode::UNAUTHORIZED).json(json!({ "error": "authentication required" }))
            );
        }
    };
    let is_admin = visit.actor.is_admin();
    let tenant = visit.scope.tenant().id;
    let Some(subscription) = state.live.subscribe(tenant, member.id(), is_admin, state.chance.u64()) else {
        return Err(ApiError::too_often("too many event streams are open; close some", 30));
    };
    let mut beat = interval_at(tokio::time::Instant::now() + BEAT, BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (scope, credentials) = (visit.scope.clone(), visit.credentials.clone());
    let begin =
        Listening { state: state.get_ref().clone(), scope, credentials, member, subscription, beat, greeted: false };
    let stream = unfold(begin, |mut listening| async move {
        let bytes = listening.next().await?;
        Some((Ok::<Bytes, actix_web::Error>(bytes), listening))
    });
    let mut answer = HttpResponse::Ok().streaming(stream);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(answer)
}

/// An open stream.
struct Listening {
    state: AppState,
    scope: TenantScope,
    credentials: Credentials,
    member: MemberActor,
    subscription: Subscription,
    beat: Interval,
    greeted: bool,
}

impl Listening {
    /// What is sent next; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(Bytes::from_static(b": connected\n\n"));
        }
        tokio::select! {
            event = self.subscription.queue.recv() => event,
            _ = self.beat.tick() => {
                self.still_may().await?;
                Some(Bytes::from_static(b": heartbeat\n\n"))
            }
        }
    }

    /// Whether the member may still listen. An access token is good for a quarter of an hour and a stream for longer: it
    /// ends with the member's account or session, not with that token; a personal token must still be there.
    async fn still_may(&mut self) -> Option<()> {
        let tenant = self.scope.tenant();
        let now = self.state.store.registry().by_id(tenant.id).await.ok()??;
        if now.epoch != tenant.epoch || now.state != tenant.state {
            return None;
        }
        let is_admin = match &self.member.via {
            Via::PersonalToken { .. } => {
                let actor = self.state.identity.authenticate(&self.scope, &self.credentials).await.ok()?;
                actor.member()?;
                actor.is_admin()
            }
            via => {
                if let Via::AccessToken(session) = via
                    && !session.is_empty()
                    && !self.state.identity.session_lasts(&self.scope, self.member.id(), session).await.ok()?
                {
                    return None;
                }
                let mut tx = self.state.store.begin(&self.scope);
                let found = members::find_member_by_name(&mut tx, &self.member.member.username).await.ok()??;
                tx.commit().await.ok()?;
                if found.id != self.member.id() || found.archived {
                    return None;
                }
                found.role.is_admin()
            }
        };
        self.subscription.renew(is_admin);
        Some(())
    }
}
