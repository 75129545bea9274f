//! New identities for the holders of tenants' keys. The keys themselves stay, so every point opens as before; only who may
//! open them changes.
//!
//! At any moment one of the two drill identities opens everything: first each key is wrapped for the new holders beside the
//! old ones, then the files in `keys/` change, then what was wrapped for the old ones is removed in every version. What is
//! interrupted is carried on by running it again.

use age::x25519::Recipient;
use domain::id::TenantId;
use objects::{PutOptions, keys as layout};
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::points::tenant_key::Model as KeyRow;

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::{Hash, Stamp};
use crate::keys::{EscrowSheet, Holder, TenantKey, WrappedKey};

/// What `key rotate` tells.
#[derive(Clone, Debug, Serialize)]
pub struct RotateReport {
    /// Holders with a new identity.
    pub holders: Vec<&'static str>,
    /// Keys that were wrapped anew.
    pub keys: u64,
    /// Wrapped keys that were removed, with all their versions.
    pub removed: u64,
    /// Dumps that the old identities still open: they were encrypted for them directly.
    pub dumps: Vec<String>,
    /// What someone should look at.
    pub warnings: Vec<String>,
}

/// Whom a key is to be wrapped for.
type Recipients = Vec<(Holder, Recipient)>;

/// Where a key lay wrapped, and where it does now.
struct Change {
    tenant: TenantId,
    key: String,
    old: Vec<WrappedKey>,
    new: Vec<WrappedKey>,
}

impl Backup {
    /// Gives `holders` new identities. Returns the sheet to print when escrow is among them.
    ///
    /// # Errors
    /// Before anything has changed when one of the keys does not open.
    pub async fn rotate_keys(
        &self,
        holders: &[Holder],
        actor: &str,
    ) -> Result<(RotateReport, Option<EscrowSheet>), Error> {
        let mut recipients = Recipients::new();
        let drill = holders.contains(&Holder::Drill);
        let sheet = if holders.contains(&Holder::Escrow) {
            Some(EscrowSheet::generate(self.signer().await?.public_key()))
        } else {
            None
        };
        if drill {
            recipients.push((Holder::Drill, self.keys.next_drill()?.to_public()));
        }
        if let Some(sheet) = &sheet {
            recipients.push((Holder::Escrow, sheet.recipient()));
        }
        let changes = self.wrap_all(&recipients).await?;
        let signer = match &sheet {
            Some(sheet) => Some(self.wrap_signer(&self.signer().await?, &sheet.recipient()).await?),
            None => None,
        };
        self.keys.switch(drill, sheet.as_ref())?;
        self.forget_keys();
        let mut report = RotateReport {
            holders: holders.iter().map(|holder| holder.as_str()).collect(),
            keys: changes.len() as u64,
            removed: 0,
            dumps: self.store.control().list_dumps(1_000_000).await?.into_iter().map(|dump| dump.dump).collect(),
            warnings: Vec::new(),
        };
        if let Some(kept) = signer {
            self.purge_wrapped_signers(&kept, &mut report.warnings).await?;
        }
        for change in changes {
            self.settle_change(change, actor, &mut report).await?;
        }
        Ok((report, sheet))
    }

    /// Wraps every key for new holders beside the old ones.
    async fn wrap_all(&self, recipients: &Recipients) -> Result<Vec<Change>, Error> {
        let control = self.store.control();
        let mut opened = Vec::new();
        for row in control.tenant_keys(None).await? {
            let old = wrapped_of(&row)?;
            let key = self.unwrap_key(&self.source(), &old).await?;
            opened.push((row, old, key));
        }
        let mut changes = Vec::new();
        for (row, old, key) in opened {
            let tenant = TenantId(row.tenant_id);
            let new = self.wrap_beside(tenant, &key, &old, recipients).await?;
            let both: Vec<&WrappedKey> = new.iter().chain(old.iter().filter(|one| !new.contains(one))).collect();
            control.put_tenant_key(tenant, key.id(), &json!(both), None).await?;
            changes.push(Change { tenant, key: key.id().to_owned(), old, new });
        }
        Ok(changes)
    }

