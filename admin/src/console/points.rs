//! Points: which there are, why each stays, where it is, what it depends on; read back and kept on demand.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::id::TenantId;
use domain::retention::{self, FOREVER};
use jobs::{SurveyPoints, VerifyPoint, kind};
use serde::Deserialize;
use serde_json::{Value, json};
use store::AuditEvent;
use store::control::copies::CopyRow;
use store::control::points::point::Model as Row;
use time::{Duration, OffsetDateTime};
use web::{Error, OperatorVisit, Result, page};

use super::actions::{self, by};
use super::lineage::{Lineage, Survey};
use super::pages::{answer, frame};
use super::runs::{JobBox, Jobs};
use super::view::{Frame, ago, bytes, counted, moment};
use crate::Admin;
use crate::recovery::duration;

/// Points on one page.
const PAGE: usize = 50;
/// Points of one tenant that are looked at.
const MANY: u64 = 1_000_000;
/// Letters of a reason.
const REASON: usize = 200;

/// One of the list.
struct Line {
    name: String,
    state: String,
    taken: String,
    age: String,
    notes: i64,
    files: i64,
    plain: String,
    stored: String,
    sent: String,
    why: String,
    depends: String,
    stores: String,
}

#[derive(Template)]
#[template(path = "points.html")]
struct PointsPage {
    frame: Frame,
    slug: String,
    lives: bool,
    is_control: bool,
    total: usize,
    sent: String,
    first: usize,
    last: usize,
    newer: Option<usize>,
    older: Option<usize>,
    surveyed: String,
    jobs: Vec<JobBox>,
    follows: bool,
    points: Vec<Line>,
}

/// A store and what is known of the point there.
struct Place {
    store: String,
    state: &'static str,
    read: String,
}

#[derive(Template)]
#[template(path = "point.html")]
struct PointPage {
    frame: Frame,
    problem: Option<String>,
    reason: String,
    point: Row,
    age: String,
    taken: String,
    shows: String,
    plain: String,
    stored: String,
    sent: String,
    took: String,
    slug: String,
    /// The tenant is there and the point can be restored beside it.
    restorable: bool,
    jobs: Vec<JobBox>,
    follows: bool,
    problems: Vec<String>,
    why: Vec<String>,
    kept: bool,
    places: Vec<Place>,
    lineage: Option<Lineage>,
    surveyed: String,
}

/// Which page of a list.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    page: usize,
}

/// The form that keeps a point.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct KeepForm {
    reason: String,
    /// Days, `forever`, or `none`.
    until: String,
}

/// Whose points a slug means: a tenant's, the control plane's, or one's that is gone.
async fn owner(admin: &Admin, slug: &str) -> Result<(TenantId, bool)> {
    if let Some(tenant) = admin.store.registry().by_slug(slug).await? {
        return Ok((tenant.id, true));
    }
    let gone = admin.store.control().tenant_of_points(slug).await?;
    gone.map(|id| (id, false)).ok_or_else(|| Error::not_found("there is no tenant of that name, and no point"))
}

pub(super) async fn found(admin: &Admin, point: &str) -> Result<Row> {
    let row = admin.store.control().find_point(point).await?;
    row.ok_or_else(|| Error::not_found("there is no point of that name"))
}

/// Why each point of a tenant stays; without a reason the next prune takes it.
async fn reasons(admin: &Admin, rows: &[Row]) -> Result<BTreeMap<String, Vec<String>>> {
    let known = admin.store.control().known_points(rows).await?;
    Ok(retention::plan(&known, &admin.policy, admin.clock.now()))
}

/// What a verification found, as sentences.
pub(super) fn sentences(problems: Option<&Value>) -> Vec<String> {
    let text = |problem: &Value, key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = |problem: &Value| {
        let (object, what) = (text(problem, "object"), text(problem, "problem").replace('_', " "));
        format!("{object} is {what}: {}", text(problem, "message"))
    };
    problems.and_then(Value::as_array).into_iter().flatten().map(told).collect()
}

fn surveyed(survey: &Survey, now: OffsetDateTime) -> String {
    survey.at.map_or_else(|| "Not looked up yet".to_owned(), |at| format!("Looked up {}", ago(at, now)))
}

