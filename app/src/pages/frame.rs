//! What every page has around it.

use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::Actor;
use web::{Error, Result, Visit, assets, page};

use super::view::ago;
use crate::notes::Desk;
use crate::state::AppState;

/// What a member is told who changes something in a workspace that is only read at present.
pub(super) const READ_ONLY: &str = "This workspace is read-only at present: everything can be read, nothing changed.";

/// The parts of the layout.
pub(super) struct Frame {
    pub(super) base: String,
    pub(super) name: String,
    pub(super) member: Option<String>,
    /// Whose drafts the browser keeps.
    pub(super) drafts: String,
    pub(super) here: &'static str,
    pub(super) said: Option<String>,
    pub(super) read_only: bool,
    /// Whether strangers see nothing but the sign-in page.
    pub(super) private: bool,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Frame {
    pub(super) fn new(visit: &Visit, here: &'static str, said: Option<String>) -> Self {
        let member = visit.actor.member();
        Self {
            base: visit.place.base.clone(),
            name: visit.place.tenant.slug.to_string(),
            member: member.map(|member| {
                if member.display_name.is_empty() { member.username.clone() } else { member.display_name.clone() }
            }),
            drafts: member.map_or_else(String::new, |member| member.username.clone()),
            here,
            said,
            read_only: !visit.place.is_writable(),
            private: visit.place.is_private(),
            style: assets::url("base.css"),
            script: assets::url("app.js"),
            icon: assets::url("favicon.svg"),
        }
    }
}

/// A page that is read; takes the sentence of the last redirect with it.
pub(super) fn answer(request: &HttpRequest, visit: &Visit, template: &impl Template) -> Result<HttpResponse> {
    Ok(page::forget_flash(page::show(request, template)?, &visit.place.base))
}

pub(super) fn desk<'a>(state: &'a AppState, visit: &'a Visit) -> Desk<'a> {
    Desk {
        store: &state.store,
        scope: &visit.scope,
        actor: &visit.actor,
        clock: &state.clock,
        chance: &state.chance,
        live: &state.live,
    }
}

/// Refuses to change anything in a workspace that is read-only at present.
pub(super) fn writable(visit: &Visit) -> Result<()> {
    if visit.place.is_writable() { Ok(()) } else { Err(Error::denied(READ_ONLY)) }
}

/// Refuses to store more in a workspace that is read-only at present, or has no room.
pub(super) fn roomy(state: &AppState, visit: &Visit) -> Result<()> {
    writable(visit)?;
    state.room.check(&visit.place.tenant)
}

/// Where a form leads back to: the page of ours that it names, else `otherwise`.
pub(super) fn back(named: &str, otherwise: &str) -> String {
    if page::is_own_path(named) { named.to_owned() } else { otherwise.to_owned() }
}

/// "Backed up 5 minutes ago · last proven restore yesterday": what the operators' side knows of this workspace, for its
/// members. None for strangers, and when there is nothing to tell.
pub(super) async fn trust(state: &AppState, visit: &Visit) -> Option<String> {
    if visit.actor == Actor::Anonymous {
        return None;
    }
    let standings = state.store.control().standings(Some(visit.place.tenant.id)).await.ok()?;
    let standing = standings.first()?;
    let now = state.clock.seconds();
    let point = format!("Backed up {}", ago(now, standing.point.as_ref()?.created_at.unix_timestamp()));
    Some(match &standing.passed {
        Some(drill) => format!("{point} · last proven restore {}", ago(now, drill.finished_at.unix_timestamp())),
        None => format!("{point} · not yet proven by a restore"),
    })
}
