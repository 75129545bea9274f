//! The part of `make bench` that needs the store in process: fills tenants, and measures what HTTP would hide.
//!
//! ```text
//! budgets URL fill SLUG NOTES             notes, members, reactions, relations for a tenant (made if missing); its token
//! budgets URL fill-many COUNT NOTES       tenants many1 … manyCOUNT; one line each: slug and token
//! budgets URL prepare COUNT               the control plane, and COUNT schemas in stock
//! budgets URL index                       the indexes for searching of large tenants
//! budgets URL stock COUNT                 COUNT tenants from a full stock, one by one: milliseconds
//! budgets URL insert SLUG CONNECTIONS SECONDS    create against bare INSERTs of the same row, in turns
//! budgets URL list SLUG CONNECTIONS SECONDS      what a list of 20 with a token asks of the database, in process
//! ```
//!
//! `URL` is `database_url` of the settings: a role that owns the control plane, on loopback. Results are JSON lines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::chance::Chance;
use domain::id::{MemberId, Slug};
use domain::note::{Derived, Visibility};
use domain::tenant::{Tenant, TenantState};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::tenant::feed::{self, FeedQuery, Order, Viewer};
use store::tenant::{cards, notes, tokens};
use store::{Config, Hot, Store, TenantScope, Type};

const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PURPOSE: &str = "bench";

/// About 300 bytes each, 50 common tags, one rare tag in 100 notes; `$1` is how many, `$2` the number of the first member.
const NOTES: &str = "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content, tags, snippet)
  SELECT nextval('id_seq'), 'note' || lpad(g::text, 8, '0'), $2 + g % 3, 1700000000 + g * 60, 1700000000 + g * 60,
    CASE g % 5 WHEN 0 THEN 'PUBLIC' ELSE 'PROTECTED' END, head || E'\n\n' || body,
    ARRAY['area' || g % 50] || CASE WHEN g % 100 = 0 THEN ARRAY['rare' || g] ELSE '{}'::text[] END, left(body, 64)
  FROM generate_series(1, $1) g,
  LATERAL (SELECT 'note ' || g || ' #area' || g % 50 || CASE WHEN g % 100 = 0 THEN ' #rare' || g ELSE '' END AS head,
    (SELECT string_agg('word' || lpad((abs(hashint8(g * 64 + k)) % 2000)::text, 4, '0'), ' ')
     FROM generate_series(1, 30) k) AS body) texts";
/// A reaction on every tenth note, a relation to the note before on every twentieth.
const REACTIONS: &str = "INSERT INTO reaction (id, note_id, creator_id, reaction, created_ts)
  SELECT nextval('id_seq'), id, creator_id, '👍', created_ts FROM note WHERE id % 10 = 0";
const RELATIONS: &str = "INSERT INTO note_relation (note_id, related_id, kind)
  SELECT n.id, o.id, 'REFERENCE' FROM note n JOIN note o ON o.id = n.id - 1 WHERE n.id % 20 = 0";

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [url, what, rest @ ..] = words.as_slice() else { panic!("see the head of this file") };
    let number = |at: usize| rest[at].parse::<usize>().expect("a number");
    match *what {
        "fill" => println!("{}", fill(&open(url, 1, 4, 2).await, rest[0], number(1)).await),
        "fill-many" => fill_many(&open(url, 2, 4, number(0)).await, number(0), number(1)).await,
        "index" => {
            while open(url, 1, 1, 0).await.build_search_index(5_000.0).await.expect("an index").is_some() {}
            open(url, 1, 1, 0).await.tend_sketches(5_000.0, &mut String::new()).await.expect("sketches");
        }
        "prepare" => drop(open(url, 1, 1, number(0)).await),
        "stock" => stock(&open(url, 2, 4, 0).await, number(0)).await,
        "insert" => insert(url, rest[0], number(1), number(2)).await,
        "list" => list(url, rest[0], number(1), number(2)).await,
        other => panic!("no such part: {other}"),
    }
}

async fn open(url: &str, slots: usize, per_slot: usize, stock: usize) -> Store {
    let mut config = Config::from_url(url, None, None).expect("a database URL");
    config.limits.slots = slots;
    config.limits.per_slot = per_slot;
    config.limits.stock = stock;
    config.limits.statement = Duration::from_secs(900);
    let store = Store::connect(config).await.expect("a store");
    store.prepare().await.expect("a prepared store");
    store
}

