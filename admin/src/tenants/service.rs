//! One function per rule; commands and console call the same.

use std::sync::Arc;

use domain::id::{MemberId, Slug, is_username};
use domain::member::{Member, Role};
use domain::tenant::{Tenant, TenantState};
use serde_json::json;
use store::tenant::counts::read_counts;
use store::tenant::members::insert_member;
use store::{AuditEvent, Removal, TenantChange, TenantScope};
use url::Url;

use super::view::TenantView;
use crate::recovery::recovery_of;
use crate::{Admin, By, Error};

/// A tenant to be made.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Its slug.
    pub slug: String,
    /// Username of its owner.
    pub owner: String,
    /// The owner's password.
    pub password: String,
    /// Hosts that lead to it.
    pub hosts: Vec<String>,
    /// Its public URL.
    pub public_url: Option<String>,
}

/// Makes a tenant with its owner; it is active at once. On any failure nothing of it stays.
pub async fn create(admin: &Admin, by: &By, new: NewTenant) -> Result<Arc<Tenant>, Error> {
    let slug: Slug = new.slug.parse()?;
    if !is_username(&new.owner) {
        return Err(Error::Input(format!(
            "{} cannot be a username: use 1 to 36 letters, digits or -, not digits only",
            new.owner
        )));
    }
    let hosts = checked_hosts(&new.hosts)?;
    let public_url = new.public_url.as_deref().map(checked_url).transpose()?;
    let hash = admin.identity.passwords().hash(&new.password).await?;
    let tenant = match admin.store.build_tenant(&slug, TenantState::Provisioning).await {
        Err(error) if error.is_conflict("tenant_slug_key") => {
            return Err(Error::Taken { what: "tenant", name: new.slug });
        }
        other => other?,
    };
    let plan = Furnishing { owner: new.owner, hash, hosts, public_url };
    match furnish(admin, by, &tenant, plan).await {
        Ok(tenant) => Ok(tenant),
        Err(error) => {
            admin.store.discard_tenant(tenant.id).await?;
            Err(error)
        }
    }
}

/// What a new tenant gets before it is opened.
struct Furnishing {
    owner: String,
    hash: String,
    hosts: Vec<String>,
    public_url: Option<String>,
}

async fn furnish(admin: &Admin, by: &By, tenant: &Arc<Tenant>, plan: Furnishing) -> Result<Arc<Tenant>, Error> {
    let Furnishing { owner, hash, hosts, public_url } = plan;
    let actor = by.actor();
    let scope = TenantScope::for_command(Arc::clone(tenant), "tenant create");
    let now = admin.clock.seconds();
    let mut tx = admin.store.begin(&scope);
    tx.touch().await?;
    let member = Member {
        id: MemberId(tx.next_id().await?),
        username: owner.clone(),
        role: Role::Owner,
        archived: false,
        email: String::new(),
        display_name: String::new(),
        avatar: String::new(),
        description: String::new(),
        created_ts: now,
        updated_ts: now,
    };
    insert_member(&mut tx, &member, &hash).await?;
    tx.audit(&AuditEvent { actor: &actor, event: "member.created", object: &owner, detail: json!({"role": "owner"}) })
        .await?;
    tx.commit().await?;
    if !hosts.is_empty() {
        change_hosts(admin, by, tenant, hosts).await?;
    }
    if public_url.is_some() {
        let event = AuditEvent {
            actor: &actor,
            event: "tenant.changed",
            object: tenant.slug.as_str(),
            detail: json!({"public_url": public_url}),
        };
        admin.store.registry().change(tenant.id, &TenantChange::PublicUrl(public_url.clone()), &event).await?;
    }
    change_state(admin, by, tenant, TenantState::Active, "tenant.created").await
}

/// The tenant of that slug.
pub async fn find(admin: &Admin, slug: &str) -> Result<Arc<Tenant>, Error> {
    admin.store.registry().by_slug(slug).await?.ok_or_else(|| Error::no_tenant(slug))
}

