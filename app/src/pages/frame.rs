//! What every page has around it.

use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::Actor;
use web::{Result, Visit, assets, page};

use crate::notes::Desk;
use crate::state::AppState;

/// The parts of the layout.
pub(super) struct Frame {
    pub(super) base: String,
    pub(super) name: String,
    pub(super) member: Option<String>,
    pub(super) here: &'static str,
    pub(super) said: Option<String>,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Frame {
    pub(super) fn new(visit: &Visit, here: &'static str, said: Option<String>) -> Self {
        let member = match &visit.actor {
            Actor::Member(actor) => {
                let member = &actor.member;
                Some(if member.display_name.is_empty() { member.username.clone() } else { member.display_name.clone() })
            }
            Actor::Anonymous => None,
        };
        Self {
            base: visit.place.base.clone(),
            name: visit.place.tenant.slug.to_string(),
            member,
            here,
            said,
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
    Desk { store: &state.store, scope: &visit.scope, actor: &visit.actor, clock: &state.clock, chance: &state.chance }
}
