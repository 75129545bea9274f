//! What a handler gets of a request that has passed the gate.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use identity::{Actor, Client, Credentials, MemberActor, OperatorActor, Place};
use store::TenantScope;

use crate::edge::facts::Facts;
use crate::edge::headers::is_own;
use crate::error::Error;

/// A request to a tenant: where, who, and from where. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The tenant and the base path of its pages.
    pub place: Place,
    /// The right to enter the tenant's rows.
    pub scope: TenantScope,
    /// Who asks.
    pub actor: Actor,
    /// What came as credentials; only refreshing and signing out look at it.
    pub credentials: Credentials,
    /// Request id, client address, scheme, host.
    pub facts: Facts,
    /// Whether a page of another site made a browser send it.
    pub foreign: bool,
}

impl Visit {
    /// The member, or the gate's refusal.
    pub fn member(&self) -> Result<&MemberActor, Error> {
        match &self.actor {
            Actor::Member(member) => Ok(member),
            Actor::Anonymous => Err(Error::gate()),
        }
    }

    /// From where somebody signs in, for his list of sessions and the throttle.
    pub fn client(&self) -> Client {
        Client { address: self.facts.address, user_agent: self.facts.user_agent.clone() }
    }

    /// Whether an `Origin` header names this tenant's own place: the host asked for, or that of its public URL.
    pub fn owns(&self, origin: &str) -> bool {
        is_own(origin, &self.facts, self.place.tenant.public_url.as_deref())
    }

    /// What absolute links begin with, without a slash at the end: the tenant's public URL, or where it was asked for.
    pub fn origin(&self) -> String {
        match &self.place.tenant.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => self.asked_origin(),
        }
    }

    /// What links in feeds begin with: the tenant's public URL, in the scheme by which its own host was asked.
    pub fn feed_origin(&self) -> String {
        let origin = self.origin();
        let asked = self.asked_origin();
        let bare = |url: &str| url.split_once("://").map_or_else(String::new, |(_, rest)| rest.to_ascii_lowercase());
        if bare(&origin) == bare(&asked) { asked } else { origin }
    }

    /// The address at which this request reached the tenant, without a slash at the end.
    pub fn asked_origin(&self) -> String {
        let scheme = if self.facts.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.facts.host, self.place.base.trim_end_matches('/'))
    }

    /// Whether strangers see nothing here, and this is one.
    pub fn is_shut_out(&self) -> bool {
        self.place.is_private() && self.actor.member().is_none()
    }
}

impl FromRequest for Visit {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = request.extensions().get::<Self>().cloned();
        ready(visit.ok_or_else(|| Error::internal("a tenant's handler on a route without a tenant")))
    }
}

/// The visit of a member, for routes of [`Access::Member`](crate::Access::Member).
#[derive(Clone, Debug)]
pub struct Signed {
    /// The member.
    pub member: MemberActor,
    /// The rest.
    pub visit: Visit,
}

impl FromRequest for Signed {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visit = Visit::from_request(request, payload).into_inner();
        ready(visit.and_then(|visit| Ok(Self { member: visit.member()?.clone(), visit })))
    }
}

/// The visit of an operator, for routes of [`Access::Operator`](crate::Access::Operator).
#[derive(Clone, Debug)]
pub struct OperatorVisit {
    /// The operator.
    pub operator: OperatorActor,
    /// The values of the operator cookie; only signing out looks at them.
    pub cookies: Vec<String>,
    /// Request id, client address, scheme, host.
    pub facts: Facts,
}

impl FromRequest for OperatorVisit {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = request.extensions().get::<Self>().cloned();
        ready(visit.ok_or_else(|| Error::internal("an operator's handler on a route without an operator")))
    }
}

impl FromRequest for Facts {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).ok_or_else(|| Error::internal("a request that did not pass the edge")))
    }
}
