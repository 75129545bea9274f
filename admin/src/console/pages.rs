//! Pages that are read.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Data, web::Path};
use askama::Template;
use domain::tenant::Tenant;
use store::TenantScope;
use store::tenant::counts::{Counts, read_counts};
use web::{Error, OperatorVisit, Result, page};

use super::report::Told;
use super::runs::{JobBox, Jobs, kinds};
use super::view::{DrillLine, Frame, PointLine, RecoveryRow, headline, moment, point, proof, rpo, rto};
use crate::Admin;
use crate::recovery::{recoveries, recovery_of};

#[derive(Template)]
#[template(path = "recovery.html")]
struct RecoveryPage {
    frame: Frame,
    headline: String,
    now: String,
    rows: Vec<RecoveryRow>,
}

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage {
    frame: Frame,
    slug: String,
    state: &'static str,
    status: &'static str,
    rpo: String,
    proof: String,
    rto: String,
    newest: String,
    now: String,
    counts: Counts,
    /// Jobs that are under way; when there is none, the last that was.
    jobs: Vec<JobBox>,
    follows: bool,
    copies: Vec<CopyLine>,
    /// The tenant with the rows from before a swap that can be taken back, and until when.
    swapped: Option<(String, String)>,
    points: Vec<PointLine>,
    drills: Vec<DrillLine>,
}

/// A tenant that was restored from a point of this one.
struct CopyLine {
    slug: String,
    state: String,
    shows: String,
}

impl From<store::CopyOf> for CopyLine {
    fn from(copy: store::CopyOf) -> Self {
        Self { slug: copy.slug, state: copy.state, shows: moment(copy.shows) }
    }
}

#[derive(Template)]
#[template(path = "drill.html")]
struct DrillPage {
    frame: Frame,
    slug: String,
    point: String,
    drill: DrillLine,
    hash: String,
    previous: String,
    told: Told,
    report: String,
}

struct EventLine {
    seq: i64,
    at: String,
    actor: String,
    event: String,
    object: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    events: Vec<EventLine>,
}

struct OperatorLine {
    name: String,
    disabled: bool,
    own: bool,
    ways: &'static str,
    since: String,
}

#[derive(Template)]
#[template(path = "operators.html")]
struct OperatorsPage {
    frame: Frame,
    provider: Option<String>,
    groups: String,
    operators: Vec<OperatorLine>,
}

pub(super) fn frame(visit: &OperatorVisit, here: &'static str, request: &HttpRequest) -> Frame {
    Frame::new(Some(&visit.operator.name), here, page::flash(request))
}

pub(super) fn answer(request: &HttpRequest, template: &impl Template) -> Result<HttpResponse> {
    Ok(page::forget_flash(page::show(request, template)?, "/console"))
}

/// "Can we recover?"
pub(super) async fn recovery(visit: OperatorVisit, admin: Data<Admin>, request: HttpRequest) -> Result<HttpResponse> {
    let mut rows = Vec::new();
    for (tenant, recovery) in recoveries(&admin).await? {
        rows.push(RecoveryRow::new(tenant.slug.to_string(), tenant.state.as_str(), &recovery));
    }
    // What needs a hand comes first.
    let rank =
        |status: &str| ["failed", "unknown", "overdue", "degraded", "ok"].iter().position(|word| *word == status);
    rows.sort_by_key(|row| rank(row.status));
    let page = RecoveryPage {
        frame: frame(&visit, "recovery", &request),
        headline: headline(&rows),
        now: moment(admin.clock.now()),
        rows,
    };
    answer(&request, &page)
}

pub(super) async fn found(admin: &Admin, slug: &str) -> Result<Arc<Tenant>> {
    admin.store.registry().by_slug(slug).await?.ok_or_else(|| Error::not_found("there is no tenant of that name"))
}

