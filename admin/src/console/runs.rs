//! Work under way and done: a box on the page it belongs to, and a page of its own.

use actix_web::{HttpRequest, HttpResponse, web::Data, web::Path};
use askama::Template;
use domain::id::TenantId;
use jobs::{JobRow, Part, kind};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use web::{Error, OperatorVisit, Result};

use super::cancel::Cancel;
use super::pages::{answer, frame};
use super::part;
use super::report::{Phase, phases_of};
use super::view::{Frame, counted, moment};
use crate::Admin;
use crate::recovery::duration;

/// Kinds of work that can be looked at; others are not about what operators do.
pub(super) fn kinds() -> Vec<String> {
    let all =
        [kind::BACKUP, kind::DRILL, kind::VERIFY, kind::SURVEY, kind::RESTORE, kind::PART, kind::COMPARE, kind::SWAP];
    all.map(str::to_owned).into()
}

/// A job as its box shows it.
#[derive(serde::Serialize)]
pub(super) struct JobBox {
    pub(super) id: i64,
    pub(super) what: &'static str,
    pub(super) state: String,
    pub(super) text: String,
    /// How far it is, from 0 to 1, where that is known.
    pub(super) share: Option<f64>,
    pub(super) ended: bool,
}

impl From<&JobRow> for JobBox {
    fn from(row: &JobRow) -> Self {
        let text = match row.state.as_str() {
            "queued" => "waiting for a worker".to_owned(),
            "running" if row.cancel_by.is_some() && !row.settled => "being cancelled".to_owned(),
            "cancelled" => super::cancel::cancelled(row),
            "running" => row.progress.as_ref().map_or_else(|| "begun".to_owned(), |progress| said(progress, "phase")),
            "failed" => row.error.clone().unwrap_or_default(),
            _ => row.result.as_ref().map_or_else(String::new, |result| ended(&row.kind, result)),
        };
        let share = row.progress.as_ref().and_then(|progress| progress.get("share")?.as_f64());
        Self {
            id: row.id,
            what: what(row),
            state: row.state.clone(),
            text,
            share: share.filter(|_| row.state == "running"),
            ended: matches!(row.state.as_str(), "done" | "failed" | "cancelled"),
        }
    }
}

/// Jobs of a tenant: those under way; when there is none, the last that was. A page asks for them before what they change,
/// so that one that ends meanwhile is still followed, and the page asked for again.
pub(super) struct Jobs {
    pub(super) jobs: Vec<JobBox>,
    /// One of them is under way.
    pub(super) follows: bool,
}

impl Jobs {
    pub(super) async fn of(admin: &Admin, tenant: TenantId, kinds: &[String]) -> Result<Self> {
        let rows = admin.store.control().list_jobs(kinds, Some(tenant), 10).await?;
        let mut jobs: Vec<JobBox> = rows.iter().map(JobBox::from).collect();
        let follows = jobs.iter().any(|job| !job.ended);
        if follows {
            jobs.retain(|job| !job.ended);
        } else {
            jobs.truncate(1);
        }
        Ok(Self { jobs, follows })
    }

    /// Only what is under way, and what has failed last.
    pub(super) fn news(mut self) -> Self {
        self.jobs.retain(|job| job.state != "done");
        self
    }
}

fn what(row: &JobRow) -> &'static str {
    match row.kind.as_str() {
        kind::DRILL => "Drill",
        kind::VERIFY => "Reading back",
        kind::SURVEY => "Survey of points",
        kind::RESTORE => "Restore",
        kind::PART if dry(&row.payload) => "Look",
        kind::PART => "Bringing back",
        kind::COMPARE => "Comparison",
        kind::SWAP if row.payload.get("undo").is_some_and(|undo| !undo.is_null()) => "Undo of a swap",
        kind::SWAP => "Swap",
        _ => "Backup",
    }
}

/// A run that only looks.
fn dry(payload: &Value) -> bool {
    payload.get("dry_run") == Some(&Value::Bool(true))
}

