//! What a handler knows about the request besides its message.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use domain::tenant::Tenant;
use identity::{Actor, Credentials, MemberActor, Via};
use store::{TenantScope, TenantTx};
use wire::table::Rpc;

use crate::error::ApiError;
use crate::notes::service::Tongue;
use crate::state::AppState;

/// Where a request came from and how it was led here.
#[derive(Clone, Debug, Default)]
pub struct RequestInfo {
    /// `http` or `https`, as the client sees it.
    pub scheme: String,
    /// Host and port, as the client wrote them.
    pub host: String,
    /// The tenant's base path: `/`, or `/t/slug/`.
    pub base: String,
    /// What the client calls itself; may be empty.
    pub user_agent: String,
    /// The client's address, when it is known.
    pub address: Option<IpAddr>,
    /// The `Origin` header; may be empty.
    pub origin: String,
    /// What the client showed to prove who it is.
    pub credentials: Credentials,
    /// REST: what came in the one header that Memos passes on as cookies.
    pub forwarded: Option<Credentials>,
    /// Whether a page of another site sent it: such a request leaves no cookie behind.
    pub foreign: bool,
}

impl RequestInfo {
    /// `https://host/base`: what links in answers begin with when the tenant has no public URL.
    pub fn root(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.base.trim_end_matches('/'))
    }

    /// The credentials that may renew a session: cookies, over REST the forwarded ones only.
    pub fn refresh_credentials(&self) -> &Credentials {
        self.forwarded.as_ref().unwrap_or(&self.credentials)
    }

    /// From where somebody signs in.
    pub fn client(&self) -> identity::Client {
        identity::Client { address: self.address, user_agent: self.user_agent.clone() }
    }

    /// Whether cookies may be marked `Secure`.
    pub fn is_secure(&self) -> bool {
        self.scheme == "https" || self.origin.starts_with("https://")
    }
}

/// A request being answered. Cheap to clone.
#[derive(Clone)]
pub struct Ctx(Arc<Inner>);

struct Inner {
    state: AppState,
    scope: TenantScope,
    actor: Actor,
    info: RequestInfo,
    cookies: Mutex<Vec<String>>,
    old: AtomicBool,
    rpc: OnceLock<&'static Rpc>,
}

impl Ctx {
    /// For one request to one tenant.
    pub fn new(state: AppState, scope: TenantScope, actor: Actor, info: RequestInfo) -> Self {
        Self(Arc::new(Inner {
            state,
            scope,
            actor,
            info,
            cookies: Mutex::new(Vec::new()),
            old: AtomicBool::new(false),
            rpc: OnceLock::new(),
        }))
    }

    /// Says which RPC the request turned out to call. The first one counts: old routes end in another's handler.
    pub(super) fn calls(&self, rpc: &'static Rpc) {
        let _ = self.0.rpc.set(rpc);
    }

    /// The RPC that the request calls, once a door has found it.
    pub fn rpc(&self) -> Option<&'static Rpc> {
        self.0.rpc.get().copied()
    }

    /// What all requests share.
    pub fn state(&self) -> &AppState {
        &self.0.state
    }

    /// Which tenant, and why.
    pub fn scope(&self) -> &TenantScope {
        &self.0.scope
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        self.0.scope.tenant()
    }

    /// Who asks.
    pub fn actor(&self) -> &Actor {
        &self.0.actor
    }

    /// The member who asks.
    ///
    /// # Errors
    /// 401 when nobody has signed in.
    pub fn me(&self) -> Result<&MemberActor, ApiError> {
        match &self.0.actor {
            Actor::Member(me) => Ok(me),
            Actor::Anonymous => Err(ApiError::unauthenticated("user not authenticated")),
        }
    }

    /// The owner or admin who asks.
    ///
    /// # Errors
    /// 401 when nobody has signed in, 403 when the member is neither.
    pub fn admin(&self) -> Result<&MemberActor, ApiError> {
        let me = self.me()?;
        if me.member.role.is_admin() { Ok(me) } else { Err(ApiError::denied("permission denied")) }
    }

    /// Where the request came from.
    pub fn info(&self) -> &RequestInfo {
        &self.0.info
    }

    /// A unit of work in the tenant.
    pub fn begin(&self) -> TenantTx {
        self.0.state.store.begin(&self.0.scope)
    }

    /// Whether strangers may read public notes: the tenant has a public URL.
    pub fn is_public(&self) -> bool {
        self.tenant().public_url.is_some()
    }

    /// The longest message that this caller may send, in bytes: from strangers, who only sign in, no more than a form.
    pub fn body_limit(&self) -> usize {
        if self.0.actor == Actor::Anonymous { web::FORM_LIMIT } else { web::API_LIMIT }
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> i64 {
        self.0.state.clock.seconds()
    }

    /// Sends a cookie with the answer: the whole value of a `Set-Cookie` header.
    pub fn set_cookie(&self, header: String) {
        if let Ok(mut cookies) = self.0.cookies.lock() {
            cookies.push(header);
        }
    }

    /// Whether the forms of older clients are understood where the present one refuses them: on their own routes, and to
    /// whoever comes with a personal access token or the old cookie, since a session of 0.30 speaks 0.30.
    pub fn speaks_old(&self) -> bool {
        let token = matches!(&self.0.actor, Actor::Member(me) if matches!(me.via, Via::PersonalToken { .. }));
        let shown = &self.0.info.credentials;
        let cookie = shown.old.is_some() && shown.bearer.is_none() && shown.page.is_empty();
        token || cookie || self.0.old.load(Ordering::Relaxed)
    }

    /// Whose words a filter is in.
    pub fn tongue(&self) -> Tongue {
        match &self.0.actor {
            _ if self.speaks_old() => Tongue::Old,
            Actor::Member(me) if matches!(me.via, Via::AccessToken(_)) => Tongue::Today,
            _ => Tongue::Either,
        }
    }

    /// Called on the routes of older clients.
    pub(crate) fn speak_old(&self) {
        self.0.old.store(true, Ordering::Relaxed);
    }

    /// Whether cookies may be left in the client: not by a request that another site's page made, or that site could
    /// sign its visitor in as somebody else.
    pub(crate) fn leaves_cookies(&self) -> bool {
        !self.0.info.foreign
    }

    /// The cookies to send.
    pub(crate) fn take_cookies(&self) -> Vec<String> {
        self.0.cookies.lock().map(|mut cookies| std::mem::take(&mut *cookies)).unwrap_or_default()
    }

    /// Who asks, as the audit writes it.
    pub fn audit_actor(&self) -> String {
        match self.0.actor.member() {
            Some(member) => format!("member:{}", member.username),
            None => "stranger".to_owned(),
        }
    }
}
