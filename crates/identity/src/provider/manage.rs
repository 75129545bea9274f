//! Making, changing and removing providers, and unlinking accounts: never so that no owner can sign in any more.

use domain::id::is_client_uid;
use domain::member::Member;
use regex::RegexBuilder;
use serde_json::{Value, json};
use store::tenant::identities::{self, MemberIdentity};
use store::tenant::members::{self, Owners};
use store::tenant::providers;
use store::tenant::providers::Provider as Row;
use store::{AuditEvent, TenantScope, TenantTx};

use super::{Kind, Provider};
use crate::error::{Refusal, Why};
use crate::{Error, Identity};

/// A provider to be made.
#[derive(Clone, Debug)]
pub struct NewProvider {
    /// Public id; empty: one is drawn.
    pub uid: String,
    /// What the sign-in page calls it.
    pub title: String,
    /// A regular expression that identifiers must match.
    pub identifier_filter: String,
    /// How it works.
    pub kind: Kind,
}

/// What of a provider is to change; nothing where a field is none.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A new title.
    pub title: Option<String>,
    /// A new filter.
    pub identifier_filter: Option<String>,
    /// New settings; empty secrets keep what is stored.
    pub kind: Option<Kind>,
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Refusal::new(Why::Invalid, message).into()
}

fn not_found() -> Error {
    Refusal::new(Why::NotFound, "identity provider not found").into()
}

