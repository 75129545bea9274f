//! Bringing one note, one member's notes or one file back into the live tenant: what is wanted, what that would be, and the
//! order to do it.
//!
//! What would come back is known to a worker only, which can open points: so it is asked to look, and the order stands on
//! the page of what it found.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::id::TenantId;
use jobs::{JobRow, Part, RestorePart, kind};
use serde::Deserialize;
use serde_json::Value;
use store::control::points::point::Model as Row;
use web::{Error, OperatorVisit, Result, page};

use super::actions::{self, by};
use super::points::found;
use super::restore::living;
use super::runs::{number, said};
use super::view::{Frame, ago, counted, moment};
use crate::Admin;

/// Letters of a name or link.
const LENGTH: usize = 500;

#[derive(Template)]
#[template(path = "part.html")]
struct PartPage {
    frame: Frame,
    problem: Option<String>,
    point: Row,
    slug: String,
    what: String,
    name: String,
    age: String,
    shows: String,
}

#[derive(Template)]
#[template(path = "part_confirm.html")]
struct ConfirmPage {
    frame: Frame,
    run: i64,
    slug: String,
    point: String,
    age: String,
    shows: String,
    /// The note n-1, the notes of ann, the file a-5.
    thing: String,
    comes: String,
    files: usize,
    present: usize,
    warnings: Vec<String>,
    warned: usize,
}

/// What is wanted, in a form or a link.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    what: String,
    name: String,
}

/// A part in words.
pub(super) fn thing(part: &Part) -> String {
    match part {
        Part::Note(uid) => format!("the note {uid}"),
        Part::Member(name) => format!("the notes of {name}"),
        Part::Attachment(uid) => format!("the file {uid}"),
    }
}

/// What an answer says comes back: 1 note and 2 comments, 3 reactions, 1 file.
pub(super) fn comes(result: &Value) -> String {
    let comments = number(result, "comments");
    let notes = number(result, "notes").saturating_sub(comments);
    let counts = [
        (notes, "note"),
        (comments, "comment"),
        (number(result, "reactions"), "reaction"),
        (number(result, "attachments"), "file"),
    ];
    let told: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(*count, what)).collect();
    match told.as_slice() {
        [] => "nothing".to_owned(),
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => told.concat(),
    }
}

async fn part_page(visit: &OperatorVisit, admin: &Admin, row: Row, wish: Wish) -> Result<PartPage> {
    Ok(PartPage {
        frame: Frame::new(Some(&visit.operator.name), "recovery", None),
        problem: None,
        slug: living(admin, &row).await?,
        what: if wish.what.is_empty() { "note".to_owned() } else { wish.what },
        name: wish.name,
        age: ago(row.snapshot_at, admin.clock.now()),
        shows: moment(row.snapshot_at),
        point: row,
    })
}

/// Asks what is wanted.
pub(super) async fn choose(
    visit: OperatorVisit,
    admin: Data<Admin>,
    point: Path<String>,
    wish: Query<Wish>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let row = found(&admin, &point).await?;
    page::show(&request, &part_page(&visit, &admin, row, wish.into_inner()).await?)
}

/// Asks a worker to look what would come back.
pub(super) async fn look(
    visit: OperatorVisit,
    admin: Data<Admin>,
    point: Path<String>,
    form: Form<Wish>,
) -> Result<HttpResponse> {
    let row = found(&admin, &point).await?;
    living(&admin, &row).await?;
    let part = Part::named(&form.what, &form.name).filter(|_| form.name.len() <= LENGTH);
    let problem = match &part {
        None => Some("Say which one: its uid, its link, or a username."),
        Some(_) if row.state == "damaged" => Some("The point is damaged, so nothing is brought back from it."),
        Some(_) => None,
    };
    let (Some(part), None) = (part, problem) else {
        let again = part_page(&visit, &admin, row, form.into_inner()).await?;
        let again = PartPage { problem: problem.map(str::to_owned), ..again };
        return page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again);
    };
    let tenant = TenantId(row.tenant_id);
    let message = RestorePart { tenant, point: row.point, part, dry_run: true, trigger: by(&visit) };
    let added = actions::ask(&visit, &admin, "restore.part.looked", &point, &message).await?;
    Ok(actions::follow(added, &format!("/console/points/{}/part", page::encode(&point))))
}

/// What was looked at, if something would come of it.
async fn looked(admin: &Admin, id: i64) -> Result<(JobRow, RestorePart, Row)> {
    let none = || Error::not_found("there is nothing that could be brought back by that run");
    let row = admin.store.control().find_job(id).await?.filter(|row| row.kind == kind::PART && row.state == "done");
    let row = row.ok_or_else(none)?;
    let message: RestorePart = serde_json::from_value(row.payload.clone()).map_err(Error::internal)?;
    let point = found(admin, &message.point).await?;
    if !message.dry_run || !brings(row.result.as_ref()) {
        return Err(none());
    }
    Ok((row, message, point))
}

/// Something would come back, or has.
pub(super) fn brings(result: Option<&Value>) -> bool {
    result.is_some_and(|result| number(result, "notes") + number(result, "attachments") > 0)
}

/// What will happen.
pub(super) async fn plan(
    visit: OperatorVisit,
    admin: Data<Admin>,
    id: Path<i64>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let (row, message, point) = looked(&admin, *id).await?;
    let result = row.result.unwrap_or_default();
    let warnings = result.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let page = ConfirmPage {
        frame: Frame::new(Some(&visit.operator.name), "deed", None),
        run: row.id,
        slug: living(&admin, &point).await?,
        age: ago(point.snapshot_at, admin.clock.now()),
        shows: moment(point.snapshot_at),
        thing: thing(&message.part),
        comes: comes(&result),
        files: number(&result, "files"),
        present: number(&result, "present"),
        warnings: warnings.filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        warned: number(&result, "warned"),
        point: said(&result, "from"),
    };
    page::show(&request, &page)
}

/// Asks for it.
pub(super) async fn ask(visit: OperatorVisit, admin: Data<Admin>, id: Path<i64>) -> Result<HttpResponse> {
    let (_, looked, point) = looked(&admin, *id).await?;
    living(&admin, &point).await?;
    let message = RestorePart { dry_run: false, trigger: by(&visit), ..looked };
    let added = actions::ask(&visit, &admin, "restore.part.asked", &message.point, &message).await?;
    Ok(actions::follow(added, &format!("/console/runs/{id}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{brings, comes};

    #[test]
    fn what_comes_back_is_told_in_words() {
        assert_eq!(comes(&json!({})), "nothing");
        assert_eq!(comes(&json!({"notes": 1})), "1 note");
        let all = json!({"notes": 3, "comments": 2, "reactions": 1, "attachments": 2});
        assert_eq!(comes(&all), "1 note, 2 comments, 1 reaction and 2 files");
        assert!(brings(Some(&all)) && !brings(Some(&json!({"notes": 0}))) && !brings(None));
    }
}
