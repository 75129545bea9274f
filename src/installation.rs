//! What a command stands on: the database, the backup store and the file store, embedded below one folder or given by
//! settings, opened the same way for every command.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admin::Admin;
use app::outbound::Reach;
use backup::{Backup, DumpSource, KeyDirectory, MirrorPlaces};
use domain::chance::Chance;
use domain::id::TenantId;
use migrate::{House, ReadBack};
use objects::{FileKey, FileStore, ObjectStore, S3Config};
use runtime::data_dir::{Claim, DataDir, Guest, Owner, write_private};
use runtime::exit::CommandError;
use runtime::postgres::{Address, Cluster, Spec};
use runtime::printer::Printer;
use runtime::s3::{Endpoint, S3Server};
use runtime::settings::{FilesPlace, Settings, read_secret};
use runtime::space::{Place, Space};
use store::{Store, TenantScope};

use crate::errors::{failed, of_objects, of_store};
use crate::named_stores::{absolute, copy_store, named_store, open_live_files, reader, secret_in};

/// How long a guest waits for the owner's services to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything opened.
pub(crate) struct Installation {
    pub(crate) settings: Settings,
    pub(crate) data: DataDir,
    pub(crate) store: Store,
    pub(crate) objects: ObjectStore,
    pub(crate) files: FileStore,
    /// Address of the backup store's S3, if it is one.
    pub(crate) s3_url: Option<String>,
    /// How that S3 is reached.
    s3: Option<S3Config>,
    /// The embedded database's address.
    pub(crate) postgres: Option<Address>,
    services: Services,
}

/// What runs below us and ends with us.
enum Services {
    /// Nothing: database and store are elsewhere.
    None,
    /// Ours to run.
    Own(Box<OwnServices>),
    /// Someone else's; held so that they stay.
    Shared { _guest: Guest },
}

/// Services that this process runs.
struct OwnServices {
    owner: Owner,
    cluster: Cluster,
    s3: S3Server,
}

/// Whether a command may use services that another process runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Run them, or use what runs.
    Allowed,
    /// Must run them itself.
    Owner,
}

impl Installation {
    /// The clients for requests to addresses that members name.
    pub(crate) fn reach(&self) -> Result<Reach, CommandError> {
        Reach::new(self.settings.webhook_allow.clone()).map_err(failed)
    }

    /// The disks that writes end up on, as far as they are this machine's.
    pub(crate) async fn space(&self) -> Space {
        let place = |name, path: &Path| Place { name, path: absolute(path) };
        let mut places = vec![place("data", &self.settings.data)];
        match &self.settings.files_url {
            Some(FilesPlace::Directory(folder)) => places.push(place("files", folder)),
            Some(FilesPlace::Bucket { .. }) | None => {}
        }
        if let Some(folder) = self.store.data_directory().await {
            places.push(place("database", &folder));
        }
        Space::new(places, self.settings.free_space_floor)
    }

    /// Opens what the settings name; embedded when they name no database.
    pub(crate) async fn open(settings: Settings, share: Share) -> Result<Self, CommandError> {
        let data = DataDir::open(&settings.data).map_err(|e| CommandError::of(e.exit(), e.to_string()))?;
        if settings.database_url.is_some() {
            Self::given(settings, data).await
        } else {
            Self::embedded(settings, data, share).await
        }
    }

    async fn embedded(settings: Settings, data: DataDir, share: Share) -> Result<Self, CommandError> {
        let folder = |e: runtime::data_dir::Error| CommandError::of(e.exit(), e.to_string());
        let claim = match share {
            Share::Owner => Claim::Owner(data.own().await.map_err(folder)?),
            Share::Allowed => data.claim().await.map_err(folder)?,
        };
        let (address, endpoint, services) = match claim {
            Claim::Owner(owner) => start(&settings, &data, owner).await?,
            Claim::Guest(guest) => {
                let address =
                    Address::attach(&data, PATIENCE).await.map_err(|e| CommandError::of(e.exit(), e.to_string()))?;
                let endpoint = await_endpoint(&data).await?;
                (address, endpoint, Services::Shared { _guest: guest })
            }
        };
        let mut config =
            store::Config::from_url(&address.url(), None, None).map_err(|e| CommandError::usage(e.to_string()))?;
        config.limits.searches = settings.tenant_searches.unwrap_or(config.limits.searches);
        let store = Store::connect(config).await.map_err(of_store)?;
        store.prepare().await.map_err(of_store)?;
        let named = named_store(&settings).await?;
        let of_its_own = named.is_none();
        let (objects, s3) = match named {
            Some(named) => named,
            None => {
                let (access, secret) = s3_keys(&data)?;
                let config = S3Config::new(endpoint.url.clone(), endpoint.bucket.clone(), access, secret);
                let objects = ObjectStore::s3(config.clone()).map_err(of_objects)?;
                objects.create().await.map_err(of_objects)?;
                (objects, Some(config))
            }
        };
        let files = open_live_files(&settings, &data, s3.as_ref().filter(|_| !of_its_own))?;
        let s3_url = s3.as_ref().and_then(|config| config.endpoint.clone());
        Ok(Self { settings, data, store, objects, files, s3_url, s3, postgres: Some(address), services })
    }

