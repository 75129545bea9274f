//! Restoring a point beside the live tenant: the plan, and the order to do it.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::id::{Slug, TenantId};
use jobs::{RestorePoint, kind};
use serde::Deserialize;
use serde_json::Value;
use store::control::overview::Wanted;
use store::control::points::point::Model as Row;
use web::{Error, OperatorVisit, Result, page};

use super::actions::{self, by};
use super::points::found;
use super::view::{Frame, ago, bytes, moment};
use crate::Admin;
use crate::recovery::duration;

/// Drills that say how long it takes.
const MEASURED: usize = 5;

#[derive(Template)]
#[template(path = "restore.html")]
struct RestorePage {
    frame: Frame,
    problem: Option<String>,
    point: Row,
    /// How the tenant is called now.
    slug: String,
    /// How the copy is to be called.
    wanted: String,
    age: String,
    shows: String,
    plain: String,
    stored: String,
    expected: String,
}

/// The form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RestoreForm {
    slug: String,
}

/// The tenant's present slug; a point of a tenant that is gone, or of the control plane, comes back otherwise.
pub(super) async fn living(admin: &Admin, row: &Row) -> Result<String> {
    let tenant = admin.store.registry().by_id(TenantId(row.tenant_id)).await?;
    let gone =
        || Error::not_found("the tenant of this point is not there any more; `holdfast restore run` brings it back");
    tenant.map(|tenant| tenant.slug.to_string()).ok_or_else(gone)
}

async fn restore_page(visit: &OperatorVisit, admin: &Admin, row: Row, wanted: Option<&str>) -> Result<RestorePage> {
    let slug = living(admin, &row).await?;
    let wanted = match wanted {
        Some(wanted) => wanted.to_owned(),
        None => proposed(admin, &slug, &row.point).await?,
    };
    Ok(RestorePage {
        frame: Frame::new(Some(&visit.operator.name), "deed", None),
        problem: None,
        slug,
        wanted,
        age: ago(row.snapshot_at, admin.clock.now()),
        shows: moment(row.snapshot_at),
        plain: bytes(row.bytes_plain),
        stored: bytes(row.bytes_stored),
        expected: expected(admin, TenantId(row.tenant_id)).await?,
        point: row,
    })
}

/// `team-1122-1435` by the point's time, with a number behind when that is taken.
async fn proposed(admin: &Admin, slug: &str, point: &str) -> Result<String> {
    let base: String = slug.chars().take(24).collect();
    let part = |from: usize, to: usize| point.get(from..to).unwrap_or("0000");
    let first = format!("{}-{}-{}", base.trim_end_matches('-'), part(4, 8), part(9, 13));
    for number in 1..20 {
        let one = if number == 1 { first.clone() } else { format!("{first}-{number}") };
        if admin.store.registry().by_slug(&one).await?.is_none() {
            return Ok(one);
        }
    }
    Ok(String::new())
}

/// How long it will take, by what was measured.
async fn expected(admin: &Admin, tenant: TenantId) -> Result<String> {
    let control = admin.store.control();
    let drills = control.list_drills(Some(tenant), 50).await?;
    let passed = drills.iter().filter(|drill| drill.verdict == "pass").filter_map(|drill| drill.rto_seconds);
    let measured: Vec<f64> = passed.take(MEASURED).collect();
    let wanted = Wanted { kind: kind::RESTORE, tenant, field: None, done: true };
    let last = control.newest_job(&wanted).await?.and_then(|job| job.result?.get("seconds").and_then(Value::as_f64));
    Ok(in_words(&measured, last))
}

fn in_words(measured: &[f64], last: Option<f64>) -> String {
    let quickest = measured.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = measured.iter().copied().fold(0.0, f64::max);
    let mut said = match measured {
        [] => "not measured: no drill of this tenant has passed yet".to_owned(),
        [one] => format!("about {}, as the last drill took until people could sign in", duration(*one)),
        many => format!(
            "{} to {}, as the last {} drills took until people could sign in",
            duration(quickest),
            duration(slowest),
            many.len()
        ),
    };
    if let Some(last) = last {
        said.push_str(&format!("; the last restore took {}", duration(last)));
    }
    said
}

/// The plan, with the form that carries it out.
pub(super) async fn plan(
    visit: OperatorVisit,
    admin: Data<Admin>,
    point: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let row = found(&admin, &point).await?;
    page::show(&request, &restore_page(&visit, &admin, row, None).await?)
}

/// Asks for it.
pub(super) async fn ask(
    visit: OperatorVisit,
    admin: Data<Admin>,
    point: Path<String>,
    form: Form<RestoreForm>,
) -> Result<HttpResponse> {
    let row = found(&admin, &point).await?;
    living(&admin, &row).await?;
    let wanted = form.slug.trim();
    let problem = match wanted.parse::<Slug>() {
        Err(error) => Some(format!("{}.", super::entry::capital(&error.to_string()).trim_end_matches('.'))),
        Ok(_) if row.state == "damaged" => Some("The point is damaged, so nothing is restored from it.".to_owned()),
        Ok(slug) => {
            let taken = admin.store.registry().by_slug(slug.as_str()).await?;
            taken.map(|_| format!("There is a tenant {slug} already; choose another name."))
        }
    };
    if let Some(problem) = problem {
        let again = restore_page(&visit, &admin, row, Some(wanted)).await?;
        let again = RestorePage { problem: Some(problem), ..again };
        return page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let message = RestorePoint {
        tenant: TenantId(row.tenant_id),
        point: row.point,
        slug: wanted.to_owned(),
        trigger: by(&visit),
    };
    let added = actions::ask(&visit, &admin, "restore.asked", &point, &message).await?;
    Ok(actions::follow(added, &format!("/console/points/{}", page::encode(&point))))
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn the_time_is_told_by_what_was_measured() {
        assert!(in_words(&[], None).starts_with("not measured"));
        assert_eq!(in_words(&[3.0], None), "about 3.0 s, as the last drill took until people could sign in");
        assert_eq!(
            in_words(&[3.0, 5.0, 4.0], Some(2.0)),
            "3.0 s to 5.0 s, as the last 3 drills took until people could sign in; the last restore took 2.0 s"
        );
    }
}
