//! Notes and what hangs on them: comments, relations, reactions, files, shares.
//!
//! A rule is one function of a service module, called by every door with a [`Desk`] that says where and who. [`view`]
//! turns what comes back into the wire's messages, and settles what depends on the viewer.

pub mod access;
pub mod attachments;
pub mod comments;
pub mod error;
pub mod input;
pub mod mentions;
pub mod notifications;
pub mod order;
pub mod reactions;
pub mod readback;
pub mod relations;
pub mod service;
pub mod shares;
pub mod stats;
pub mod update;
pub mod view;

use domain::chance::Chance;
use domain::clock::Clock;
use domain::member::Member;
use domain::note::Note;
use identity::Actor;
use store::tenant::feed::Viewer;
use store::{Store, TenantScope, TenantTx};

use crate::live::{Event, Kind, Live};
use crate::rpc::Ctx;

pub use error::Error;

/// Where a rule is applied and for whom: what every service function of notes and files is given.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The database.
    pub store: &'a Store,
    /// The tenant, and why it is entered.
    pub scope: &'a TenantScope,
    /// Who asks.
    pub actor: &'a Actor,
    /// The time.
    pub clock: &'a Clock,
    /// Where new public ids come from.
    pub chance: &'a Chance,
    /// Who is told of what happens.
    pub live: &'a Live,
}

impl<'a> Desk<'a> {
    /// The desk of an RPC.
    pub fn of(ctx: &'a Ctx) -> Self {
        let state = ctx.state();
        Self {
            store: &state.store,
            scope: ctx.scope(),
            actor: ctx.actor(),
            clock: &state.clock,
            chance: &state.chance,
            live: &state.live,
        }
    }

    /// A unit of work on the tenant.
    pub fn begin(&self) -> TenantTx {
        self.store.begin(self.scope)
    }

    /// Tells who listens what has happened to a note; after the commit.
    pub fn tell(&self, kind: Kind, note: &Note) {
        self.live.tell(self.scope.tenant().id, Event::of(kind, note));
    }

    /// Seconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.seconds()
    }

    /// Whose eyes a list is for.
    pub fn viewer(&self) -> Viewer {
        self.actor.member_id().map_or(Viewer::Anonymous, Viewer::Member)
    }

    /// The member who asks; nobody else may go on.
    pub fn member(&self) -> Result<&'a Member, Error> {
        self.actor.member().ok_or(Error::SignInFirst)
    }

    /// The member who asks, if he may write notes: guests read and comment only.
    pub fn author(&self) -> Result<&'a Member, Error> {
        let member = self.member()?;
        if self.actor.may_write_notes() { Ok(member) } else { Err(Error::Denied) }
    }

    /// Refuses a stranger where the tenant is in private mode (it has no public URL).
    pub fn enter(&self) -> Result<(), Error> {
        match self.actor {
            Actor::Anonymous if self.scope.tenant().public_url.is_none() => Err(Error::SignInFirst),
            _ => Ok(()),
        }
    }
}
