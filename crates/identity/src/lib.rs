//! Who is asking: passwords, access tokens, sessions, and the tenant a request is meant for.
//!
//! Everything ends in an [`Actor`]; nothing else in the house makes one from a credential. A credential that is wrong,
//! expired or belongs to another tenant makes [`Actor::Anonymous`], never an error: a foreign token is answered exactly
//! like garbage.

pub mod actor;
mod authenticate;
pub mod cookies;
pub mod credentials;
mod error;
pub mod operator;
pub mod passwords;
pub mod place;
mod sign_in;
pub mod signing;
pub mod throttle;
mod tokens;

pub use actor::{Actor, MemberActor, Via};
pub use credentials::{Credentials, PAGE_COOKIE, REFRESH_COOKIE};
pub use error::Error;
pub use operator::{OPERATOR_COOKIE, OPERATOR_PATH, OperatorActor, OperatorSession};
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
            store,
            clock,
            chance,
        }
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
