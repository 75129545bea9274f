//! Tenant-affine connections.
//!
//! Every tenant belongs to one login role (its shard) and, by hash, to one of the shard's slots; each slot has a few
//! connections, of which a tenant gets one that has served it before if it can ([`Slot::take`]). A connection is retired
//! after many distinct tenants, because a backend never frees its relation cache (54–200 KB per tenant touched, measured).

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType, Timeouts};
use deadpool_postgres::{ClientWrapper, ManagerConfig, RecyclingMethod};
use domain::id::SchemaId;
use domain::tenant::Tenant;
use lru::LruCache;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

use crate::config::Config;
use crate::error::Error;
use crate::yielding::give_way;

/// Prepared statements kept per connection: three for each of its tenants, which is the check of a caller, the read that
/// most requests are, and the check with the proof that the read's answer is still the same. Fewer than its tenants ask for would have nearly every request plan anew. 16–25 KB each in
/// the backend, and so bounded by the same retirement as its relation cache.
const STATEMENTS_PER_TENANT: usize = 3;

/// Prepared lists kept per connection (filters, other orders), by their whole text: as many kinds of them as are in use on a
/// connection at a time. 50–100 KB each in the backend.
const LISTS: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// How long a request waits for a connection that has its tenant's plans before it takes one that has not: planning and
/// filling a backend's caches for a tenant takes 3 to 6 ms of a core, most requests hold their connection for less than one.
/// So waiting is given up only where a long one is in the way. With 3 ms, a busy moment made requests plan anew, which
/// kept it busy: the p99 of a thousand tenants at random was 2.4 times that of one, and 1.6 times with this.
const PATIENCE: Duration = Duration::from_millis(12);

/// The tenants whose relations are in a backend's cache.
type Served = Arc<Mutex<HashSet<SchemaId>>>;

fn lock(served: &Served) -> std::sync::MutexGuard<'_, HashSet<SchemaId>> {
    served.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection with what we remember of it.
pub(crate) struct Connection {
    pub(crate) client: ClientWrapper,
    pub(crate) statements: LruCache<(SchemaId, &'static str, &'static str), tokio_postgres::Statement>,
    pub(crate) lists: LruCache<String, tokio_postgres::Statement>,
    /// Whose role the session has, where a read left it there; unknown while one is under way.
    pub(crate) standing: Option<SchemaId>,
}

impl Connection {
    /// Gives up every plan of a tenant.
    pub(crate) fn forget(&mut self, schema: &SchemaId) {
        let keys: Vec<_> = self.statements.iter().map(|(key, _)| key.clone()).filter(|key| key.0 == *schema).collect();
        for key in keys {
            self.statements.pop(&key);
        }
    }
}

pub(crate) type Pooled = managed::Object<Manager>;

/// Makes and checks connections of one login role.
pub(crate) struct Manager {
    inner: deadpool_postgres::Manager,
    /// The login role, where its backends give way to others.
    giving_way: Option<String>,
    tenants_per_connection: usize,
    /// Of the one connection that there is, in a seat.
    served: Served,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Connection, tokio_postgres::Error> {
        let client = managed::Manager::create(&self.inner).await?;
        if let Some(role) = &self.giving_way {
            Box::pin(give_way(&client, role)).await?;
        }
        let kept = NonZeroUsize::new(STATEMENTS_PER_TENANT * self.tenants_per_connection);
        let statements = LruCache::new(kept.unwrap_or(NonZeroUsize::MIN));
        lock(&self.served).clear();
        Ok(Connection { client, statements, lists: LruCache::new(LISTS), standing: None })
    }

    async fn recycle(&self, connection: &mut Connection, metrics: &Metrics) -> RecycleResult<tokio_postgres::Error> {
        if lock(&self.served).len() >= self.tenants_per_connection {
            metrics::counter!("holdfast_pool_retired_total").increment(1);
            return Err(RecycleError::message("retired: served its share of tenants"));
        }
        managed::Manager::recycle(&self.inner, &mut connection.client, metrics).await
    }
}

/// On which runtime connections live.
///
/// Those to tenants live where they are asked for. A web worker has a runtime of one thread and connections of its own
/// there: an answer then wakes nobody on another thread (half of the CPU of a small read otherwise), and no worker carries
/// another's traffic. What outlives a worker lives on the process's main runtime.
struct Connector {
    home: Option<Handle>,
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
}

