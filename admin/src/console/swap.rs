//! Putting a restored copy in the place of the live tenant, and taking that back.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::tenant::{Tenant, TenantState};
use jobs::SwapTenants;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use web::{Error, OperatorVisit, Result, page};

use super::actions::{self, by};
use super::compare::Outline;
use super::pages::found;
use super::runs::number;
use super::view::{Frame, ago, counted, moment};
use crate::Admin;

/// Days for which what is live now may be kept.
const DAYS: [u32; 4] = [30, 7, 90, 365];

#[derive(Template)]
#[template(path = "swap.html")]
struct SwapPage {
    frame: Frame,
    problem: Option<String>,
    slug: String,
    other: String,
    /// The instant that the copy shows; or when the swap was that is taken back.
    at: String,
    undo: bool,
    /// It cannot be done as things are.
    refused: bool,
    /// What the newest comparison says.
    compared: Option<String>,
    action: String,
    days: &'static [u32],
}

/// The form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SwapForm {
    days: u32,
}

/// The tenant that has the rows from before a swap.
pub(super) struct Kept {
    seq: i64,
    at: OffsetDateTime,
    pub(super) other: Arc<Tenant>,
    pub(super) keep_until: OffsetDateTime,
}

/// What a tenant's newest swap left, if it can still be taken back.
pub(super) async fn kept(admin: &Admin, tenant: &Tenant) -> Result<Option<Kept>> {
    let Some(swap) = admin.store.newest_swap(tenant.id).await? else { return Ok(None) };
    let other = admin.store.registry().by_id(swap.other).await?;
    let other = other.filter(|other| other.state == TenantState::PendingDeletion);
    Ok(other.map(|other| Kept { seq: swap.seq, at: swap.at, other, keep_until: swap.keep_until }))
}

/// A copy that may take the tenant's place, and the instant it shows.
async fn pair(admin: &Admin, slug: &str, other: &str) -> Result<(Arc<Tenant>, Arc<Tenant>, OffsetDateTime)> {
    let (live, copy) = (found(admin, slug).await?, found(admin, other).await?);
    let from = admin.store.restored_from(copy.id).await?.filter(|(of, _)| *of == live.id);
    let (_, shows) = from.ok_or_else(|| Error::not_found("that tenant was not restored from a point of this one"))?;
    Ok((live, copy, shows))
}

async fn swap_page(
    visit: &OperatorVisit,
    admin: &Admin,
    (live, copy, shows): &(Arc<Tenant>, Arc<Tenant>, OffsetDateTime),
) -> Result<SwapPage> {
    let (slug, other) = (live.slug.to_string(), copy.slug.to_string());
    let now = admin.clock.now();
    let outline = Outline::newest(admin, live, copy).await?;
    let closed = copy.state == TenantState::Closed;
    let refused = format!(
        "{other} is {}. Only a closed copy that was never opened can take a live tenant's place.",
        copy.state.as_str()
    );
    Ok(SwapPage {
        frame: Frame::new(Some(&visit.operator.name), "deed", None),
        problem: (!closed).then_some(refused),
        at: format!("{} ({})", moment(*shows), ago(*shows, now)),
        undo: false,
        refused: !closed,
        compared: outline.map(|outline| outline.sentence(&slug, &other, now)),
        action: format!("{}/swap/{}", actions::of_tenant(&slug), page::encode(&other)),
        days: &DAYS,
        slug,
        other,
    })
}

/// Says what will happen, and asks for it.
pub(super) async fn plan(
    visit: OperatorVisit,
    admin: Data<Admin>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let pair = pair(&admin, &path.0, &path.1).await?;
    page::show(&request, &swap_page(&visit, &admin, &pair).await?)
}