/// Every tenant, by slug.
pub async fn list(admin: &Admin) -> Result<Vec<Arc<Tenant>>, Error> {
    Ok(admin.store.registry().list().await?)
}

/// A tenant with what it holds and how it would come back.
pub async fn show(admin: &Admin, slug: &str) -> Result<TenantView, Error> {
    let tenant = find(admin, slug).await?;
    let scope = TenantScope::for_command(Arc::clone(&tenant), "tenant show");
    let counts = read_counts(&admin.store, &scope).await?;
    let recovery = recovery_of(admin, &tenant).await;
    Ok(TenantView {
        id: tenant.id.to_string(),
        slug: tenant.slug.to_string(),
        state: tenant.state.as_str().to_owned(),
        schema: tenant.schema.to_string(),
        hosts: tenant.hosts.clone(),
        public_url: tenant.public_url.clone(),
        limits: tenant.limits,
        members: counts.members,
        notes: counts.notes,
        attachments: counts.attachments,
        rpo_seconds: recovery.rpo_seconds,
        last_proof: recovery.last_proof,
    })
}

/// Sets hosts (all of them anew, when any are given) and the public URL (empty takes it away).
pub async fn set(
    admin: &Admin,
    by: &By,
    slug: &str,
    hosts: &[String],
    public_url: Option<&str>,
) -> Result<Arc<Tenant>, Error> {
    let mut tenant = find(admin, slug).await?;
    if !hosts.is_empty() {
        tenant = change_hosts(admin, by, &tenant, checked_hosts(hosts)?).await?;
    }
    if let Some(text) = public_url {
        let url = if text.is_empty() { None } else { Some(checked_url(text)?) };
        let actor = by.actor();
        let event =
            AuditEvent { actor: &actor, event: "tenant.changed", object: slug, detail: json!({"public_url": url}) };
        tenant = admin.store.registry().change(tenant.id, &TenantChange::PublicUrl(url), &event).await?;
    }
    Ok(tenant)
}

async fn change_hosts(admin: &Admin, by: &By, tenant: &Tenant, hosts: Vec<String>) -> Result<Arc<Tenant>, Error> {
    let actor = by.actor();
    let event = AuditEvent {
        actor: &actor,
        event: "tenant.changed",
        object: tenant.slug.as_str(),
        detail: json!({"hosts": hosts}),
    };
    match admin.store.registry().change(tenant.id, &TenantChange::Hosts(hosts.clone()), &event).await {
        Err(error) if error.is_conflict("tenant_host_pkey") => {
            Err(Error::Taken { what: "host", name: hosts.join(", ") })
        }
        other => Ok(other?),
    }
}

async fn change_state(
    admin: &Admin,
    by: &By,
    tenant: &Tenant,
    state: TenantState,
    event: &str,
) -> Result<Arc<Tenant>, Error> {
    let actor = by.actor();
    let detail = json!({"from": tenant.state, "to": state});
    let event = AuditEvent { actor: &actor, event, object: tenant.slug.as_str(), detail };
    Ok(admin.store.registry().change(tenant.id, &TenantChange::State(state), &event).await?)
}

fn not_from(tenant: &Tenant, verb: &str, wanted: &str) -> Error {
    Error::Refused(format!("tenant {} is {}; only a {wanted} one can be {verb}", tenant.slug, tenant.state.as_str()))
}

/// Opens a closed tenant to its members.
pub async fn open(admin: &Admin, by: &By, slug: &str) -> Result<Arc<Tenant>, Error> {
    let tenant = find(admin, slug).await?;
    if tenant.state != TenantState::Closed {
        return Err(not_from(&tenant, "opened", "closed"));
    }
    change_state(admin, by, &tenant, TenantState::Active, "tenant.opened").await
}

/// Refuses the tenant to everybody until it is resumed.
pub async fn suspend(admin: &Admin, by: &By, slug: &str) -> Result<Arc<Tenant>, Error> {
    let tenant = find(admin, slug).await?;
    if !matches!(tenant.state, TenantState::Active | TenantState::ReadOnly) {
        return Err(not_from(&tenant, "suspended", "active"));
    }
    change_state(admin, by, &tenant, TenantState::Suspended, "tenant.suspended").await
}