impl Identity {
    /// Every provider of the tenant, the oldest first. One that cannot be read is left out and told of in the log.
    pub async fn list_providers(&self, scope: &TenantScope) -> Result<Vec<Provider>, Error> {
        let mut tx = self.store.begin(scope);
        let rows = providers::list_providers(&mut tx).await?;
        tx.commit().await?;
        let read = |row: &Row| match Provider::read(row) {
            Ok(provider) => Some(provider),
            Err(error) => {
                tracing::warn!(provider = row.uid, %error, "a provider cannot be read");
                None
            }
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// The provider of this public id, or not found.
    pub async fn find_provider(&self, scope: &TenantScope, name: &str) -> Result<Provider, Error> {
        match self.provider(scope, name).await {
            Err(Error::Refused(refusal)) if refusal.why == Why::Invalid => Err(not_found()),
            other => other,
        }
    }

    /// Makes a provider. `actor` is who the audit names. Audit: `provider.created`.
    pub async fn create_provider(&self, scope: &TenantScope, actor: &str, new: NewProvider) -> Result<Provider, Error> {
        let uid = if new.uid.trim().is_empty() { self.chance.uid() } else { new.uid.trim().to_owned() };
        if !is_client_uid(&uid) {
            return Err(invalid(
                "invalid UID: must be 1-36 characters, contain only letters, digits, or hyphens, and start and end with a \
                 letter or digit",
            ));
        }
        check(&new.title, &new.identifier_filter, &new.kind)?;
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let row = Row {
            id: tx.next_id().await?,
            uid: uid.clone(),
            name: new.title,
            kind: new.kind.as_str().to_owned(),
            identifier_filter: new.identifier_filter,
            config: new.kind.stored(),
        };
        match providers::insert_provider(&mut tx, &row).await {
            Err(error) if error.is_conflict("identity_provider_uid_key") => {
                let message = format!("an identity provider {uid} exists already; choose another id");
                return Err(Refusal::new(Why::Conflict, message).into());
            }
            other => other?,
        }
        let detail = json!({"kind": row.kind});
        tx.audit(&AuditEvent { actor, event: "provider.created", object: &uid, detail }).await?;
        tx.commit().await?;
        Provider::read(&row).map_err(|unfit| invalid(unfit.0))
    }

    /// Changes a provider. Audit: `provider.updated`.
    pub async fn update_provider(
        &self,
        scope: &TenantScope,
        actor: &str,
        name: &str,
        change: Change,
    ) -> Result<Provider, Error> {
        let before = self.find_provider(scope, name).await?;
        let kind = match change.kind {
            Some(kind) if kind.as_str() != before.kind.as_str() => {
                return Err(invalid("the kind of a provider cannot change; remove it and make another"));
            }
            Some(kind) => {
                check_secret_stays_home(&before.kind, &kind)?;
                kind.keeping_secrets_of(&before.kind)
            }
            None => before.kind.clone(),
        };
        let title = change.title.unwrap_or_else(|| before.title.clone());
        let identifier_filter = change.identifier_filter.unwrap_or_else(|| before.identifier_filter.clone());
        check(&title, &identifier_filter, &kind)?;
        let row = Row {
            id: before.id,
            uid: before.uid.clone(),
            name: title,
            kind: kind.as_str().to_owned(),
            identifier_filter,
            config: kind.stored(),
        };
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        providers::update_provider(&mut tx, &row).await?;
        let detail = json!({"kind": row.kind, "settings": changed(&before.kind, &kind)});
        tx.audit(&AuditEvent { actor, event: "provider.updated", object: &before.uid, detail }).await?;
        tx.commit().await?;
        Provider::read(&row).map_err(|unfit| invalid(unfit.0))
    }

    /// Removes a provider and every account linked through it. Audit: `provider.deleted`.
    pub async fn delete_provider(&self, scope: &TenantScope, actor: &str, name: &str) -> Result<(), Error> {
        let before = self.find_provider(scope, name).await?;
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let owners = members::lock_owners(&mut tx).await?;
        let links = identities::delete_identities_at(&mut tx, &before.uid).await?;
        providers::delete_provider(&mut tx, &before.uid).await?;
        keep_a_way_in(&mut tx, owners).await?;
        let detail = json!({"kind": before.kind.as_str(), "links": links});
        tx.audit(&AuditEvent { actor, event: "provider.deleted", object: &before.uid, detail }).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The accounts that a member has linked.
    pub async fn list_links(&self, scope: &TenantScope, member: &Member) -> Result<Vec<MemberIdentity>, Error> {
        let mut tx = self.store.begin(scope);
        let list = identities::list_identities(&mut tx, member.id).await?;
        tx.commit().await?;
        Ok(list)
    }

    /// Unlinks a member's account; false when none is linked there. Audit: `identity.unlinked`.
    pub async fn unlink(
        &self,
        scope: &TenantScope,
        actor: &str,
        member: &Member,
        provider: &str,
    ) -> Result<bool, Error> {
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let owners = members::lock_owners(&mut tx).await?;
        let gone = identities::delete_identity(&mut tx, member.id, provider).await?;
        if gone {
            keep_a_way_in(&mut tx, owners).await?;
            let detail = json!({"provider": provider});
            tx.audit(&AuditEvent { actor, event: "identity.unlinked", object: &member.username, detail }).await?;
        }
        tx.commit().await?;
        Ok(gone)
    }
}

/// Refuses what would leave no owner who can sign in, when there was one before.
pub async fn keep_a_way_in(tx: &mut TenantTx, before: Owners) -> Result<(), Error> {
    if before.can_enter > 0 && members::lock_owners(tx).await?.can_enter == 0 {
        let message = "that would leave no owner who can sign in; set a password for one first";
        return Err(Refusal::new(Why::Precondition, message).into());
    }
    Ok(())
}

fn check(title: &str, filter: &str, kind: &Kind) -> Result<(), Error> {
    if title.trim().is_empty() || title.len() > 256 || title.contains('\0') {
        return Err(invalid("title is required, of at most 256 bytes"));
    }
    if let Err(error) = RegexBuilder::new(filter).size_limit(1024 * 1024).build() {
        return Err(invalid(format!("identifierFilter is no regular expression: {error}")));
    }
    kind.check().map_err(|unfit| invalid(unfit.0))
}

/// A stored secret is never sent to another server than the one it was given for.
fn check_secret_stays_home(before: &Kind, after: &Kind) -> Result<(), Error> {
    let moved = match (before, after) {
        (Kind::OAuth2(old), Kind::OAuth2(new)) => {
            new.client_secret.is_empty() && !old.client_secret.is_empty() && old.token_url != new.token_url
        }
        (Kind::Oidc(old), Kind::Oidc(new)) => {
            new.client_secret.is_empty() && !old.client_secret.is_empty() && old.issuer != new.issuer
        }
        (Kind::Ldap(old), Kind::Ldap(new)) => {
            new.bind_password.is_empty()
                && !old.bind_password.is_empty()
                && new.servers.iter().any(|server| !old.servers.contains(server))
        }
        _ => false,
    };
    if moved { Err(invalid("give the secret again: it is not sent to another server than before")) } else { Ok(()) }
}

/// The names of the settings that differ.
fn changed(before: &Kind, after: &Kind) -> Vec<String> {
    let (before, after) = (before.stored(), after.stored());
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default();
    let mut names: Vec<String> = keys(&before);
    names.extend(keys(&after));
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}