    async fn given(settings: Settings, data: DataDir) -> Result<Self, CommandError> {
        let url = settings.database_url.as_ref().map(ToString::to_string).unwrap_or_default();
        let password = secret_in(settings.database_password_file.as_deref())?;
        let mut config = store::Config::from_url(&url, password, settings.database_ca_file.clone())
            .map_err(|e| CommandError::usage(e.to_string()))?;
        config.limits.searches = settings.tenant_searches.unwrap_or(config.limits.searches);
        let store = Store::connect(config).await.map_err(of_store)?;
        store.prepare().await.map_err(of_store)?;
        let Some((objects, s3)) = named_store(&settings).await? else {
            return Err(CommandError::usage(
                "no backup store is set: set store_endpoint (with store_access_key_file and store_secret_key_file) or store_directory",
            ));
        };
        let files = open_live_files(&settings, &data, s3.as_ref())?;
        let s3_url = settings.store_endpoint.as_ref().map(ToString::to_string);
        Ok(Self { settings, data, store, objects, files, s3_url, s3, postgres: None, services: Services::None })
    }

    /// Where the appliance's own keys are.
    pub(crate) fn keys(&self) -> PathBuf {
        self.settings.keys_directory.clone().unwrap_or_else(|| self.data.keys())
    }

    /// What points and drills need. The escrow sheet, made with the first key, is shown once and kept nowhere.
    pub(crate) fn backup(&self, printer: Printer) -> Result<Backup, CommandError> {
        let (keys, sheet) = KeyDirectory::open(&self.keys()).map_err(failed)?;
        if let Some(sheet) = sheet {
            printer.note(&sheet.text());
        }
        let mut backup = Backup::new(self.store.clone(), self.objects.clone(), self.files.clone(), keys);
        backup.reader = reader(&self.settings)?;
        for place in &self.settings.store_copies {
            backup.copies.push(copy_store(place, &self.settings)?);
        }
        backup.mirrors = self.mirror_places();
        (backup.keep_dumps_days, backup.lock_dumps) = (self.settings.keep_dumps_for, self.settings.store_lock_dumps);
        backup.purge_after_days = self.settings.purge_keys_after;
        backup.configuration = serde_json::to_value(self.settings.shown()).ok();
        backup.policy = self
            .settings
            .retention
            .parse()
            .map_err(|e: backup::retention::NoPolicy| CommandError::usage(e.to_string()))?;
        Ok(backup)
    }

    /// Where live Markdown mirrors may be: anywhere but among what the appliance keeps.
    fn mirror_places(&self) -> MirrorPlaces {
        let data = &self.data;
        let mut taken = vec![data.objects(), data.files(), data.keys(), data.postgres(), data.reports(), data.run()];
        taken.extend([self.keys(), self.reports()]);
        let taken = taken.iter().map(|folder| absolute(folder)).collect();
        MirrorPlaces { s3: self.s3.clone(), folder: Some(absolute(&data.root().join("mirror"))), taken }
    }

    /// What the operators' side needs.
    pub(crate) fn admin(&self) -> Admin {
        let copies = self.settings.store_copies.iter().filter_map(|place| copy_store(place, &self.settings).ok());
        Admin {
            policy: self.settings.retention.parse().unwrap_or_default(),
            stores: std::iter::once(self.objects.location()).chain(copies.map(|store| store.location())).collect(),
            ..Admin::new(self.store.clone(), self.files.clone())
        }
    }

