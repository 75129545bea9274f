//! The copy's own world: a folder, a Postgres with its own data directory and socket, a file store.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::tenant::{Tenant, TenantState};
use objects::ObjectStore;
use runtime::postgres::{Cluster, Spec};
use store::{AuditEvent, Config, Store, TenantChange, TenantScope, TenantStep};

use super::DrillOptions;
use crate::error::Error;

/// A scratch installation. Dropped, its server is stopped and its folder removed.
pub(super) struct Scratch {
    cluster: Cluster,
    pub(super) store: Store,
    pub(super) files: ObjectStore,
    pub(super) isolated: bool,
    url: String,
    folder: tempfile::TempDir,
}

impl Scratch {
    pub(super) async fn open(tools: &DrillOptions) -> Result<Self, Error> {
        let folder = make_folder(&tools.scratch)?;
        let isolated = match &tools.program {
            Some(program) => {
                let program = program.clone();
                tokio::task::spawn_blocking(move || runtime::sandbox::can_isolate(&program)).await.unwrap_or(false)
            }
            None => false,
        };
        let spec = Spec { isolated, ..Spec::scratch(folder.path(), tools.program.clone()) };
        let cluster = Cluster::open(spec).await.map_err(failed("the database of the copy"))?;
        let url = cluster.address().url();
        let mut config = Config::from_url(&url, None, None).map_err(failed("the database of the copy"))?;
        config.limits.stock = 1;
        let store = Store::connect(config).await?;
        store.prepare().await?;
        let files = ObjectStore::directory(folder.path().join("files"))?;
        Ok(Self { isolated: cluster.is_isolated(), cluster, store, files, url, folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the server of the copy listens: a socket's path has about 100 bytes.
    pub(super) fn socket(&self) -> PathBuf {
        let here = self.folder.path().join("serve.sock");
        if here.as_os_str().len() <= 100 { here } else { self.cluster.address().socket_dir.join("serve.sock") }
    }

    /// What the server of the copy is told.
    pub(super) fn settings(&self, tenant: &Tenant) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("HOLDFAST_DATA", path("data")),
            ("HOLDFAST_DATABASE_URL", self.url.clone()),
            ("HOLDFAST_FILES_URL", format!("file://{}", path("files"))),
            ("HOLDFAST_STORE_DIRECTORY", path("store")),
            ("HOLDFAST_DEFAULT_TENANT", tenant.slug.to_string()),
            ("HOLDFAST_LOG_FILTER", "warn".to_owned()),
        ]
    }

    /// The copy's tenant, empty and closed, of the version that these steps lead to.
    pub(super) async fn tenant(&self, slug: &str, steps: &[TenantStep]) -> Result<TenantScope, Error> {
        let slug = slug.parse().map_err(|_| Error::Refused(format!("the point's slug {slug} is not valid")))?;
        let tenant = self.store.build_tenant_by(&slug, TenantState::Closed, steps).await?;
        Ok(TenantScope::for_job(tenant, "drill"))
    }

    /// Opens the copy's tenant for its server.
    pub(super) async fn open_tenant(&self, tenant: &Tenant) -> Result<Arc<Tenant>, Error> {
        let event = AuditEvent {
            actor: "job:drill",
            event: "tenant.opened",
            object: tenant.slug.as_str(),
            detail: serde_json::json!({}),
        };
        let change = TenantChange::State(TenantState::Active);
        Ok(self.store.registry().change(tenant.id, &change, &event).await?)
    }

    /// Stops the database and removes everything.
    pub(super) async fn close(self) -> Result<(), Error> {
        drop(self.store);
        self.cluster.stop().await.map_err(failed("the database of the copy"))?;
        let path = self.folder.path().display().to_string();
        self.folder.close().map_err(|source| Error::File { path, source })
    }
}

/// Names what failed.
pub(super) fn failed<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> Error {
    let what = what.to_owned();
    move |error| Error::Process { what, said: error.to_string() }
}

/// A folder that the database's user may pass through; what is in it is private on its own.
fn make_folder(parent: &PathBuf) -> Result<tempfile::TempDir, Error> {
    let wrong = |source| Error::File { path: parent.display().to_string(), source };
    std::fs::create_dir_all(parent).map_err(wrong)?;
    let folder = tempfile::Builder::new().prefix("drill-").tempdir_in(parent).map_err(wrong)?;
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(folder.path(), open).map_err(wrong)?;
    for name in ["files", "data", "store"] {
        runtime::data_dir::make_private(&folder.path().join(name)).map_err(failed("the folder of the copy"))?;
    }
    Ok(folder)
}
