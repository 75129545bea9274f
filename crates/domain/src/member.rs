//! A person in one tenant.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, MemberId};

/// What a member may do in the tenant. An operator is never one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads and comments.
    Guest,
    /// Writes notes.
    Member,
    /// Also manages members and settings.
    Admin,
    /// The admin who holds the tenant; one at least.
    Owner,
}

impl Role {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Owner or admin: on the wire `ADMIN`.
    pub const fn is_admin(self) -> bool {
        matches!(self, Self::Admin | Self::Owner)
    }
}

impl FromStr for Role {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "guest" => Ok(Self::Guest),
            "member" => Ok(Self::Member),
            "admin" => Ok(Self::Admin),
            "owner" => Ok(Self::Owner),
            _ => Err(InvalidId("role: owner, admin, member or guest")),
        }
    }
}

/// A member as stored, without the password hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Row number.
    pub id: MemberId,
    /// Name to sign in with and to be mentioned by; case-sensitive.
    pub username: String,
    /// What the member may do.
    pub role: Role,
    /// Archived members cannot sign in.
    pub archived: bool,
    /// May be empty.
    pub email: String,
    /// May be empty.
    pub display_name: String,
    /// Empty, a `data:` URI or a link.
    pub avatar: String,
    /// May be empty.
    pub description: String,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
}
