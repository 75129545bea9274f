//! Whose signatures count.
//!
//! The appliance signs with one key. Every key that it ever signed with is noted in the control plane, and so is in every
//! control point. For the day when only a store and the escrow sheet are left, the sheet names the key of the day it was
//! printed; a key that took its place was endorsed by it, and the present one lies in the store wrapped for escrow, so that an
//! appliance that comes back goes on with it (`endorsements`).

use std::collections::BTreeSet;
use std::sync::PoisonError;

use age::x25519::Recipient;
use objects::PutOptions;
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;

use crate::context::Backup;
use crate::endorsements::{about_signers, endorsement_at, wrapped_at};
use crate::error::Error;
use crate::format::hash::Stamp;
use crate::keys::{Endorsement, Holder, KeyError, Signer, WrappedKey};
use crate::seal::{unwrap, wrap};

/// The value of the instance that lists every key it has signed with.
const SIGNERS: &str = "signing_keys";
/// The value of the instance that lists keys which somebody else has.
const DISTRUSTED: &str = "distrusted_keys";

/// Keys in hex.
pub(crate) type Signers = BTreeSet<String>;

/// What `key rotate --only sign` tells.
#[derive(Clone, Debug, Serialize)]
pub struct SigningReport {
    /// The key that signed until now, in hex.
    pub old: String,
    /// The one that signs from now on.
    pub new: String,
    /// What someone should look at.
    pub warnings: Vec<String>,
}

/// What `key distrust` tells.
#[derive(Clone, Debug, Serialize)]
pub struct DistrustReport {
    /// The key that was struck, in hex.
    pub key: String,
    /// Every key that was.
    pub distrusted: Vec<String>,
    /// The one that signs.
    pub signs: String,
}

impl Backup {
    /// Keys whose signatures count here: what the control plane has noted, this machine's own, and those of the sheet at hand;
    /// not those that were struck.
    pub(crate) async fn signers(&self) -> Result<Signers, Error> {
        let struck = self.distrusted().await?;
        let mut known = self.signers_of_known().await?;
        known.retain(|key| !struck.contains(key));
        Ok(known)
    }

    /// Keys whose signatures count for a point whose hash the control plane has: struck ones too, because it was the appliance
    /// that signed those bytes.
    pub(crate) async fn signers_of_known(&self) -> Result<Signers, Error> {
        let mut known = self.noted_signers().await?;
        known.extend(self.sheet_signers.iter().cloned());
        known.extend(self.keys.signing_key()?);
        Ok(known)
    }

