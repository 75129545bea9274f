//! What a return by the escrow sheet depends on beside the points: endorsements, which lead from the sheet's key to the one that
//! signs now (`sign-….follows-….json`), and that key wrapped for the sheet (`sign-….escrow-….age`), both among the wrapped keys
//! of the control plane.
//!
//! The books have the endorsements and know what the wrapped key looks like, so that whoever reads a control point back looks for
//! both, and the next control point puts again what is missing. Endorsements are in the manifest of every control point, too: they
//! prove themselves, and a point that brings its own is believed without them.

use std::collections::BTreeSet;

use age::x25519::Recipient;
use domain::id::TenantId;
use objects::{ObjectStore, PutOptions, keys as layout};
use serde_json::json;
use store::Store;

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::{Hash, Stamp};
use crate::keys::{Endorsement, Holder, Signer, WrappedKey};

/// The value of the instance that holds every endorsement.
const ENDORSEMENTS: &str = "signing_endorsements";
/// The value of the instance that says where the signing key lies wrapped for the sheet, and what lies there.
const WRAPPED: &str = "signing_key_wrapped";
/// How objects about signing keys are called, among the wrapped keys of the control plane.
const PREFIX: &str = "sign-";

fn short(public_key: &str) -> &str {
    public_key.get(..16).unwrap_or(public_key)
}

/// Where an endorsement lies.
pub(crate) fn endorsement_at(one: &Endorsement) -> String {
    format!("{}{}.json", endorsements_of(&one.public_key), short(&one.follows.public_key))
}

/// What the places of a key's endorsements begin with.
fn endorsements_of(public_key: &str) -> String {
    layout::wrapped_key(TenantId::CONTROL, &format!("{PREFIX}{}.follows-", short(public_key)))
}

/// Where a signing key lies wrapped for a sheet.
pub(crate) fn wrapped_at(public_key: &str, recipient: &Recipient) -> String {
    let tag = Hash::of(recipient.to_string().as_bytes()).to_string();
    let name = format!("{PREFIX}{}.escrow-{}.age", short(public_key), tag.get(..8).unwrap_or_default());
    layout::wrapped_key(TenantId::CONTROL, &name)
}

/// What everything about signing keys begins with.
pub(crate) fn about_signers() -> String {
    layout::wrapped_key(TenantId::CONTROL, PREFIX)
}

/// What the books know of objects about signing keys.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// Every endorsement.
    pub(crate) endorsements: Vec<Endorsement>,
    /// The present key, wrapped for the present sheet.
    pub(crate) wrapped: Option<WrappedKey>,
}

impl Signing {
    /// As the books have it.
    async fn of(store: &Store) -> Result<Self, Error> {
        let control = store.control();
        let endorsements = control.setting(ENDORSEMENTS).await?;
        let wrapped = control.setting(WRAPPED).await?;
        Ok(Self {
            endorsements: endorsements.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default(),
            wrapped: wrapped.and_then(|value| serde_json::from_value(value).ok()),
        })
    }

    /// Objects that a sheet needs for a point that `signed_by` signed: what leads to that key, and the key to go on with.
    pub(crate) fn needed_for(&self, signed_by: &str) -> Vec<(String, Stamp)> {
        let mut needed: Vec<_> = self.wrapped.iter().map(|one| (one.key.clone(), one.stamp())).collect();
        let (mut seen, mut at) = (BTreeSet::new(), signed_by);
        while let Some(one) = self.endorsements.iter().find(|one| one.public_key == at && seen.insert(at)) {
            needed.push((endorsement_at(one), Stamp::of(&one.text())));
            at = &one.follows.public_key;
        }
        needed
    }

    fn all(&self) -> Vec<(String, Stamp)> {
        let endorsed = self.endorsements.iter().map(|one| (endorsement_at(one), Stamp::of(&one.text())));
        endorsed.chain(self.wrapped.iter().map(|one| (one.key.clone(), one.stamp()))).collect()
    }
}

/// Objects of the books that a store does not have as they were written.
///
/// # Errors
/// Of the books or the store.
pub async fn missing_of_signers(books: &Store, objects: &ObjectStore) -> Result<Vec<String>, Error> {
    let mut missing = Vec::new();
    for (at, stamp) in Signing::of(books).await?.all() {
        if !lies(objects, &at, &stamp).await? {
            missing.push(at);
        }
    }
    Ok(missing)
}

