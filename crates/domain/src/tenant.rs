//! A team's workspace.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, SchemaId, Slug, TenantId};

/// Where a tenant is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Being made; not yet reachable.
    Provisioning,
    /// Imported or restored, not yet opened: members get 503, and it is quiet (no mail, webhooks, schedules).
    Closed,
    /// In use.
    Active,
    /// Reads go on, writes are refused.
    ReadOnly,
    /// Refused altogether by the operator.
    Suspended,
    /// To be deleted at a date.
    PendingDeletion,
    /// Rows are gone; some dump still holds the tenant.
    Deleting,
    /// Only the name is remembered.
    Tombstone,
}

impl TenantState {
    /// The word in the database, in JSON and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Closed => "closed",
            Self::Active => "active",
            Self::ReadOnly => "read_only",
            Self::Suspended => "suspended",
            Self::PendingDeletion => "pending_deletion",
            Self::Deleting => "deleting",
            Self::Tombstone => "tombstone",
        }
    }
}

impl FromStr for TenantState {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        [
            Self::Provisioning,
            Self::Closed,
            Self::Active,
            Self::ReadOnly,
            Self::Suspended,
            Self::PendingDeletion,
            Self::Deleting,
            Self::Tombstone,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or(InvalidId("tenant state"))
    }
}

/// A row of the registry: which schema holds which tenant, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Lasting identity.
    pub id: TenantId,
    /// Name in URLs and commands.
    pub slug: Slug,
    /// Where its rows are now.
    pub schema: SchemaId,
    /// Which login role of the shard may enter it.
    pub shard: i32,
    /// Where it is in its life.
    pub state: TenantState,
    /// Host names that lead to it.
    pub hosts: Vec<String>,
    /// `https://notes.example.org[/base]`, or none: then the tenant is in private mode.
    pub public_url: Option<String>,
    /// Rises when another schema takes its place.
    pub epoch: i64,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// What it may use, where that differs from the installation's settings.
    pub limits: Limits,
}

/// What a tenant may use; what is none is as the installation's settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes it may hold, rows and files; 0: any number.
    pub stored_bytes: Option<i64>,
    /// Milliseconds that one statement of a request may take.
    pub statement_ms: Option<i32>,
}
