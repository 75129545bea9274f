//! Could we recover? For each tenant: how much would be lost now, and what the last drill showed.

use std::collections::HashMap;
use std::sync::Arc;

use domain::id::TenantId;
use domain::tenant::{Tenant, TenantState};
use serde::Serialize;
use store::TenantScope;
use store::control::standing::{PassedDrill, Standing};
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

/// How old proofs may be: seven days, or two periods of the tenant's drill schedule when that is longer.
struct ProofAges {
    /// The period of each schedule of drills, with its tenant where it has one.
    periods: Vec<(Option<TenantId>, i64)>,
}

impl ProofAges {
    async fn read(admin: &Admin, now: OffsetDateTime) -> Result<Self, store::Error> {
        let schedules = admin.store.control().list_schedules().await?;
        let period = |cron: &str| {
            let cron: jobs::Cron = cron.parse().ok()?;
            let next = cron.after(now)?;
            Some((cron.after(next)? - next).whole_seconds())
        };
        let drills = schedules.iter().filter(|one| one.kind == "drill");
        Ok(Self { periods: drills.filter_map(|one| Some((one.tenant, period(&one.cron)?))).collect() })
    }

    fn of(&self, tenant: TenantId) -> i64 {
        let own = self.periods.iter().filter(|(whose, _)| whose.is_none_or(|id| id == tenant));
        own.map(|(_, period)| *period).min().map_or(PROOF_PROMISE, |period| PROOF_PROMISE.max(2 * period))
    }
}

/// What could be read of a tenant.
struct Known<'a> {
    /// How old the oldest change is that no point holds, in seconds. None: it cannot be read.
    rpo_seconds: Option<f64>,
    /// None: it cannot be read.
    standing: Option<&'a Standing>,
    /// How old its proof may be. None: it cannot be read.
    proof_may_be: Option<i64>,
}

impl Known<'_> {
    /// What cannot be read is unknown, never ok.
    fn judge(&self, now: OffsetDateTime) -> Recovery {
        let point = self.standing.and_then(|standing| standing.point.as_ref());
        let proof = self.standing.and_then(|standing| standing.passed.as_ref()).map(|drill| proof_of(drill, now));
        let last_verdict = self.standing.and_then(|standing| standing.verdict.clone());
        let missing_files = point.map_or(0, |point| point.missing);
        let limit = self.proof_may_be.unwrap_or(PROOF_PROMISE);
        let status = if self.standing.is_none() || self.proof_may_be.is_none() || self.rpo_seconds.is_none() {
            "unknown"
        } else if last_verdict.as_deref() == Some("fail") {
            "failed"
        } else if point.is_none()
            || self.rpo_seconds.is_some_and(|rpo| rpo > RPO_PROMISE)
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
            rpo_seconds: self.rpo_seconds,
            last_point_age: point.map(|point| (now - point.created_at).whole_seconds()),
            last_point: point.map(|point| point.point.clone()),
            last_proof: proof,
            missing_files,
            last_verdict,
        }
    }
}

/// Looks at the tenant's changes, points and drills.
pub async fn recovery_of(admin: &Admin, tenant: &Arc<Tenant>) -> Recovery {
    let now = admin.clock.now();
    let standings = admin.store.control().standings(Some(tenant.id)).await;
    let ages = ProofAges::read(admin, now).await;
    let known = Known {
        rpo_seconds: rpo_of(admin, tenant, now).await,
        standing: standings.as_ref().ok().and_then(|all| all.first()),
        proof_may_be: ages.ok().map(|ages| ages.of(tenant.id)),
    };
    known.judge(now)
}

/// The same of every tenant, by slug. What there is to ask is asked for all together: a question for each of thousands, every
/// few seconds, would keep a core busy.
pub async fn recoveries(admin: &Admin) -> Result<Vec<(Arc<Tenant>, Recovery)>, store::Error> {
    let (now, tenants) = (admin.clock.now(), admin.store.registry().list().await?);
    let standings = admin.store.control().standings(None).await.inspect_err(|error| {
        tracing::warn!(%error, "points and drills cannot be read");
    });
    let standings: Option<HashMap<TenantId, Standing>> =
        standings.ok().map(|all| all.into_iter().map(|standing| (standing.tenant, standing)).collect());
    let ages = ProofAges::read(admin, now).await.ok();
    let changed = admin.store.changed_tenants().await.inspect_err(|error| {
        tracing::warn!(%error, "changes of all tenants cannot be read together");
    });
    let changed: Option<HashMap<TenantId, OffsetDateTime>> =
        changed.ok().map(|all| all.into_iter().map(|changed| (changed.tenant, changed.since)).collect());
    let mut out = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let asked = matches!(tenant.state, TenantState::Active | TenantState::ReadOnly | TenantState::Suspended);
        let together = changed.as_ref().filter(|_| asked);
        let known = Known {
            rpo_seconds: match together {
                Some(changed) => Some(age_of(changed.get(&tenant.id).copied(), now)),
                // not in use, or one of all that makes the question fail
                None => rpo_of(admin, &tenant, now).await,
            },
            standing: standings.as_ref().and_then(|all| all.get(&tenant.id)),
            proof_may_be: ages.as_ref().map(|ages| ages.of(tenant.id)),
        };
        let recovery = known.judge(now);
        out.push((tenant, recovery));
    }
    Ok(out)
}

async fn rpo_of(admin: &Admin, tenant: &Arc<Tenant>, now: OffsetDateTime) -> Option<f64> {
    let scope = TenantScope::for_command(Arc::clone(tenant), "recovery");
    let read = admin.store.oldest_unheld_change(&scope).await.inspect_err(|error| {
        tracing::warn!(tenant = %tenant.slug, %error, "the age of the oldest unheld change cannot be read");
    });
    read.ok().map(|since| age_of(since, now))
}

/// Seconds since then; 0 where there is nothing.
fn age_of(since: Option<OffsetDateTime>, now: OffsetDateTime) -> f64 {
    since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
}

fn proof_of(drill: &PassedDrill, now: OffsetDateTime) -> Proof {
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
    for (_, recovery) in recoveries(admin).await? {
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