async fn lies(store: &ObjectStore, at: &str, stamp: &Stamp) -> Result<bool, Error> {
    match store.get(at).await {
        Ok(stored) => Ok(Stamp::of(&stored) == *stamp),
        Err(objects::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What the sheet would need to lead to `key`, where something speaks for it that only this appliance is likely to have written:
/// an endorsement, or the key itself wrapped for the sheet. Anybody may write either, so that is a word for people and no proof.
pub(crate) fn missing_link(key: &str, endorsed: &[Endorsement], held: &[(String, Signer)]) -> Option<String> {
    let (mut seen, mut at) = (BTreeSet::new(), key);
    while let Some(one) = endorsed.iter().find(|one| one.public_key == at && seen.insert(at)) {
        at = &one.follows.public_key;
    }
    let spoken_for = endorsed.iter().any(|one| one.follows.public_key == at)
        || held.iter().any(|(_, signer)| signer.public_key() == at);
    spoken_for.then(|| format!("{}….json", endorsements_of(at)))
}

impl Backup {
    /// What the books know of objects about signing keys, of the present key and the present sheet.
    pub(crate) async fn signing(&self) -> Result<Signing, Error> {
        let mut signing = Signing::of(&self.store).await?;
        // a rotation that was interrupted, or was made after the control point that the books came from
        let at = match self.keys.signing_key()? {
            Some(key) => Some(wrapped_at(&key, self.keys.reloaded()?.recipient(Holder::Escrow))),
            None => None,
        };
        signing.wrapped = signing.wrapped.filter(|one| Some(&one.key) == at.as_ref());
        Ok(signing)
    }

    /// Every endorsement that the books know.
    pub(crate) async fn endorsements(&self) -> Result<Vec<Endorsement>, Error> {
        Ok(Signing::of(&self.store).await?.endorsements)
    }

    /// What the manifest of a point brings: those of the control plane all of them.
    pub(crate) async fn endorsements_for(&self, tenant: TenantId) -> Result<Vec<Endorsement>, Error> {
        if tenant.is_control() { self.endorsements().await } else { Ok(Vec::new()) }
    }

    pub(crate) async fn note_endorsements(&self, more: Vec<Endorsement>) -> Result<(), Error> {
        let mut known = self.endorsements().await?;
        let new: Vec<_> = more.into_iter().filter(|one| !known.contains(one)).collect();
        if new.is_empty() {
            return Ok(());
        }
        known.extend(new);
        Ok(self.store.control().set_setting(ENDORSEMENTS, &json!(known)).await?)
    }

    pub(crate) async fn note_wrapped_signer(&self, wrapped: &WrappedKey) -> Result<(), Error> {
        Ok(self.store.control().set_setting(WRAPPED, &json!(wrapped)).await?)
    }

    /// Good endorsements that lie in the store, whoever wrote them.
    pub(crate) async fn endorsements_in_store(&self, but: &[Endorsement]) -> Result<Vec<Endorsement>, Error> {
        let known: BTreeSet<String> = but.iter().map(endorsement_at).collect();
        let mut found = Vec::new();
        for object in self.objects.list(&about_signers()).await? {
            if object.key.contains(".follows-")
                && !known.contains(&object.key)
                && let Ok(one) = serde_json::from_slice::<Endorsement>(&self.objects.get(&object.key).await?)
                && one.is_good()
            {
                found.push(one);
            }
        }
        Ok(found)
    }

    /// Puts into the store what it lacks of objects about signing keys; further stores get them with the next control point. What
    /// had to be put again, in sentences.
    pub(crate) async fn mend_signing(&self) -> Result<Vec<String>, Error> {
        let signer = self.signer().await?;
        let ours = self.noted_signers().await?;
        // rotations from before the books knew of endorsements, and one that was interrupted
        let mut found = self.endorsements_in_store(&self.endorsements().await?).await?;
        found.retain(|one| ours.contains(&one.public_key) && ours.contains(&one.follows.public_key));
        self.note_endorsements(found).await?;
        let (signing, mut mended) = (self.signing().await?, Vec::new());
        for one in &signing.endorsements {
            let (at, text) = (endorsement_at(one), one.text());
            if !lies(&self.objects, &at, &Stamp::of(&text)).await? {
                self.objects.put(&at, text, PutOptions::default()).await?;
                mended.push(at);
            }
        }
        let lost = match &signing.wrapped {
            Some(one) if lies(&self.objects, &one.key, &one.stamp()).await? => return Ok(told(mended)),
            other => other.is_some(),
        };
        let at = self.wrap_signer(&signer, self.keys.reloaded()?.recipient(Holder::Escrow)).await?;
        mended.extend(lost.then_some(at));
        Ok(told(mended))
    }
}

fn told(mended: Vec<String>) -> Vec<String> {
    let tell = |at: String| {
        let told =
            format!("{at} was not in the store as it was written, and was put there again; have the store looked at");
        tracing::warn!("{told}");
        told
    };
    mended.into_iter().map(tell).collect()
}