async fn tenant_of(store: &Store, slug: &str) -> Arc<Tenant> {
    if let Some(tenant) = store.registry().by_slug(slug).await.expect("the registry") {
        return tenant;
    }
    let slug: Slug = slug.parse().expect("a slug");
    store.build_tenant(&slug, TenantState::Active).await.expect("a tenant")
}

/// Members, notes and a token of the first member.
async fn fill(store: &Store, slug: &str, count: usize) -> serde_json::Value {
    let scope = TenantScope::for_command(tenant_of(store, slug).await, PURPOSE);
    let chance = Chance::System;
    let mut tx = store.begin(&scope);
    tx.touch().await.expect("a mark");
    let mut first = 0;
    for number in 0..3 {
        let id = tx.next_id().await.expect("a number");
        first = if number == 0 { id } else { first };
        let sql = "INSERT INTO member (id, username, role, created_ts, updated_ts) VALUES ($1, $2, $3, 1700000000, 1700000000)";
        let (name, role) = (format!("person{number}"), if number == 0 { "owner" } else { "member" });
        tx.query(sql, &[(&id, Type::INT8), (&name, Type::TEXT), (&role, Type::TEXT)]).await.expect("a member");
    }
    tx.query(NOTES, &[(&(count as i64), Type::INT8), (&first, Type::INT8)]).await.expect("notes");
    tx.query(REACTIONS, &[]).await.expect("reactions");
    tx.query(RELATIONS, &[]).await.expect("relations");
    tx.query(cards::REBUILD_ALL, &[]).await.expect("cards");
    let secret = format!("memos_pat_{}", chance.text(LETTERS, 32));
    let token = tokens::AccessToken {
        token_id: chance.uuid().to_string(),
        member_id: MemberId(first),
        description: PURPOSE.to_owned(),
        created_ns: 1,
        expires_ns: None,
        last_used_ns: None,
        scope: "admin".to_owned(),
    };
    tokens::insert_token(&mut tx, &token, &hex::encode(Sha256::digest(secret.as_bytes()))).await.expect("a token");
    tx.commit().await.expect("a commit");
    json!({"slug": slug, "token": secret})
}

async fn fill_many(store: &Store, count: usize, per_tenant: usize) {
    for number in 1..=count {
        println!("{}", fill(store, &format!("many{number}"), per_tenant).await);
    }
}

