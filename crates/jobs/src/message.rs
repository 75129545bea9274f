//! What may be asked for.

use domain::id::TenantId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A message: which handler it is for, and how often it may be tried.
pub trait Kind: Serialize + DeserializeOwned + Send + Sync {
    /// Name of the handler.
    const NAME: &'static str;
    /// Tries in all.
    const TRIES: i32 = 3;

    /// The tenant it is about, if one.
    fn tenant(&self) -> Option<TenantId>;

    /// While a job with this key waits or runs, another is not added.
    fn once_key(&self) -> Option<String>;
}

/// Names of all kinds of work.
pub mod kind {
    /// Take a point of one tenant.
    pub const BACKUP: &str = "backup";
    /// Drill one tenant.
    pub const DRILL: &str = "drill";
    /// Dump the database.
    pub const DUMP: &str = "dump";
    /// Remove the points that may go, of every tenant.
    pub const PRUNE: &str = "prune";
    /// Read one point back.
    pub const VERIFY: &str = "verify";
    /// Find out which points need what others have sent.
    pub const SURVEY: &str = "survey";
    /// Restore a point beside the live tenant.
    pub const RESTORE: &str = "restore";
    /// Bring a part of a point back into the live tenant.
    pub const PART: &str = "part";
    /// Compare two tenants.
    pub const COMPARE: &str = "compare";
    /// Put a restored tenant in the place of the live one, or take that back.
    pub const SWAP: &str = "swap";
    /// Tell a webhook what happened to a note.
    pub const WEBHOOK: &str = "webhook";
    /// Send a member a mail about a notification.
    pub const MAIL: &str = "mail";
    /// Ask for a kind of work for every tenant.
    pub const EACH: &str = "each";
    /// What can be cancelled while it waits or runs, until its point of no return.
    pub const CANCELLABLE: [&str; 6] = [VERIFY, SURVEY, RESTORE, PART, COMPARE, SWAP];
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Trigger {
    /// A schedule, for this due time (seconds since 1970).
    Schedule {
        /// Number of the schedule.
        schedule: i64,
        /// When it was due.
        due: i64,
    },
    /// The daily point with everything in it, for the day that was over then (seconds since 1970).
    Nightly {
        /// When it was due.
        due: i64,
    },
    /// An operator in the console.
    Operator {
        /// Their name.
        name: String,
    },
    /// A command.
    Command,
}

/// Take a point of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTenant {
    /// Which.
    pub tenant: TenantId,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for BackupTenant {
    const NAME: &'static str = kind::BACKUP;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("backup:{}", self.tenant))
    }
}

/// Drill the newest point of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillTenant {
    /// Which.
    pub tenant: TenantId,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for DrillTenant {
    const NAME: &'static str = kind::DRILL;
    /// A drill's verdict is its result, also a bad one; only a drill that could not be carried out is tried again.
    const TRIES: i32 = 2;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("drill:{}", self.tenant))
    }
}

/// Dump the database with `pg_dump`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpDatabase {
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for DumpDatabase {
    const NAME: &'static str = kind::DUMP;

    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn once_key(&self) -> Option<String> {
        Some("dump".to_owned())
    }
}

/// Remove the points that retention lets go, of every tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunePoints {
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for PrunePoints {
    const NAME: &'static str = kind::PRUNE;

    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn once_key(&self) -> Option<String> {
        Some("prune".to_owned())
    }
}

/// Deliver an outgoing message of a tenant, a webhook's or a mail. Asked for in the tenant's own transaction by the
/// database (`holdfast_outgoing.ask`), which writes this message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Which tenant.
    pub tenant: TenantId,
    /// The row that holds the message.
    pub id: i64,
}

/// Ask for a kind of work for every tenant that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EachTenant {
    /// [`kind::BACKUP`] or [`kind::DRILL`].
    pub kind: String,
    /// Who asked.
    pub trigger: Trigger,
    /// Over so many milliseconds the tenants are spread, from when it was due.
    #[serde(default)]
    pub span: i64,
}

impl Kind for EachTenant {
    const NAME: &'static str = kind::EACH;

    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn once_key(&self) -> Option<String> {
        None
    }
}
