//! The part of `make bench` that measures signing in: against the bare hash, and by a directory.
//!
//! ```text
//! sign_in URL ROUNDS     a tenant of its own, ROUNDS sign-ins one after the other; one JSON document
//! ```
//!
//! `URL` is `database_url` of the settings: a role that owns the control plane, on loopback. CPU seconds are those of this
//! process, which is what the server would spend. Without slapd the directory has no figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::time::Instant;

use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::MemberId;
use domain::member::{Member, Role};
use domain::tenant::TenantState;
use identity::provider::{Kind, NewProvider, from_toml};
use identity::{Client, Identity, SignIn};
use serde_json::{Value, json};
use store::tenant::{members, settings};
use store::{Config, Store, TenantScope};
use testkit::directory::{Directory, Setup, many};
use testkit::proxy::CountingRelay;

const PASSWORD: &str = "correct horse";
const PEOPLE: usize = 10_000;
const GROUPS: usize = 500;

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().expect("a number") + fields[12].parse::<f64>().expect("a number");
    ticks / 100.0
}

/// Milliseconds of a round: on the clock (the middle one) and of CPU (the mean).
async fn measured<F: Future<Output = ()>>(rounds: usize, mut one: impl FnMut() -> F) -> (f64, f64) {
    one().await;
    let (spent, mut took) = (cpu(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        one().await;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    (took[rounds / 2], (cpu() - spent) * 1000.0 / rounds as f64)
}

struct Bench {
    identity: Identity,
    scope: TenantScope,
    rounds: usize,
}

impl Bench {
    async fn open(url: &str, rounds: usize) -> Self {
        let config = Config::from_url(url, None, None).expect("a database URL");
        let store = Store::connect(config).await.expect("a store");
        store.prepare().await.expect("a prepared store");
        let chance = Chance::System;
        let slug = format!("sign-in-{}", &chance.uuid().simple().to_string()[..8]);
        let tenant = store.build_tenant(&slug.parse().expect("a slug"), TenantState::Active).await.expect("a tenant");
        let scope = TenantScope::for_command(tenant, "bench");
        let identity = Identity::new(store.clone(), Clock::System, chance);
        let hash = identity.passwords().hash(PASSWORD).await.expect("a hash");
        let mut tx = store.begin(&scope);
        tx.touch().await.expect("a mark");
        settings::insert_signing_secret(&mut tx, "a secret of the bench").await.expect("a secret");
        let member = Member {
            id: MemberId(tx.next_id().await.expect("a number")),
            username: "ana".to_owned(),
            role: Role::Owner,
            archived: false,
            email: String::new(),
            display_name: String::new(),
            avatar: String::new(),
            description: String::new(),
            created_ts: 1_700_000_000,
            updated_ts: 1_700_000_000,
        };
        members::insert_member(&mut tx, &member, &hash).await.expect("a member");
        tx.commit().await.expect("a commit");
        Self { identity, scope, rounds }
    }

    async fn enter(&self, username: &str, password: &str) {
        let who = SignIn { username, password };
        self.identity.sign_in(&self.scope, who, &Client::default()).await.expect("a sign-in");
    }

    /// Signing in by the local password, and its hash alone.
    async fn local(&self) -> Value {
        let hash = self.identity.passwords().hash(PASSWORD).await.expect("a hash");
        let bare = measured(self.rounds, async || {
            assert!(self.identity.passwords().verify(PASSWORD, Some(&hash)).await.expect("a check"));
        });
        let bare = bare.await;
        let whole = measured(self.rounds, async || self.enter("ana", PASSWORD).await).await;
        json!({"hash_ms": bare.0, "hash_cpu_ms": bare.1, "sign_in_ms": whole.0, "sign_in_cpu_ms": whole.1,
               "over_ms": whole.0 / bare.0 - 1.0, "over_cpu": whole.1 / bare.1 - 1.0})
    }

    async fn set(&self, uid: &str, server: std::net::SocketAddr) -> identity::provider::Provider {
        let text = format!(
            "servers = [\"ldap://{server}\"]\nallow_plain = true\nbind_dn = \"cn=svc,dc=example,dc=org\"\n\
             bind_password = \"service-password\"\nuser_base = \"ou=people,dc=example,dc=org\"\n\
             group_base = \"ou=groups,dc=example,dc=org\"\ntimeout_seconds = 30\n"
        );
        let kind = Kind::read("LDAP", &from_toml(&text).expect("TOML")).expect("settings");
        let new = NewProvider { uid: uid.to_owned(), title: uid.to_owned(), identifier_filter: String::new(), kind };
        self.identity.create_provider(&self.scope, "command", new).await.expect("a provider")
    }

    /// Signing in by the password of a directory, and resolving all of it.
    async fn directory(&self) -> Value {
        let folder = tempfile::tempdir().expect("a folder");
        let entries = many(PEOPLE, GROUPS);
        let Some(directory) = Directory::start(folder.path(), Setup::new(&entries, None)) else { return Value::Null };
        let provider = self.set("near", directory.plain).await;
        let (took, spent) = measured(self.rounds, async || self.enter("u7", "p7").await).await;
        let began = Instant::now();
        let ladder = self.identity.test_provider(&self.scope, &provider, None).await.expect("a ladder");
        let resolved = began.elapsed().as_secs_f64();
        let found = ladder.rungs.last().map(|rung| rung.found.clone()).unwrap_or_default();
        assert!(ladder.holds(), "{found}");
        self.identity.delete_provider(&self.scope, "command", "near").await.expect("removed");
        let relay = CountingRelay::start(directory.plain);
        self.set("far", relay.address).await;
        self.enter("u8", "p8").await;
        let before = relay.flights();
        self.enter("u8", "p8").await;
        json!({"sign_in_ms": took, "sign_in_cpu_ms": spent, "round_trips": relay.flights() - before,
               "people": PEOPLE, "groups": GROUPS, "resolve_seconds": resolved, "found": found})
    }
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, rounds] = words.as_slice() else { panic!("see the head of this file") };
    let bench = Bench::open(url, rounds.parse().expect("a number")).await;
    println!("{}", json!({"local": bench.local().await, "directory": bench.directory().await}));
}