/// Every point of a tenant, newest first.
pub(super) async fn list(
    visit: OperatorVisit,
    admin: Data<Admin>,
    slug: Path<String>,
    wish: Query<Wish>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let (tenant, lives) = owner(&admin, &slug).await?;
    let kinds = [kind::SURVEY, kind::VERIFY, kind::BACKUP].map(str::to_owned);
    let under_way = Jobs::of(&admin, tenant, &kinds).await?.news();
    let rows = admin.store.control().list_points(Some(tenant), MANY).await?;
    let mut why = reasons(&admin, &rows).await?;
    let first = (wish.page.saturating_mul(PAGE)).min(rows.len());
    let shown = rows.get(first..rows.len().min(first + PAGE)).unwrap_or_default();
    let names: Vec<String> = shown.iter().map(|row| row.point.clone()).collect();
    let copies = admin.store.control().copies_among(&names).await?;
    let mut survey = Survey::of(&admin, tenant, &under_way).await?;
    let Jobs { jobs, follows } = under_way;
    let surveyed = surveyed(&survey, admin.clock.now());
    let points = shown.iter().map(|row| {
        let why = why.remove(&row.point).unwrap_or_default();
        let elsewhere =
            copies.get(&row.point).map_or(0, |all| all.iter().filter(|copy| copy.problems.is_none()).count());
        line(&admin, row, &why, survey.take(&row.point).as_ref(), elsewhere)
    });
    let page = PointsPage {
        frame: frame(&visit, "recovery", &request),
        slug: slug.into_inner(),
        lives,
        is_control: tenant.is_control(),
        points: points.collect(),
        total: rows.len(),
        sent: bytes(rows.iter().map(|row| row.bytes_sent).sum()),
        first: first + 1,
        last: first + shown.len(),
        newer: (first > 0).then(|| wish.page.saturating_sub(1)),
        older: (first + PAGE < rows.len()).then_some(wish.page + 1),
        surveyed,
        jobs,
        follows,
    };
    answer(&request, &page)
}

fn line(admin: &Admin, row: &Row, why: &[String], lineage: Option<&Lineage>, elsewhere: usize) -> Line {
    let whole = usize::from(row.state != "damaged") + elsewhere;
    Line {
        name: row.point.clone(),
        state: row.state.clone(),
        taken: moment(row.created_at),
        age: ago(row.created_at, admin.clock.now()),
        notes: row.notes,
        files: row.files,
        plain: bytes(row.bytes_plain),
        stored: bytes(row.bytes_stored),
        sent: bytes(row.bytes_sent),
        why: if why.is_empty() { "may go with the next prune".to_owned() } else { why.join("; ") },
        depends: lineage.map_or_else(String::new, Lineage::sentence),
        stores: format!("{whole} of {}", counted(admin.stores.len().max(1), "store")),
    }
}

/// One point.
pub(super) async fn one(
    visit: OperatorVisit,
    admin: Data<Admin>,
    point: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let page = point_page(&visit, &admin, &point, &request).await?;
    answer(&request, &page)
}

async fn point_page(visit: &OperatorVisit, admin: &Admin, point: &str, request: &HttpRequest) -> Result<PointPage> {
    let kinds = [kind::SURVEY, kind::VERIFY].map(str::to_owned);
    let tenant = TenantId(found(admin, point).await?.tenant_id);
    let under_way = Jobs::of(admin, tenant, &kinds).await?.news();
    let row = found(admin, point).await?;
    let (now, control) = (admin.clock.now(), admin.store.control());
    let living = admin.store.registry().by_id(tenant).await?;
    let rows = control.list_points(Some(tenant), MANY).await?;
    let mut survey = Survey::of(admin, tenant, &under_way).await?;
    let Jobs { jobs, follows } = under_way;
    Ok(PointPage {
        frame: frame(visit, "recovery", request),
        problem: None,
        reason: row.kept_reason.clone().unwrap_or_default(),
        age: ago(row.created_at, now),
        taken: moment(row.created_at),
        shows: moment(row.snapshot_at),
        plain: bytes(row.bytes_plain),
        stored: bytes(row.bytes_stored),
        sent: bytes(row.bytes_sent),
        took: duration(row.seconds),
        slug: living.as_ref().map_or_else(|| row.slug.clone(), |tenant| tenant.slug.to_string()),
        restorable: living.is_some() && row.state != "damaged",
        jobs,
        follows,
        problems: sentences(row.problems.as_ref()),
        why: reasons(admin, &rows).await?.remove(point).unwrap_or_default(),
        kept: row.kept_until.is_some_and(|until| until > now),
        places: places(admin, &row, control.copies_of(point).await?),
        surveyed: surveyed(&survey, now),
        lineage: survey.take(point),
        point: row,
    })
}