type Connected = (tokio_postgres::Client, JoinHandle<()>);
type Connecting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Connected, tokio_postgres::Error>> + Send + 'a>>;

impl deadpool_postgres::Connect for Connector {
    fn connect(&self, config: &tokio_postgres::Config) -> Connecting<'_> {
        let here = connect(config.clone(), self.tls.clone());
        let home = self.home.as_ref().map(|home| home.spawn(connect(config.clone(), self.tls.clone())));
        Box::pin(async move {
            match home {
                Some(there) => match there.await {
                    Ok(connected) => connected,
                    Err(_) => here.await, // the main runtime is ending
                },
                None => here.await,
            }
        })
    }
}

async fn connect(
    config: tokio_postgres::Config,
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
) -> Result<Connected, tokio_postgres::Error> {
    Ok(match tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await?;
            (client, drive(connection))
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            (client, drive(connection))
        }
    })
}

fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a database connection ended");
        }
    })
}

/// A login role of the data plane. Never printed: it holds a password.
#[derive(Clone)]
pub(crate) struct Shard {
    pub(crate) role: String,
    pub(crate) password: String,
}

/// What connections are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    /// Requests of the tenants that have this slot.
    Requests(usize),
    /// Searches of all tenants: they may look at every note, and no other request shall wait for one of them.
    Searches,
}

/// Shard, purpose and the thread whose runtime drives the connections (none: the many-threaded one) → its pool.
type Slots = HashMap<(i32, Purpose, Option<ThreadId>), Arc<Slot>>;

/// A place for one connection, and whom that has served.
struct Seat {
    pool: managed::Pool<Manager>,
    served: Served,
}

impl Seat {
    /// Its connection for a tenant, or none when it is still in use after `wait`.
    async fn within(
        &self,
        wait: Duration,
        schema: &SchemaId,
    ) -> Result<Option<Pooled>, PoolError<tokio_postgres::Error>> {
        let timeouts = Timeouts { wait: Some(wait), ..self.pool.timeouts() };
        match self.pool.timeout_get(&timeouts).await {
            Err(PoolError::Timeout(TimeoutType::Wait)) => Ok(None),
            Err(error) => Err(error),
            Ok(connection) => {
                let mut served = lock(&self.served);
                if !served.contains(schema) {
                    served.insert(schema.clone());
                }
                drop(served);
                Ok(Some(connection))
            }
        }
    }
}

/// The connections that some tenants of a shard share.
struct Slot {
    seats: Vec<Seat>,
}

impl Slot {
    /// A connection for a tenant: one that has served it before and is free; else one that has served it and becomes free
    /// within [`PATIENCE`]; else any that is free, rather an open one; else the next, for which it waits `longest`.
    async fn take(&self, schema: &SchemaId, longest: Duration) -> Result<Pooled, PoolError<tokio_postgres::Error>> {
        let known: Vec<&Seat> = self.seats.iter().filter(|seat| lock(&seat.served).contains(schema)).collect();
        for seat in &known {
            if let Some(connection) = seat.within(Duration::ZERO, schema).await? {
                return Ok(connection);
            }
        }
        if let Some(seat) = known.iter().min_by_key(|seat| seat.pool.status().waiting)
            && let Some(connection) = seat.within(PATIENCE, schema).await?
        {
            return Ok(connection);
        }
        let (open, closed): (Vec<&Seat>, Vec<&Seat>) = self.seats.iter().partition(|seat| seat.pool.status().size > 0);
        for seat in open.into_iter().chain(closed) {
            if let Some(connection) = seat.within(Duration::ZERO, schema).await? {
                return Ok(connection);
            }
        }
        let next = self.seats.iter().min_by_key(|seat| seat.pool.status().waiting).ok_or(PoolError::Closed)?;
        next.within(longest, schema).await?.ok_or(PoolError::Timeout(TimeoutType::Wait))
    }
}

/// The thread of a runtime that has only this one.
fn own_thread() -> Option<ThreadId> {
    let handle = Handle::try_current().ok()?;
    (handle.runtime_flavor() == RuntimeFlavor::CurrentThread).then(|| std::thread::current().id())
}

