//! The fixture as a tenant, served.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use app::AppState;
use domain::chance::Chance;
use domain::clock::Clock;
use identity::Identity;
use migrate::{House as ImportHouse, Run, Source};
use objects::{FileKey, FileStore};
use serde_json::{Value, json};
use store::{AuditEvent, TenantChange};
use testkit::fixtures::{copy_of, fixture};
use testkit::pg::TestDatabase;
use web::server::Listen;
use web::{Options, Running, Site, TrustedProxies};

use super::compare::{self, Bindings};
use super::http;
use super::recording::Exchange;

const HOST: &str = "notes.example.com";

/// A server over an imported fixture.
pub(crate) struct House {
    server: Running,
    address: SocketAddr,
    tokens: BTreeMap<String, String>,
    _folder: tempfile::TempDir,
    _copy: tempfile::TempDir,
}

impl House {
    /// Imports the fixture as the default tenant, in public mode, and serves it; none without fixtures.
    pub(crate) async fn with_fixture(name: &str) -> Option<Self> {
        let source = fixture(name)?;
        let copy = copy_of(&source);
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create().await;
        let store = database.store().await;
        let url = format!("file://{}", folder.path().display());
        let files = FileStore::open(&url, None).unwrap();
        let house = ImportHouse {
            store: store.clone(),
            files: files.clone(),
            file_keys: Arc::new(|tenant| FileKey::derive(b"a secret of the test", tenant)),
        };
        let data = tempfile::tempdir().unwrap();
        let run = Run {
            source: Source::new(copy.path(), data.path(), false),
            slug: "default".parse().unwrap(),
            open: true,
            actor: "test".to_owned(),
        };
        let report = migrate::run(&house, &run).await.unwrap();
        assert!(report.tenant.is_some(), "the fixture was not imported");
        let tenant = store.registry().by_slug("default").await.unwrap().unwrap();
        let event = AuditEvent { actor: "test", event: "tenant.changed", object: "default", detail: json!({}) };
        let public = TenantChange::PublicUrl(Some(format!("https://{HOST}")));
        store.registry().change(tenant.id, &public, &event).await.unwrap();

        let identity = Identity::new(store, Clock::System, Chance::System);
        let state = AppState::with_identity(identity.clone(), files, Chance::System);
        let configure = vec![web::server::beside(state)];
        let site = Site { identity, routes: app::routes(), configure, chance: Chance::System };
        let options = Options {
            listen: Listen::Tcp("127.0.0.1:0".parse().unwrap()),
            tls: None,
            workers: 2,
            grace: Duration::from_secs(5),
            proxies: TrustedProxies::default(),
            default_tenant: Some("default".parse().unwrap()),
        };
        let server = web::start(options, site).await.unwrap();
        let address = server.address().unwrap();
        let mut house = Self { server, address, tokens: BTreeMap::new(), _folder: folder, _copy: copy };
        let truth: Value = serde_json::from_slice(&std::fs::read(source.join("truth.json")).unwrap()).unwrap();
        for (caller, username) in [("owner", "maria"), ("admin", "zoe"), ("member", "li-lei")] {
            let users = truth["users"].as_array().unwrap();
            let user = users.iter().find(|user| user["username"] == username).unwrap();
            let token = house.sign_in(username, user["password"].as_str().unwrap()).await;
            house.tokens.insert(caller.to_owned(), token);
        }
        Some(house)
    }

    async fn sign_in(&self, username: &str, password: &str) -> String {
        let headers = [("Host", HOST), ("Content-Type", "application/json")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = json!({ "passwordCredentials": { "username": username, "password": password } }).to_string();
        let answer = http::send(self.address, "POST", "/api/v1/auth/signin", &headers, Some(&body)).await;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = value["accessToken"].as_str();
        token.unwrap_or_else(|| panic!("sign-in of {username}: {} {value}", answer.status)).to_owned()
    }

    /// Sends an exchange's request and compares the answer.
    pub(crate) async fn play(&self, exchange: &Exchange, bound: &mut Bindings) -> Result<(), String> {
        for (caller, token) in &self.tokens {
            bound.set(&format!("token:{caller}"), token);
        }
        let mut headers = vec![("Host".to_owned(), HOST.to_owned())];
        headers.extend(exchange.headers.iter().map(|(name, value)| (name.clone(), bound.fill(value))));
        let path = bound.fill(&exchange.path);
        let body = exchange.body.as_ref().map(|body| bound.fill(body));
        let answer = http::send(self.address, &exchange.verb, &path, &headers, body.as_deref()).await;
        compare::compare(&exchange.response, &answer, bound)
    }

    /// Ends the server.
    pub(crate) async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}
