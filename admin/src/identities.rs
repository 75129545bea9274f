//! How a tenant's members sign in, as the operator handles it.

use std::sync::Arc;

use domain::id::MemberId;
use domain::member::Role;
use identity::provider::{Change, NewProvider, Provider};
use identity::{Ladder, Refusal, Why};
use serde_json::json;
use store::tenant::identities::{self, Invitation};
use store::tenant::{factors, members};
use store::{AuditEvent, TenantScope};

use crate::{Admin, By, Error, tenants};

/// How long an invitation stands, in seconds.
const INVITED_SECONDS: i64 = 14 * 86_400;

async fn scope_of(admin: &Admin, slug: &str, command: &'static str) -> Result<TenantScope, Error> {
    Ok(TenantScope::for_command(Arc::clone(&tenants::find(admin, slug).await?), command))
}

/// Every provider of the tenant.
pub async fn list(admin: &Admin, slug: &str) -> Result<Vec<Provider>, Error> {
    let scope = scope_of(admin, slug, "identity list").await?;
    Ok(admin.identity.list_providers(&scope).await?)
}

/// Makes the provider, or changes the one of this id; empty secrets keep what is stored.
pub async fn set(admin: &Admin, by: &By, slug: &str, new: NewProvider) -> Result<Provider, Error> {
    let scope = scope_of(admin, slug, "identity set").await?;
    let actor = by.actor();
    let known = admin.identity.list_providers(&scope).await?.into_iter().any(|provider| provider.uid == new.uid);
    if !known {
        return Ok(admin.identity.create_provider(&scope, &actor, new).await?);
    }
    let change =
        Change { title: Some(new.title), identifier_filter: Some(new.identifier_filter), kind: Some(new.kind) };
    Ok(admin.identity.update_provider(&scope, &actor, &new.uid, change).await?)
}

/// Removes a provider and the links through it.
pub async fn remove(admin: &Admin, by: &By, slug: &str, uid: &str) -> Result<(), Error> {
    let scope = scope_of(admin, slug, "identity remove").await?;
    Ok(admin.identity.delete_provider(&scope, &by.actor(), uid).await?)
}

/// Climbs the ladder of a provider of this kind, the oldest when no id is given. Saves nothing.
pub async fn test(
    admin: &Admin,
    slug: &str,
    kind: &str,
    uid: Option<&str>,
    user: Option<&str>,
) -> Result<(Provider, Ladder), Error> {
    let scope = scope_of(admin, slug, "identity test").await?;
    let all = admin.identity.list_providers(&scope).await?;
    let fits = |provider: &Provider| {
        provider.kind.as_str().eq_ignore_ascii_case(kind) && uid.is_none_or(|uid| provider.uid == uid)
    };
    let found = all.into_iter().find(fits).ok_or_else(|| Error::Missing {
        what: "identity provider",
        name: uid.map_or_else(|| format!("of kind {kind}"), str::to_owned),
    })?;
    let ladder = admin.identity.test_provider(&scope, &found, user).await?;
    Ok((found, ladder))
}

/// Climbs the ladder of settings that are not saved.
pub async fn test_unsaved(
    admin: &Admin,
    slug: &str,
    new: NewProvider,
    user: Option<&str>,
) -> Result<(Provider, Ladder), Error> {
    let scope = scope_of(admin, slug, "identity test").await?;
    let provider =
        Provider { id: 0, uid: new.uid, title: new.title, identifier_filter: new.identifier_filter, kind: new.kind };
    let ladder = admin.identity.test_provider(&scope, &provider, user).await?;
    Ok((provider, ladder))
}

/// Who is invited, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Invite<'a> {
    /// The address that a provider must vouch for.
    pub email: &'a str,
    /// The role of a new member.
    pub role: Role,
    /// The member whose account it becomes; none: a new one.
    pub member: Option<&'a str>,
}

/// Invites an address: whoever comes through a provider that has verified it becomes a member, or the one named. Audit:
/// `invitation.made`.
pub async fn invite(admin: &Admin, by: &By, slug: &str, new: Invite<'_>) -> Result<Invitation, Error> {
    let email = new.email.trim().to_lowercase();
    if !email.contains('@') || email.len() > 254 || email.contains(char::is_whitespace) {
        return Err(Error::Input(format!("{} is no e-mail address", new.email)));
    }
    if new.role == Role::Owner {
        return Err(Error::Input("nobody is invited as an owner; owners are made by owners".to_owned()));
    }
    let scope = scope_of(admin, slug, "identity invite").await?;
    let (actor, now) = (by.actor(), admin.clock.seconds());
    let mut tx = admin.store.begin(&scope);
    tx.touch().await?;
    let member_id: Option<MemberId> = match new.member {
        None => None,
        Some(name) => {
            let found = members::find_member_by_name(&mut tx, name).await?;
            let member = found.ok_or_else(|| Error::Missing { what: "member", name: name.to_owned() })?;
            if member.role.is_admin() {
                let message = "an administrator links an account himself, from his account page";
                return Err(identity::Error::from(Refusal::new(Why::Precondition, message)).into());
            }
            Some(member.id)
        }
    };
    let made = Invitation {
        id: tx.next_id().await?,
        email,
        role: new.role.as_str().to_owned(),
        member_id,
        created_ts: now,
        expires_ts: now + INVITED_SECONDS,
        invited_by: actor.clone(),
    };
    identities::put_invitation(&mut tx, &made).await?;
    let detail = json!({"role": made.role, "member": new.member});
    tx.audit(&AuditEvent { actor: &actor, event: "invitation.made", object: &made.email, detail }).await?;
    tx.commit().await?;
    Ok(made)
}

/// Ends a member's second factor. Audit: `factor.off`.
pub async fn reset_factor(admin: &Admin, by: &By, slug: &str, name: &str) -> Result<bool, Error> {
    let scope = scope_of(admin, slug, "user reset-factor").await?;
    let actor = by.actor();
    let mut tx = admin.store.begin(&scope);
    tx.touch().await?;
    let found = members::find_member_by_name(&mut tx, name).await?;
    let member = found.ok_or_else(|| Error::Missing { what: "member", name: name.to_owned() })?;
    let gone = factors::delete_totp(&mut tx, member.id).await?;
    if gone {
        let detail = json!({"by": actor});
        tx.audit(&AuditEvent { actor: &actor, event: "factor.off", object: name, detail }).await?;
    }
    tx.commit().await?;
    Ok(gone)
}