/// All pools of a process.
pub(crate) struct Pools {
    config: Config,
    handle: Handle,
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
    /// Connections of the role that owns everything: DDL, loads, the listener.
    pub(crate) owner: managed::Pool<Manager>,
    shards: Mutex<HashMap<i32, Shard>>,
    slots: Mutex<Slots>,
}

impl Pools {
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        let handle = Handle::current();
        let tls = config.tls().map_err(|e| Error::Unavailable(Box::new(e)))?;
        let owner = build(
            &config,
            (Connector { home: Some(handle.clone()), tls: tls.clone() }, None),
            config.tokio_postgres(&config.user, config.password.as_deref()),
            6,
            &Served::default(),
        )?;
        Ok(Self { config, handle, tls, owner, shards: Mutex::default(), slots: Mutex::default() })
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes a login role known.
    pub(crate) fn set_shard(&self, id: i32, shard: Shard) {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).insert(id, shard);
    }

    pub(crate) fn knows_shard(&self, id: i32) -> bool {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// A connection of the slot the tenant belongs to.
    pub(crate) async fn tenant(&self, tenant: &Tenant) -> Result<Pooled, Error> {
        let at = (crate::scope::lock_key(tenant.id) as u64 % self.config.limits.slots.max(1) as u64) as usize;
        self.connection(tenant, Purpose::Requests(at)).await
    }

    /// A connection for a search.
    pub(crate) async fn searcher(&self, tenant: &Tenant) -> Result<Pooled, Error> {
        self.connection(tenant, Purpose::Searches).await
    }

    async fn connection(&self, tenant: &Tenant, purpose: Purpose) -> Result<Pooled, Error> {
        let slot = self.slot(tenant, purpose)?;
        let began = Instant::now();
        let connection = slot.take(&tenant.schema, self.config.limits.acquire).await?;
        metrics::histogram!("holdfast_pool_acquire_seconds").record(began.elapsed().as_secs_f64());
        Ok(connection)
    }

    fn slot(&self, tenant: &Tenant, purpose: Purpose) -> Result<Arc<Slot>, Error> {
        let key = (tenant.shard, purpose, own_thread());
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Ok(Arc::clone(slot));
        }
        let shard = self.shards.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant.shard).cloned();
        let shard = shard.ok_or_else(|| {
            Error::Refused(format!(
                "login role of shard {} is not known; run the server with the role that owns the control plane",
                tenant.shard
            ))
        })?;
        let seat = || {
            let served = Served::default();
            let connector = Connector { home: None, tls: self.tls.clone() };
            let postgres = self.config.for_tenants(&shard.role, Some(&shard.password));
            let giving_way = (purpose == Purpose::Searches).then(|| shard.role.clone());
            build(&self.config, (connector, giving_way), postgres, 1, &served).map(|pool| Seat { pool, served })
        };
        let seats = (0..self.config.limits.per_slot.max(1)).map(|_| seat()).collect::<Result<_, Error>>()?;
        let slot = Arc::new(Slot { seats });
        slots.insert(key, Arc::clone(&slot));
        Ok(slot)
    }

    /// Connections in use, idle and waited for, over all slots.
    pub(crate) fn status(&self) -> (usize, usize, usize) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.values().flat_map(|slot| &slot.seats).map(|seat| seat.pool.status()).fold((0, 0, 0), |sum, status| {
            (sum.0 + status.size.saturating_sub(status.available), sum.1 + status.available, sum.2 + status.waiting)
        })
    }
}

fn build(
    config: &Config,
    (connect, giving_way): (Connector, Option<String>),
    postgres: tokio_postgres::Config,
    size: usize,
    served: &Served,
) -> Result<managed::Pool<Manager>, Error> {
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let inner = deadpool_postgres::Manager::from_connect(postgres, connect, manager_config);
    let tenants_per_connection = config.limits.tenants_per_connection;
    let manager = Manager { inner, giving_way, tenants_per_connection, served: Arc::clone(served) };
    managed::Pool::builder(manager)
        .max_size(size)
        // The one used last has the plans.
        .queue_mode(QueueMode::Lifo)
        .wait_timeout(Some(config.limits.acquire))
        .create_timeout(Some(config.limits.acquire))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|e| Error::Unavailable(Box::new(e)))
}
