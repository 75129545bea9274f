//! What was told to a member's webhooks, and what came of it.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use store::tenant::webhooks::Logged;
use web::{Result, Signed, page};

use super::frame::{Frame, answer, desk};
use super::view::moment;
use crate::people;
use crate::state::AppState;
use crate::webhooks::service;

/// Lines on the page.
const LINES: i64 = 200;

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    username: String,
    hooks: usize,
    lines: Vec<Line>,
}

struct Line {
    when: String,
    what: String,
    note: String,
    hook: String,
    state: String,
    tries: i32,
    said: String,
    message: String,
}

/// Whose log; one's own when not said. Others' are for owners and admins.
#[derive(Deserialize)]
pub(super) struct Whose {
    #[serde(default)]
    member: String,
}

fn line(told: Logged, title: &str) -> Line {
    let said = match (told.status, told.error) {
        (_, Some(error)) => error,
        (Some(status), None) => format!("answered {status}"),
        (None, None) => String::new(),
    };
    Line {
        when: moment(told.created_ts),
        what: told.activity.trim_start_matches("memos.").replace('.', " "),
        note: told.note,
        hook: title.to_owned(),
        state: match told.state.as_str() {
            "delivered" => "delivered",
            "failed" => "given up",
            _ => "waiting",
        }
        .to_owned(),
        tries: told.attempts,
        said,
        message: told.message_id,
    }
}

pub(super) async fn show(
    signed: Signed,
    state: Data<AppState>,
    whose: Query<Whose>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let desk = desk(&state, &signed.visit);
    let owner = match whose.member.as_str() {
        "" => signed.member.member.clone(),
        name => people::service::get(&desk, name).await?,
    };
    let hooks = service::list(&desk, &owner).await?;
    let told = service::log(&desk, &owner, LINES).await?;
    let title = |id: &str| {
        let found = hooks.iter().find(|hook| hook.id == id);
        found.map_or("(removed)", |hook| if hook.title.is_empty() { hook.url.as_str() } else { hook.title.as_str() })
    };
    let lines = told.into_iter().map(|told| {
        let name = title(&told.webhook_id).to_owned();
        line(told, &name)
    });
    let shown = DeliveriesPage {
        frame: Frame::new(&signed.visit, "account", page::flash(&request)),
        username: owner.username.clone(),
        hooks: hooks.len(),
        lines: lines.collect(),
    };
    answer(&request, &signed.visit, &shown)
}
