//! What every work on points needs, and how tenants' keys are found.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use age::x25519::Identity;
use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::TenantId;
use domain::tenant::Tenant;
use objects::{FileStore, ObjectStore, PutOptions, keys as layout};
use runtime::printer::Printer;
use serde_json::json;
use store::{AuditEvent, Store, TenantStep};

use crate::error::Error;
use crate::format::hash::{HashCheck, Stamp};
use crate::keys::{Holder, KeyDirectory, KeyError, Sheet, TenantKey, WrappedKey};
use crate::mirror::MirrorPlaces;
use crate::retention::Policy;
use crate::shown::Shown;
use crate::source::Source;

/// Database, stores and keys. Cheap to clone.
#[derive(Clone)]
pub struct Backup {
    /// Live tenants and the control plane.
    pub store: Store,
    /// Where points are.
    pub objects: ObjectStore,
    /// Where live attachments' bytes are.
    pub files: FileStore,
    /// The appliance's own keys.
    pub keys: KeyDirectory,
    /// Time.
    pub clock: Clock,
    /// Names and choices.
    pub chance: Chance,
    /// Whether hashes are compared; always real outside of tests.
    pub check: HashCheck,
    /// The backup store by credentials that only read, where there are such: what drills use.
    pub reader: Option<ObjectStore>,
    /// How long points stay.
    pub policy: Policy,
    /// For how many days dumps of the whole database stay; the newest good one always does.
    pub keep_dumps_days: u32,
    /// Whether dumps are locked for those days in stores that lock.
    pub lock_dumps: bool,
    /// How many days after its deletion the keys of a tenant stay, for those who deleted the wrong one.
    pub purge_after_days: u32,
    /// The settings in force, without secrets: they go along with the control plane.
    pub configuration: Option<serde_json::Value>,
    /// Further places where every point is to be.
    pub copies: Vec<ObjectStore>,
    /// Where live Markdown mirrors may be.
    pub mirrors: MirrorPlaces,
    /// How far the work is, where somebody watches a terminal.
    pub(crate) shown: Shown,
    /// The steps of tenants' schemas, from the first one: those of this executable, outside of tests.
    pub steps: Arc<[TenantStep]>,
    identity: Option<Identity>,
    /// Signing keys that the sheet at hand names.
    pub(crate) sheet_signers: BTreeSet<String>,
    /// The signing key that is known to be noted in the control plane.
    pub(crate) noted_signer: Arc<Mutex<Option<String>>>,
    known: Arc<Mutex<HashMap<TenantId, Known>>>,
}

/// A tenant's key and where it lies wrapped.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) key: TenantKey,
    pub(crate) wrapped: Vec<WrappedKey>,
}

impl Backup {
    /// From its parts, with the machine's clock and chance.
    pub fn new(store: Store, objects: ObjectStore, files: FileStore, keys: KeyDirectory) -> Self {
        Self {
            store,
            objects,
            files,
            keys,
            clock: Clock::System,
            chance: Chance::System,
            check: HashCheck::Real,
            reader: None,
            policy: Policy::default(),
            keep_dumps_days: 7,
            lock_dumps: false,
            purge_after_days: 7,
            configuration: None,
            copies: Vec::new(),
            mirrors: MirrorPlaces::default(),
            shown: Shown::default(),
            steps: TenantStep::all().into(),
            identity: None,
            sheet_signers: BTreeSet::new(),
            noted_signer: Arc::default(),
            known: Arc::default(),
        }
    }

    /// The same for somebody at a terminal, who is shown how far the work is.
    #[must_use]
    pub(crate) fn shown_on(self, printer: Printer) -> Self {
        Self { shown: Shown::on(printer), ..self }
    }

    /// The same with an identity from a file in place of the drill identity: `--identity FILE`.
    #[must_use]
    pub fn with_identity(mut self, identity: Option<Identity>) -> Self {
        self.identity = identity;
        self.known = Arc::default();
        self
    }

    /// The same with an escrow sheet: its identity opens points, and the signing keys that it names count.
    #[must_use]
    pub fn with_sheet(mut self, sheet: Sheet) -> Self {
        self.sheet_signers.extend(sheet.signers);
        self.with_identity(Some(sheet.identity))
    }

    /// The same with the backup store by credentials that only read, where there are such.
    pub(crate) fn reading(&self) -> Self {
        let objects = self.reader.clone().unwrap_or_else(|| self.objects.clone());
        Self { objects, ..self.clone() }
    }