/// Asks for the swap.
pub(super) async fn ask(
    visit: OperatorVisit,
    admin: Data<Admin>,
    path: Path<(String, String)>,
    form: Form<SwapForm>,
) -> Result<HttpResponse> {
    let pair = pair(&admin, &path.0, &path.1).await?;
    let mut again = swap_page(&visit, &admin, &pair).await?;
    if again.problem.is_none() && !DAYS.contains(&form.days) {
        again.problem = Some("Choose how long the present rows are kept.".to_owned());
    }
    if again.problem.is_some() {
        return page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let (live, copy, _) = pair;
    let message = SwapTenants {
        tenant: live.id,
        slug: live.slug.to_string(),
        other: copy.slug.to_string(),
        keep_days: form.days,
        undo: None,
        trigger: by(&visit),
    };
    let added = actions::ask(&visit, &admin, "swap.asked", live.slug.as_str(), &message).await?;
    Ok(actions::follow(added, &actions::of_tenant(live.slug.as_str())))
}

async fn undo_page(visit: &OperatorVisit, admin: &Admin, slug: &str) -> Result<(SwapPage, Arc<Tenant>, Kept)> {
    let live = found(admin, slug).await?;
    let kept = kept(admin, &live).await?;
    let kept =
        kept.ok_or_else(|| Error::not_found("nothing has taken this tenant's place that could be taken back"))?;
    let (now, other) = (admin.clock.now(), kept.other.slug.to_string());
    let page = SwapPage {
        frame: Frame::new(Some(&visit.operator.name), "deed", None),
        problem: None,
        at: format!("{} ({})", moment(kept.at), ago(kept.at, now)),
        undo: true,
        refused: false,
        compared: Outline::newest(admin, &live, &kept.other).await?.map(|outline| outline.sentence(slug, &other, now)),
        action: format!("{}/undo", actions::of_tenant(slug)),
        days: &DAYS,
        slug: slug.to_owned(),
        other,
    };
    Ok((page, live, kept))
}

/// Says what taking the swap back will do, and asks for it.
pub(super) async fn plan_undo(
    visit: OperatorVisit,
    admin: Data<Admin>,
    slug: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    page::show(&request, &undo_page(&visit, &admin, &slug).await?.0)
}

/// Asks for the swap to be taken back.
pub(super) async fn ask_undo(
    visit: OperatorVisit,
    admin: Data<Admin>,
    slug: Path<String>,
    form: Form<SwapForm>,
) -> Result<HttpResponse> {
    let (mut again, live, kept) = undo_page(&visit, &admin, &slug).await?;
    if !DAYS.contains(&form.days) {
        again.problem = Some("Choose how long the present rows are kept.".to_owned());
        return page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let message = SwapTenants {
        tenant: live.id,
        slug: live.slug.to_string(),
        other: kept.other.slug.to_string(),
        keep_days: form.days,
        undo: Some(kept.seq),
        trigger: by(&visit),
    };
    let added = actions::ask(&visit, &admin, "swap.undo.asked", live.slug.as_str(), &message).await?;
    Ok(actions::follow(added, &actions::of_tenant(&slug)))
}

/// What was done again after a swap, and whose role or password it has changed.
pub(super) fn done_again(result: &Value) -> [(&'static str, String); 3] {
    let replayed = result.get("replayed").cloned().unwrap_or_default();
    let kinds =
        [("tokens", "token"), ("shares", "share link"), ("erased", "erased member"), ("archived", "archived member")];
    let told = kinds.map(|(key, what)| (number(&replayed, key), what));
    let told: Vec<String> =
        told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(*count, what)).collect();
    let apart = result.get("gone_back").filter(|apart| apart.is_object());
    let names = |key| {
        let Some(apart) = apart else { return "could not be seen".to_owned() };
        let names = apart.get(key).and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    [
        ("Revoked, erased, archived again", if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }),
        ("Another role than before", names("roles")),
        ("Another password than before", names("passwords")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::done_again;

    #[test]
    fn a_swap_tells_what_was_revoked_again_and_whose_role_and_password_went_back() {
        let told = done_again(&json!({
            "replayed": { "tokens": 1, "shares": 2, "erased": 0, "archived": 0 },
            "gone_back": { "roles": ["ann", "bob"], "passwords": [] },
        }));
        assert_eq!(told.map(|(_, text)| text), ["1 token, 2 share links", "ann, bob", ""]);
        let unseen = done_again(&json!({ "replayed": {}, "gone_back": null }));
        assert_eq!(unseen.map(|(_, text)| text), ["nothing", "could not be seen", "could not be seen"]);
    }
}
