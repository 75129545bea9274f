//! The operators' side: tenants, members, operators, schedules, the audit chain; as commands and as console pages.

pub mod audit;
pub mod cli;
mod console;
pub mod doctor;
mod error;
pub mod identities;
pub mod members;
pub mod operators;
pub mod recovery;
pub mod schedules;
pub mod sweep;
pub mod tenants;

#[cfg(test)]
mod tests;

pub use console::routes;
pub use error::Error;

use domain::chance::Chance;
use domain::clock::Clock;
use domain::retention::Policy;
use identity::Identity;
use objects::FileStore;
use store::Store;

/// What every rule of this side needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Database.
    pub store: Store,
    /// Bytes of live attachments.
    pub files: FileStore,
    /// Passwords and tokens.
    pub identity: Identity,
    /// Now.
    pub clock: Clock,
    /// Secrets.
    pub chance: Chance,
    /// How long points stay.
    pub policy: Policy,
    /// Where points are to be: the backup store, then further ones.
    pub stores: Vec<String>,
}

impl Admin {
    /// From the database, with the machine's clock and chance.
    pub fn new(store: Store, files: FileStore) -> Self {
        let (clock, chance) = (Clock::System, Chance::System);
        let identity = Identity::new(store.clone(), clock.clone(), chance.clone());
        Self { store, files, identity, clock, chance, policy: Policy::default(), stores: Vec::new() }
    }
}

/// Who acts, as the audit chain names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Whoever may run commands on the appliance.
    Command,
    /// An operator in the console.
    Operator(String),
}

impl By {
    /// `command` or `operator:NAME`.
    pub fn actor(&self) -> String {
        match self {
            Self::Command => "command".to_owned(),
            Self::Operator(name) => format!("operator:{name}"),
        }
    }
}
