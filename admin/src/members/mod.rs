//! Members of a tenant, as the operator handles them: a locked-out owner, a leaver, a first account.

use std::sync::Arc;

use domain::id::{MemberId, is_username};
use domain::member::{Member, Role};
use identity::{NewToken, TokenMade};
use serde_json::json;
use store::tenant::{members, sessions};
use store::{AuditEvent, TenantScope};

use crate::{Admin, By, Error, tenants};

async fn scope_of(admin: &Admin, slug: &str, command: &'static str) -> Result<TenantScope, Error> {
    Ok(TenantScope::for_command(Arc::clone(&tenants::find(admin, slug).await?), command))
}

fn missing(name: &str) -> Error {
    Error::Missing { what: "member", name: name.to_owned() }
}

/// Every member, the newest first.
pub async fn list(admin: &Admin, slug: &str) -> Result<Vec<Member>, Error> {
    let scope = scope_of(admin, slug, "user list").await?;
    let mut tx = admin.store.begin(&scope);
    let all = members::list_members(&mut tx, i64::from(i32::MAX), 0).await?;
    tx.commit().await?;
    Ok(all)
}

/// Adds a member.
pub async fn create(
    admin: &Admin,
    by: &By,
    slug: &str,
    name: &str,
    role: Role,
    password: &str,
) -> Result<Member, Error> {
    if !is_username(name) {
        return Err(Error::Input(format!(
            "{name} cannot be a username: use 1 to 36 letters, digits or -, not digits only"
        )));
    }
    let scope = scope_of(admin, slug, "user create").await?;
    let hash = admin.identity.passwords().hash(password).await?;
    let (actor, now) = (by.actor(), admin.clock.seconds());
    let mut tx = admin.store.begin(&scope);
    tx.touch().await?;
    let member = Member {
        id: MemberId(tx.next_id().await?),
        username: name.to_owned(),
        role,
        archived: false,
        email: String::new(),
        display_name: String::new(),
        avatar: String::new(),
        description: String::new(),
        created_ts: now,
        updated_ts: now,
    };
    match members::insert_member(&mut tx, &member, &hash).await {
        Err(error) if error.is_conflict(members::USERNAME_KEY) => {
            return Err(Error::Taken { what: "member", name: name.to_owned() });
        }
        other => other?,
    }
    tx.audit(&AuditEvent { actor: &actor, event: "member.created", object: name, detail: json!({"role": role}) })
        .await?;
    tx.commit().await?;
    Ok(member)
}

/// Sets a member's password and ends his sessions.
pub async fn set_password(admin: &Admin, by: &By, slug: &str, name: &str, password: &str) -> Result<(), Error> {
    let scope = scope_of(admin, slug, "user set-password").await?;
    let actor = by.actor();
    let mut tx = admin.store.begin(&scope);
    tx.touch().await?;
    let member = members::find_member_by_name(&mut tx, name).await?.ok_or_else(|| missing(name))?;
    admin.identity.put_password(&mut tx, &member, password, "").await?;
    tx.audit(&AuditEvent { actor: &actor, event: "password.changed", object: name, detail: json!({"by": actor}) })
        .await?;
    Ok(tx.commit().await?)
}

/// Archives a member: he cannot sign in, his notes stay. The last owner is kept.
pub async fn archive(admin: &Admin, by: &By, slug: &str, name: &str) -> Result<(), Error> {
    let scope = scope_of(admin, slug, "user archive").await?;
    let actor = by.actor();
    let mut tx = admin.store.begin(&scope);
    tx.touch().await?;
    let mut member = members::find_member_by_name(&mut tx, name).await?.ok_or_else(|| missing(name))?;
    let owners = members::lock_owners(&mut tx).await?;
    if member.role == Role::Owner && !member.archived && owners.all <= 1 {
        return Err(Error::Refused(format!("{name} is the last owner of {slug}; make another member owner first")));
    }
    member.archived = true;
    member.updated_ts = admin.clock.seconds();
    let was = member.username.clone();
    members::update_member(&mut tx, &was, &member).await?;
    identity::provider::keep_a_way_in(&mut tx, owners).await?;
    sessions::delete_sessions_of(&mut tx, member.id, "").await?;
    tx.audit(&AuditEvent { actor: &actor, event: "member.archived", object: name, detail: json!({}) }).await?;
    Ok(tx.commit().await?)
}

/// A member's tokens, the newest first.
pub async fn list_tokens(
    admin: &Admin,
    slug: &str,
    name: &str,
) -> Result<Vec<store::tenant::tokens::AccessToken>, Error> {
    let scope = scope_of(admin, slug, "token list").await?;
    let member = get(admin, &scope, name).await?;
    Ok(admin.identity.list_tokens(&scope, &member).await?)
}

/// Makes a token for a member; its text is known only now.
pub async fn create_token(admin: &Admin, slug: &str, name: &str, new: NewToken<'_>) -> Result<TokenMade, Error> {
    let scope = scope_of(admin, slug, "token create").await?;
    let member = get(admin, &scope, name).await?;
    Ok(admin.identity.create_token_for(&scope, &member, new).await?)
}

/// Revokes a member's token.
pub async fn revoke_token(admin: &Admin, slug: &str, name: &str, token: &str) -> Result<(), Error> {
    let scope = scope_of(admin, slug, "token revoke").await?;
    let member = get(admin, &scope, name).await?;
    if admin.identity.revoke_token(&scope, &member, token).await? {
        Ok(())
    } else {
        Err(Error::Missing { what: "token", name: token.to_owned() })
    }
}

async fn get(admin: &Admin, scope: &TenantScope, name: &str) -> Result<Member, Error> {
    let mut tx = admin.store.begin(scope);
    let member = members::find_member_by_name(&mut tx, name).await?.ok_or_else(|| missing(name))?;
    tx.commit().await?;
    Ok(member)
}
