//! Changing a member.

use domain::id::is_username;
use domain::member::{Member, Role};
use identity::{Identity, MemberActor};
use serde_json::json;
use store::tenant::members;
use store::{AuditEvent, TenantTx};

use super::service::{audit_actor, taken};
use super::{Error, avatar};
use crate::instance::settings;
use crate::notes::Desk;

/// What is to change; nothing where a field is none.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A new name.
    pub username: Option<String>,
    /// A new name to show.
    pub display_name: Option<String>,
    /// A new e-mail address.
    pub email: Option<String>,
    /// A new picture.
    pub avatar: Option<String>,
    /// A new text about the member.
    pub description: Option<String>,
    /// A new password; ends the member's other sessions.
    pub password: Option<String>,
    /// Admin or not; for admins.
    pub admin: Option<bool>,
    /// Archived or not; for admins.
    pub archived: Option<bool>,
}

impl Change {
    /// Whether it touches what decides who holds the tenant.
    const fn is_about_power(&self) -> bool {
        self.password.is_some() || self.admin.is_some() || self.archived.is_some() || self.username.is_some()
    }

    /// The names of the fields that change, for the audit.
    fn fields(&self) -> Vec<&'static str> {
        let all = [
            ("username", self.username.is_some()),
            ("display_name", self.display_name.is_some()),
            ("email", self.email.is_some()),
            ("avatar", self.avatar.is_some()),
            ("description", self.description.is_some()),
            ("password", self.password.is_some()),
            ("role", self.admin.is_some()),
            ("archived", self.archived.is_some()),
        ];
        all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }
}

/// Changes the member of this name: himself, or an admin; an owner's password, name, role and state only himself or
/// another owner. Audit: `member.updated`, and `password.changed`.
///
/// # Errors
/// Not found, no permission, values that cannot be, a taken name, the last owner.
pub async fn update(
    desk: &Desk<'_>,
    identity: &Identity,
    me: &MemberActor,
    username: &str,
    change: Change,
) -> Result<Member, Error> {
    let mut tx = desk.begin();
    tx.touch().await?;
    let was = super::service::find(&mut tx, desk, username).await?.ok_or(Error::NotFound)?;
    may(me, &was, &change)?;
    let general = settings::general(&mut tx).await?;
    if change.username.is_some() && general.disallow_change_username {
        return Err(Error::Denied("permission denied: disallow change username"));
    }
    if change.display_name.is_some() && general.disallow_change_nickname {
        return Err(Error::Denied("permission denied: disallow change nickname"));
    }
    let member = applied(&was, &change, desk.now())?;
    keep_an_owner(&mut tx, &was, &member).await?;
    let owners = if was.role == Role::Owner { Some(members::lock_owners(&mut tx).await?) } else { None };
    taken(members::update_member(&mut tx, &was.username, &member).await, &member.username)?;
    if let Some(before) = owners {
        keep_a_way_in(&mut tx, before).await?;
    }
    let actor = audit_actor(desk);
    if let Some(password) = &change.password {
        if password.is_empty() {
            return Err(Error::Invalid("password must not be empty".to_owned()));
        }
        let spare = me.session_id().filter(|_| me.id() == was.id).unwrap_or_default();
        identity.put_password(&mut tx, &member, password, spare).await?;
        let detail = json!({"by": me.member.username});
        tx.audit(&AuditEvent { actor: &actor, event: "password.changed", object: &member.username, detail }).await?;
    }
    let detail = json!({"fields": change.fields(), "was": was.username});
    tx.audit(&AuditEvent { actor: &actor, event: "member.updated", object: &member.username, detail }).await?;
    tx.commit().await?;
    Ok(member)
}

fn may(me: &MemberActor, target: &Member, change: &Change) -> Result<(), Error> {
    let myself = me.id() == target.id;
    let admin = me.member.role.is_admin();
    if !myself && !admin {
        return Err(Error::DENIED);
    }
    if !admin && (change.admin.is_some() || change.archived.is_some()) {
        return Err(Error::DENIED);
    }
    if me.is_limited() && change.is_about_power() {
        return Err(Error::Denied("permission denied: this token may not change how anyone signs in"));
    }
    let over_owner = target.role == Role::Owner && me.member.role != Role::Owner;
    if over_owner && change.is_about_power() {
        return Err(Error::Denied("permission denied: only an owner may change that of an owner"));
    }
    Ok(())
}

fn applied(was: &Member, change: &Change, now: i64) -> Result<Member, Error> {
    let mut member = was.clone();
    if let Some(username) = &change.username {
        if *username != was.username && !is_username(username) {
            return Err(Error::Invalid(format!("invalid username \"{username}\"")));
        }
        member.username.clone_from(username);
    }
    if let Some(picture) = &change.avatar {
        avatar::check(picture)?;
        member.avatar.clone_from(picture);
    }
    let texts = [
        (&change.display_name, &mut member.display_name),
        (&change.email, &mut member.email),
        (&change.description, &mut member.description),
    ];
    for (new, field) in texts {
        if let Some(new) = new {
            field.clone_from(new);
        }
    }
    match (change.admin, was.role) {
        (Some(true), Role::Member | Role::Guest) => member.role = Role::Admin,
        (Some(false), Role::Admin | Role::Owner) => member.role = Role::Member,
        _ => {}
    }
    member.archived = change.archived.unwrap_or(was.archived);
    member.updated_ts = now;
    Ok(member)
}

/// A tenant without an owner who can sign in could not be handed on.
async fn keep_an_owner(tx: &mut TenantTx, was: &Member, member: &Member) -> Result<(), Error> {
    let leaves = was.role == Role::Owner && !was.archived && (member.role != Role::Owner || member.archived);
    if leaves && members::lock_owners(tx).await?.all <= 1 {
        return Err(Error::Refused("the last owner can be neither archived nor made an ordinary member"));
    }
    Ok(())
}

/// After a change: an owner who can sign in is left, if there was one before.
async fn keep_a_way_in(tx: &mut TenantTx, before: members::Owners) -> Result<(), Error> {
    Ok(identity::provider::keep_a_way_in(tx, before).await?)
}