/// What `tenant create` waits for in the store: the claim of a ready schema and its way into the registry.
async fn stock(store: &Store, count: usize) {
    let round = Chance::System.text(b"abcdefghijklmnopqrstuvwxyz", 6);
    let mut milliseconds = Vec::with_capacity(count);
    for number in 0..count {
        let slug: Slug = format!("stock-{round}-{number}").parse().expect("a slug");
        let began = Instant::now();
        store.build_tenant(&slug, TenantState::Active).await.expect("a tenant");
        milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    println!("{}", json!({"milliseconds": milliseconds}));
}

/// Calls `work` from `tasks` tasks for some seconds; how many per second were done.
async fn rate<F, W>(tasks: usize, seconds: usize, work: W) -> f64
where
    F: Future<Output = ()> + Send,
    W: Fn() -> F + Clone + Send + 'static,
{
    let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let until = began + Duration::from_secs(seconds as u64);
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (work, done) = (work.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while Instant::now() < until {
                    work().await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a worker");
    }
    done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

const CONTENT: &str = "note of the bench #area7\n\nword0001 word0002 word0003 word0004 word0005 word0006 word0007 word0008 \
  word0009 word0010 word0011 word0012 word0013 word0014 word0015 word0016 word0017 word0018 word0019 word0020 \
  word0021 word0022 word0023 word0024 word0025 word0026 word0027 word0028 word0029 word0030";

fn derived() -> Derived {
    Derived { tags: vec!["area7".to_owned()], snippet: CONTENT[26..90].to_owned(), ..Derived::default() }
}

macro_rules! bare {
    () => {
        "INSERT INTO {s}.note (id, uid, creator_id, parent_id, created_ts, updated_ts, visibility, content, tags, snippet,
         title, has_link, has_task_list, has_code, has_incomplete_tasks, location) VALUES (nextval('{s}.id_seq'), $1, $2, $3,
         $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id"
    };
}
const BARE: Hot = Hot { name: "bare insert", text: bare!(), proof: None };

/// As many clients as connections, three forms of the same row into the same table. `create`: the whole unit of work of a
/// plain new note. `bare`: the prepared INSERT alone through the same pool, whose login roles own nothing, so in the
/// tenant's role. `owner`: the prepared INSERT without any transaction block, through a pool of the same kind and size
/// whose role owns the table.
async fn insert(url: &str, slug: &str, connections: usize, seconds: usize) {
    let store = open(url, 1, connections, 0).await;
    let tenant = tenant_of(&store, slug).await;
    let scope = TenantScope::for_command(Arc::clone(&tenant), PURPOSE);
    let pool = bare_pool(store.config(), connections);
    let sql: Arc<str> = BARE.text.replace("{s}", tenant.schema.as_str()).into();
    let owner = move || insert_as_owner(pool.clone(), Arc::clone(&sql));
    let (one, same) = (store.clone(), scope.clone());
    let bare = move || insert_bare(one.clone(), same.clone());
    let ours = move || insert_ours(store.clone(), scope.clone());
    // The first round warms connections and plans; the order turns.
    for round in 0..7 {
        let mut line = json!({"connections": connections});
        for turn in 0..3 {
            let (name, found) = match (round + turn) % 3 {
                0 => ("owner", rate(connections, seconds, owner.clone()).await),
                1 => ("bare", rate(connections, seconds, bare.clone()).await),
                _ => ("create", rate(connections, seconds, ours.clone()).await),
            };
            line[name] = found.into();
        }
        if round > 0 {
            println!("{line}");
        }
    }
}

async fn insert_bare(store: Store, scope: TenantScope) {
    let (uid, derived) = (Chance::System.uid(), derived());
    store.read_hot(&scope, BARE, &values(&uid, &derived)).await.expect("a row");
}

async fn insert_as_owner(pool: deadpool_postgres::Pool, sql: Arc<str>) {
    let (uid, derived) = (Chance::System.uid(), derived());
    let client = pool.get().await.expect("a connection");
    let statement = client.prepare_cached(&sql).await.expect("a statement");
    client.query_one(&statement, &values(&uid, &derived)).await.expect("a row");
}

/// The parameters of [`BARE`].
fn values<'a>(uid: &'a String, derived: &'a Derived) -> [&'a (dyn store::ToSql + Sync); 15] {
    const AT: i64 = 1_700_000_000;
    [
        uid,
        &1_i64,
        &None::<i64>,
        &AT,
        &AT,
        &"PRIVATE",
        &CONTENT,
        &derived.tags,
        &derived.snippet,
        &derived.title,
        &derived.has_link,
        &derived.has_task_list,
        &derived.has_code,
        &derived.has_incomplete_tasks,
        &None::<serde_json::Value>,
    ]
}

async fn insert_ours(store: Store, scope: TenantScope) {
    let (uid, derived) = (Chance::System.uid(), derived());
    let new = notes::NewNote {
        uid: &uid,
        creator_id: MemberId(1),
        parent_id: None,
        created_ts: 1_700_000_000,
        updated_ts: 1_700_000_000,
        visibility: Visibility::Private,
        content: CONTENT,
        derived: &derived,
        location: None,
    };
    notes::insert_note_once(&store, &scope, &new, 0).await.expect("a note");
}

fn bare_pool(config: &Config, size: usize) -> deadpool_postgres::Pool {
    let mut pg = tokio_postgres::Config::new();
    pg.host(&config.host).port(config.port).dbname(&config.database).user(&config.user);
    let fast = deadpool_postgres::ManagerConfig { recycling_method: deadpool_postgres::RecyclingMethod::Fast };
    let manager = deadpool_postgres::Manager::from_config(pg, tokio_postgres::NoTls, fast);
    deadpool_postgres::Pool::builder(manager).max_size(size).build().expect("a pool")
}

async fn list(url: &str, slug: &str, connections: usize, seconds: usize) {
    let store = open(url, 1, connections, 0).await;
    let scope = TenantScope::for_command(tenant_of(&store, slug).await, PURPOSE);
    let work = move || {
        let (store, scope) = (store.clone(), scope.clone());
        async move {
            tokens::read_token(&store, &scope, "0000").await.expect("an answer");
            let query = FeedQuery {
                viewer: Viewer::Member(MemberId(1)),
                archived: false,
                order: Order::default(),
                filter: None,
                limit: 21,
                offset: 0,
            };
            assert_eq!(feed::list_notes(&store, &scope, &query).await.expect("notes").len(), 21);
        }
    };
    rate(connections, 1, work.clone()).await;
    println!("{}", json!({"connections": connections, "per_second": rate(connections, seconds, work).await}));
}
