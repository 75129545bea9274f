//! Who is asking: passwords, access tokens, sessions, and the tenant a request is meant for.
//!
//! Everything ends in an [`Actor`]; nothing else in the house makes one from a credential. A credential that is wrong,
//! expired or belongs to another tenant makes [`Actor::Anonymous`], never an error: a foreign token is answered exactly
//! like garbage.

mod accounts;
pub mod actor;
mod authenticate;
pub mod cookies;
pub mod credentials;
mod error;
mod exchange;
mod flow;
mod ladder;
mod later;
mod ldap;
mod oauth2;
mod oidc;
pub mod operator;
pub mod outbound;
pub mod passwords;
pub mod place;
pub mod provider;
mod sessions;
mod sign_in;
pub mod signing;
pub mod throttle;
mod tokens;
pub mod totp;

pub use actor::{Actor, MemberActor, TokenScope, Via};
pub use credentials::{Credentials, OLD_COOKIE, PAGE_COOKIE, REFRESH_COOKIE};
pub use error::{Error, Refusal, Why};
pub use flow::{Begun, FLOW_COOKIE, Finished, Returned, SsoCode};
pub use ladder::{Ladder, Rung};
pub use operator::{
    OPERATOR_COOKIE, OPERATOR_FLOW_COOKIE, OPERATOR_PATH, OperatorActor, OperatorFinished, OperatorSession,
    PROVED_SECONDS,
};
pub use outbound::Networks;
pub use passwords::Passwords;
pub use place::{NotServed, Place, Reached, resolve};
pub use sign_in::{Client, PageSession, Refreshed, SignIn, SignedIn};
pub use throttle::Throttle;
pub use tokens::{NewToken, TOKEN_PREFIX, TokenMade};

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::TenantId;
use store::Store;

/// Everything that knows who somebody is. Cheap to clone; clones share counts and bounds.
#[derive(Clone, Debug)]
pub struct Identity {
    store: Store,
    clock: Clock,
    chance: Chance,
    passwords: Passwords,
    throttle: Throttle,
    /// When the last use of a token or session was last written down, in nanoseconds since 1970.
    noted: Arc<Mutex<HashMap<(TenantId, String), i64>>>,
    /// When a failed sign-in of an unknown name was last written down, and how many were not since.
    strangers: Arc<Mutex<HashMap<TenantId, (i64, u64)>>>,
    outbound: outbound::Outbound,
    /// What is known of OpenID providers.
    providers: oidc::known::Directory,
    /// Connections to directories.
    directories: ldap::Connections,
    /// The operators' OpenID provider.
    operators: Option<Arc<provider::Provider>>,
    /// What may come once only: finished sign-ins, logout tokens; with the time when they are over.
    used: Arc<Mutex<HashMap<String, i64>>>,
    later: later::Later,
}

impl Identity {
    /// With at most one password per core being hashed at a time.
    pub fn new(store: Store, clock: Clock, chance: Chance) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            passwords: Passwords::new(cores, chance.clone()),
            throttle: Throttle::new(clock.clone()),
            noted: Arc::default(),
            strangers: Arc::default(),
            outbound: outbound::Outbound::default(),
            providers: oidc::known::Directory::default(),
            directories: ldap::Connections::default(),
            operators: None,
            used: Arc::default(),
            later: later::Later::default(),
            store,
            clock,
            chance,
        }
    }

    /// Comes back when every failed sign-in that was answered is in the audit: before the process ends.
    pub async fn settled(&self) {
        self.later.settled().await;
    }

    /// Reaching only these networks for providers and directories.
    #[must_use]
    pub fn reaching(mut self, networks: Networks) -> Self {
        self.outbound = outbound::Outbound::new(networks);
        self
    }

    /// Waiting only so long for the answers of providers.
    #[must_use]
    pub fn waiting(mut self, whole: std::time::Duration) -> Self {
        self.outbound = self.outbound.waiting(whole);
        self
    }

    /// Letting operators sign in by this provider, too.
    #[must_use]
    pub fn operators_by(mut self, provider: Option<provider::Provider>) -> Self {
        self.operators = provider.map(Arc::new);
        self
    }

    /// Hashing and checking of passwords, for whoever creates members.
    pub const fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Counting of wrong passwords; operators' sign-ins count here too.
    pub const fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// The database.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The clock that decides what has expired.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }
}
