//! The keys of a deleted tenant go, in every version and every store: then no point of it opens, whoever has the escrow sheet
//! and all versions of the bucket. A signed certificate says so, and what it does not cover.

mod statement;

use domain::id::TenantId;
use objects::{ObjectStore, keys as layout};
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::keys::Deletion;
use store::control::points::dump::Model as Row;
use time::Duration;

use self::statement::Held;
pub use self::statement::{Certificate, PurgedFiles, PurgedStore, Statement};
use crate::context::Backup;
use crate::error::Error;
use crate::retention::MANY;
use crate::snapshot::rfc3339;

/// What `key purge` tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PurgeReport {
    /// Tenants whose keys are gone now.
    pub certificates: Vec<Certificate>,
    /// What is left of them, and what to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// Tenants whose keys could not be removed, and why; they are tried again.
    pub problems: Vec<String>,
}

impl Backup {
    /// Every store that points are in, the first one first.
    pub(crate) fn stores(&self) -> impl Iterator<Item = &ObjectStore> {
        std::iter::once(&self.objects).chain(&self.copies)
    }

    /// Purges the keys of tenants that have been gone for long enough; at once that of the slug, where one is given.
    pub async fn purge_deleted(&self, now: Option<&str>, actor: &str) -> Result<PurgeReport, Error> {
        let mut report = PurgeReport::default();
        let deletions = self.store.control().deletions().await?;
        if let Some(slug) = now.filter(|slug| deletions.iter().all(|gone| gone.slug != *slug)) {
            return Err(Error::Refused(format!(
                "no tenant called {slug} was deleted; `holdfast tenant delete {slug} --yes --grace 0d` comes first"
            )));
        }
        for gone in deletions {
            let due = match now {
                Some(slug) => gone.slug == slug,
                None => self.clock.now() - gone.deleted_at >= Duration::days(i64::from(self.purge_after_days)),
            };
            if gone.purged_at.is_some() || !due {
                continue;
            }
            match self.purge_one(&gone, actor).await {
                Ok(certificate) => {
                    report.next.extend(certificate.read().iter().flat_map(Statement::next));
                    report.certificates.push(certificate);
                }
                Err(error) => report.problems.push(format!("the keys of {} could not be purged: {error}", gone.slug)),
            }
        }
        if !report.certificates.is_empty() {
            // another tenant's certificate may have named this one as a copy that is left
            self.renew_certificates(actor, &mut report.problems).await?;
        }
        if now.is_none() {
            metrics::gauge!("holdfast_keys_overdue").set(report.problems.len() as f64);
        }
        Ok(report)
    }

    async fn purge_one(&self, gone: &Deletion, actor: &str) -> Result<Certificate, Error> {
        let control = self.store.control();
        // before anything goes: without a signature nothing could be said of it
        let signer = self.keys.signer()?;
        let keys = self.wrapped_keys(gone.tenant).await?.into_keys().collect();
        let mut stores = Vec::new();
        for store in self.stores() {
            let purged = store.purge(&layout::wrapped_keys(gone.tenant)).await?;
            if purged.left > 0 {
                return Err(Error::Refused(format!(
                    "{} still has {} versions of wrapped keys; is there an object lock on all of the bucket?",
                    store.location(),
                    purged.left
                )));
            }
            stores.push(PurgedStore { location: store.location(), objects: purged.objects, versions: purged.versions });
        }
        self.forget_keys();
        let files = self.purge_files(gone.tenant).await?;
        let now = self.clock.now();
        let dumps = control.list_dumps(MANY).await?;
        let mut statement = Statement {
            tenant: gone.slug.clone(),
            tenant_id: gone.tenant.to_string(),
            deleted_at: rfc3339(gone.deleted_at),
            purged_at: rfc3339(now),
            keys,
            stores,
            points: control.list_points(Some(gone.tenant), MANY).await?.len() as u64,
            state: String::new(),
            copies: Vec::new(),
            files: Some(files),
            dumps: Vec::new(),
            dumps_expire_at: None,
            newer_dump_needed: false,
            renewed_at: None,
        };
        statement.hold(self.held(gone, &dumps).await?);
        let (certificate, kept) = Certificate::signed(&signer, &statement)?;
        let detail = json!({ "keys": statement.keys, "stores": statement.stores, "points": statement.points,
                             "state": statement.state, "copies": statement.copies });
        let event = AuditEvent { actor, event: "key.purged", object: &gone.slug, detail };
        control.note_purged(gone.tenant, now, &kept, &event).await?;
        Ok(certificate)
    }

    /// Removes every version of a deleted tenant's files; what stops that is said, and holds the keys not up.
    async fn purge_files(&self, tenant: TenantId) -> Result<PurgedFiles, Error> {
        let location = self.files.objects().location();
        let why = match self.files.purge(tenant).await {
            Ok(purged) if purged.left == 0 => {
                self.store.control().note_files_gone(tenant).await?;
                return Ok(PurgedFiles { location, gone: true, why: None });
            }
            Ok(purged) => format!("{} versions stay; is there an object lock on all of the bucket?", purged.left),
            Err(error) => error.to_string(),
        };
        Ok(PurgedFiles { location, gone: false, why: Some(why) })
    }

    /// What still holds rows of a deleted tenant; `dumps` are all there are, newest first.
    async fn held(&self, gone: &Deletion, dumps: &[Row]) -> Result<Held, Error> {
        let remains = self.store.remains_of_tenant(gone.tenant).await?;
        Ok(Held::of(&remains, dumps, gone.deleted_at, self.keep_dumps_days))
    }

    /// Makes certificates anew where what is left is no longer what they say. What stops one is a warning.
    pub(crate) async fn renew_certificates(&self, actor: &str, warnings: &mut Vec<String>) -> Result<(), Error> {
        let control = self.store.control();
        let dumps = control.list_dumps(MANY).await?;
        for gone in control.deletions().await? {
            let Some(kept) = gone.certificate.as_deref() else { continue };
            let Some(said) = serde_json::from_str(kept).ok().and_then(|kept: Certificate| kept.read()) else {
                continue;
            };
            let mut now = said.clone();
            if now.files.as_ref().is_none_or(|files| !files.gone) {
                now.files = Some(self.purge_files(gone.tenant).await?);
            }
            now.hold(self.held(&gone, &dumps).await?);
            if now == said {
                continue;
            }
            now.renewed_at = Some(rfc3339(self.clock.now()));
            let signer = match self.keys.signer() {
                Ok(signer) => signer,
                Err(error) => {
                    warnings.push(format!(
                        "the certificate of {} is no longer true and cannot be signed: {error}",
                        gone.slug
                    ));
                    continue;
                }
            };
            let (_, kept) = Certificate::signed(&signer, &now)?;
            let detail = json!({ "state": now.state, "dumps": now.dumps.len(), "dumps_expire_at": now.dumps_expire_at, "copies": now.copies });
            let event = AuditEvent { actor, event: "key.certificate_renewed", object: &gone.slug, detail };
            control.renew_certificate(gone.tenant, &kept, &event).await?;
        }
        Ok(())
    }

    /// The certificates of tenants that are gone, the newest first; of one slug, or of all.
    pub async fn certificates(&self, slug: Option<&str>) -> Result<Vec<Certificate>, Error> {
        let gone = self.store.control().deletions().await?;
        Ok(gone
            .into_iter()
            .filter(|gone| slug.is_none_or(|slug| gone.slug == slug))
            .filter_map(|gone| serde_json::from_str(gone.certificate.as_deref()?).ok())
            .collect())
    }
}