/// Gives a suspended tenant back to its members, and takes back a deletion that has not begun: the tenant is then what it
/// was before, so that a copy nobody opened stays quiet.
pub async fn resume(admin: &Admin, by: &By, slug: &str) -> Result<Arc<Tenant>, Error> {
    let tenant = find(admin, slug).await?;
    if !matches!(tenant.state, TenantState::Suspended | TenantState::PendingDeletion) {
        return Err(not_from(&tenant, "resumed", "suspended"));
    }
    let actor = by.actor();
    let event =
        AuditEvent { actor: &actor, event: "tenant.resumed", object: slug, detail: json!({"from": tenant.state}) };
    Ok(admin.store.registry().change(tenant.id, &TenantChange::Resume, &event).await?)
}

/// Gives the tenant another slug; links under the old one end.
pub async fn rename(admin: &Admin, by: &By, slug: &str, new: &str) -> Result<Arc<Tenant>, Error> {
    let tenant = find(admin, slug).await?;
    let wanted: Slug = new.parse()?;
    let actor = by.actor();
    let event = AuditEvent { actor: &actor, event: "tenant.renamed", object: slug, detail: json!({"to": new}) };
    match admin.store.registry().change(tenant.id, &TenantChange::Slug(wanted), &event).await {
        Err(error) if error.is_conflict("tenant_slug_key") => {
            Err(Error::Taken { what: "tenant", name: new.to_owned() })
        }
        other => Ok(other?),
    }
}

/// Deletes a tenant: at once without grace, otherwise it is refused to members and deleted after `grace_days`.
///
/// Points stay in the backup store until they are pruned.
pub async fn delete(admin: &Admin, by: &By, slug: &str, grace_days: u32) -> Result<(), Error> {
    let tenant = find(admin, slug).await?;
    let actor = by.actor();
    let event =
        AuditEvent { actor: &actor, event: "tenant.deleted", object: slug, detail: json!({"grace_days": grace_days}) };
    if grace_days > 0 {
        let when = admin.clock.now() + time::Duration::days(i64::from(grace_days));
        admin.store.registry().change(tenant.id, &TenantChange::DeleteAfter(when), &event).await?;
        return Ok(());
    }
    admin.store.remove_tenant(tenant.id, Removal::Ordered, Some(&event)).await?;
    // Rows first: then no row refers to a file that is gone. What fails here is done again by whoever tends.
    crate::sweep::deleted_tenants(admin).await?;
    Ok(())
}

/// Deletes the tenants whose grace has ended. Returns how many.
pub async fn delete_due(admin: &Admin) -> Result<usize, Error> {
    let due = admin.store.registry().due_for_deletion(admin.clock.now()).await?;
    let mut removed = 0;
    for id in &due {
        let event = AuditEvent { actor: "job:deletion", event: "tenant.removed", object: "", detail: json!({}) };
        removed += usize::from(admin.store.remove_tenant(*id, Removal::Due, Some(&event)).await?);
    }
    Ok(removed)
}

fn checked_hosts(hosts: &[String]) -> Result<Vec<String>, Error> {
    let mut out = Vec::new();
    for host in hosts {
        let name = host.trim().to_ascii_lowercase();
        let fine = !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !fine {
            return Err(Error::Input(format!("{host} is not a host name; give it without scheme, port and path")));
        }
        if !out.contains(&name) {
            out.push(name);
        }
    }
    Ok(out)
}

fn checked_url(text: &str) -> Result<String, Error> {
    let url = Url::parse(text).map_err(|e| Error::Input(format!("{text} is not a URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https")
        || url.host_str().is_none()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(Error::Input(format!("{text} cannot be a public URL; give https://host or https://host/base")));
    }
    Ok(text.trim_end_matches('/').to_owned())
}
