//! The keys of a deleted tenant go, in every version and every store: then no point of it opens, whoever has the escrow sheet
//! and all versions of the bucket. A signed certificate says so, and what it does not cover.

use std::collections::HashSet;

use objects::{ObjectStore, keys as layout};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::AuditEvent;
use store::control::keys::Deletion;
use store::control::points::dump::Model as Row;
use time::{Duration, OffsetDateTime};

use crate::context::Backup;
use crate::error::Error;
use crate::keys::{Signature, Signer};
use crate::retention::MANY;
use crate::snapshot::rfc3339;

/// What was done, as it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// How the tenant was called.
    pub tenant: String,
    /// Its id.
    pub tenant_id: String,
    /// When its rows were removed.
    pub deleted_at: String,
    /// When its keys were gone from every store.
    pub purged_at: String,
    /// Ids of its keys.
    pub keys: Vec<String>,
    /// Every store, and what was removed there.
    pub stores: Vec<PurgedStore>,
    /// Points of it that are in the stores and will not open again.
    pub points: u64,
    /// `deleted`, or `deleting` while dumps of the whole database still hold its rows.
    pub state: String,
    /// Those dumps: they do not follow a tenant's key. When they are removed, nothing of it is left.
    pub dumps: Vec<String>,
    /// When the last of those dumps may go: prune removes it from then on, in every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dumps_expire_at: Option<String>,
    /// One of them is the newest of its database, which stays until there is a newer one.
    #[serde(default)]
    pub newer_dump_needed: bool,
    /// When dumps went and the certificate was made anew; absent on the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<String>,
}

impl Statement {
    fn hold(&mut self, held: Held) {
        self.state = String::from(if held.dumps.is_empty() { "deleted" } else { "deleting" });
        self.dumps = held.dumps;
        self.dumps_expire_at = held.expire_at.map(rfc3339);
        self.newer_dump_needed = held.newer_needed;
    }
}

/// The dumps that still hold a tenant's rows.
#[derive(Debug, Default)]
struct Held {
    dumps: Vec<String>,
    expire_at: Option<OffsetDateTime>,
    newer_needed: bool,
}

impl Held {
    /// Of all dumps, newest first: those begun before the rows went.
    fn of(rows: &[Row], deleted_at: OffsetDateTime, days: u32) -> Self {
        let (mut held, mut databases) = (Self::default(), HashSet::new());
        for row in rows {
            let newest = databases.insert(row.database.as_str());
            if row.created_at > deleted_at {
                continue;
            }
            held.newer_needed |= newest;
            held.expire_at = held.expire_at.max(row.created_at.checked_add(Duration::days(i64::from(days))));
            held.dumps.push(row.dump.clone());
        }
        held
    }
}

/// What was removed in one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedStore {
    /// Where it is.
    pub location: String,
    /// Wrapped keys.
    pub objects: u64,
    /// Versions of them.
    pub versions: u64,
}

/// A statement with its signature, over the text of the statement byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The statement as JSON, as it was signed.
    pub statement: String,
    /// By the appliance.
    #[serde(flatten)]
    pub signature: Signature,
}

impl Certificate {
    /// The certificate, and how it is kept.
    fn signed(signer: &Signer, statement: &Statement) -> Result<(Self, String), Error> {
        let refused = |error: serde_json::Error| Error::Refused(error.to_string());
        let text = serde_json::to_string(statement).map_err(refused)?;
        let certificate = Self { signature: signer.sign(text.as_bytes()), statement: text };
        let kept = serde_json::to_string(&certificate).map_err(refused)?;
        Ok((certificate, kept))
    }

    /// Whether it is what was signed.
    pub fn is_good(&self) -> bool {
        self.signature.is_of(self.statement.as_bytes())
    }

    /// What it says.
    pub fn read(&self) -> Option<Statement> {
        serde_json::from_str(&self.statement).ok()
    }
}

/// What `key purge` tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PurgeReport {
    /// Tenants whose keys are gone now.
    pub certificates: Vec<Certificate>,
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
                Ok(certificate) => report.certificates.push(certificate),
                Err(error) => report.problems.push(format!("the keys of {} could not be purged: {error}", gone.slug)),
            }
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
            dumps: Vec::new(),
            dumps_expire_at: None,
            newer_dump_needed: false,
            renewed_at: None,
        };
        statement.hold(Held::of(&dumps, gone.deleted_at, self.keep_dumps_days));
        let (certificate, kept) = Certificate::signed(&signer, &statement)?;
        let detail = json!({ "keys": statement.keys, "stores": statement.stores, "points": statement.points });
        let event = AuditEvent { actor, event: "key.purged", object: &gone.slug, detail };
        control.note_purged(gone.tenant, now, &kept, &event).await?;
        Ok(certificate)
    }

    /// Makes certificates anew whose dumps are no longer those that are there. What stops one is a warning.
    pub(crate) async fn renew_certificates(&self, actor: &str, warnings: &mut Vec<String>) -> Result<(), Error> {
        let control = self.store.control();
        let dumps = control.list_dumps(MANY).await?;
        for gone in control.deletions().await? {
            let Some(kept) = gone.certificate.as_deref() else { continue };
            let Some(said) = serde_json::from_str(kept).ok().and_then(|kept: Certificate| kept.read()) else {
                continue;
            };
            let mut now = said.clone();
            now.hold(Held::of(&dumps, gone.deleted_at, self.keep_dumps_days));
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
            let detail =
                json!({ "state": now.state, "dumps": now.dumps.len(), "dumps_expire_at": now.dumps_expire_at });
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
