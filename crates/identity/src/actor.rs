//! Who asks, and by which right. Only this crate makes an [`Actor`] from credentials.

use std::str::FromStr;

use domain::id::MemberId;
use domain::member::{Member, Role};

/// Whoever stands behind a request to a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody we know: no credential, or one that is worth nothing here.
    Anonymous,
    /// A member of this tenant.
    Member(MemberActor),
}

/// A member, and how he showed that he is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberActor {
    /// The member's row as it was read for this very request; a large picture is only told of
    /// ([`PICTURE`](store::tenant::members::PICTURE)), so never write this back.
    pub member: Member,
    /// The credential that was shown.
    pub via: Via,
}

/// How much of what its owner may a personal access token may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenScope {
    /// Reads.
    Read,
    /// Reads, and writes what every member may write.
    Write,
    /// Everything.
    #[default]
    Admin,
}

impl TokenScope {
    /// The word in the table and in forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for TokenScope {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|scope| scope.as_str() == word).ok_or(())
    }
}

/// The kind of credential that made an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// A signed access token, good for a quarter of an hour; the id of its session, empty when it stands alone.
    AccessToken(String),
    /// A personal access token.
    PersonalToken {
        /// Its public id.
        id: String,
        /// What it may.
        scope: TokenScope,
    },
    /// The cookie of a page session; the session's id.
    PageSession(String),
    /// The refresh cookie, which opens files and nothing else; the session's id.
    RefreshCookie(String),
    /// A command on the machine itself, or a job acting for the member.
    Command,
}

impl Actor {
    /// The member, when there is one.
    pub const fn member(&self) -> Option<&Member> {
        match self {
            Self::Anonymous => None,
            Self::Member(actor) => Some(&actor.member),
        }
    }

    /// The member's row number, when there is a member.
    pub const fn member_id(&self) -> Option<MemberId> {
        match self {
            Self::Anonymous => None,
            Self::Member(actor) => Some(actor.member.id),
        }
    }

    /// Whether this is an owner or admin of the tenant.
    pub const fn is_admin(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Member(actor) => actor.member.role.is_admin(),
        }
    }

    /// Whether this actor may write notes: every member but a guest, who reads and comments.
    pub const fn may_write_notes(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Member(actor) => !matches!(actor.member.role, Role::Guest) && !actor.only_reads(),
        }
    }

    /// Whether the credential may only read, whoever it is.
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Member(actor) => actor.only_reads(),
        }
    }
}

impl MemberActor {
    /// The member's row number.
    pub const fn id(&self) -> MemberId {
        self.member.id
    }

    /// The session behind the request, when it came with one: changing the password spares it.
    pub fn session_id(&self) -> Option<&str> {
        match &self.via {
            Via::PageSession(id) | Via::RefreshCookie(id) | Via::AccessToken(id) if !id.is_empty() => Some(id),
            _ => None,
        }
    }

    /// Whether the credential may only read.
    pub const fn only_reads(&self) -> bool {
        matches!(self.via, Via::PersonalToken { scope: TokenScope::Read, .. })
    }

    /// Whether the credential may less than its owner: such a one never changes how he signs in.
    pub fn is_limited(&self) -> bool {
        matches!(&self.via, Via::PersonalToken { scope, .. } if *scope != TokenScope::Admin)
    }

    /// Whether the credential is a personal access token.
    pub const fn is_token(&self) -> bool {
        matches!(self.via, Via::PersonalToken { .. })
    }
}