    /// Whether the backup store refuses to be written with the credentials at hand. Tried, not believed.
    pub(crate) async fn cannot_write(&self) -> bool {
        if self.reader.is_none() {
            return false;
        }
        let key = format!("{}{}", layout::PROBE, self.chance.uid());
        match self.objects.put(&key, "may a drill write?", PutOptions::default()).await {
            Err(objects::Error::Denied { .. }) => true,
            Err(_) => false,
            Ok(()) => {
                tracing::warn!("the drill's store credentials may write; give it some that only read");
                self.objects.delete(&key).await.ok();
                false
            }
        }
    }

    /// The backup store as it is.
    pub fn source(&self) -> Source {
        Source::plain(self.objects.clone()).shown_by(self.shown.clone())
    }

    /// Who opens wrapped keys here: the given identity, else the drill identity.
    pub fn holder(&self) -> Result<(Holder, Identity), KeyError> {
        let Some(identity) = &self.identity else {
            return Ok((Holder::Drill, self.keys.drill_identity()?));
        };
        let drill = self.keys.recipient(Holder::Drill).to_string();
        let holder = if identity.to_public().to_string() == drill { Holder::Drill } else { Holder::Escrow };
        Ok((holder, identity.clone()))
    }

    /// The tenant by its slug.
    pub async fn tenant(&self, slug: &str) -> Result<Arc<Tenant>, Error> {
        self.store.registry().by_slug(slug).await?.ok_or_else(|| Error::NoTenant(slug.to_owned()))
    }

    /// The tenant's key, made and wrapped at first use.
    pub(crate) async fn tenant_key(&self, tenant: TenantId) -> Result<Known, Error> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant) {
            return Ok(known.clone());
        }
        let mut remembered = self.store.control().newest_tenant_key(tenant).await?;
        if remembered.is_none() {
            if let Some(made) = self.make_tenant_key(tenant).await? {
                return Ok(self.remember(tenant, made));
            }
            remembered = self.store.control().newest_tenant_key(tenant).await?;
        }
        let wrapped: Vec<WrappedKey> = remembered
            .and_then(|(_, wrapped)| serde_json::from_value(wrapped).ok())
            .ok_or_else(|| Error::Refused(format!("the record of tenant {tenant}'s key cannot be read")))?;
        let key = self.unwrap_key(&self.source(), &wrapped).await?;
        Ok(self.remember(tenant, Known { key, wrapped }))
    }

    fn remember(&self, tenant: TenantId, known: Known) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, known.clone());
        known
    }

    /// Makes a key, stores it wrapped for both holders, and remembers it unless another process was quicker.
    async fn make_tenant_key(&self, tenant: TenantId) -> Result<Option<Known>, Error> {
        let key = TenantKey::generate();
        let mut wrapped = Vec::new();
        // another process may have rotated the holders since this one began
        let keys = self.keys.reloaded()?;
        for holder in [Holder::Escrow, Holder::Drill] {
            let bytes = key.wrapped_for(keys.recipient(holder))?;
            let at = layout::wrapped_key(tenant, &format!("{}.{}.age", key.id(), holder.as_str()));
            let stamp = Stamp::of(&bytes);
            self.objects.put(&at, bytes, PutOptions::default()).await?;
            wrapped.push(WrappedKey::new(at, holder, &stamp));
        }
        let record = json!(wrapped);
        let detail = json!({ "key": key.id(), "holders": ["escrow", "drill"] });
        let event = AuditEvent { actor: "command", event: "key.created", object: key.id(), detail };
        let first = self.store.control().add_first_tenant_key(tenant, key.id(), &record, &event).await?;
        if first {
            return Ok(Some(Known { key, wrapped }));
        }
        for one in &wrapped {
            self.objects.delete(&one.key).await?;
        }
        Ok(None)
    }

    /// Where the keys of a tenant lie wrapped now, by their ids.
    pub(crate) async fn wrapped_keys(&self, tenant: TenantId) -> Result<HashMap<String, Vec<WrappedKey>>, Error> {
        let rows = self.store.control().tenant_keys(Some(tenant)).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.key_id, serde_json::from_value(row.wrapped).ok()?))).collect())
    }

    /// Forgets the keys that were opened: they have changed, or are gone.
    pub(crate) fn forget_keys(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Opens a wrapped key of `wrapped` that is for the holder at hand.
    pub(crate) async fn unwrap_key(&self, source: &Source, wrapped: &[WrappedKey]) -> Result<TenantKey, Error> {
        let (holder, identity) = self.holder()?;
        let mut last = Error::Key(KeyError::NoIdentity);
        for one in wrapped.iter().filter(|one| one.holder == holder) {
            let stored = source.get(&one.key).await?;
            match TenantKey::unwrap(&identity, &stored) {
                Ok(key) => return Ok(key),
                Err(source) => last = Error::Open { point: "the store".to_owned(), name: one.key.clone(), source },
            }
        }
        Err(last)
    }
}