/// One tenant: points, drills, and what is under way.
pub(super) async fn tenant(
    visit: OperatorVisit,
    admin: Data<Admin>,
    slug: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let tenant = found(&admin, &slug).await?;
    let Jobs { jobs, follows } = Jobs::of(&admin, tenant.id, &kinds()).await?;
    let scope = TenantScope::for_command(Arc::clone(&tenant), "console");
    let recovery = recovery_of(&admin, &tenant).await;
    let control = admin.store.control();
    let swapped = super::swap::kept(&admin, &tenant).await?;
    let copies = admin.store.copies_of_tenant(tenant.id).await?;
    let has_old_rows = |slug: &str| swapped.as_ref().is_some_and(|kept| kept.other.slug.as_str() == slug);
    let page = TenantPage {
        frame: frame(&visit, "recovery", &request),
        slug: tenant.slug.to_string(),
        state: tenant.state.as_str(),
        status: recovery.status,
        rpo: rpo(&recovery),
        proof: proof(&recovery),
        rto: rto(&recovery),
        newest: point(&recovery),
        now: moment(admin.clock.now()),
        counts: read_counts(&admin.store, &scope).await?,
        jobs,
        follows,
        copies: copies.into_iter().filter(|copy| !has_old_rows(&copy.slug)).map(CopyLine::from).collect(),
        swapped: swapped.map(|kept| (kept.other.slug.to_string(), moment(kept.keep_until))),
        points: control.list_points(Some(tenant.id), 5).await?.into_iter().map(PointLine::from).collect(),
        drills: control.list_drills(Some(tenant.id), 20).await?.iter().map(DrillLine::from).collect(),
    };
    answer(&request, &page)
}

/// One drill's report.
pub(super) async fn drill(
    visit: OperatorVisit,
    admin: Data<Admin>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let row = admin
        .store
        .control()
        .find_drill(&name)
        .await?
        .ok_or_else(|| Error::not_found("there is no drill of that name"))?;
    let pretty =
        serde_json::from_str::<serde_json::Value>(&row.report).and_then(|report| serde_json::to_string_pretty(&report));
    let page = DrillPage {
        frame: frame(&visit, "recovery", &request),
        slug: row.slug.clone(),
        point: row.point.clone(),
        drill: DrillLine::from(&row),
        hash: row.hash.clone(),
        previous: if row.previous_hash.is_empty() {
            "none: the first drill".to_owned()
        } else {
            row.previous_hash.clone()
        },
        told: Told::read(&row.report),
        report: pretty.unwrap_or_else(|_| row.report.clone()),
    };
    answer(&request, &page)
}

/// The newest audit events.
pub(super) async fn audit(visit: OperatorVisit, admin: Data<Admin>, request: HttpRequest) -> Result<HttpResponse> {
    let rows = admin.store.control().audit_newest(None, 200).await?;
    let line = |row: store::control::audit::AuditRow| EventLine {
        seq: row.seq,
        at: moment(row.at),
        actor: row.actor,
        event: row.event,
        object: row.object,
    };
    answer(
        &request,
        &AuditPage { frame: frame(&visit, "audit", &request), events: rows.into_iter().map(line).collect() },
    )
}

/// Everyone who may come in here.
pub(super) async fn operators(visit: OperatorVisit, admin: Data<Admin>, request: HttpRequest) -> Result<HttpResponse> {
    let rows = crate::operators::list(&admin).await?;
    let line = |row: store::control::operators::OperatorRow| OperatorLine {
        own: row.name == visit.operator.name,
        ways: crate::operators::ways(&row),
        since: moment(row.created_at),
        disabled: row.disabled,
        name: row.name,
    };
    let page = OperatorsPage {
        frame: frame(&visit, "operators", &request),
        provider: admin.identity.operators_provider().map(str::to_owned),
        groups: admin.identity.operators_groups().join(" or "),
        operators: rows.into_iter().map(line).collect(),
    };
    answer(&request, &page)
}
