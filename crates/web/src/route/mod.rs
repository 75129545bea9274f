//! The route table as data.
//!
//! A roof gives its rows (`routes() -> Vec<Route>`); [`mount`](mount::mount) alone turns them into actix routes, and it
//! puts the gate of the row's [`Access`] in front of the handler, so that a handler cannot forget it. The isolation
//! test and the audit test walk the same rows.

pub mod mount;

use actix_web::http::Method;

use crate::error::Face;

/// The usual limit of a request body: a page's form, in bytes.
pub const FORM_LIMIT: usize = 1024 * 1024;

/// The limit of a request body on the API routes, in bytes; that of Memos.
pub const API_LIMIT: usize = 256 * 1024 * 1024;

/// Who gets past the gate of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everyone, and no tenant is looked up: health, assets.
    Bootstrap,
    /// Everyone at a tenant that is served. The handler gets the [`Actor`](identity::Actor), anonymous or not, and
    /// decides what it sees.
    Public,
    /// Members of the tenant.
    Member,
    /// Owners and admins of the tenant.
    Admin,
    /// Everyone who reaches the console: its sign-in page.
    Console,
    /// Operators of the appliance; only below `/console`, never below a tenant's base path or host.
    Operator,
    /// Operators who showed who they are within the last ten minutes; others are led to do so first. For what is dangerous:
    /// restoring, swapping, deleting, keys, who may sign in. Such a row is a form at a path that also has a page.
    Deed,
}

impl Access {
    /// Whether the route belongs to a tenant.
    pub const fn is_tenants(self) -> bool {
        matches!(self, Self::Public | Self::Member | Self::Admin)
    }

    /// Whether the route belongs to the operators' console.
    pub const fn is_console(self) -> bool {
        matches!(self, Self::Console | Self::Operator | Self::Deed)
    }
}

/// What a write leaves in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audit {
    /// These events, as they are named in the audit.
    Event(&'static str),
    /// Nothing, and why that is right.
    None(&'static str),
}

/// For whom the isolation test knows the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Without any credential.
    Stranger,
    /// With a member's credential of another tenant: answered exactly like garbage.
    Foreigner,
    /// A member who owns none of the things named.
    Member,
    /// An owner or admin.
    Owner,
    /// An operator.
    Operator,
}

/// One expected answer: who asks, and the statuses that are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Who asks.
    pub caller: Caller,
    /// The right statuses.
    pub statuses: &'static [u16],
}

impl Expect {
    /// One row of expected answers.
    pub const fn new(caller: Caller, statuses: &'static [u16]) -> Self {
        Self { caller, statuses }
    }
}

/// Makes the actix route of a row: `|| actix_web::web::to(list)`.
pub type Handler = fn() -> actix_web::Route;

/// One row: how it is reached, who may, what it answers, what it leaves behind.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method; `GET` rows of pages and files also answer `HEAD`. None: every method, which is for doors that
    /// dispatch by themselves.
    pub method: Option<Method>,
    /// The path pattern below the tenant's base path, `/memos/{uid}`; also the label of its metrics.
    pub path: &'static str,
    /// Who gets past the gate.
    pub access: Access,
    /// The shape of its errors.
    pub face: Face,
    /// What the isolation test demands beyond what the access says by itself.
    pub expects: &'static [Expect],
    /// What a write leaves in the audit.
    pub audit: Audit,
    /// The longest body it takes, in bytes.
    pub body_limit: usize,
    /// Makes the actix route.
    pub handler: Handler,
}

impl Route {
    /// A page that is read: for members, unless told otherwise.
    pub fn get(path: &'static str, handler: Handler) -> Self {
        Self {
            method: Some(Method::GET),
            path,
            access: Access::Member,
            face: Face::Html,
            expects: &[],
            audit: Audit::None("reads only"),
            body_limit: FORM_LIMIT,
            handler,
        }
    }

    /// A form that is sent: for members, unless told otherwise.
    pub fn post(path: &'static str, audit: Audit, handler: Handler) -> Self {
        Self { method: Some(Method::POST), audit, ..Self::get(path, handler) }
    }

    /// A door that takes every method and dispatches by itself, with a table and a gate of its own.
    pub fn door(path: &'static str, face: Face, handler: Handler) -> Self {
        Self {
            method: None,
            access: Access::Public,
            face,
            audit: Audit::None("the door's own table says"),
            body_limit: API_LIMIT,
            ..Self::get(path, handler)
        }
    }

    /// With another access.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// With another shape of errors.
    #[must_use]
    pub fn face(mut self, face: Face) -> Self {
        self.face = face;
        self
    }

    /// With expected answers that differ from what [`Route::expected`] derives; name them as a `const`.
    #[must_use]
    pub fn expects(mut self, expects: &'static [Expect]) -> Self {
        self.expects = expects;
        self
    }

    /// With another limit of the body, in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Whether the row can change something.
    pub fn writes(&self) -> bool {
        !matches!(self.method, Some(Method::GET | Method::HEAD))
    }

    /// The statuses that are right for this caller: what the row says, else what its access says; empty when only the
    /// things asked for decide.
    pub fn expected(&self, caller: Caller) -> &'static [u16] {
        if let Some(row) = self.expects.iter().find(|row| row.caller == caller) {
            return row.statuses;
        }
        let page = self.face == Face::Html && !self.writes();
        let stranger: &[u16] = if page { &[303] } else { &[401] };
        match (self.access, caller) {
            (Access::Operator | Access::Deed, caller) if caller != Caller::Operator => stranger,
            (Access::Member | Access::Admin, Caller::Stranger | Caller::Foreigner) => stranger,
            (Access::Admin, Caller::Member) => &[403],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> actix_web::Route {
        actix_web::web::to(|| async { "" })
    }

    #[test]
    fn the_access_says_what_strangers_get() {
        let row = Route::get("/account", page);
        assert_eq!(row.expected(Caller::Stranger), &[303]);
        assert_eq!(row.expected(Caller::Foreigner), &[303]);
        assert_eq!(row.expected(Caller::Member), &[] as &[u16]);
        let form = Route::post("/account/tokens", Audit::Event("token.created"), page);
        assert_eq!(form.expected(Caller::Stranger), &[401]);
        const OWN: &[Expect] = &[Expect::new(Caller::Stranger, &[404])];
        let own = form.expects(OWN);
        assert_eq!(own.expected(Caller::Stranger), &[404]);
    }
}
