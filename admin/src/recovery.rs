//! Could we recover? For each tenant: how much would be lost now, and what the last drill showed.

use std::sync::Arc;

use domain::tenant::Tenant;
use serde::Serialize;
use store::TenantScope;
use time::OffsetDateTime;

use crate::Admin;

/// A drill that passed.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// Name of the drill.
    pub drill: String,
    /// The point it restored.
    pub point: String,
    /// Seconds since 1970.
    pub at: i64,
    /// How long ago, in seconds.
    pub age_seconds: i64,
    /// From the drill's start to "equality and sign-in passed".
    pub rto_seconds: Option<f64>,
    /// Notes restored, read back and compared.
    pub notes: i64,
}

impl Proof {
    /// "restored 14 h ago, 3 m 12 s, 41207 notes matched".
    pub fn sentence(&self) -> String {
        let took = self.rto_seconds.map_or(String::new(), |seconds| format!(", {}", duration(seconds)));
        format!("restored {} ago{took}, {} notes matched", duration(self.age_seconds as f64), self.notes)
    }
}

/// 12 s, 3 m 12 s, 14 h, 3 d.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as i64;
    match whole {
        0..60 if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} m {} s", whole / 60, whole % 60),
        3_600..172_800 => format!("{} h", whole / 3_600),
        _ => format!("{} d", whole / 86_400),
    }
}

/// How a tenant would come back.
#[derive(Clone, Debug, Serialize)]
pub struct Recovery {
    /// ok, degraded, failed, overdue or unknown.
    pub status: &'static str,
    /// Age of the oldest change that no verified point holds; 0 when there is none, none when that cannot be read.
    pub rpo_seconds: Option<f64>,
    /// The newest verified point.
    pub last_point: Option<String>,
    /// Its age in seconds.
    pub last_point_age: Option<i64>,
    /// The newest drill that passed.
    pub last_proof: Option<Proof>,
    /// Attached files that were already missing when the newest point was taken.
    pub missing_files: i64,
    /// The verdict of the newest drill, whatever it was.
    pub last_verdict: Option<String>,
}

/// A change older than this in no point is more than the product promises.
const RPO_PROMISE: f64 = 24.0 * 3600.0;

/// A proof older than this proves nothing of today, unless drills are scheduled less often.
const PROOF_PROMISE: i64 = 7 * 24 * 3600;

/// How old a proof may be: seven days, or two periods of the tenant's drill schedule when that is longer.
async fn proof_may_be(admin: &Admin, tenant: &Tenant, now: OffsetDateTime) -> Result<i64, store::Error> {
    let schedules = admin.store.control().list_schedules().await?;
    let own = schedules.iter().filter(|one| one.kind == "drill" && one.tenant.is_none_or(|id| id == tenant.id));
    let period = own.filter_map(|one| {
        let cron: jobs::Cron = one.cron.parse().ok()?;
        let next = cron.after(now)?;
        Some((cron.after(next)? - next).whole_seconds())
    });
    Ok(period.min().map_or(PROOF_PROMISE, |period| PROOF_PROMISE.max(2 * period)))
}

/// Looks at the tenant's changes, points and drills. What cannot be read is unknown, never ok.
pub async fn recovery_of(admin: &Admin, tenant: &Arc<Tenant>) -> Recovery {
    let now = admin.clock.now();
    let scope = TenantScope::for_command(Arc::clone(tenant), "recovery");
    let rpo_seconds = match admin.store.oldest_unheld_change(&scope).await {
        Ok(None) => Some(0.0),
        Ok(Some(since)) => Some((now - since).as_seconds_f64().max(0.0)),
        Err(error) => {
            tracing::warn!(tenant = %tenant.slug, %error, "the age of the oldest unheld change cannot be read");
            None
        }
    };
    let control = admin.store.control();
    let point = control.newest_point(tenant.id, &["verified", "proven"]).await;
    let passed = control.newest_drill(tenant.id, Some("pass")).await;
    let newest = control.newest_drill(tenant.id, None).await;
    let limit = proof_may_be(admin, tenant, now).await;
    let readable = point.is_ok() && passed.is_ok() && newest.is_ok() && limit.is_ok();
    let limit = limit.unwrap_or(PROOF_PROMISE);
    let point = point.ok().flatten();
    let proof = passed.ok().flatten().map(|drill| proof_of(&drill, now));
    let last_verdict = newest.ok().flatten().map(|drill| drill.verdict);
    let missing_files = point.as_ref().map_or(0, |point| point.missing);
    let status = if !readable || rpo_seconds.is_none() {
        "unknown"
    } else if last_verdict.as_deref() == Some("fail") {
        "failed"
    } else if point.is_none()
        || rpo_seconds.is_some_and(|rpo| rpo > RPO_PROMISE)
        || proof.as_ref().is_some_and(|proof| proof.age_seconds > limit)
    {
        "overdue"
    } else if missing_files > 0 || proof.is_none() || last_verdict.as_deref() == Some("incomplete") {
        "degraded"
    } else {
        "ok"
    };
    Recovery {
        status,
        rpo_seconds,
        last_point_age: point.as_ref().map(|point| (now - point.created_at).whole_seconds()),
        last_point: point.map(|point| point.point),
        last_proof: proof,
        missing_files,
        last_verdict,
    }
}

fn proof_of(drill: &store::control::drills::drill::Model, now: OffsetDateTime) -> Proof {
    Proof {
        drill: drill.drill.clone(),
        point: drill.point.clone(),
        at: drill.finished_at.unix_timestamp(),
        age_seconds: (now - drill.finished_at).whole_seconds().max(0),
        rto_seconds: drill.rto_seconds,
        notes: drill.notes,
    }
}

/// How often the ages are measured.
const MEASURE: std::time::Duration = std::time::Duration::from_secs(15);

/// Keeps the gauges of recoverability: over all tenants, never one by one.
pub async fn measure(admin: Admin) {
    let mut ticks = tokio::time::interval(MEASURE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = measure_once(&admin).await {
            tracing::warn!(%error, "recoverability cannot be measured");
        }
    }
}

async fn measure_once(admin: &Admin) -> Result<(), store::Error> {
    let mut by_status =
        std::collections::BTreeMap::from([("ok", 0), ("degraded", 0), ("failed", 0), ("overdue", 0), ("unknown", 0)]);
    // what is unknown, or was never there, is the worst there is: not nothing
    let (mut rpo, mut point_age, mut proof_age) = (0.0_f64, 0.0_f64, 0.0_f64);
    let worst = |age: Option<i64>| age.map_or(f64::INFINITY, |age| age as f64);
    for tenant in admin.store.registry().list().await? {
        let recovery = recovery_of(admin, &tenant).await;
        *by_status.entry(recovery.status).or_insert(0) += 1;
        rpo = rpo.max(recovery.rpo_seconds.unwrap_or(f64::INFINITY));
        point_age = point_age.max(worst(recovery.last_point_age));
        proof_age = proof_age.max(worst(recovery.last_proof.map(|proof| proof.age_seconds)));
    }
    for (status, count) in by_status {
        metrics::gauge!("holdfast_recovery_tenants", "status" => status).set(f64::from(count));
    }
    metrics::gauge!("holdfast_restore_rpo_seconds").set(rpo);
    metrics::gauge!("holdfast_backup_verified_age_seconds").set(point_age);
    metrics::gauge!("holdfast_restore_proven_age_seconds").set(proof_age);
    for (state, count) in admin.store.control().count_jobs().await? {
        metrics::gauge!("holdfast_jobs", "state" => state).set(count as f64);
    }
    Ok(())
}