/// The backup store, then further ones; those that lack the point are named, too.
fn places(admin: &Admin, row: &Row, copies: Vec<CopyRow>) -> Vec<Place> {
    let read = |at: Option<OffsetDateTime>| at.map_or_else(|| "not yet".to_owned(), moment);
    let mut stores = admin.stores.iter();
    let own = Place {
        store: stores.next().cloned().unwrap_or_else(|| "the backup store".to_owned()),
        state: match row.state.as_str() {
            "damaged" => "damaged",
            "complete" => "complete",
            _ => "verified",
        },
        read: read(row.verified_at),
    };
    let of = |copy: &CopyRow| Place {
        store: copy.store.clone(),
        state: if copy.problems.is_none() { "verified" } else { "damaged" },
        read: read(Some(copy.verified_at)),
    };
    let missing = stores.filter(|store| !copies.iter().any(|copy| copy.store == **store));
    let missing = missing.map(|store| Place { store: store.clone(), state: "missing", read: read(None) });
    std::iter::once(own).chain(copies.iter().map(of)).chain(missing).collect()
}

/// Asks for the point to be read back.
pub(super) async fn verify(visit: OperatorVisit, admin: Data<Admin>, point: Path<String>) -> Result<HttpResponse> {
    let row = found(&admin, &point).await?;
    let message = VerifyPoint { tenant: TenantId(row.tenant_id), point: row.point, trigger: by(&visit) };
    let added = actions::ask(&visit, &admin, "point.verify.asked", &point, &message).await?;
    Ok(actions::back(added, &format!("/console/points/{}", page::encode(&point))))
}

/// Asks what the tenant's points depend on.
pub(super) async fn survey(visit: OperatorVisit, admin: Data<Admin>, slug: Path<String>) -> Result<HttpResponse> {
    let (tenant, _) = owner(&admin, &slug).await?;
    let message = SurveyPoints { tenant, trigger: by(&visit) };
    let added = actions::ask(&visit, &admin, "points.survey.asked", &slug, &message).await?;
    Ok(actions::back(added, &format!("{}/points", actions::of_tenant(&slug))))
}

/// Keeps a point from being removed, or lets it go again.
pub(super) async fn keep(
    visit: OperatorVisit,
    admin: Data<Admin>,
    point: Path<String>,
    form: Form<KeepForm>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let row = found(&admin, &point).await?;
    let reason = form.reason.trim();
    let problem = match until(&form.until, admin.clock.now()) {
        Ok(Some(_)) if reason.is_empty() => "Say why it is to be kept.",
        Ok(_) if reason.chars().count() > REASON => "Say it in 200 letters or fewer.",
        Err(problem) => problem,
        Ok(until) => {
            let reason = until.map(|_| reason);
            let detail = json!({ "until": until.map(moment), "reason": reason });
            let actor = visit.operator.audit_actor();
            let event = AuditEvent { actor: &actor, event: "point.kept", object: &point, detail };
            let control = admin.store.control();
            control.keep_point(TenantId(row.tenant_id), &point, until, reason, &event).await?;
            let said = if until.is_some() { "The point is kept." } else { "The point is let go: the rules decide." };
            return Ok(page::see_other_saying(&format!("/console/points/{}", page::encode(&point)), said, "/console"));
        }
    };
    let again = PointPage {
        problem: Some(problem.to_owned()),
        reason: form.reason.clone(),
        ..point_page(&visit, &admin, &point, &request).await?
    };
    page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
}

/// Days, `forever`, or `none`.
fn until(text: &str, now: OffsetDateTime) -> std::result::Result<Option<OffsetDateTime>, &'static str> {
    match text {
        "forever" => Ok(Some(FOREVER)),
        "none" => Ok(None),
        days => match days.parse() {
            Ok(days @ 1..=36_500) => Ok(Some(now.checked_add(Duration::days(days)).unwrap_or(FOREVER))),
            _ => Err("Choose until when it is to be kept."),
        },
    }
}