    /// Notes where a key lies wrapped from now on, and removes what it was wrapped in before.
    async fn settle_change(&self, change: Change, actor: &str, report: &mut RotateReport) -> Result<(), Error> {
        let Change { tenant, key, old, new } = change;
        let detail = json!({ "key": key, "holders": report.holders });
        let event = AuditEvent { actor, event: "key.rotated", object: &key, detail };
        self.store.control().put_tenant_key(tenant, &key, &json!(new), Some(&event)).await?;
        for one in old.iter().filter(|one| !new.contains(one)) {
            for store in self.stores() {
                match store.purge(&one.key).await {
                    Ok(purged) => report.removed += purged.objects,
                    Err(error) => report.warnings.push(format!(
                        "{} stays in {}: {error}; the old identity still opens it",
                        one.key,
                        store.location()
                    )),
                }
            }
        }
        Ok(())
    }

    /// After a restore on another machine: keys are wrapped for the drill identity of this one, too.
    pub(crate) async fn wrap_for_this_machine(&self, actor: &str) -> Result<(), Error> {
        let drill = self.keys.recipient(Holder::Drill).clone();
        for row in self.store.control().tenant_keys(None).await? {
            let (tenant, old) = (TenantId(row.tenant_id), wrapped_of(&row)?);
            let key = match self.unwrap_key(&self.source(), &old).await {
                Ok(key) => key,
                Err(error) => {
                    tracing::warn!(%tenant, key = row.key_id, %error, "a key does not open; its points stay closed");
                    continue;
                }
            };
            let new = self.wrap_beside(tenant, &key, &old, &vec![(Holder::Drill, drill.clone())]).await?;
            if new != old {
                let detail = json!({ "key": key.id(), "holders": ["drill"] });
                let event = AuditEvent { actor, event: "key.rotated", object: key.id(), detail };
                self.store.control().put_tenant_key(tenant, key.id(), &json!(new), Some(&event)).await?;
            }
        }
        self.forget_keys();
        Ok(())
    }

    /// Wraps a key for new holders; what is wrapped for holders that do not change stays in the list.
    async fn wrap_beside(
        &self,
        tenant: TenantId,
        key: &TenantKey,
        old: &[WrappedKey],
        recipients: &Recipients,
    ) -> Result<Vec<WrappedKey>, Error> {
        let stays = |one: &&WrappedKey| recipients.iter().all(|(holder, _)| *holder != one.holder);
        let mut new: Vec<WrappedKey> = old.iter().filter(stays).cloned().collect();
        for (holder, recipient) in recipients {
            let tag = Hash::of(recipient.to_string().as_bytes()).to_string();
            let name = format!("{}.{}-{}.age", key.id(), holder.as_str(), tag.get(..8).unwrap_or_default());
            let at = layout::wrapped_key(tenant, &name);
            // wrapped by the try that was interrupted
            if let Some(known) = old.iter().find(|one| one.key == at) {
                new.push(known.clone());
                continue;
            }
            let bytes = key.wrapped_for(recipient)?;
            let stamp = Stamp::of(&bytes);
            for store in self.stores() {
                store.put(&at, bytes.clone(), PutOptions::default()).await?;
                if store.get(&at).await? != bytes {
                    return Err(Error::Objects(objects::Error::Altered { key: at }));
                }
            }
            new.push(WrappedKey::new(at, *holder, &stamp));
        }
        Ok(new)
    }
}

fn wrapped_of(row: &KeyRow) -> Result<Vec<WrappedKey>, Error> {
    serde_json::from_value(row.wrapped.clone()).map_err(|_| {
        Error::Refused(format!("the record of key {} of tenant {} cannot be read", row.key_id, TenantId(row.tenant_id)))
    })
}
