//! What all requests share.

use std::sync::Arc;

use domain::chance::Chance;
use domain::clock::Clock;
use identity::Identity;
use objects::FileStore;
use store::Store;

use crate::files::thumbnail::Thumbnails;
use crate::links::Links;
use crate::live::Live;
use crate::outbound::{Outbound, Reach};
use crate::room::Room;
use crate::rpc::Services;

/// The version of Memos whose API this is; clients decide by it what they may ask.
pub const MEMOS_VERSION: &str = "0.30.0";

/// What all requests share. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of [`AppState`].
pub struct Parts {
    /// Rows.
    pub store: Store,
    /// Passwords, sessions and tokens.
    pub identity: Identity,
    /// Bytes of attachments.
    pub files: FileStore,
    /// Small pictures made before.
    pub thumbnails: Thumbnails,
    /// Now.
    pub clock: Clock,
    /// Random ids and secrets.
    pub chance: Chance,
    /// Who makes requests to addresses that members name.
    pub outbound: Outbound,
    /// What linked pages say of themselves.
    pub links: Links,
    /// What room there is for more.
    pub room: Room,
    /// Who listens to what happens.
    pub live: Live,
    /// Handlers of the RPCs.
    pub services: Services,
}

impl AppState {
    /// With every RPC that has a handler. Others count with the same [`Identity`], too: wrong passwords on pages and over
    /// the API are one count.
    pub fn new(identity: Identity, files: FileStore, reach: Reach, room: Room, chance: Chance) -> Self {
        let (store, clock) = (identity.store().clone(), identity.clock().clone());
        let thumbnails = Thumbnails::default();
        let live = Live::start(&store, &chance);
        Self(Arc::new(Parts {
            store,
            identity,
            files,
            thumbnails,
            clock,
            chance,
            outbound: reach.services,
            links: Links::new(reach.pages),
            room,
            live,
            services: crate::rpc::services(),
        }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}
