//! The server over a real Postgres: two tenants made from the same data, a site of a few routes of each access.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod edge;
mod gates;
mod listeners;
mod tenants;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::identity::cookies::SetCookie;
use ::identity::{Actor, Identity, NewToken, PAGE_COOKIE, SignIn};
use ::store::tenant::{members, settings};
use ::store::{AuditEvent, Store, TenantChange, TenantScope};
use ::web::server::{Listen, Options, Running, Site};
use ::web::{Access, Audit, Face, Facts, OperatorVisit, Route, Signed, TrustedProxies, Visit};
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpResponse, web};
use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::MemberId;
use domain::member::{Member, Role};
use domain::tenant::{Tenant, TenantState};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use testkit::pg::TestDatabase;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) identity: Identity,
    pub(crate) server: Running,
    pub(crate) a: Arc<Tenant>,
    pub(crate) b: Arc<Tenant>,
}

impl World {
    /// `alpha` is the default tenant, `beta` is at `/t/beta/` and at the host `beta.example`.
    pub(crate) async fn new() -> Self {
        Self::with(options()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let store = TestDatabase::create().await.store().await;
        let identity = Identity::new(store.clone(), Clock::System, Chance::System);
        let hash = identity.passwords().hash(PASSWORD).await.unwrap();
        let mut tenants = Vec::new();
        for slug in ["alpha", "beta"] {
            let tenant = store.build_tenant(&slug.parse().unwrap(), TenantState::Active).await.unwrap();
            let mut tx = store.begin(&TenantScope::for_request(Arc::clone(&tenant)));
            tx.touch().await.unwrap();
            settings::insert_signing_secret(&mut tx, "the same in both").await.unwrap();
            members::insert_member(&mut tx, &member(1, "ana", Role::Owner), &hash).await.unwrap();
            members::insert_member(&mut tx, &member(2, "bo", Role::Member), &hash).await.unwrap();
            tx.commit().await.unwrap();
            tenants.push(tenant);
        }
        let b = tenants.pop().unwrap();
        let a = tenants.pop().unwrap();
        let site = Site { identity: identity.clone(), routes: routes(), configure: Vec::new(), chance: Chance::System };
        let server = ::web::start(options, site).await.unwrap();
        let world = Self { store, identity, server, a, b };
        world.change(&world.b, TenantChange::Hosts(vec!["beta.example".to_owned()])).await;
        world
    }

    pub(crate) async fn change(&self, tenant: &Tenant, change: TenantChange) {
        let event = AuditEvent { actor: "command", event: "tenant.changed", object: "", detail: json!({}) };
        self.store.registry().change(tenant.id, &change, &event).await.unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        client().get(self.url(path)).send().await.unwrap()
    }

    /// A personal access token of a member.
    pub(crate) async fn token(&self, tenant: &Arc<Tenant>, name: &str) -> String {
        let scope = TenantScope::for_request(Arc::clone(tenant));
        let mut tx = self.store.begin(&scope);
        let member = members::get_member_by_name(&mut tx, name).await.unwrap();
        tx.commit().await.unwrap();
        let new = NewToken { description: "", days: 0, scope: identity::TokenScope::Admin };
        self.identity.create_token_for(&scope, &member, new).await.unwrap().secret
    }

    /// Signs in on the page below `base` and gives the cookie as it is sent back.
    pub(crate) async fn sign_in(&self, base: &str, name: &str) -> String {
        let form = [("username", name), ("password", PASSWORD)];
        let answer = client().post(self.url(&format!("{base}signin"))).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()[SET_COOKIE.as_str()].to_str().unwrap();
        assert!(cookie.contains(&format!("; Path={base}; HttpOnly; Expires=")), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }
}

pub(crate) fn options() -> Options {
    Options {
        listen: Listen::parse("127.0.0.1:0").unwrap(),
        tls: None,
        workers: 1,
        grace: Duration::from_secs(20),
        proxies: TrustedProxies::default(),
        tenant_requests: 64,
        default_tenant: Some("alpha".parse().unwrap()),
    }
}

/// A client that follows nothing and keeps nothing.
pub(crate) fn client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

fn member(id: i64, name: &str, role: Role) -> Member {
    Member {
        id: MemberId(id),
        username: name.to_owned(),
        role,
        archived: false,
        email: String::new(),
        display_name: String::new(),
        avatar: String::new(),
        description: String::new(),
        created_ts: 1_600_000_000,
        updated_ts: 1_600_000_000,
    }
}

fn routes() -> Vec<Route> {
    vec![
        Route::get("/", || web::to(home)).access(Access::Public),
        Route::get("/account", || web::to(account)),
        Route::post("/account", Audit::None("a test"), || web::to(account)),
        Route::get("/admins", || web::to(account)).access(Access::Admin),
        Route::get("/slow", || web::to(slow)).access(Access::Public),
        Route::get("/events", || web::to(events)).access(Access::Public).face(Face::Short),
        Route::get("/boom", || web::to(boom)).access(Access::Public),
        Route::post("/signin", Audit::Event("signin.made"), || web::to(sign_in)).access(Access::Public),
        Route::get("/file/{name}", || web::to(account)).face(Face::Short),
        Route::door("/api/v1/{rest:.*}", Face::Rest, || web::to(door)),
        Route::door("/memos.api.v1.{rest:.*}", Face::Connect, || web::to(door)),
        Route::get("/console", || web::to(console)).access(Access::Operator),
        Route::post("/console", Audit::None("a test"), || web::to(console)).access(Access::Operator),
        Route::get("/console/signin", || web::to(console_sign_in)).access(Access::Console),
    ]
}

async fn home(visit: Visit) -> String {
    let name = visit.actor.member().map_or("stranger", |member| member.username.as_str());
    format!("{} {name}", visit.place.tenant.slug)
}

async fn account(signed: Signed) -> String {
    format!("{} {}", signed.visit.place.tenant.slug, signed.member.member.username)
}

/// Whether somebody is being answered slowly.
pub(crate) static SLOW: AtomicBool = AtomicBool::new(false);

async fn slow() -> &'static str {
    SLOW.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    "done"
}

async fn events() -> HttpResponse {
    let ticks = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, std::io::Error>(web::Bytes::from_static(b": tick\n\n")), ()))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(ticks)
}

