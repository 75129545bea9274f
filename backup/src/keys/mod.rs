//! Keys. Each tenant has one age identity, by which everything of the tenant in the backup store can be read. It is
//! itself stored only wrapped: once for *escrow* (printed once, never stored) and once for *drill* (the worker's).

mod directory;
mod signing;
mod tenant;

pub use self::directory::{EscrowSheet, KeyDirectory, Sheet, read_identity, read_sheet};
pub use self::signing::{Endorsement, Signature, Signer};
pub use self::tenant::{TenantKey, WrappedKey};

/// Who a tenant's key is wrapped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holder {
    /// The operator's sheet of paper.
    Escrow,
    /// The worker that drills.
    Drill,
}

impl Holder {
    /// The word in keys of the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Escrow => "escrow",
            Self::Drill => "drill",
        }
    }
}

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key file cannot be read or written.
    #[error("key file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key file holds no key.
    #[error("{path} holds no age {what}; it should have a line beginning with {prefix}")]
    NoKey {
        /// The file.
        path: String,
        /// Identity or recipient.
        what: &'static str,
        /// How such a line begins.
        prefix: &'static str,
    },
    /// The folder belongs to another appliance, or was made before the sheet was given.
    #[error("{0} is of another escrow sheet than the one at hand; move the folder of keys away and try again")]
    OtherEscrow(String),
    /// What signs is not readable here.
    #[error("the signing key is not readable here; run this as the worker")]
    NoSigner,
    /// This process may not read the drill identity.
    #[error("the drill identity is not readable here; run this as the worker or give --identity FILE")]
    NoIdentity,
    /// Encrypting failed.
    #[error("a key could not be wrapped: {0}")]
    Wrap(#[source] std::io::Error),
    /// What came out of the wrapping is not a key.
    #[error("the wrapped key {0} does not hold an age identity")]
    NotAKey(String),
}
