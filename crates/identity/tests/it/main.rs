//! Identity against a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod directories;
mod fake;
mod operators;
mod providers;
mod sessions;
mod sign_in;
mod tokens;

use std::sync::Arc;

use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::MemberId;
use domain::member::{Member, Role};
use domain::tenant::TenantState;
use identity::{Actor, Credentials, Identity};
use store::tenant::{members, settings};
use store::{Store, TenantScope};
use testkit::pg::TestDatabase;

/// A store, a clock that stands, and two tenants that were made from the same data: ids, names, passwords and the
/// signing secret coincide.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) identity: Identity,
    pub(crate) a: TenantScope,
    pub(crate) b: TenantScope,
}

pub(crate) const PASSWORD: &str = "correct horse";

impl World {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let store = database.store().await;
        let clock = Clock::fixed(1_700_000_000);
        let identity = Identity::new(store.clone(), clock.clone(), Chance::System);
        let hash = identity.passwords().hash(PASSWORD).await.unwrap();
        let mut scopes = Vec::new();
        for slug in ["alpha", "beta"] {
            let tenant = store.build_tenant(&slug.parse().unwrap(), TenantState::Active).await.unwrap();
            let scope = TenantScope::for_request(Arc::clone(&tenant));
            let mut tx = store.begin(&scope);
            tx.touch().await.unwrap();
            settings::insert_signing_secret(&mut tx, "the same in both").await.unwrap();
            for (id, name, role, archived) in
                [(1, "ana", Role::Owner, false), (2, "bo", Role::Member, false), (3, "old", Role::Member, true)]
            {
                members::insert_member(&mut tx, &member(id, name, role, archived), &hash).await.unwrap();
            }
            // Those who come later take other numbers.
            for _ in 0..3 {
                tx.next_id().await.unwrap();
            }
            tx.commit().await.unwrap();
            scopes.push(scope);
        }
        let b = scopes.pop().unwrap();
        let a = scopes.pop().unwrap();
        Self { database, store, clock, identity, a, b }
    }

    pub(crate) async fn who(&self, scope: &TenantScope, credentials: &Credentials) -> Option<String> {
        match self.identity.authenticate(scope, credentials).await.unwrap() {
            Actor::Anonymous => None,
            Actor::Member(actor) => Some(actor.member.username),
        }
    }

    /// The audit's events, oldest first: `actor event object`.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let client = self.database.superuser().await;
        let rows =
            client.query("SELECT actor, event, object FROM holdfast.audit_event ORDER BY seq", &[]).await.unwrap();
        rows.iter()
            .map(|row| format!("{} {} {}", row.get::<_, &str>(0), row.get::<_, &str>(1), row.get::<_, &str>(2)))
            .filter(|line| line.contains("sign") || line.contains("token") || line.contains("password"))
            .collect()
    }
}

pub(crate) fn member(id: i64, name: &str, role: Role, archived: bool) -> Member {
    Member {
        id: MemberId(id),
        username: name.to_owned(),
        role,
        archived,
        email: String::new(),
        display_name: String::new(),
        avatar: String::new(),
        description: String::new(),
        created_ts: 1_600_000_000,
        updated_ts: 1_600_000_000,
    }
}

pub(crate) fn bearer(token: &str) -> Credentials {
    Credentials { bearer: Some(token.to_owned()), ..Credentials::default() }
}

pub(crate) fn refresh(token: &str) -> Credentials {
    Credentials { refresh: vec![token.to_owned()], ..Credentials::default() }
}

pub(crate) fn page(cookie: &str) -> Credentials {
    Credentials { page: vec![cookie.to_owned()], ..Credentials::default() }
}