pub(super) fn said(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A time of a report, as pages show it.
fn time_of(value: &Value, key: &str) -> String {
    let text = said(value, key);
    OffsetDateTime::parse(&text, &Rfc3339).map_or(text, moment)
}

pub(super) fn number(value: &Value, key: &str) -> usize {
    value.get(key).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

fn ended(kind: &str, result: &Value) -> String {
    if result.get("skipped").is_some() {
        return said(result, "skipped");
    }
    match kind {
        kind::DRILL => format!("drill {} ended with {}", said(result, "drill"), said(result, "verdict")),
        kind::SURVEY => {
            let points = result.get("points").and_then(Value::as_array).map_or(0, Vec::len);
            format!(
                "what {} on is known",
                if points == 1 { "1 point depends".to_owned() } else { format!("{points} points depend") }
            )
        }
        kind::RESTORE => format!(
            "point {} restored as {}: {}, every table equal",
            said(result, "from"),
            said(result, "tenant"),
            counted(number(result, "notes"), "note")
        ),
        kind::PART if dry(result) => format!("{} would come back; nothing was written", part::comes(result)),
        kind::PART => format!("{} came back", part::comes(result)),
        kind::COMPARE => {
            let counts = result.pointer("/notes/counts").and_then(Value::as_array).cloned().unwrap_or_default();
            let count = |at: usize| counts.get(at).and_then(Value::as_u64).unwrap_or_default();
            format!("notes: {} added, {} changed, {} deleted", count(0), count(1), count(2))
        }
        kind::SWAP => {
            let (slug, other) = (said(result, "tenant"), said(result, "other"));
            format!("{slug} has the rows that {other} had; what it had before is kept there")
        }
        _ => format!("point {} is {}", said(result, "point"), said(result, "state")),
    }
}

/// A row of facts.
type Fact = (&'static str, String);

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    job: JobBox,
    follows: bool,
    title: String,
    slug: Option<String>,
    asked: String,
    facts: Vec<Fact>,
    phases: Vec<Phase>,
    problems: Vec<String>,
    warnings: Vec<String>,
    cancel: Cancel,
    /// Where to go from here: path and words.
    next: Vec<(String, String)>,
    command: String,
}

/// The page of one job.
pub(super) async fn show(
    visit: OperatorVisit,
    admin: Data<Admin>,
    id: Path<i64>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let row = admin.store.control().find_job(*id).await?.filter(|row| kinds().contains(&row.kind));
    let row = row.ok_or_else(|| Error::not_found("there is no such run"))?;
    let slug = match row.tenant {
        Some(tenant) => admin.store.registry().by_id(tenant).await?.map(|tenant| tenant.slug.to_string()),
        None => None,
    };
    let job = JobBox::from(&row);
    let result = row.result.clone().unwrap_or_default();
    let page = RunPage {
        frame: frame(&visit, "recovery", &request),
        follows: !job.ended,
        title: title(&row, slug.as_deref().unwrap_or("a tenant that is gone")),
        asked: asked(&row),
        facts: facts(&row.kind, &result),
        phases: phases_of(&result),
        problems: problems(&result),
        warnings: warnings(&result),
        cancel: Cancel::of(&row),
        next: next(&row, slug.as_deref(), &result),
        command: command(&row, slug.as_deref().unwrap_or("TENANT")),
        slug,
        job,
    };
    answer(&request, &page)
}

fn title(row: &JobRow, slug: &str) -> String {
    let payload = |key: &str| said(&row.payload, key);
    match row.kind.as_str() {
        kind::VERIFY => format!("Reading {} back", payload("point")),
        kind::RESTORE => format!("Restoring {slug} as {}", payload("slug")),
        kind::PART => {
            let thing = wanted(row).map_or_else(|| "something".to_owned(), |part| part::thing(&part));
            if dry(&row.payload) {
                format!("What would come back of {thing}")
            } else {
                format!("Bringing {thing} back into {slug}")
            }
        }
        kind::COMPARE => format!("Comparing {} with {}", payload("slug"), payload("other")),
        kind::SWAP if what(row) == "Swap" => {
            format!("Putting {} in the place of {}", payload("other"), payload("slug"))
        }
        kind::SWAP => format!("Taking the swap of {} back", payload("slug")),
        _ => format!("{} of {slug}", what(row)),
    }
}

/// What a run brings back.
fn wanted(row: &JobRow) -> Option<Part> {
    serde_json::from_value(row.payload.clone()).ok()
}

fn asked(row: &JobRow) -> String {
    let by = row.payload.pointer("/trigger/name").and_then(Value::as_str);
    let at = moment(row.created_at);
    by.map_or_else(|| format!("Asked for {at}"), |name| format!("Asked for by {name}, {at}"))
}

fn facts(kind: &str, result: &Value) -> Vec<Fact> {
    let mut out: Vec<Fact> = Vec::new();
    let mut fact = |name, text: String| {
        if !text.is_empty() {
            out.push((name, text));
        }
    };
    match kind {
        kind::RESTORE if result.is_object() => {
            fact("Point", said(result, "from"));
            fact("Shows", time_of(result, "snapshot"));
            fact("Notes", number(result, "notes").to_string());
            fact("Files", number(result, "files").to_string());
            let tables = result.get("tables").and_then(Value::as_array).cloned().unwrap_or_default();
            let equal = tables.iter().filter(|table| table.get("equal") == Some(&Value::Bool(true))).count();
            fact("Tables equal", format!("{equal} of {}", tables.len()));
            fact("Took", result.get("seconds").and_then(Value::as_f64).map(duration).unwrap_or_default());
        }
        kind::PART if result.is_object() => {
            fact("Point", said(result, "from"));
            fact(if dry(result) { "Would come back" } else { "Came back" }, part::comes(result));
            let listed = |key| result.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
            let names: Vec<String> =
                listed("note_names").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
            let more = number(result, "notes").saturating_sub(names.len());
            let names = names.join(", ");
            fact("Notes", if more > 0 { format!("{names} and {more} more") } else { names });
            let some = |key: &str, what| match number(result, key) {
                0 => String::new(),
                count => counted(count, what),
            };
            fact("There already", some("present", "note"));
            fact("Not in the file store any more", some("files", "file"));
            fact("Revoked since, and stay so", some("revoked", "share link"));
        }
        kind::VERIFY if result.is_object() => {
            let report = result.get("report").cloned().unwrap_or_default();
            fact("Objects read back", number(&report, "objects").to_string());
            fact("Bytes read back", super::view::bytes(number(&report, "bytes") as i64));
            let copies = result.get("copies").and_then(Value::as_array).map_or(0, Vec::len);
            fact("Further stores read", copies.to_string());
        }
        kind::SWAP if result.is_object() => {
            fact("In use under", said(result, "tenant"));
            fact("Old rows under", said(result, "other"));
            fact("Kept until", time_of(result, "kept_until"));
            for (name, text) in super::swap::done_again(result) {
                fact(name, text);
            }
        }
        _ => {}
    }
    out
}

/// What a point that was read back has that it should not have.
fn problems(result: &Value) -> Vec<String> {
    let of = |report: &Value| super::points::sentences(report.get("problems"));
    let mut all = result.get("report").map(of).unwrap_or_default();
    all.extend(result.get("copies").and_then(Value::as_array).into_iter().flatten().flat_map(of));
    all
}

/// What someone should look at although it went well.
fn warnings(result: &Value) -> Vec<String> {
    let told = result.get("warnings").and_then(Value::as_array).into_iter().flatten();
    told.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn next(row: &JobRow, slug: Option<&str>, result: &Value) -> Vec<(String, String)> {
    let Some(slug) = slug.filter(|_| row.state == "done") else { return Vec::new() };
    let mut out = Vec::new();
    let mut go = |path: String, words: String| out.push((format!("/console/{path}"), words));
    match row.kind.as_str() {
        kind::RESTORE => {
            let copy = said(result, "tenant");
            go(format!("tenants/{slug}/compare/{copy}"), format!("Compare {slug} with {copy}"));
            go(format!("tenants/{slug}/swap/{copy}"), format!("Put {copy} in the place of {slug}"));
        }
        kind::PART => {
            if dry(result) && part::brings(Some(result)) {
                go(format!("runs/{}/part", row.id), "Bring it back".to_owned());
            }
            go(format!("points/{}/part", said(result, "from")), "Look for something else".to_owned());
        }
        kind::SWAP => {
            go(format!("tenants/{slug}"), format!("Look at {slug}"));
            if what(row) == "Swap" {
                go(format!("tenants/{slug}/undo"), "Take it back".to_owned());
            }
        }
        kind::COMPARE => go(format!("tenants/{slug}/compare/{}", said(result, "other")), "See what differs".to_owned()),
        kind::DRILL => go(format!("drills/{}", said(result, "drill")), "Read its report".to_owned()),
        kind::SURVEY => go(format!("tenants/{slug}/points"), "See the points".to_owned()),
        _ => go(format!("points/{}", said(result, "point")), "See the point".to_owned()),
    }
    out
}

fn command(row: &JobRow, slug: &str) -> String {
    let payload = |key: &str| said(&row.payload, key);
    match row.kind.as_str() {
        kind::VERIFY => format!("holdfast backup verify {} --copies", payload("point")),
        kind::RESTORE => format!("holdfast restore run {} --as {}", payload("point"), payload("slug")),
        kind::PART => {
            let (what, name, dry) =
                (payload("what"), payload("name"), if dry(&row.payload) { " --dry-run" } else { "" });
            format!("holdfast restore {what} {name} --point {} --tenant {slug}{dry}", payload("point"))
        }
        kind::COMPARE => format!("holdfast restore compare {} {}", payload("slug"), payload("other")),
        kind::SWAP if what(row) == "Swap" => format!("holdfast restore swap {} {}", payload("slug"), payload("other")),
        kind::SWAP => format!("holdfast restore undo {}", payload("slug")),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ended;

    #[test]
    fn ends_are_told_in_sentences() {
        let cases = [
            ("backup", json!({"skipped": "the tenant is gone"}), "the tenant is gone"),
            ("backup", json!({"point": "p", "state": "verified"}), "point p is verified"),
            ("drill", json!({"drill": "d", "verdict": "pass"}), "drill d ended with pass"),
            ("survey", json!({"points": [1]}), "what 1 point depends on is known"),
            ("compare", json!({"notes": {"counts": [1, 2, 3]}}), "notes: 1 added, 2 changed, 3 deleted"),
            (
                "restore",
                json!({"from": "p", "tenant": "copy", "notes": 1}),
                "point p restored as copy: 1 note, every table equal",
            ),
        ];
        for (kind, result, told) in cases {
            assert_eq!(ended(kind, &result), told);
        }
    }
}
