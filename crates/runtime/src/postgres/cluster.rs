//! A cluster from open to stop.

use std::path::{Path, PathBuf};

use super::account::Account;
use super::binaries::Binaries;
use super::keeper::Keeper;
use super::launch::Launch;
use super::{Address, Error, configuration, initialise, leftover, socket};
use crate::data_dir::DataDir;

/// What kind of cluster is wanted.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Data directory; made when missing. Its parent must exist.
    pub directory: PathBuf,
    /// Folder for the log and for `postgres.json`.
    pub run: PathBuf,
    /// Folder with `initdb` and `postgres`; looked for when absent.
    pub binaries: Option<PathBuf>,
    /// Our own executable, whose hidden `sandbox` command sets user, capability and parent-death signal. Without it only
    /// the user is changed: enough for tests whose folders everyone may enter.
    pub sandbox: Option<PathBuf>,
    /// A network namespace of its own, where the system allows it: nothing can leave.
    pub isolated: bool,
    /// False for throw-away copies only: no fsync.
    pub durable: bool,
}

impl Spec {
    /// The cluster of the embedded default below `--data`.
    pub fn embedded(data: &DataDir, binaries: Option<PathBuf>, sandbox: Option<PathBuf>) -> Self {
        Self { directory: data.postgres(), run: data.run(), binaries, sandbox, isolated: false, durable: true }
    }

    /// A throw-away cluster below an existing folder: `pg` and its log.
    pub fn scratch(folder: &Path, sandbox: Option<PathBuf>) -> Self {
        let directory = folder.join("pg");
        Self { directory, run: folder.to_owned(), binaries: None, sandbox, isolated: false, durable: false }
    }
}

/// A running Postgres. It is started again when it dies, and told to stop when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    address: Address,
    binaries: Binaries,
    isolated: bool,
    run: PathBuf,
    keeper: Keeper,
}

impl Cluster {
    /// Creates the data directory when missing, clears away what an earlier run left, starts the server and waits until it
    /// takes connections (crash recovery included).
    pub async fn open(spec: Spec) -> Result<Self, Error> {
        let prepared = tokio::task::spawn_blocking(move || Prepared::new(spec)).await;
        let prepared = prepared.map_err(|error| Error::Initialise { said: error.to_string() })??;
        let Prepared { spec, binaries, account, isolated, address } = prepared;
        let launch = Launch { account, sandbox: spec.sandbox.clone(), isolated };
        let arguments = configuration::arguments(&spec.directory, &address, spec.durable);
        let keeper = Keeper::start(launch, binaries.program("postgres"), arguments, spec.directory, &spec.run).await?;
        address.publish(&spec.run)?;
        Ok(Self { address, binaries, isolated, run: spec.run, keeper })
    }

    /// How to reach it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The programs it runs with; `pg_dump` and `psql` are beside them on most systems.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Whether it has a network namespace of its own.
    pub fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// Process id of the server at the moment; 0 while it is being started again.
    pub fn process(&self) -> i32 {
        self.keeper.process()
    }

    /// Waits until the server has failed for good; tells what it said last.
    pub async fn failed(&self) -> String {
        self.keeper.failed().await
    }

    /// Stops it cleanly: sessions are ended, everything is on disk.
    pub async fn stop(mut self) -> Result<(), Error> {
        Address::withdraw(&self.run);
        self.keeper.stop().await
    }
}

/// Everything that is settled before the server starts.
struct Prepared {
    spec: Spec,
    binaries: Binaries,
    account: Account,
    isolated: bool,
    address: Address,
}

impl Prepared {
    fn new(mut spec: Spec) -> Result<Self, Error> {
        spec.directory = absolute(&spec.directory)?;
        let account = Account::choose(&spec.directory)?;
        let major = initialise::major_of(&spec.directory)?;
        let binaries = Binaries::choose(spec.binaries.as_deref(), major.as_deref(), &spec.directory)?;
        let isolated = spec.isolated && spec.sandbox.as_deref().is_some_and(crate::sandbox::can_isolate);
        if major.is_none() {
            let launch = Launch { account, sandbox: spec.sandbox.clone(), isolated: false };
            initialise::create(&spec.directory, &binaries, &launch, spec.durable)?;
        }
        leftover::stop(&spec.directory)?;
        let address = Address::new(socket::folder(&spec.directory, account)?);
        Ok(Self { spec, binaries, account, isolated, address })
    }
}

/// One spelling for one directory: the socket's name and the search for an earlier server depend on it.
fn absolute(directory: &Path) -> Result<PathBuf, Error> {
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Ok(directory.to_owned());
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    Ok(parent.canonicalize().map_err(Error::file("cannot enter", parent))?.join(name))
}
