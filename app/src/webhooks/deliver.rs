//! The job that delivers messages to webhooks.

use std::time::Duration;

use domain::clock::Clock;
use jobs::{Context, Failure, Handler, JobRow, Outcome, Outgoing, kind};
use serde_json::{Value, json};
use store::tenant::webhooks::{self as rows, Delivery, Tried};
use store::{Store, TenantScope, TenantTx};
use url::Url;

use super::service::{self, Webhook};
use super::{payload, signature};
use crate::outbound::{Entry, Outbound};

/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a message is held by the worker that sends it; longer than the receiver may take.
const HELD: i64 = 25;
/// Tries before a message is given up: more than three hours, with the queue's pauses.
const TRIES: i32 = 30;
/// Bytes of an answer that are read.
const ANSWER: usize = 4096;
/// Days that the log is kept.
const KEPT_DAYS: i64 = 30;

/// Delivers messages.
pub struct Deliveries {
    store: Store,
    outbound: Outbound,
    clock: Clock,
}

/// Why a message did not arrive this time.
#[derive(Debug, thiserror::Error)]
#[error("webhook message {id}, try {tried}: {why}")]
struct NotYet {
    id: String,
    tried: i32,
    why: String,
}

impl Deliveries {
    /// Over these rows, with this client.
    pub fn new(store: Store, outbound: Outbound, clock: Clock) -> Self {
        Self { store, outbound, clock }
    }
}

impl Handler for Deliveries {
    fn kind(&self) -> &'static str {
        kind::WEBHOOK
    }

    fn run(&self, job: JobRow, _: Context) -> Outcome {
        let this = Self { store: self.store.clone(), outbound: self.outbound.clone(), clock: self.clock.clone() };
        Box::pin(async move {
            let asked: Outgoing = serde_json::from_value(job.payload)?;
            this.deliver(&asked).await
        })
    }
}

impl Deliveries {
    /// Delivers the message that was asked for, and before it whatever waits for the same webhook about the same note.
    async fn deliver(&self, asked: &Outgoing) -> Result<Value, Failure> {
        let scope = match Entry::of(&self.store, asked.tenant, "webhook").await? {
            Entry::Open(scope) => scope,
            Entry::Closed(why) => return Ok(json!({ "skipped": why })),
        };
        let mut delivered = 0;
        loop {
            let mut tx = self.store.begin(&scope);
            tx.touch().await?;
            if !rows::is_waiting(&mut tx, asked.id).await? {
                tx.commit().await?;
                return Ok(json!({ "delivered": delivered }));
            }
            let now = self.clock.seconds();
            let claimed = rows::claim_oldest(&mut tx, asked.id, now, now + HELD).await?;
            tx.commit().await?;
            // Another worker is at it; the message's own turn comes after.
            let Some(delivery) = claimed else { return Err(Failure::Later(2)) };
            self.one(&scope, &delivery).await?;
            delivered += 1;
        }
    }

    async fn one(&self, scope: &TenantScope, delivery: &Delivery) -> Result<(), Failure> {
        let mut tx = self.store.begin(scope);
        let hook = service::find(&mut tx, delivery.member_id, &delivery.webhook_id).await;
        tx.commit().await?;
        let hook = hook.map_err(|cause| Failure::Again(Box::new(cause)))?;
        let Some(hook) = hook else {
            return self.ended(scope, delivery, "failed", None, Some("the webhook was removed")).await;
        };
        let (status, why) = match self.send(&hook, delivery).await {
            Ok(status) if (200..300).contains(&status) => {
                return self.ended(scope, delivery, "delivered", Some(i32::from(status)), None).await;
            }
            Ok(status) => (Some(i32::from(status)), format!("answered {status}")),
            Err(why) => (None, why),
        };
        if delivery.attempts >= TRIES {
            return self.ended(scope, delivery, "failed", status, Some(&why)).await;
        }
        self.ended(scope, delivery, "waiting", status, Some(&why)).await?;
        let (id, tried) = (delivery.message_id.clone(), delivery.attempts);
        Err(Failure::Again(Box::new(NotYet { id, tried, why })))
    }

    /// Sends once; the status of the answer.
    async fn send(&self, hook: &Webhook, delivery: &Delivery) -> Result<u16, String> {
        let url = Url::parse(&hook.url).map_err(|cause| cause.to_string())?;
        let body = payload::body(&hook.url, &delivery.activity, &delivery.creator, delivery.snapshot.clone());
        let body = body.map_err(|cause| format!("the message cannot be made: {cause}"))?;
        let now = self.clock.seconds();
        let mut request = self
            .outbound
            .request(reqwest::Method::POST, url.clone())
            .timeout(PATIENCE)
            .header("content-type", "application/json")
            .header("webhook-id", &delivery.message_id)
            .header("webhook-timestamp", now.to_string());
        if !hook.signing_secret.is_empty() {
            let signature = signature::sign(&hook.signing_secret, &delivery.message_id, now, &body);
            request = request.header("webhook-signature", signature.ok_or("the signing secret is no base64")?);
        }
        let answer = self.outbound.send(request.body(body), &url, ANSWER).await;
        answer.map(|answer| answer.status).map_err(|cause| cause.to_string())
    }

    /// Notes what came of a try.
    async fn ended(
        &self,
        scope: &TenantScope,
        delivery: &Delivery,
        state: &'static str,
        status: Option<i32>,
        error: Option<&str>,
    ) -> Result<(), Failure> {
        metrics::counter!("holdfast_webhook_tries_total", "result" => state).increment(1);
        let now = self.clock.seconds();
        let mut tx: TenantTx = self.store.begin(scope);
        tx.touch().await?;
        rows::record_try(&mut tx, delivery.id, &Tried { state, status, error, now }).await?;
        if delivery.id % 64 == 0 {
            rows::forget_ended(&mut tx, now - KEPT_DAYS * 24 * 3600).await?;
        }
        Ok(tx.commit().await?)
    }
}
