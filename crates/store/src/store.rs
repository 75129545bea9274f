//! The handle everything goes through.

use std::sync::Arc;

use domain::chance::Chance;
use tokio::sync::broadcast;

use crate::ahead::Memory;
use crate::config::Config;
use crate::control::Control;
use crate::error::Error;
use crate::pool::Pools;
use crate::registry::Registry;
use crate::scope::TenantScope;
use crate::turns::Turns;
use crate::tx::TenantTx;

/// How many messages of the live channel wait for one that hears slowly.
const LIVE_KEPT: usize = 1024;

/// The database: pools, control plane and registry. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    control: Control,
    registry: Registry,
    chance: Chance,
    memory: Arc<Memory>,
    live: broadcast::Sender<Arc<str>>,
    file_secret: tokio::sync::OnceCell<Arc<str>>,
    turns: Turns,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("config", self.pools().config()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the pools and asks the database once whether it answers. Changes nothing; see [`Store::prepare`].
    pub async fn connect(config: Config) -> Result<Self, Error> {
        Self::connect_with(config, Chance::System).await
    }

    /// The same with a source of chance of the caller's.
    pub async fn connect_with(config: Config, chance: Chance) -> Result<Self, Error> {
        let connection =
            sea_orm::Database::connect(config.sea_orm()).await.map_err(|e| Error::Unavailable(Box::new(e)))?;
        let control = Control::new(connection);
        let turns = Turns::new(config.limits.searches, config.limits.acquire);
        let pools = Pools::new(config)?;
        let registry = Registry::new(control.clone());
        let (live, _) = broadcast::channel(LIVE_KEPT);
        let (memory, file_secret) = (Memory::new(), tokio::sync::OnceCell::new());
        let inner = Inner { pools, control, registry, chance, memory, live, file_secret, turns };
        let store = Self { inner: Arc::new(inner) };
        drop(store.pools().owner.get().await?);
        Ok(store)
    }

    /// Brings the control plane to the present schema version, makes login roles and stock, loads what the pools need
    /// and begins to listen for changes of the registry. Needs a role with CREATEROLE and CREATE on the database;
    /// run again it changes nothing.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.must_be_new_enough().await?;
        self.apply_control_steps().await?;
        self.load_shards().await?;
        self.fill_stock().await?;
        self.watch_registry();
        Ok(())
    }

    /// For processes without DDL rights: loads what the pools need and begins to listen.
    pub async fn attach(&self) -> Result<(), Error> {
        self.load_shards().await?;
        self.watch_registry();
        Ok(())
    }

    /// A unit of work on the tenant. Lazy: nothing is sent before the first statement.
    pub fn begin(&self, scope: &TenantScope) -> TenantTx {
        TenantTx::new(self.clone(), scope.clone())
    }

    /// The control plane.
    pub fn control(&self) -> &Control {
        &self.inner.control
    }

    /// Which tenant is reached how.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// How the database is reached.
    pub fn config(&self) -> &Config {
        self.pools().config()
    }

    /// Connections in use, idle and waited for.
    pub fn pool_status(&self) -> (usize, usize, usize) {
        self.pools().status()
    }

    /// The installation's secret from which every tenant's names of files follow, made once and the same for all processes.
    pub async fn file_secret(&self) -> Result<Arc<str>, Error> {
        let secret = self.inner.file_secret.get_or_try_init(|| async {
            let fresh = self.chance().text(b"0123456789abcdef", 64);
            let kept = self.control().settle_setting("file_names", &fresh.into()).await?;
            Ok::<_, Error>(Arc::from(kept.as_str().map_or_else(|| kept.to_string(), str::to_owned)))
        });
        secret.await.cloned()
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.inner.pools
    }

    /// Whose turn it is to search.
    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    pub(crate) fn live(&self) -> &broadcast::Sender<Arc<str>> {
        &self.inner.live
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.inner.memory
    }

    pub(crate) fn chance(&self) -> &Chance {
        &self.inner.chance
    }
}