    /// Keys that were struck.
    pub(crate) async fn distrusted(&self) -> Result<Signers, Error> {
        let struck = self.store.control().setting(DISTRUSTED).await?;
        Ok(struck.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
    }

    /// Strikes a signing key that somebody else has: from now on its signature counts only for points whose hash the control
    /// plane has.
    ///
    /// # Errors
    /// `Refused` for the key that signs now, and for one that this appliance never signed with.
    pub async fn distrust_signer(&self, key: &str, actor: &str) -> Result<DistrustReport, Error> {
        let key = key.trim().to_ascii_lowercase();
        let present = self.signer().await?.public_key();
        if key == present {
            return Err(Error::Refused(format!(
                "{key} is what points are signed with; give the appliance another first: `holdfast key rotate --only sign`"
            )));
        }
        if !self.noted_signers().await?.contains(&key) {
            return Err(Error::Refused(format!(
                "{key} is no key that this appliance signed with; `signed_by` of a manifest and the escrow sheet name them in 64 hex digits"
            )));
        }
        let mut struck = self.distrusted().await?;
        if struck.insert(key.clone()) {
            self.store.control().set_setting(DISTRUSTED, &json!(struck)).await?;
            let detail = json!({ "key": key, "signs": present });
            let event = AuditEvent { actor, event: "key.distrusted", object: &key, detail };
            self.store.control().audit(None, &event).await?;
        }
        Ok(DistrustReport { key, distrusted: struck.into_iter().collect(), signs: present })
    }

    pub(crate) async fn noted_signers(&self) -> Result<Signers, Error> {
        let noted = self.store.control().setting(SIGNERS).await?;
        Ok(noted.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
    }

    pub(crate) async fn note_signers(&self, more: &Signers) -> Result<(), Error> {
        let mut known = self.noted_signers().await?;
        if more.is_subset(&known) {
            return Ok(());
        }
        known.extend(more.iter().cloned());
        Ok(self.store.control().set_setting(SIGNERS, &json!(known)).await?)
    }

    /// What signs the next point. Before it signs for the first time it is kept for escrow and noted.
    pub(crate) async fn signer(&self) -> Result<Signer, Error> {
        let signer = self.keys.signer()?;
        let public = signer.public_key();
        let noted = self.noted_signer.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&public);
        if !noted {
            if !self.noted_signers().await?.contains(&public) {
                // another process may have rotated the sheet since this one began
                self.wrap_signer(&signer, self.keys.reloaded()?.recipient(Holder::Escrow)).await?;
                self.note_signers(&Signers::from([public.clone()])).await?;
            }
            *self.noted_signer.lock().unwrap_or_else(PoisonError::into_inner) = Some(public);
        }
        Ok(signer)
    }

    /// Stores the key wrapped for a sheet. Further stores get it with the next control point.
    pub(crate) async fn wrap_signer(&self, signer: &Signer, recipient: &Recipient) -> Result<String, Error> {
        let at = wrapped_at(&signer.public_key(), recipient);
        let bytes = wrap(recipient, signer.text().as_bytes()).map_err(KeyError::Wrap)?;
        let stamp = Stamp::of(&bytes);
        self.objects.put(&at, bytes, PutOptions::default()).await?;
        self.note_wrapped_signer(&WrappedKey::new(at.clone(), Holder::Escrow, &stamp)).await?;
        Ok(at)
    }

    /// Removes every other wrapped signing key, in every version and store: what a rotation has left behind.
    pub(crate) async fn purge_wrapped_signers(&self, but: &str, warnings: &mut Vec<String>) -> Result<(), Error> {
        for store in self.stores() {
            let listed = store.list(&about_signers()).await?;
            for old in listed.into_iter().filter(|one| one.key.contains(".escrow-") && one.key != but) {
                if let Err(error) = store.purge(&old.key).await {
                    warnings.push(format!("{} stays in {}: {error}", old.key, store.location()));
                }
            }
        }
        Ok(())
    }

    /// Gives the appliance a new signing key. What the old one signed stays valid; what is signed by it from now on as well,
    /// unless it is struck.
    pub async fn rotate_signing_key(&self, actor: &str) -> Result<SigningReport, Error> {
        let old = self.signer().await?;
        let new = self.keys.next_signer()?;
        let (old_key, new_key) = (old.public_key(), new.public_key());
        let endorsement = Endorsement::by(&old, new_key.clone());
        self.objects.put(&endorsement_at(&endorsement), endorsement.text(), PutOptions::default()).await?;
        self.note_endorsements(vec![endorsement]).await?;
        let wrapped = self.wrap_signer(&new, self.keys.reloaded()?.recipient(Holder::Escrow)).await?;
        self.note_signers(&Signers::from([new_key.clone()])).await?;
        self.keys.switch_signer()?;
        let mut warnings = Vec::new();
        self.purge_wrapped_signers(&wrapped, &mut warnings).await?;
        let detail = json!({ "key": new_key, "follows": old_key, "holders": ["sign"] });
        let event = AuditEvent { actor, event: "key.rotated", object: &new_key, detail };
        self.store.control().audit(None, &event).await?;
        Ok(SigningReport { old: old_key, new: new_key, warnings })
    }

    /// The keys that the sheet names, and those that took their place since by these endorsements. None when the sheet names no
    /// key.
    pub(crate) fn signers_by_sheet(&self, endorsed: &[Endorsement]) -> Option<Signers> {
        if self.sheet_signers.is_empty() {
            return None;
        }
        let mut known = self.sheet_signers.clone();
        while let Some(next) =
            endorsed.iter().find(|one| known.contains(&one.follows.public_key) && !known.contains(&one.public_key))
        {
            known.insert(next.public_key.clone());
        }
        Some(known)
    }

    /// The signing keys that lie in the store wrapped for the identity at hand, by their places, the youngest first.
    pub(crate) async fn wrapped_signers(&self) -> Result<Vec<(String, Signer)>, Error> {
        let (_, identity) = self.holder()?;
        let mut listed = self.objects.list(&about_signers()).await?;
        listed.sort_by_key(|object| std::cmp::Reverse(object.modified));
        let mut found = Vec::new();
        for object in listed.into_iter().filter(|object| object.key.contains(".escrow-")) {
            let stored = self.objects.get(&object.key).await?;
            let text = unwrap(&identity, &stored).ok().and_then(|plain| String::from_utf8(plain).ok());
            found.extend(text.and_then(|text| Signer::read(&text)).map(|signer| (object.key, signer)));
        }
        Ok(found)
    }

    /// The signing key of the appliance that comes back becomes this machine's own, where the store has it and the sheet
    /// vouches for it.
    pub(crate) fn adopt_signing_key(
        &self,
        held: &[(String, Signer)],
        known: Option<&Signers>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        if known.is_none() {
            warnings.push(
                "the escrow sheet names no signing key, so it was not checked who signed the control point".to_owned(),
            );
        }
        for (at, signer) in held {
            if known.is_none_or(|known| known.contains(&signer.public_key())) {
                return Ok(self.keys.adopt_signer(signer)?);
            }
            warnings.push(format!("{at} holds a signing key that the sheet does not vouch for; it was left alone"));
        }
        warnings.push(
            "the appliance's signing key is not in the store, so a new one signs from now on; print a new sheet with `holdfast key rotate --only escrow`"
                .to_owned(),
        );
        Ok(())
    }
}