async fn boom() -> Result<String, ::web::Error> {
    Err(::web::Error::internal("the secret cause"))
}

async fn door(visit: Visit, request: actix_web::HttpRequest, body: web::Bytes) -> Result<HttpResponse, ::web::Error> {
    match (request.path(), &visit.actor) {
        ("/api/v1/missing" | "/memos.api.v1.X/Missing", _) => Err(::web::Error::not_found("note not found")),
        (_, Actor::Anonymous) => Err(::web::Error::gate()),
        (path, Actor::Member(actor)) => Ok(HttpResponse::Ok().json(json!({
            "tenant": visit.place.tenant.slug, "name": actor.member.username, "path": path,
            "address": visit.facts.address, "https": visit.facts.https, "id": visit.facts.request_id, "bytes": body.len(),
        }))),
    }
}

#[derive(Deserialize)]
struct Form {
    username: String,
    password: String,
}

async fn sign_in(
    visit: Visit,
    identity: web::Data<Identity>,
    form: web::Form<Form>,
) -> Result<HttpResponse, ::web::Error> {
    let who = SignIn { username: &form.username, password: &form.password };
    let made = identity.sign_in_page(&visit.scope, who, &visit.client()).await?;
    let cookie = SetCookie {
        name: PAGE_COOKIE,
        value: &made.cookie,
        path: &visit.place.base,
        expires: made.expires,
        secure: visit.facts.https,
    };
    ::web::page::set_cookie(::web::page::see_other(&visit.place.base), &cookie.header())
}

async fn console(visit: OperatorVisit) -> String {
    visit.operator.name
}

async fn console_sign_in(facts: Facts) -> String {
    format!("sign in from {}", facts.host)
}
