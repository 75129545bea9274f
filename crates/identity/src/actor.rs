//! Who asks, and by which right. Only this crate makes an [`Actor`] from credentials.

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

/// The kind of credential that made an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// A signed access token, good for a quarter of an hour.
    AccessToken,
    /// A personal access token; its public id.
    PersonalToken(String),
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
            Self::Member(actor) => !matches!(actor.member.role, Role::Guest),
        }
    }
}

impl MemberActor {
    /// The member's row number.
    pub const fn id(&self) -> MemberId {
        self.member.id
    }

    /// The session behind the request, when it came with one: signing out or changing the password spares or ends it.
    pub fn session_id(&self) -> Option<&str> {
        match &self.via {
            Via::PageSession(id) | Via::RefreshCookie(id) => Some(id),
            Via::AccessToken | Via::PersonalToken(_) | Via::Command => None,
        }
    }
}