    /// How `pg_dump` reaches the database.
    pub(crate) fn dump_source(&self) -> DumpSource {
        if let Some(address) = &self.postgres {
            let programs = runtime::postgres::Binaries::find(self.settings.postgres_bin.as_deref())
                .ok()
                .map(|found| found.folder().to_owned());
            return DumpSource {
                programs,
                host: address.socket_dir.display().to_string(),
                port: address.port,
                user: address.superuser.clone(),
                database: address.database.clone(),
                password_file: None,
                ca_file: None,
                superuser: true,
            };
        }
        let config = self.store.config();
        DumpSource {
            programs: self.settings.postgres_bin.clone(),
            host: config.host.clone(),
            port: config.port,
            user: config.user.clone(),
            database: config.database.clone(),
            password_file: self.settings.database_password_file.clone(),
            ca_file: config.ca_file.clone(),
            superuser: false,
        }
    }

    /// What an import needs.
    pub(crate) async fn house(&self) -> Result<House, CommandError> {
        let secret = self.store.file_secret().await.map_err(of_store)?;
        let file_keys = Arc::new(move |tenant: TenantId| FileKey::derive(secret.as_bytes(), tenant));
        let store = self.store.clone();
        let read_back: ReadBack = Arc::new(move |scope: TenantScope, member, uid: String| {
            let store = store.clone();
            Box::pin(async move {
                let shown = app::notes::readback::shown_to(&store, &scope, member, &uid).await;
                shown.map_err(|error| error.to_string())
            })
        });
        Ok(House { store: self.store.clone(), files: self.files.clone(), file_keys, read_back: Some(read_back) })
    }

    /// Where reports are kept.
    pub(crate) fn reports(&self) -> PathBuf {
        self.settings.reports_directory.clone().unwrap_or_else(|| self.data.reports())
    }

    /// Ends the services that are ours, after those who still use them.
    pub(crate) async fn close(self) {
        let Services::Own(own) = self.services else { return };
        let OwnServices { owner, cluster, s3 } = *own;
        if !owner.dismiss_guests(PATIENCE).await {
            tracing::warn!("another command still uses the embedded services; ending them all the same");
        }
        drop(self.store);
        s3.stop().await;
        if let Err(error) = Endpoint::remove(&self.data.endpoint_file()) {
            tracing::debug!(%error, "the endpoint file stays");
        }
        if let Err(error) = cluster.stop().await {
            tracing::warn!(%error, "the embedded database did not stop in order; nothing acknowledged is lost");
        }
    }
}

async fn start(
    settings: &Settings,
    data: &DataDir,
    owner: Owner,
) -> Result<(Address, Endpoint, Services), CommandError> {
    let exe = std::env::current_exe().map_err(failed)?;
    let cluster = Cluster::open(Spec::embedded(data, settings.postgres_bin.clone(), Some(exe)))
        .await
        .map_err(|e| CommandError::of(e.exit(), e.to_string()))?;
    let (access, secret) = s3_keys(data)?;
    let s3 = S3Server::start(&data.objects(), SocketAddr::from(([127, 0, 0, 1], 0)), &access, &secret)
        .await
        .map_err(failed)?;
    let endpoint = Endpoint {
        url: s3.url(),
        bucket: settings.store_bucket.clone(),
        region: settings.store_region.clone(),
        pid: std::process::id(),
    };
    endpoint.write(&data.endpoint_file()).map_err(failed)?;
    Ok((cluster.address().clone(), endpoint, Services::Own(Box::new(OwnServices { owner, cluster, s3 }))))
}

async fn await_endpoint(data: &DataDir) -> Result<Endpoint, CommandError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(endpoint) = Endpoint::read(&data.endpoint_file()).map_err(failed)? {
            return Ok(endpoint);
        }
        if tokio::time::Instant::now() > deadline {
            return Err(CommandError::unreachable(
                "the process that owns the data folder does not offer its store; is it starting or ending?",
            ));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Access key and secret key of the embedded S3, made at first use.
fn s3_keys(data: &DataDir) -> Result<(String, String), CommandError> {
    let key = |name: &str, length: usize| -> Result<String, CommandError> {
        let path = data.keys().join(name);
        if !path.exists() {
            let made = Chance::System.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", length);
            write_private(&path, made.as_bytes()).map_err(failed)?;
        }
        Ok(read_secret(&path).map_err(|e| CommandError::usage(e.to_string()))?.expose().to_owned())
    };
    Ok((key("s3-access.key", 20)?, key("s3-secret.key", 40)?))
}
